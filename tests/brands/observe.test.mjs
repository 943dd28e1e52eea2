// One run, many eyes: observers in every dialect, from every event; what a waiting client hears; and
// what a full server says, in each brand's way.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startServer, until } from '../openai/harness.mjs';

let server;
before(async () => {
    server = await startServer({ args: ['--max-seqs', '4'] });
});
after(async () => {
    assert.equal(await server.stop(), 0, server.log());
});

const messages = [{ role: 'user', content: 'Name a sea.' }];
const paddler = { add_generation_prompt: true, enable_thinking: false, conversation_history: messages };
const json = { 'content-type': 'application/json' };
const events = (text) => text.split('\n\n').filter((f) => /^data: |\ndata: /.test(f)).map((f) => f.match(/(?:^|\n)data: (.*)/)[1]).filter((d) => d !== '[DONE]').map((d) => JSON.parse(d));
const lines = (text) => text.split('\n').filter(Boolean).map((l) => JSON.parse(l));

// How each dialect is asked for a stream, and what text a stream's bytes hold.
const dialects = {
    'openai.chat': { path: '/v1/chat/completions', body: { messages }, text: (t) => events(t).map((e) => e.choices?.[0]?.delta.content ?? '').join('') },
    'openai.responses': { path: '/v1/responses', body: { input: messages }, most: 'max_output_tokens', text: (t) => events(t).filter((e) => e.type === 'response.output_text.delta').map((e) => e.delta).join('') },
    'anthropic.messages': { path: '/v1/messages', body: { model: 'tiny', messages }, headers: { 'anthropic-version': '2023-06-01' }, text: (t) => events(t).map((e) => e.delta?.text ?? '').join('') },
    'zylon.messages': { path: '/v1/messages', body: { messages }, text: (t) => events(t).map((e) => e.delta?.text ?? '').join('') },
    'friendli.chat': { path: '/serverless/v1/chat/completions', body: { model: 'tiny', messages }, text: (t) => events(t).map((e) => e.choices?.[0]?.delta.content ?? '').join('') },
    'nugen.chat': { path: '/inference/chat_text', body: { model: 'tiny', messages }, text: (t) => events(t).map((e) => e.choices?.[0]?.delta.content ?? '').join('') },
    'pawa.chat': { path: '/v1/chat/request', body: { model: 'tiny', messages }, text: (t) => lines(t).map((l) => JSON.stringify(l).match(/"content":("(?:[^"\\]|\\.)*")/)).map((m) => (m ? JSON.parse(m[1]) : '')).join('') },
    'paddler.chat': { path: '/api/v1/continue_from_conversation_history', body: paddler, text: (t) => lines(t).map((l) => l.Response?.response.GeneratedToken.Token ?? '').join('') },
    'ollama.chat': { path: '/api/chat', body: { model: 'tiny', messages }, ollama: true, text: (t) => lines(t).map((l) => l.message?.content ?? '').join('') },
};
const bodyOf = (name, n) => {
    const d = dialects[name];
    if (name === 'paddler.chat') return { ...d.body, max_tokens: n };
    if (d.ollama) return { ...d.body, stream: true, options: { num_predict: n } };
    return { ...d.body, stream: true, [d.most ?? 'max_tokens']: n };
};
const ask = (url, name, n, headers = {}, more = {}) => fetch(url + dialects[name].path, { method: 'POST', headers: { ...json, ...dialects[name].headers, ...headers }, body: JSON.stringify(bodyOf(name, n)), ...more });
const replay = async (id, query = '') => {
    const r = await fetch(`${server.url}/v1/streams/${id}${query}`);
    const text = await r.text();
    assert.equal(r.status, 200, text);
    return text;
};

for (const name of Object.keys(dialects))
    test(`${name}: a run begun so is replayed byte for byte, and read in every other dialect`, async () => {
        const r = await ask(server.url, name, 24);
        const live = await r.text();
        assert.equal(r.status, 200, live);
        const id = r.headers.get('x-confab-run');
        assert.equal(await replay(id), live);
        const text = dialects[name].text(live);
        assert.ok(text.length > 0, live);
        for (const other of Object.keys(dialects)) assert.equal(dialects[other].text(await replay(id, `?dialect=${other}`)), text, `read in ${other}`);
    });

test('what a body or a header chose is kept with the run', async () => {
    for (const [name, headers] of [['paddler.chat', { 'X-Paddler-Wire': '4' }], ['pawa.chat', { accept: 'text/event-stream' }]]) {
        const r = await ask(server.url, name, 12, headers);
        const live = await r.text();
        assert.equal(await replay(r.headers.get('x-confab-run')), live, name);
    }
    for (const stream_options of [{ include_usage: true }, { include_usage: false }]) {
        const r = await fetch(`${server.url}/v1/chat/completions`, { method: 'POST', headers: json, body: JSON.stringify({ messages, max_tokens: 8, stream: true, stream_options }) });
        const live = await r.text();
        assert.equal(await replay(r.headers.get('x-confab-run')), live);
    }
});

test('a reconnect at every event number gives the same tail, in two dialects', async () => {
    const r = await ask(server.url, 'openai.chat', 24);
    await r.text();
    const id = r.headers.get('x-confab-run');
    for (const query of ['?ids=true', '?ids=true&dialect=anthropic.messages']) {
        const whole = await replay(id, query);
        const numbers = [...whole.matchAll(/^id: (\d+)$/gm)].map((m) => Number(m[1]));
        assert.ok(numbers.length > 5);
        for (let after = 0; after <= numbers.at(-1); after++) {
            const tail = await replay(id, `${query}&after=${after}`);
            assert.ok(whole.endsWith(tail), `after ${after}`);
            assert.deepEqual([...tail.matchAll(/^id: (\d+)$/gm)].map((m) => Number(m[1])), numbers.filter((n) => n > after), `after ${after}`);
        }
    }
});

test('two observers of a live run, in different dialects, hear the same', async () => {
    const own = await startServer({ endless: true, args: ['--max-seqs', '2'] });
    const r = await ask(own.url, 'openai.chat', 100000, { 'X-Confab-Detach': 'true' });
    const id = r.headers.get('x-confab-run');
    const watch = async (dialect) => (await fetch(`${own.url}/v1/streams/${id}?dialect=${dialect}`)).text();
    const seen = Promise.all(['zylon.messages', 'nugen.chat', 'paddler.chat'].map(async (d) => dialects[d].text(await watch(d))));
    const live = (async () => {
        let text = '';
        for await (const part of r.body) text += Buffer.from(part).toString('latin1');
        return dialects['openai.chat'].text(Buffer.from(text, 'latin1').toString());
    })();
    await until(async () => (await own.metric('tokens_total{kind="output"}') ?? 200) >= 200, 'some text');
    await fetch(`${own.url}/v1/streams/${id}`, { method: 'DELETE' });
    const text = await live;
    for (const other of await seen) assert.equal(other, text);
    assert.equal(await own.stop(), 0, own.log());
});

// Reads a stream until check(text) holds, and leaves.
const hear = async (r, abort, check) => {
    let text = '';
    try {
        for await (const part of r.body) {
            text += Buffer.from(part).toString();
            if (check(text)) break;
        }
    } catch (e) {
        if (!check(text)) throw e;
    }
    abort.abort();
    return text;
};

// A server with one place, taken by a run that does not end.
const withBusy = async (args, body) => {
    const own = await startServer({ endless: true, args: ['--max-seqs', '1', ...args] });
    const holder = new AbortController();
    const first = await ask(own.url, 'openai.chat', 100000, {}, { signal: holder.signal });
    assert.equal(first.status, 200);
    try {
        await body(own);
    } finally {
        holder.abort();
    }
    await until(async () => (await own.metric('active')) === 0, 'idle');
    assert.equal(await own.stop(), 0, own.log());
};

// What a stream hears that has nothing to say yet.
const signs = {
    'openai.chat': /^:\n\n/, 'openai.responses': /^:\n\n/, 'anthropic.messages': /^event: ping\ndata: \{"type": ?"ping"\}\n\n/, 'zylon.messages': /^event: ping\n/,
    'friendli.chat': /^: keepalive\n\n/, 'nugen.chat': /^:\n\n/, 'pawa.chat': /^\n/, 'ollama.chat': /^\{"model":"tiny","created_at":"[^"]+","message":\{"role":"assistant","content":""\},"done":false\}\n/,
};

test('a waiting client hears that it waits, in its dialect', () => withBusy(['--keep-alive', '1', '--queue', '16'], async (own) => {
    await Promise.all(Object.entries(signs).map(async ([name, sign]) => {
        const abort = new AbortController();
        const r = await ask(own.url, name, 16, {}, { signal: abort.signal });
        assert.equal(r.status, 200, name);
        assert.match(await hear(r, abort, (t) => sign.test(t)), sign, name);
    }));
    // Paddler's stream begins at once and has no sign of life of its own.
    const abort = new AbortController();
    assert.equal((await ask(own.url, 'paddler.chat', 5, {}, { signal: abort.signal })).status, 200);
    abort.abort();
}));

test('so does one whose prompt takes long', async () => {
    const own = await startServer({ endless: true, args: ['--keep-alive', '1'] });
    // Longer than any machine takes a second for, and together they take longer still.
    const long = (name) => [{ role: 'user', content: `${name} ${'Name a sea, a lake and a river. '.repeat(3500)}` }];
    await Promise.all(Object.entries(signs).map(async ([name, sign]) => {
        const abort = new AbortController();
        const body = bodyOf(name, 16);
        body[name === 'openai.responses' ? 'input' : 'messages'] = long(name);
        const r = await ask(own.url, name, 16, {}, { signal: abort.signal, body: JSON.stringify(body) });
        assert.equal(r.status, 200, name);
        const text = await hear(r, abort, (t) => sign.test(t));
        assert.match(text, sign, name);
        assert.equal(await own.metric('waiting'), 0, `${name} is in no queue`);
    }));
    assert.equal(await own.metric('tokens_total{kind="output"}') ?? 0, 0);
    await until(async () => (await own.metric('active')) === 0, 'idle');
    assert.equal(await own.stop(), 0, own.log());
});

test('queue position and progress, for those who ask', () => withBusy(['--queue', '16'], async (own) => {
    for (const name of ['openai.chat', 'anthropic.messages', 'friendli.chat', 'nugen.chat']) {
        const abort = new AbortController();
        const r = await ask(own.url, name, 5, { 'X-Confab-Progress': 'true' }, { signal: abort.signal });
        assert.match(await hear(r, abort, (t) => /^: waiting \d+\n\n/m.test(t)), /^: waiting 0\n\n/m, name);
        await until(async () => (await own.metric('waiting')) === 0, 'the queue is empty');
    }
    const abort = new AbortController();
    const r = await ask(own.url, 'openai.responses', 16, { 'X-Confab-Progress': 'true' }, { signal: abort.signal });
    const text = await hear(r, abort, (t) => t.includes('event: response.queued'));
    assert.match(text, /"status":"queued"/);
}));

test('return_progress: chunks that rise to the whole prompt', async () => {
    const own = await startServer({ args: ['--max-rows', '32', '--ctx', '2048'] });
    const long = [{ role: 'user', content: 'word '.repeat(800) }];
    const r = await fetch(`${own.url}/v1/chat/completions`, { method: 'POST', headers: json, body: JSON.stringify({ messages: long, max_tokens: 2, stream: true, return_progress: true, stream_options: { include_usage: true } }) });
    const live = await r.text();
    const all = events(live);
    const progress = all.filter((e) => e.prompt_progress).map((e) => e.prompt_progress);
    assert.ok(progress.length > 2, `${progress.length}`);
    progress.reduce((a, b) => (assert.ok(b.processed > a.processed), b));
    assert.ok(progress.every((p) => p.total === all.at(-1).usage.prompt_tokens && p.processed <= p.total));
    const replayed = await (await fetch(`${own.url}/v1/streams/${r.headers.get('x-confab-run')}`)).text();
    assert.equal(replayed, live);
    const comments = await (await fetch(`${own.url}/v1/streams/${r.headers.get('x-confab-run')}?dialect=anthropic.messages&progress=true`)).text();
    assert.match(comments, new RegExp(`^: prompt ${progress[0].processed}/${progress[0].total}$`, 'm'));
    assert.equal(await own.stop(), 0);
});

test('a full queue is told in each brand\'s way, with when to come back', () => withBusy(['--queue', '1'], async (own) => {
    const waiting = new AbortController();
    const second = ask(own.url, 'openai.chat', 5, {}, { signal: waiting.signal }).catch(() => {});
    await until(async () => (await own.metric('waiting')) === 1, 'one waits');
    const status = { 'openai.chat': 429, 'openai.responses': 429, 'anthropic.messages': 529, 'zylon.messages': 200, 'friendli.chat': 429, 'nugen.chat': 429, 'pawa.chat': 503, 'ollama.chat': 429 };
    for (const [name, want] of Object.entries(status)) {
        const d = dialects[name];
        for (const stream of [false, true]) {
            const r = await fetch(own.url + d.path, { method: 'POST', headers: { ...json, ...d.headers }, body: JSON.stringify({ ...bodyOf(name, 16), stream }) });
            const text = await r.text();
            if (name === 'zylon.messages' && stream) { // begun at once: an error event
                assert.match(text, /overloaded_error/);
                continue;
            }
            assert.equal(r.status, want === 200 ? 529 : want, `${name}: ${text}`);
            assert.match(r.headers.get('retry-after') ?? '', /^[1-9]\d*$/, name);
        }
    }
    const lines4 = await (await ask(own.url, 'paddler.chat', 5)).text();
    assert.equal(JSON.parse(lines4).Error.error.code, 503);
    const other = await fetch(`${own.url}/v1/messages/async`, { method: 'POST', headers: json, body: JSON.stringify({ messages }) });
    assert.equal(other.status, 200); // acknowledged: it waits for a place
    const { message_id } = await other.json();
    assert.equal((await (await fetch(`${own.url}/v1/messages/async/${message_id}/status`)).json()).status, 'pending');
    await fetch(`${own.url}/v1/messages/async/${message_id}/cancel`, { method: 'POST' });
    waiting.abort();
    await second;
}));
