// What the client hides: bytes of the stream, statuses, headers, load, clients that leave.
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { startServer, until } from './harness.mjs';

let server;

before(async () => {
    server = await startServer({ args: ['--max-seqs', '4', '--queue', '8'] });
});
after(async () => {
    assert.equal(await server.stop(), 0, server.log());
});

const json = { 'content-type': 'application/json' };
const body = (more = {}) => JSON.stringify({ model: 'tiny', messages: [{ role: 'user', content: 'Hi' }], max_tokens: 8, temperature: 0, ...more });
const post = (path, text, headers = json, more = {}) => fetch(server.url + path, { method: 'POST', headers, body: text, ...more });

test('a stream is data lines, each a chunk, then [DONE]', async () => {
    const r = await post('/v1/chat/completions', body({ stream: true }));
    assert.equal(r.status, 200);
    assert.equal(r.headers.get('content-type'), 'text/event-stream');
    const events = (await r.text()).split('\n\n');
    assert.equal(events.pop(), '');
    assert.equal(events.pop(), 'data: [DONE]');
    const chunks = events.map((e) => JSON.parse(e.replace(/^data: /, '')));
    assert.deepEqual(chunks[0].choices[0].delta, { role: 'assistant', content: '' });
    assert.deepEqual(chunks.at(-1).choices[0].delta, {});
    assert.ok(chunks.at(-1).choices[0].finish_reason);
    assert.equal(new Set(chunks.map((c) => c.id)).size, 1);
});

test('every error on the routes has the four members and a request id', async () => {
    const rows = [
        [await post('/v1/chat/completions', '{'), 400],
        [await post('/v1/chat/completions', '[]'), 400],
        [await post('/v1/chat/completions', '{"a":1,"a":2}'), 400],
        [await post('/v1/chat/completions', '{"messages":' + '['.repeat(5000)), 400],
        [await post('/v1/chat/completions', body(), { 'content-type': 'text/plain' }), 415],
        [await fetch(server.url + '/v1/chat/completions'), 405],
        [await post('/v1/nowhere', '{}'), 404],
        [await post('/nowhere', '{}'), 404],
        [await fetch(server.url + '/v1/models/tiny', { method: 'DELETE' }), 403],
    ];
    for (const [r, status] of rows) {
        assert.equal(r.status, status);
        const { error } = await r.json();
        assert.deepEqual(Object.keys(error).sort(), ['code', 'message', 'param', 'type']);
    }
    assert.equal(rows[5][0].headers.get('allow'), 'POST');
});

test('the same request gives the same bytes whatever runs beside it', async () => {
    const one = async (seed) => {
        const r = await (await post('/v1/chat/completions', body({ temperature: 1, seed, max_tokens: 30 }))).json();
        return r.choices[0].message.content;
    };
    const alone = [];
    for (let seed = 0; seed < 8; seed++) alone.push(await one(seed));
    const together = await Promise.all(alone.map((_, seed) => one(seed)));
    assert.deepEqual(together, alone);
});

test('the prefix cache explains itself when asked', async () => {
    const ask = (text, more = {}) => fetch(server.url + '/v1/completions', {
        method: 'POST', headers: { ...json, 'X-Confab-Explain': 'true', ...more },
        body: JSON.stringify({ model: 'tiny', prompt: text, max_tokens: 2 }),
    });
    const text = 'explain this to me '.repeat(20);
    const told = async (r) => (r.headers.get('x-confab-cache') ?? '').match(/\d+/g)?.map(Number);
    const [prompt] = await told(await ask(text));
    const [again, reused, equal] = await told(await ask(text));
    assert.equal(again, prompt);
    assert.ok(reused > 0 && reused % 32 === 0 && reused < prompt && equal >= reused && equal <= prompt);
    assert.equal((await ask(text, { 'X-Confab-Explain': 'false' })).headers.get('x-confab-cache'), null);
});

test('a full queue answers 429 with Retry-After', async () => {
    const other = await startServer({ endless: true, args: ['--max-seqs', '4', '--queue', '8'] });
    const c = new AbortController();
    const ask = (more, signal) => fetch(other.url + '/v1/chat/completions', { method: 'POST', headers: json, body: body({ max_tokens: 100000, ...more }), signal });
    const held = [];
    const hold = (n) => { while (held.length < n) held.push(ask({}, c.signal).catch(() => {})); };
    hold(4);
    await until(async () => (await other.metric('active')) === 4, 'the batch is full');
    hold(12);
    await until(async () => (await other.metric('waiting')) === 8, 'the queue is full');
    for (const more of [{}, { stream: true }, { n: 4 }]) {
        const r = await ask(more);
        assert.equal(r.status, 429);
        assert.ok(Number(r.headers.get('retry-after')) >= 1);
        assert.equal((await r.json()).error.code, 'rate_limit_exceeded');
    }
    c.abort();
    await Promise.all(held);
    await until(async () => (await other.metric('runs_live')) + (await other.metric('waiting')) === 0, 'all places are free');
    assert.equal((await ask({ max_tokens: 3 })).status, 200);
    assert.equal(await other.stop(), 0, other.log());
});

function connect() {
    const { hostname, port } = new URL(server.url);
    return net.connect(Number(port), hostname);
}

const raw = (text) => `POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;

test('two hundred clients that leave at random leave nothing behind', async () => {
    const prompt = 'word '.repeat(300);
    // The first round warms up what is made once.
    let before;
    for (let round = 0; round < 2; round++) {
        await Promise.all(Array.from({ length: round ? 200 : 20 }, async (_, i) => {
            const s = connect();
            s.on('error', () => {});
            const text = body({ messages: [{ role: 'user', content: i % 3 ? 'Hi' : prompt }], max_tokens: 200, ignore_eos: true, stream: i % 2 === 0 });
            const wire = raw(text);
            await new Promise((ok) => s.once('connect', ok));
            s.write(i % 5 === 0 ? wire.slice(0, wire.length - 3) : wire);
            await new Promise((ok) => setTimeout(ok, (i * 37) % 400));
            if (i % 4 === 0) s.resetAndDestroy();
            else s.destroy();
        }));
        await until(async () => (await server.metric('runs_live')) === 0 && (await server.metric('active')) === 0, 'no live run');
        await until(async () => (await server.metric('open_requests')) <= 1, 'no open request');
        if (!round) before = { fds: server.descriptors(), kib: server.residentKiB() };
    }
    await until(() => server.descriptors() <= before.fds + 2, 'no leaked descriptor');
    assert.ok(server.residentKiB() < before.kib + 16 * 1024, `${before.kib} KiB grew to ${server.residentKiB()}`);
    assert.equal((await server.metric('kv_blocks_free')) + (await server.metric('kv_blocks_cached')), await server.metric('kv_blocks'));
    assert.equal((await post('/v1/chat/completions', body())).status, 200);
});

test('a client that reads slowly does not hold up the others', async () => {
    const slow = connect();
    slow.on('error', () => {});
    await new Promise((ok) => slow.once('connect', ok));
    slow.pause();
    slow.write(raw(body({ stream: true, max_tokens: 100000, ignore_eos: true })));
    const r = await post('/v1/chat/completions', body({ max_tokens: 20 }));
    assert.equal(r.status, 200);
    slow.destroy();
    await until(async () => (await server.metric('runs_live')) === 0, 'the slow run is gone');
});

test('health, page and metrics', async () => {
    assert.deepEqual(await (await fetch(server.url + '/health')).json(), { status: 'ok' });
    const page = await fetch(server.url + '/');
    assert.match(page.headers.get('content-type'), /^text\/html/);
    assert.ok(page.headers.get('content-security-policy'));
    assert.match(await page.text(), /<title>/);
    assert.ok((await server.metric('output_tokens_total')) > 0);
});

test('SIGTERM lets a running answer finish', async () => {
    const other = await startServer({ args: ['--max-seqs', '2'] });
    const r = fetch(other.url + '/v1/chat/completions', { method: 'POST', headers: json, body: body({ max_tokens: 200, ignore_eos: true }) });
    await until(async () => (await other.metric('active')) > 0 || (await other.metric('output_tokens_total')) > 0, 'it runs');
    const code = other.stop();
    const answer = await (await r).json();
    assert.equal(answer.usage.completion_tokens, 200);
    assert.equal(await code, 0);
});

test('a run is found by its id, and its log replays the same bytes from any cursor', async () => {
    const ask = (ids) => post('/v1/chat/completions', body({ stream: true, stream_options: { include_usage: true }, max_tokens: 12 }),
        ids ? { ...json, 'x-confab-event-ids': 'true' } : json);
    for (const ids of [false, true]) {
        const live = await ask(ids);
        const bytes = await live.text();
        const run = `${server.url}/v1/streams/${live.headers.get('x-confab-run')}`;
        assert.equal(await (await fetch(`${run}?ids=${ids}`)).text(), bytes);
        // The answer's own id is taken too.
        const shown = /"id":"(chatcmpl-\w+)"/.exec(bytes)[1];
        assert.equal(await (await fetch(`${server.url}/v1/streams/${shown}?ids=${ids}`)).text(), bytes);
        const frames = bytes.split(/(?<=\n\n)/);
        const numbered = frames.filter((f) => f.startsWith('id: '));
        if (!ids) assert.equal(numbered.length, 0);
        for (const frame of numbered) {
            const n = Number(/^id: (\d+)/.exec(frame)[1]);
            const tail = bytes.slice(bytes.indexOf(frame) + frame.length);
            assert.equal(await (await fetch(`${run}?ids=true&after=${n}`)).text(), tail);
            assert.equal(await (await fetch(`${run}?ids=true`, { headers: { 'last-event-id': `${n}` } })).text(), tail);
        }
        assert.equal((await fetch(`${run}?after=x`)).status, 400);
    }
    assert.equal((await fetch(`${server.url}/v1/streams/nobody`)).status, 404);
});

test('a detached run goes on without its client, and can be cancelled by another', async () => {
    const c = new AbortController();
    const r = await post('/v1/chat/completions', body({ stream: true, max_tokens: 100, ignore_eos: true }),
        { ...json, 'x-confab-detach': 'true' }, { signal: c.signal });
    const id = r.headers.get('x-confab-run');
    c.abort();
    const text = await (await fetch(`${server.url}/v1/streams/${id}`)).text();
    assert.match(text, /"finish_reason":"length"/);
    const d = await post('/v1/chat/completions', body({ stream: true, max_tokens: 100000, ignore_eos: true, n: 4 }),
        { ...json, 'x-confab-detach': 'true' });
    const other = d.headers.get('x-confab-run');
    await fetch(`${server.url}/v1/streams/${other}`, { method: 'DELETE' });
    assert.match(await d.text(), /cancelled|\[DONE\]/);
    await until(async () => (await server.metric('runs_live')) === 0, 'both are over');
});

test('a conversation that goes on takes its beginning from the cache, and the same bytes come out', async () => {
    const other = await startServer({ args: ['--max-seqs', '4', '--no-log-requests'] });
    const messages = [{ role: 'user', content: 'one two three four five six seven eight nine ten eleven twelve' }];
    const first = await (await post('/v1/chat/completions', body({ messages, max_tokens: 10 }))).json();
    messages.push({ role: 'assistant', content: first.choices[0].message.content }, { role: 'user', content: 'and then?' });
    const warm = await (await post('/v1/chat/completions', body({ messages, max_tokens: 20, temperature: 1, seed: 2 }))).json();
    const cold = await (await fetch(other.url + '/v1/chat/completions', {
        method: 'POST', headers: json, body: body({ messages, max_tokens: 20, temperature: 1, seed: 2 }),
    })).json();
    assert.equal(warm.choices[0].message.content, cold.choices[0].message.content);
    assert.ok(warm.usage.prompt_tokens_details.cached_tokens >= 32, JSON.stringify(warm.usage));
    assert.equal(cold.usage.prompt_tokens_details.cached_tokens, 0);
    assert.equal(await other.stop(), 0);
});

test('tokens are guessed ahead where --drafts allows it, and the same bytes come out', async () => {
    // A prompt made of what the model says: the answer goes on as it did in the prompt, at temperature 0.
    const texts = [];
    for (const drafts of ['7', '0']) {
        const own = await startServer({ args: ['--drafts', drafts, '--no-log-requests'] });
        const text = [];
        for (let i = 0; i < 4; i++) {
            const r = await (await fetch(own.url + '/v1/completions', {
                method: 'POST', headers: json, body: JSON.stringify({ prompt: 'over and over '.repeat(8) + i, max_tokens: 120, temperature: 0, ignore_eos: true }),
            })).json();
            text.push(r.choices[0].text);
        }
        texts.push(text);
        const guessed = await own.metric('drafted_total');
        assert.ok(drafts === '0' ? guessed === 0 : guessed > 0, `${drafts}: ${guessed}`);
        assert.ok((await own.metric('drafts_true_total')) <= guessed);
        assert.equal(await own.stop(), 0);
    }
    assert.deepEqual(texts[0], texts[1]);
});

test('--memory is kept to: what does not fit is refused at start, with both numbers', async () => {
    const used = async (s) => {
        const text = await (await fetch(s.url + '/metrics')).text();
        return Object.fromEntries([...text.matchAll(/^confab_memory_budget_bytes\{use="(\w+)"\} (\d+)$/gm)].map((m) => [m[1], Number(m[2])]));
    };
    const args = ['--max-body', '8', '--keep-memory', '1', '--no-log-requests', '--queue', '64'];
    const first = await startServer({ args: [...args, '--memory', '64'] });
    const uses = await used(first);
    assert.deepEqual(Object.keys(uses), ['weights', 'kv', 'buffers', 'texts']);
    for (const [use, n] of Object.entries(uses)) assert.ok(n > 0, use);
    assert.ok(Object.values(uses).reduce((a, b) => a + b) <= 64 * 2 ** 20);
    assert.match(first.log(), /app\.memory weights_mib=\d+ kv_mib=\d+ buffers_mib=\d+ texts_mib=\d+ budget_mib=64/);
    assert.equal(await first.stop(), 0);

    // Less than it needs: both numbers, and what of.
    const kv = ['--kv-tokens', String(2 ** 20)];
    await assert.rejects(startServer({ args: [...args, ...kv, '--memory', '64'] }),
        /the KV memory: \d+ MiB more do not fit the memory budget: \d+ of 64 MiB in use/);
    await assert.rejects(startServer({ args: [...args, '--memory', '8'] }), /\d+ MiB more do not fit the memory budget: \d+ of 8 MiB in use/);
});
