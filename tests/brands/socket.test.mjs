// Paddler's inference socket, with a WebSocket client that knows nothing of confab.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { startServer, until } from '../openai/harness.mjs';

let server, endless; // the second one's answers do not end by themselves
before(async () => {
    endless = await startServer({ endless: true, args: ['--max-seqs', '4'] });
    server = await startServer({ args: ['--max-seqs', '4', '--ctx', '512'] });
});
after(async () => {
    assert.equal(await server.stop(), 0, server.log());
    assert.equal(await endless.stop(), 0, endless.log());
});

const PATH = '/api/v1/inference_socket';
const open = async (query = '', options = {}, to = server) => {
    const ws = new WebSocket(to.url.replace('http', 'ws') + PATH + query, options);
    const got = [];
    const wake = [];
    ws.on('message', (data, binary) => {
        assert.equal(binary, false);
        got.push(JSON.parse(data.toString()));
        wake.splice(0).forEach((w) => w());
    });
    const gone = new Promise((ok) => ws.on('close', (code) => ok(code)));
    await new Promise((ok, fail) => {
        ws.on('open', ok);
        ws.on('error', fail);
    });
    const seen = async (check) => {
        while (!got.some(check)) await new Promise((ok) => wake.push(ok));
    };
    return { ws, got, gone, seen, say: (x) => ws.send(typeof x === 'string' ? x : JSON.stringify(x)) };
};
const chat = (id, more = {}) => ({ Request: { id, request: { ContinueFromConversationHistory: {
    add_generation_prompt: true, enable_thinking: false, max_tokens: 4,
    conversation_history: [{ role: 'user', content: 'Name a sea.' }], ...more } } } });
const raw = (id, max_tokens, raw_prompt = 'Once') => ({ Request: { id, request: { ContinueFromRawPrompt: { max_tokens, raw_prompt } } } });
const of = (id) => (m) => (m.Response ?? m.Error).request_id === id;
const ended = (id) => (m) => of(id)(m) && (m.Error || m.Response.response.GeneratedToken === 'Done' || m.Response.response.GeneratedToken.Done);
const idle = (of = server) => until(async () => (await of.metric('active')) === 0 && (await of.metric('runs_live')) === 0, 'no active run');

test('two requests side by side, each under its own id, in the older shape', async () => {
    const s = await open();
    s.say(chat('a'));
    s.say(raw('b', 3));
    await Promise.all([s.seen(ended('a')), s.seen(ended('b'))]);
    for (const id of ['a', 'b']) {
        const list = s.got.filter(of(id));
        assert.equal(list.at(-1).Response.response.GeneratedToken, 'Done');
        for (const m of list.slice(0, -1)) assert.equal(typeof m.Response.response.GeneratedToken.Token, 'string');
        assert.ok(list.every((m) => !('generated_by' in m.Response)));
        assert.ok(list.length - 1 <= 4);
    }
    s.ws.close();
    assert.equal(await s.gone, 1005);
});

test('the current shape is had by query, header or field', async () => {
    for (const [query, options, body] of [['?wire=4', {}, raw('7', 2)], ['', { headers: { 'X-Paddler-Wire': '4' } }, raw('7', 2)], ['', {}, chat('7', { parse_tool_calls: false })]]) {
        const s = await open(query, options);
        s.say(body);
        await s.seen(ended('7'));
        assert.ok(s.got.every((m) => m.Response.generated_by === null));
        assert.equal(Object.keys(s.got.at(-1).Response.response.GeneratedToken.Done.usage).length, 8);
        s.ws.close();
        await s.gone;
    }
});

test('StopRespondingTo ends one request and leaves the others', async () => {
    const s = await open('', {}, endless);
    s.say(raw('long', 100000));
    await s.seen(of('long'));
    s.say(raw('short', 2));
    await s.seen(ended('short'));
    s.say({ Notification: { StopRespondingTo: 'nobody' } });
    s.say({ Notification: { StopRespondingTo: 'long' } });
    await idle(endless);
    s.say(raw('next', 1)); // the id is free, the socket works
    await s.seen(ended('next'));
    const stopped = s.got.filter(of('long'));
    assert.ok(stopped.every((m) => !ended('long')(m)), 'nothing more for a stopped one');
    s.say(raw('long', 1));
    await s.seen(ended('long'));
    s.ws.close();
    await s.gone;
});

test('an id that is running is refused, and the first request goes on', async () => {
    const s = await open('', {}, endless), other = await open('', {}, endless);
    s.say(raw('x', 100000));
    await s.seen(of('x'));
    s.say(raw('x', 1));
    await s.seen((m) => m.Error?.request_id === 'x' && m.Error.error.code === 400);
    other.say(raw('x', 1)); // another connection's ids are its own
    await other.seen(ended('x'));
    assert.equal(await endless.metric('runs_live'), 1);
    s.ws.terminate(); // and a client that drops stops its work
    await idle(endless);
    other.ws.close();
});

test('what cannot be read is told, and the socket stays', async () => {
    const s = await open();
    const rows = [
        ['no JSON', '{', ''],
        ['an array', '[]', ''],
        ['nothing known', { Hello: 1 }, ''],
        ['an id that is none', { Request: { id: 7, request: {} } }, ''],
        ['an id too long', raw('x'.repeat(48), 1), ''],
        ['no request', { Request: { id: 'r1' } }, 'r1'],
        ['two requests', { Request: { id: 'r2', request: { ContinueFromRawPrompt: {}, ContinueFromConversationHistory: {} } } }, 'r2'],
        ['a missing field', { Request: { id: 'r3', request: { ContinueFromRawPrompt: { raw_prompt: 'x' } } } }, 'r3'],
        ['an unknown field', chat('r4', { temperature: 1 }), 'r4'],
        ['a bad tool', chat('r5', { tools: [{ type: 'function', function: { name: 'f', description: '', parameters: { type: 'object', properties: {}, required: ['port'] } } }] }), 'r5'],
    ];
    for (const [name, message, id] of rows) {
        const n = s.got.length;
        s.say(message);
        await s.seen((m) => s.got.indexOf(m) >= n);
        assert.equal(s.got[n].Error?.error.code, 400, name);
        assert.equal(s.got[n].Error.request_id, id, name);
    }
    s.say({ Error: { request_id: 'x', error: { code: 1, description: 'mine' } } });
    s.ws.send(Buffer.from([1, 2, 3])); // binary ones are dropped
    s.say(raw('fine', 1));
    await s.seen(ended('fine'));
    assert.equal(s.got.filter((m) => m.Error).length, rows.length);
    s.say(chat('image', { conversation_history: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'https://x' } }] }] }));
    await s.seen((m) => of('image')(m) && m.Response?.response.GeneratedToken.ImageDecodingFailed);
    s.ws.close();
    await s.gone;
});

test('a prompt that is too long, and one request too many, are told under their ids', async () => {
    const s = await open();
    s.say(raw('big', 1, 'word '.repeat(4000)));
    await s.seen((m) => of('big')(m) && m.Response?.response.GeneratedToken.SamplerError);
    s.ws._socket.cork(); // in one piece, so that none has ended before the last is read
    for (let i = 0; i < 65; i++) s.say(raw(`n${i}`, 100000));
    s.ws._socket.uncork();
    await s.seen((m) => m.Error?.request_id === 'n64' && m.Error.error.code === 503);
    s.ws.terminate();
    await idle();
});

test('what is no WebSocket is refused', async () => {
    const plain = await fetch(server.url + PATH);
    assert.equal(plain.status, 426);
    assert.equal((await plain.json()).Error.error.code, 400);
    for (const [query, options, status] of [['?wire=9', {}, 400], ['', { origin: 'http://evil.example' }, 403]]) {
        const e = await open(query, options).then(() => null, (x) => x);
        assert.match(e.message, new RegExp(`${status}`));
    }
});

test('a stopping server lets a running request finish and closes with 1001', async () => {
    const own = await startServer({ args: ['--max-seqs', '4'] });
    const url = own.url.replace('http', 'ws') + PATH;
    const socket = async () => {
        const ws = new WebSocket(url);
        const got = [];
        ws.on('message', (d) => got.push(JSON.parse(d.toString())));
        const gone = new Promise((ok) => ws.on('close', ok));
        await new Promise((ok) => ws.on('open', ok));
        return { ws, got, gone };
    };
    const busy = await socket(), waiting = await socket();
    busy.ws.send(JSON.stringify(raw('x', 300)));
    await until(() => busy.got.length > 0, 'a token');
    const stopped = own.stop();
    assert.equal(await waiting.gone, 1001);
    assert.equal(await busy.gone, 1001);
    assert.equal(busy.got.at(-1).Response.response.GeneratedToken, 'Done');
    assert.equal(await stopped, 0);
});
