// Pawa AI's chat route on a live server. Golden lines and errors are in src/dialect/pawa_test.c.
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { startServer, until } from '../openai/harness.mjs';

let server;
before(async () => {
    server = await startServer({ args: ['--max-seqs', '2', '--queue', '8', '--ctx', '512'] });
});
after(async () => {
    assert.equal(await server.stop(), 0, server.log());
});

const PATH = '/v1/chat/request';
const m = (role, content = 'x', more = {}) => ({ role, content, ...more });
const chat = (more = {}) => ({ model: 'tiny', messages: [m('user', 'Hi')], max_tokens: 6, temperature: 0, ...more });
const post = (path, body, headers = {}, more = {}) => fetch(server.url + path, {
    method: 'POST', headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body), ...more,
});
const ask = async (body) => {
    const r = await post(PATH, body);
    const answer = await r.json();
    assert.equal(r.status, 200, JSON.stringify(answer));
    return answer.data;
};
const size = async (messages) => {
    const { prompt } = await (await post('/apply-template', { messages })).json();
    return (await (await post('/tokenize', { content: prompt, add_special: true })).json()).tokens.length;
};

test('a plain answer, byte for byte', async () => {
    const r = await post(PATH, chat());
    assert.equal(r.headers.get('content-type'), 'application/json');
    const bytes = await r.text();
    const { data } = JSON.parse(bytes);
    const [choice] = data.request;
    assert.ok(Number.isInteger(data.created));
    const end = choice.finish_detail ? '"matched_stop":null,"finish_detail":"length"' : `"matched_stop":${choice.matched_stop}`;
    assert.equal(bytes, `{"success":true,"message":"Chat request processed successfully","data":{"id":"chat_${r.headers.get('x-confab-run')}","request":[{"finish_reason":"stop",`
        + `"message":{"role":"assistant","content":${JSON.stringify(choice.message.content)}},${end}}],"created":${data.created},"model":"tiny","object":"chat.request",`
        + `"usage":{"tokens_in":${await size(chat().messages)},"tokens_out":${data.usage.tokens_out}}}}`);
});

test('a stream in either framing says the same', async () => {
    const plain = (await ask(chat({ max_tokens: 40 }))).request[0].message.content;
    for (const [accept, type] of [['*/*', 'application/x-ndjson'], ['text/event-stream', 'text/event-stream'], ['application/json, text/event-stream', 'text/event-stream']]) {
        const r = await post(PATH, chat({ stream: true, max_tokens: 40 }), { accept });
        assert.equal(r.status, 200);
        assert.equal(r.headers.get('content-type'), type);
        const frames = (await r.text()).split('\n\n');
        assert.equal(frames.pop(), '');
        if (type === 'text/event-stream') assert.equal(frames.pop(), 'data: [DONE]');
        const chunks = frames.map((f) => { assert.ok(!f.includes('\n')); return JSON.parse(f.replace(/^data: /, '')); });
        const last = chunks.pop();
        for (const c of chunks) {
            assert.equal(c.data.request[0].finish_reason, null);
            assert.deepEqual(c.data.request[0].message, c.data.message);
        }
        assert.equal(chunks.map((c) => c.data.message.content).join(''), plain);
        assert.equal(last.data.request[0].finish_reason, 'stop');
        assert.equal(last.data.message.content, '');
        assert.ok(last.data.usage.tokens_in > 0 && last.data.usage.tokens_out > 0);
        assert.equal(last.data.object, 'chat.request');
    }
});

const call = { content: '', tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'f', arguments: '{"a":1}' } }] };
const caller = m('assistant', '', call), result = m('tool', 'y', { tool_call_id: 'call_1' });

test('two neighbours never share a role; which lists pass', async () => {
    const pass = [
        [m('user')], [m('system'), m('user')], [m('assistant'), m('user')], [m('system'), m('user'), m('assistant'), m('user')],
        [m('user'), m('system'), m('user')], [m('user'), caller, result], [m('user'), m('system')],
    ];
    for (const messages of pass) assert.equal((await post(PATH, chat({ messages }))).status, 200, JSON.stringify(messages));
    const reject = [
        [[m('user'), m('user')], 1, 'user'], [[m('system'), m('system'), m('user')], 1, 'system'],
        [[m('system'), m('user'), m('assistant'), m('assistant'), m('user')], 3, 'assistant'], [[m('user'), caller, result, result], 3, 'tool'],
        [[m('system'), m('user'), m('user')], 2, 'user'],
    ];
    for (const [messages, i, role] of reject)
        for (const stream of [false, true]) {
            const r = await post(PATH, chat({ messages, stream }));
            assert.equal(r.status, 400);
            assert.equal(r.headers.get('content-type'), 'application/json');
            assert.equal(await r.text(), `{"success":false,"message":"messages[${i}]: role \\"${role}\\" follows another \\"${role}\\"; put the extra text into the content list of messages[${i - 1}]","code":"role_order","data":null}`);
        }
    for (const messages of [[], [m('system')], [m('user'), m('assistant')], [m('king')], [m('user', null)], [m('user', [])], [m('user'), m('assistant', null)], ['x'],
        [m('user'), m('assistant'), result], [m('user'), caller, m('tool', 'y')], [m('user', [{ type: 'image_url', image_url: { url: 'data:,' } }])], [m('user', [{ type: 'audio' }])]])
        assert.equal((await post(PATH, chat({ messages }))).status, 400, JSON.stringify(messages));
});

test('content as text, one chunk or several is the same prompt', async () => {
    const text = (...parts) => parts.map((t) => ({ type: 'text', text: t }));
    for (const content of ['Name it. Now.', text('Name it. Now.'), text('Name it.', ' ', 'Now.')])
        assert.equal((await ask(chat({ messages: [m('user', content)] }))).usage.tokens_in, await size([m('user', 'Name it. Now.')]));
});

test('memoryChat goes behind the opening system message', async () => {
    const memoryChat = [m('user', 'capital?'), m('assistant', 'Dodoma.')];
    const messages = [m('system', 'You are a bot.'), m('user', 'Since when?')];
    assert.equal((await ask(chat({ messages, memoryChat }))).usage.tokens_in, await size([messages[0], ...memoryChat, messages[1]]));
    assert.equal((await post(PATH, chat({ messages, memoryChat: [] }))).status, 200);
    const rows = [
        [{ messages, memoryChat: [m('user')] }, 'memoryChat[0] and messages[1]: two "user" messages meet'],
        [{ messages, memoryChat: [m('system'), m('assistant')] }, 'messages[0] and memoryChat[0]: two "system" messages meet'],
        [{ memoryChat: [m('user'), m('user')] }, 'memoryChat[1]: role "user" follows another "user"; put the extra text into the content list of memoryChat[0]'],
    ];
    for (const [more, message] of rows) {
        const r = await post(PATH, chat(more));
        assert.equal(r.status, 400);
        assert.deepEqual(await r.json(), { success: false, message, code: 'role_order', data: null });
    }
});

test('fields take effect, or are refused by name', async () => {
    const text = async (more) => (await ask(chat({ max_tokens: 30, ...more }))).request[0].message.content;
    const plain = await text();
    assert.equal(await text({ temperature: 2, top_p: 0, seed: 5 }), plain);
    assert.notEqual(await text({ temperature: 2, top_p: 1, seed: 5 }), await text({ temperature: 2, top_p: 1, seed: 6 }));
    assert.equal(await text({ temperature: 2, top_p: 1, seed: 5 }), await text({ temperature: 2, top_p: 1, seed: 5 }));
    assert.notEqual(await text({ frequency_penalty: 2, presence_penalty: 2 }), await text({ frequency_penalty: -2, presence_penalty: -2 }));
    assert.ok((await ask(chat({ max_tokens: 3 }))).usage.tokens_out <= 3);
    const all = await ask(chat({ max_tokens: 100000 }));
    assert.ok(all.usage.tokens_in + all.usage.tokens_out <= 512);
    for (const more of [{ tools: [] }, { tool_choice: 'auto' }, { response_format: { type: 'text' } }, { rag: null }, { agents: [] }, { reasoning: { effort: 'low' } }, { anything: 1 }, { seed: null }])
        assert.equal((await post(PATH, chat(more))).status, 200, JSON.stringify(more));
    const refused = {
        tools: [{ type: 'pawa_tool', name: 'web_search_tool' }],
        rag: { knowledgeBaseId: 1 }, knowledgeBase: { kbReferenceId: 'x' }, agents: [1],
    };
    const wrong = { response_format: { type: 'json_schema', json_schema: {} }, tool_choice: 'required', model: null, messages: null, temperature: 3, top_p: 1.5, max_tokens: 0, frequency_penalty: 3, presence_penalty: -3, seed: 'x', stream: 1, reasoning: { effort: 'none' }, memoryChat: 'x' };
    for (const [rows, code] of [[refused, 'unsupported'], [wrong, 'invalid_request']])
        for (const [key, value] of Object.entries(rows)) {
            const r = await post(PATH, chat({ [key]: value }));
            assert.equal(r.status, 400, key);
            const e = await r.json();
            assert.deepEqual([e.success, e.code, e.data], [false, code, null], key);
            assert.match(e.message, new RegExp(key));
        }
    for (const [body, status, code] of [['{', 400, 'invalid_request'], [chat({ model: 'nobody' }), 404, 'not_found']]) {
        const r = await post(PATH, body);
        assert.equal(r.status, status);
        assert.equal((await r.json()).code, code);
    }
    const messages = [m('user', 'long '.repeat(400))];
    const r = await post(PATH, chat({ messages, stream: true }));
    assert.equal(r.status, 400);
    assert.equal(await r.text(), `{"success":false,"message":"prompt too long: ${await size(messages)} tokens, model maximum context length: 511","code":"prompt_too_long","data":null}`);
});

// Its answers never end by themselves.
async function withEndless(args, body) {
    const other = await startServer({ endless: true, args });
    try {
        await body(other, (more, rest) => fetch(other.url + PATH, {
            method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(chat({ max_tokens: 100000, ...more })), ...rest,
        }));
    } finally {
        assert.equal(await other.stop(), 0, other.log());
    }
}

test('a stream cancelled from elsewhere ends as "cancelled"', () => withEndless([], async (other, ask) => {
    const r = await ask({ stream: true });
    await fetch(`${other.url}/v1/streams/${r.headers.get('x-confab-run')}`, { method: 'DELETE' });
    const last = (await r.text()).trimEnd().split('\n\n').map((l) => JSON.parse(l)).at(-1);
    assert.equal(last.success, true);
    assert.deepEqual(last.data.request, [{ finish_reason: 'cancelled', message: { role: 'assistant', content: '' }, matched_stop: null }]);
    assert.ok(last.data.usage.tokens_in > 0);
}));

test('a deadline ends a plain answer as "cancelled", with the text so far', () => withEndless(['--max-seqs', '2', '--timeout', '1'], async (other, ask) => {
    // Two run, two wait.
    const answers = await Promise.all([1, 2, 3, 4].map(async (seed) => {
        const r = await ask({ seed, temperature: 2, top_p: 1 });
        assert.equal(r.status, 200);
        return (await r.json()).data;
    }));
    for (const d of answers) {
        assert.deepEqual([d.request[0].finish_reason, d.request[0].matched_stop], ['cancelled', null]);
        assert.equal(d.usage.tokens_out > 0, d.request[0].message.content.length > 0);
    }
}));

test('closing the connection aborts: before the first byte, in mid-stream, and in the queue', () => withEndless(['--max-seqs', '2', '--queue', '8'], async (other, ask) => {
    const raw = (body) => {
        const text = JSON.stringify(body);
        const { hostname, port } = new URL(other.url);
        const s = net.connect(Number(port), hostname);
        s.on('error', () => {});
        s.write(`POST ${PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
        return s;
    };
    const idle = () => until(async () => (await other.metric('runs_live')) === 0 && (await other.metric('active')) === 0, 'nothing runs');
    for (const stream of [false, true]) {
        // More than the batch and as many as the queue takes: some run, some wait, none has answered.
        const sockets = Array.from({ length: 8 }, (_, i) => raw(chat({ stream, max_tokens: 100000, seed: i, temperature: 2, top_p: 1, messages: [m('user', 'long '.repeat(60))] })));
        await until(async () => (await other.metric('runs_live')) === 8, 'they run');
        for (const s of sockets) s.destroy();
        await idle();
    }
    const c = new AbortController();
    const r = await ask({ stream: true }, { signal: c.signal });
    c.abort();
    await r.text().catch(() => {});
    await idle();
    assert.equal((await ask({ max_tokens: 3 })).status, 200);
}));
