// The server is killed at random moments under load: no acknowledged run is lost, no log has a gap
// or an event twice, and what a client saw is what a replay gives.
//   CONFAB_KILLS  how often (5 here; 50 is the long form)     CONFAB_SEED  which moments
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { House, idsOf, randomFrom, textOf } from './harness.mjs';
import { until } from '../openai/harness.mjs';

const kills = Number(process.env.CONFAB_KILLS ?? 5), seed = Number(process.env.CONFAB_SEED ?? 1);
const random = randomFrom(seed);
const house = new House(['--max-seqs', '4', '--queue', '32', '--ctx', '1024']);
const runs = []; // { id, way, body, seen: [bytes of each observer] }
before(() => house.open());
after(async () => {
    await house.close();
    house.remove();
});

const durable = { 'x-confab-durable': '1', 'x-confab-event-ids': 'true' };
const say = (n) => [{ role: 'user', content: `Tell me story ${n}.` }];
const ways = [
    {
        name: 'zylon async',
        body: (n, max) => ({ messages: say(n), max_tokens: max, temperature: 1, seed: n }),
        async begin(body, n) {
            const r = await house.post(`/v1/messages/async?message_id=story-${n}`, body);
            assert.equal(r.status, 200, r.text);
            return { id: `story-${n}`, observe: true };
        },
        plain: async (body) => (await house.post('/v1/messages', body)).json.content.map((c) => c.text ?? '').join(''),
    },
    {
        name: 'openai.chat',
        body: (n, max) => ({ messages: say(n), max_tokens: max, seed: n, stream: true, stream_options: { include_usage: true } }),
        begin: (body) => follow('/v1/chat/completions', body),
        plain: async (body) => (await house.post('/v1/chat/completions', { ...body, stream: false, stream_options: undefined })).json.choices[0].message.content,
    },
    {
        name: 'openai.responses',
        body: (n, max) => ({ input: `Tell me story ${n}.`, max_output_tokens: max, background: true }),
        async begin(body) {
            const r = await house.post('/v1/responses', body);
            assert.equal(r.status, 200, r.text);
            return { id: r.json.id, observe: true };
        },
    },
    {
        name: 'paddler',
        body: (n, max) => ({ raw_prompt: `Once upon a time ${n}`, max_tokens: max }),
        begin: (body) => follow('/api/v1/continue_from_raw_prompt', body),
    },
];

// A live stream: its run is acknowledged once an answer has begun; its bytes are kept as they come.
async function follow(path, body) {
    const r = await house.fetch(path, { method: 'POST', headers: { 'content-type': 'application/json', ...durable }, body: JSON.stringify(body) });
    assert.equal(r.status, 200);
    const run = { id: r.headers.get('x-confab-run'), seen: [] };
    drink(r, run);
    return run;
}

function drink(r, run) {
    const bytes = { text: '', whole: false };
    run.seen.push(bytes);
    (async () => {
        const decoder = new TextDecoder();
        try {
            for await (const chunk of r.body) bytes.text += decoder.decode(chunk, { stream: true });
            bytes.whole = true;
        } catch {
            // the server is gone
        }
    })();
}

async function begin(n) {
    const way = ways[n % ways.length];
    const body = way.body(n, 20 + random(600));
    try {
        const run = { seen: [], way, body, ...(await way.begin(body, n)) };
        runs.push(run);
        if (run.observe) drink(await house.fetch(`/v1/streams/${run.id}?ids=true`), run);
    } catch (e) {
        if (e instanceof assert.AssertionError) throw e; // refused, and should not have been
    }
}

async function check(run) {
    const r = await house.replay(run.id, '?ids=true');
    assert.equal(r.status, 200, `${run.way.name} ${run.id} is lost`);
    for (const s of run.seen) {
        const replay = run.way.name === 'paddler' ? (await house.replay(run.id)).text : r.text;
        if (!replay.startsWith(s.text)) assert.equal(replay, s.text, `${run.way.name} ${run.id}: a client saw something else`);
        if (s.whole) assert.equal(s.text, replay);
    }
    return r.text;
}

test(`${kills} kills from seed ${seed}`, async (t) => {
    let n = 0, resumed = 0;
    for (let k = 0; k < kills; k++) {
        const pending = [];
        const killed = pause(20 + random(300)).then(() => house.kill());
        for (let i = 0; i < 6; i++) {
            pending.push(begin(n++));
            await pause(random(40));
        }
        await killed;
        await Promise.all(pending);
        await house.open();
        resumed += (await house.server.metric('runs_resumed_total')) ?? 0;
        // All that were acknowledged are known, at once.
        for (const run of runs) {
            const r = await house.fetch(`/v1/streams/${run.id}?ids=true`);
            assert.equal(r.status, 200, `${run.way.name} ${run.id} is lost after kill ${k + 1}`);
            if (random(2)) drink(r, run);
            else await r.body.cancel();
        }
    }
    await until(async () => (await house.server.metric('runs_live')) === 0, 'all runs to end', 120000);
    assert.ok(runs.length > kills, 'there was something to lose');
    t.diagnostic(`${runs.length} acknowledged runs, ${resumed} times one went on after a restart`);
    for (const run of runs) {
        const text = await check(run);
        const ids = idsOf(text);
        assert.ok(ids.every((id, i) => i === 0 || id > ids[i - 1]), 'numbers rise');
        assert.equal(/"error":\s*([{"].{0,200})|event: error.*\n.{0,300}/.exec(text)?.[0], undefined, `${run.way.name} ${run.id}`);
        assert.equal(await check(run), text, 'replays are the same bytes');
        // What was never interrupted says the same: nothing is missing, nothing is there twice.
        if (run.way.plain) assert.equal(textOf(text), await run.way.plain(run.body), run.way.name);
        // An observer from another dialect sees the same content.
        const other = await house.replay(run.id, `?dialect=${run.way.name === 'openai.chat' ? 'zylon.async' : 'openai.chat'}`);
        assert.equal(textOf(other.text), textOf(text), run.way.name);
    }
});

test('a reconnect at every event number gives the same tail', async () => {
    for (const run of runs.slice(0, 2)) {
        const { text } = await house.replay(run.id, '?ids=true');
        const last = idsOf(text).at(-1);
        const frames = text.split('\n\n').slice(0, -1).map((f) => f + '\n\n');
        let want = text, at = 0;
        for (let id = 0; id <= last; id++) {
            // Behind the frames that event `id` and those before it gave.
            while (at < frames.length && id > 0 && lastId(frames, at) <= id) want = want.slice(frames[at++].length);
            const r = await house.replay(run.id, `?ids=true&after=${id}`);
            assert.equal(r.text, want, `after ${id}`);
        }
    }
});

// The number of the event that frame i belongs to: of the next frame that tells one.
function lastId(frames, i) {
    for (; i < frames.length; i++) {
        const m = /^id: (\d+)$/m.exec(frames[i]);
        if (m) return Number(m[1]);
    }
    return Infinity;
}
