// What a restart keeps: owners, names, cancellation, deletion; what it cannot keep, with a reason;
// full queues, waiting clients, folders that cannot be used.
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, test } from 'node:test';
import { House, idsOf, textOf } from './harness.mjs';
import { confab, startServer, until } from '../openai/harness.mjs';

let house;
const open = async (args) => {
    house = new House(args);
    await house.open();
};
afterEach(async () => {
    await house?.close();
    house?.remove();
    house = null;
});

const hi = { messages: [{ role: 'user', content: 'Hi' }], max_tokens: 12, seed: 1, temperature: 1 };
const long = { ...hi, max_tokens: 700, stop_sequences: [] };
const async_ = (id) => `/v1/messages/async${id ? `/${id}` : ''}`;
const begin = (id, body = hi, headers) => house.post(`${async_()}?message_id=${id}`, body, headers);
const status = async (id, headers) => (await house.get(`${async_(id)}/status`, headers)).json;
const waitFor = (id, want) => until(async () => (await status(id)).status === want, `${id} to be ${want}`);

test('a complete run, its name and its bytes are there after a kill', async () => {
    await open();
    await begin('first');
    await waitFor('first', 'completed');
    const before = await house.get(`${async_('first')}/stream`);
    const was = await status('first');
    const openai = await house.replay('first', '?dialect=openai.chat');
    await house.reopen();
    assert.equal((await house.get(`${async_('first')}/stream`)).text, before.text);
    assert.deepEqual(await status('first'), was);
    assert.equal((await house.replay('first', '?dialect=openai.chat')).text, openai.text);
    assert.equal((await begin('first')).status, 400, 'the name is taken');
    assert.equal((await house.call('DELETE', `${async_('first')}/delete`)).status, 204);
    await house.reopen();
    assert.equal((await house.get(`${async_('first')}/status`)).status, 404);
    assert.equal((await begin('first')).status, 200, 'and free again');
});

test('cancelled stays cancelled', async () => {
    await open(['--max-seqs', '1']);
    const endless = { messages: hi.messages, max_tokens: 3900, ignore_eos: true, stream: true };
    const running = await house.fetch('/v1/chat/completions', { method: 'POST', headers: { 'content-type': 'application/json', 'x-confab-durable': '1' }, body: JSON.stringify(endless) });
    await begin('queued', long); // waits behind it
    const ids = [running.headers.get('x-confab-run'), 'queued'];
    assert.equal((await house.post(`${async_('queued')}/cancel`)).status, 200);
    assert.equal((await house.call('DELETE', `/v1/streams/${ids[0]}`)).status, 200);
    const texts = await Promise.all(ids.map(async (id) => (await house.replay(id)).text));
    await house.reopen();
    assert.equal((await status('queued')).status, 'cancelled');
    for (const [i, id] of ids.entries()) assert.equal((await house.replay(id)).text, texts[i]);
    assert.match(texts[0], /cancelled/);
    assert.equal(await house.server.metric('runs_live'), 0);
});

test('a run belongs to its team after a restart too', async () => {
    house = new House();
    const key = (team) => execFileSync(confab, ['keys', 'add', '--data', house.data, '--team', team, team], { encoding: 'utf8' }).match(/sk-\S+/)[0];
    const red = { authorization: `Bearer ${key('red')}` }, blue = { authorization: `Bearer ${key('blue')}` };
    await house.open();
    assert.equal((await begin('mine', hi, red)).status, 200);
    const r = await house.post('/v1/responses', { input: 'Hi', max_output_tokens: 16 }, red);
    await until(async () => (await status('mine', red)).status === 'completed', 'it to complete');
    await house.reopen();
    assert.equal((await house.get(`${async_('mine')}/status`, red)).status, 200);
    assert.equal((await house.get(`/v1/responses/${r.json.id}`, red)).status, 200);
    for (const path of [`${async_('mine')}/status`, '/v1/streams/mine', `/v1/responses/${r.json.id}`]) {
        const other = await house.get(path, blue), never = await house.get(path.replace(/mine|resp_\w+/, 'resp_never'), blue);
        assert.equal(other.status, 404, path);
        assert.equal(never.status, 404, path);
    }
    assert.equal((await begin('mine', hi, blue)).status, 200, 'names are of teams');
});

test('SIGTERM leaves live runs to the next start', async () => {
    await open(['--max-seqs', '1', '--drain', '0']);
    await begin('slow', long);
    await begin('queued', long);
    await until(async () => (await status('slow')).status !== 'pending', 'it to begin');
    assert.equal(await house.close(), 0);
    await house.open();
    for (const id of ['slow', 'queued']) {
        await waitFor(id, 'completed');
        assert.equal((await status(id)).error_message, null);
    }
    const texts = await Promise.all(['slow', 'queued'].map(async (id) => textOf((await house.get(`${async_(id)}/stream`)).text)));
    assert.equal(texts[0], texts[1]);
    assert.equal(texts[0], (await house.post('/v1/messages', long)).json.content[0].text);
});

test('stopping with more than the queue holds loses nothing', async () => {
    await open(['--max-seqs', '1', '--queue', '2', '--drain', '0']);
    const ids = ['w1', 'w2', 'w3', 'w4'];
    for (const id of ids) assert.equal((await begin(id, long)).status, 200);
    assert.equal(await house.close(), 0, house.server.log());
    await house.open();
    for (const id of ids) await waitFor(id, 'completed');
});

test('a stored response is there to be gone on from', async () => {
    await open();
    const first = (await house.post('/v1/responses', { input: 'My name is Nora.', max_output_tokens: 16 })).json;
    await house.reopen();
    const again = (await house.get(`/v1/responses/${first.id}`)).json;
    assert.deepEqual(again, first);
    const next = await house.post('/v1/responses', { input: 'What is it?', previous_response_id: first.id, max_output_tokens: 16 });
    assert.equal(next.status, 200, next.text);
    assert.ok(next.json.usage.input_tokens > first.usage.input_tokens);
    assert.equal((await house.call('DELETE', `/v1/responses/${first.id}`)).json.deleted, true);
    await house.reopen();
    assert.equal((await house.get(`/v1/responses/${first.id}`)).status, 404);
    const none = await house.post('/v1/responses', { input: 'What is it?', previous_response_id: first.id });
    assert.ok(none.status >= 400 && none.status < 500, none.text);
});

test('a model that is gone ends its runs with the reason', async () => {
    await open(['--max-seqs', '1']);
    await begin('done');
    await waitFor('done', 'completed');
    await begin('live', long);
    const done = (await house.get(`${async_('done')}/stream`)).text;
    await house.kill();
    // The same file under another name.
    const child = spawn(confab, ['serve', '-m', `renamed=${house.model}`, '--port', '0', '--data', house.data], { stdio: ['ignore', 'pipe', 'ignore'] });
    const url = await new Promise((ok) => {
        let out = '';
        child.stdout.on('data', (d) => {
            out += d;
            const m = /ready at (http:\S+)/.exec(out);
            if (m) ok(m[1]);
        });
    });
    house.url = url;
    house.life = undefined;
    try {
        assert.equal((await house.get(`${async_('done')}/stream`)).text, done);
        await until(async () => !['pending', 'processing'].includes((await status('live')).status), 'it to end');
        const s = await status('live');
        if (s.status !== 'completed') {
            assert.equal(s.status, 'failed');
            assert.match(s.error_message, /model 'tiny' is not loaded any more/);
        }
    } finally {
        const gone = new Promise((ok) => child.on('exit', ok));
        child.kill('SIGTERM');
        await gone;
    }
});

test('a deadline goes on while the server is away', async () => {
    await open(['--max-seqs', '1', '--timeout', '2']);
    await begin('late', { ...hi, max_tokens: 100000, stop_sequences: [] });
    await house.kill();
    const end = Date.now() + 2100;
    await until(() => Date.now() > end, 'two seconds to pass');
    await house.open();
    await until(async () => !['pending', 'processing'].includes((await status('late')).status), 'it to end');
    const s = await status('late');
    if (s.status !== 'completed') assert.match(s.error_message, /deadline/);
});

test('X-Confab-Durable: asked for, refused where nothing lasts', async () => {
    await open();
    const headers = { 'x-confab-durable': '1' };
    const body = { messages: hi.messages, max_tokens: 30, seed: 3 };
    const r = await house.post('/v1/chat/completions', { ...body, stream: true, stream_options: { include_usage: true } }, headers);
    const id = r.headers.get('x-confab-run');
    const plain = await house.post('/v1/chat/completions', body, headers);
    const passing = await house.post('/v1/chat/completions', body);
    for (const wish of ['yes', '2', '']) {
        const bad = await house.post('/v1/chat/completions', body, { 'x-confab-durable': wish });
        assert.equal(bad.status, wish === '' ? bad.status : 400, wish);
        if (bad.status === 400) assert.match(bad.text, /X-Confab-Durable/);
    }
    await house.reopen();
    assert.equal((await house.replay(id)).text, r.text);
    assert.equal(textOf((await house.replay(plain.headers.get('x-confab-run'))).text), plain.json.choices[0].message.content);
    assert.equal((await house.replay(passing.headers.get('x-confab-run'))).status, 404);
    const elsewhere = await startServer({ model: house.model });
    const no = await fetch(elsewhere.url + '/v1/chat/completions', { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) });
    assert.equal(no.status, 400);
    assert.match(await no.text(), /X-Confab-Durable.*--data|--data.*X-Confab-Durable/s);
    assert.equal(await elsewhere.stop(), 0);
});

test('a client that leaves does not end a durable run', async () => {
    await open(['--max-seqs', '1']);
    const leaver = new AbortController();
    const r = await fetch(house.url + '/v1/chat/completions', {
        method: 'POST', signal: leaver.signal, headers: { 'content-type': 'application/json', 'x-confab-durable': '1' },
        body: JSON.stringify({ messages: hi.messages, max_tokens: 300, seed: 1, ignore_eos: true, stream: true }),
    });
    const id = r.headers.get('x-confab-run');
    await r.body.getReader().read();
    leaver.abort();
    await until(async () => (await house.server.metric('runs_live')) === 0, 'it to complete');
    assert.match((await house.replay(id)).text, /"finish_reason":"length"/);
});

test('complete runs leave memory and are read again', async () => {
    await open(['--keep-memory', '0']);
    const ids = [];
    for (let i = 0; i < 20; i++) {
        await begin(`r${i}`, { ...hi, seed: i });
        ids.push(`r${i}`);
    }
    for (const id of ids) await waitFor(id, 'completed');
    const texts = await Promise.all(ids.map(async (id) => (await house.replay(id, '?ids=true')).text));
    assert.equal(await house.server.metric('runs_kept'), 0);
    for (const [i, id] of ids.entries()) assert.equal((await house.replay(id, '?ids=true')).text, texts[i]);
    assert.equal(new Set(texts).size, texts.length);
});

test('what was acknowledged waits for its place; what cannot wait is told so', async () => {
    await open(['--max-seqs', '1', '--queue', '3']);
    const ids = [];
    let refused = null;
    for (let i = 0; i < 100 && !refused; i++) {
        const r = await begin(`q${i}`, { ...long, max_tokens: 150, seed: i });
        if (r.status === 200) ids.push(`q${i}`);
        else refused = r;
    }
    if (refused) {
        assert.equal(refused.status, 529, refused.text);
        assert.ok(Number(refused.headers.get('retry-after')) >= 1);
    }
    assert.ok(ids.length > 3);
    await house.reopen(); // more of them than places in the queue
    for (const id of ids) await waitFor(id, 'completed');
});

test('who waits for the queue or the prompt hears the dialect\'s own keep-alive', async () => {
    const other = await startServer({ endless: true, args: ['--max-seqs', '1', '--keep-alive', '1'] });
    const blockers = new AbortController();
    const gone = Array.from({ length: 8 }, () => fetch(other.url + '/v1/chat/completions', {
        method: 'POST', signal: blockers.signal, headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ messages: hi.messages, max_tokens: 100000 }),
    }).catch(() => null));
    await until(async () => (await other.metric('active')) === 1 && (await other.metric('waiting')) >= 5, 'a queue');
    const wants = [
        ['/v1/chat/completions', { messages: hi.messages, max_tokens: 2, stream: true }, /^:\n\n/],
        ['/v1/messages', { ...hi, max_tokens: 2, stream: true }, /event: ping\ndata: \{"type":\s?"ping"\}/],
        ['/serverless/v1/chat/completions', { model: 'tiny', messages: hi.messages, max_tokens: 2, stream: true }, /^: keepalive\n\n/],
    ];
    const answers = await Promise.all(wants.map(async ([path, body, want]) => {
        const r = await fetch(other.url + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
        let text = '';
        const reader = r.body.getReader(), decoder = new TextDecoder();
        while (!want.test(text)) {
            const { value, done } = await reader.read();
            if (done) break;
            text += decoder.decode(value);
        }
        await reader.cancel();
        return [path, want, text];
    }));
    for (const [path, want, text] of answers) assert.match(text, want, path);
    blockers.abort();
    await Promise.all(gone);
    assert.equal(await other.stop(), 0, other.log());
});

test('one server uses a folder; a damaged file is told', async () => {
    await open();
    const second = spawnSync(confab, ['serve', '-m', house.model, '--port', '0', '--data', house.data], { encoding: 'utf8' });
    assert.equal(second.status, 1);
    assert.match(second.stderr, /another process has it open/);
    const broken = join(house.dir, 'broken');
    mkdirSync(broken);
    writeFileSync(join(broken, 'confab.db'), 'This is no database, it is a letter of some length, and more of it.'.repeat(40));
    const third = spawnSync(confab, ['serve', '-m', house.model, '--port', '0', '--data', broken], { encoding: 'utf8' });
    assert.equal(third.status, 1);
    assert.match(third.stderr, /confab\.db is damaged/);
});

test('numbers of events rise without a gap in the log', async () => {
    await open();
    await begin('n', { ...hi, max_tokens: 60 });
    await waitFor('n', 'completed');
    const ids = idsOf((await house.replay('n', '?dialect=openai.chat&ids=true')).text);
    assert.ok(ids.length > 2 && ids.every((id, i) => i === 0 || id > ids[i - 1]));
    assert.ok((await house.server.metric('store_commits_total')) > 0);
    assert.equal(await house.server.metric('store_failing'), 0);
});
