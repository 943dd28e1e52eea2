// Nugen's routes on a live server. Golden chunks and errors are in src/dialect/nugen_test.c.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startServer, until } from '../openai/harness.mjs';

let server;
before(async () => {
    server = await startServer({ args: ['--max-seqs', '8', '--queue', '8', '--ctx', '512'] });
});
after(async () => {
    assert.equal(await server.stop(), 0, server.log());
});

const CHAT = '/inference/chat_text', V3 = '/api/v3/inference/chat/completions', TEXT = '/inference/completions';
const user = (content) => ({ role: 'user', content });
const chat = (more = {}) => ({ model: 'tiny', messages: [user('Hi')], max_tokens: 6, temperature: 0, ...more });
const post = (path, body, more = {}) => fetch(server.url + path, {
    method: 'POST', headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body), ...more,
});
const ask = async (path, body) => {
    const r = await post(path, body);
    assert.equal(r.status, 200);
    return r.json();
};
const size = async (messages) => {
    const { prompt } = await ask('/apply-template', { messages });
    return (await ask('/tokenize', { content: prompt, add_special: true })).tokens.length;
};

test('a plain answer, byte for byte', async () => {
    const r = await post(CHAT, chat());
    assert.equal(r.headers.get('content-type'), 'application/json');
    assert.ok(r.headers.get('x-request-id'));
    const bytes = await r.text();
    const a = JSON.parse(bytes);
    const n = await size(chat().messages);
    assert.ok(Math.abs(a.created - Date.now() / 1000) < 60);
    assert.equal(bytes, `{"id":"nugen-${r.headers.get('x-confab-run')}","object":"chat.completion","created":${a.created},"model":"tiny","choices":[{"index":0,`
        + `"message":{"role":"assistant","content":${JSON.stringify(a.choices[0].message.content)}},"finish_reason":"${a.choices[0].finish_reason}"}],`
        + `"usage":{"prompt_tokens":${n},"completion_tokens":${a.usage.completion_tokens},"total_tokens":${n + a.usage.completion_tokens}}}`);
});

test('a stream says the same; usage stands in its last chunk alone', async () => {
    for (const path of [CHAT, V3]) {
        const r = await post(path, chat({ stream: true }));
        assert.equal(r.headers.get('content-type'), 'text/event-stream; charset=utf-8');
        assert.equal(r.headers.get('cache-control'), 'no-cache');
        const frames = (await r.text()).split('\n\n');
        assert.equal(frames.pop(), '');
        assert.equal(frames.pop(), 'data: [DONE]');
        const chunks = frames.map((f) => JSON.parse(f.replace(/^data: /, '')));
        assert.deepEqual(chunks.map((c) => 'usage' in c), chunks.map((_, i) => i === chunks.length - 1));
        assert.equal(chunks.map((c) => c.choices[0].delta.content ?? '').join(''), (await ask(path, chat())).choices[0].message.content);
        assert.deepEqual(chunks.at(-1).choices[0].delta, {});
    }
});

test('max_tokens: the defaults, zero, and lowered to what fits', async () => {
    const most = async (path, body, more) => (await ask(path, { ...body, ignore: 1, max_tokens: undefined, temperature: 1, ...more })).usage;
    const text = { model: 'tiny', prompt: 'a' };
    const runs = async (path, body) => Math.max(...(await Promise.all(Array.from({ length: 8 }, (_, seed) => most(path, body, { seed })))).map((u) => u.completion_tokens));
    assert.ok(await runs(CHAT, chat()) <= 200);
    assert.ok(await runs(TEXT, text) <= 16);
    assert.ok(await runs('/api/v3/inference/completions', text) <= 16);
    const none = await ask(CHAT, chat({ max_tokens: 0 }));
    assert.deepEqual(none.choices[0], { index: 0, message: { role: 'assistant', content: '' }, finish_reason: 'length' });
    assert.equal(none.usage.completion_tokens, 0);
    assert.equal(none.usage.prompt_tokens, await size(chat().messages));
    for (const path of [CHAT, V3, TEXT]) {
        const a = await ask(path, { ...chat(), prompt: 'a', max_tokens: 100000 });
        assert.ok(a.usage.total_tokens <= 512);
        if (a.choices[0].finish_reason === 'length') assert.equal(a.usage.total_tokens, 512);
    }
});

test('eviction: oldest turns go, no more than must, the protected stay', async () => {
    const s = { role: 'system', content: 'Be brief and kind.' };
    const turn = (i) => [user(`question ${i} `.repeat(5)), { role: 'assistant', content: `answer ${i} `.repeat(7) }];
    const last = user('and now?');
    for (const n of [1, 2, 3, 5]) {
        const earlier = Array.from({ length: n }, (_, i) => turn(i)).flat();
        const all = [s, ...earlier, last];
        const sizes = await Promise.all(earlier.map((_, k) => size([s, ...earlier.slice(k), last])));
        const bare = await size([s, last]);
        for (const prompt_truncate_len of [5, bare, sizes.at(-1), sizes[0] - 1, sizes[0], 1500]) {
            const r = await post(CHAT, chat({ messages: all, prompt_truncate_len, max_tokens: 0 }));
            if (r.status !== 200) assert.fail(await r.text());
            const got = (await r.json()).usage.prompt_tokens;
            const limit = Math.min(prompt_truncate_len, 511);
            const k = sizes.findIndex((x) => x <= limit);
            assert.equal(got, k < 0 ? bare : sizes[k], `${n} turns, ${prompt_truncate_len}`);
            assert.equal(Number(r.headers.get('x-confab-evicted-messages') ?? 0), k < 0 ? earlier.length : k);
        }
    }
    // Absent: 1500, and never more than the context takes. null: off.
    const long = [s, ...Array.from({ length: 30 }, (_, i) => turn(i)).flat(), last];
    assert.ok((await ask(CHAT, chat({ messages: long }))).usage.prompt_tokens <= 511);
    assert.equal((await post(CHAT, chat({ messages: long, prompt_truncate_len: null }))).status, 400);
});

test('a message too long for the context is "prompt too long", streamed or not', async () => {
    const messages = [user('x'), { role: 'assistant', content: 'y' }, user('long '.repeat(400))];
    const n = await size(messages.slice(2));
    const everything = await size(messages);
    for (const [more, tokens] of [[{}, n], [{ prompt_truncate_len: 100 }, n], [{ prompt_truncate_len: null }, everything], [{ stream: true }, n], [{ max_tokens: 0 }, n]]) {
        const r = await post(CHAT, chat({ messages, ...more }));
        const text = `prompt too long: ${tokens} tokens, model maximum context length: 511`;
        assert.equal(r.status, 400);
        assert.equal(await r.text(), `{"detail":"${text}","error":{"message":"${text}","type":"invalid_request_error","param":"messages","code":"prompt_too_long"}}`);
    }
});

test('all faults of a body are told at once, in the order of the fields', async () => {
    const r = await post(CHAT, { temperature: 3, messages: [] });
    assert.equal(r.status, 422);
    assert.equal(await r.text(), '{"detail":[{"loc":["body","model"],"msg":"field is required","type":"missing"},{"loc":["body","messages"],"msg":"needs at least 1 item","type":"too_short"},'
        + '{"loc":["body","temperature"],"msg":"must be at most 2","type":"less_than_equal"}],"error":{"message":"body.model: field is required","type":"invalid_request_error","param":"model","code":"validation_error"}}');
    const rows = [
        [{ model: 7 }, ['body', 'model'], 'string_type'], [{ messages: 'x' }, ['body', 'messages'], 'list_type'],
        [{ max_tokens: -1 }, ['body', 'max_tokens'], 'greater_than_equal'], [{ max_tokens: '5' }, ['body', 'max_tokens'], 'int_type'],
        [{ prompt_truncate_len: 0 }, ['body', 'prompt_truncate_len'], 'greater_than_equal'], [{ temperature: 'x' }, ['body', 'temperature'], 'float_type'],
        [{ top_p: 1.5 }, ['body', 'top_p'], 'less_than_equal'], [{ top_k: -1 }, ['body', 'top_k'], 'greater_than_equal'], [{ n: 9 }, ['body', 'n'], 'less_than_equal'],
        [{ stream: 1 }, ['body', 'stream'], 'bool_type'], [{ stop: 5 }, ['body', 'stop'], 'value_error'], [{ stop: ['a', 'b', 'c', 'd', 'e'] }, ['body', 'stop'], 'too_long'],
        [{ seed: 'x' }, ['body', 'seed'], 'int_type'], [{ tools: [{}] }, ['body', 'tools', 0, 'type'], 'value_error'], [{ tool_choice: 'required' }, ['body', 'tool_choice'], 'value_error'],
        [{ reasoning: { effort: 'huge' } }, ['body', 'reasoning', 'effort'], 'literal_error'], [{ reasoning: 1 }, ['body', 'reasoning'], 'dict_type'],
        [{ context_length_exceeded_behavior: 'error' }, ['body', 'context_length_exceeded_behavior'], 'literal_error'],
        [{ messages: [{ role: 'user' }] }, ['body', 'messages', 0, 'content'], 'missing'], [{ messages: [{ role: 'king', content: 'x' }] }, ['body', 'messages', 0, 'role'], 'value_error'],
    ];
    for (const [more, loc, type] of rows) {
        const answer = await post(CHAT, chat(more));
        assert.equal(answer.status, 422, JSON.stringify(more));
        const { detail } = await answer.json();
        assert.deepEqual([detail.length, detail[0].loc, detail[0].type], [1, loc, type]);
    }
    const others = [
        [await post(CHAT, '{'), 400, 'invalid_json'], [await post(CHAT, chat({ model: 'nobody' })), 404, 'model_not_found'],
        [await post(CHAT, chat({ messages: [user([{ type: 'image_url', image_url: { url: 'data:,' } }])] })), 400, 'unsupported_content'],
        [await post(CHAT, 'x', { headers: { 'content-type': 'text/plain' } }), 415, 'unsupported_media_type'],
    ];
    for (const [answer, status, code] of others) {
        assert.equal(answer.status, status);
        const { detail, error } = await answer.json();
        assert.equal(typeof detail, 'string');
        assert.equal(error.code, code);
    }
});

test('fields take effect', async () => {
    const text = async (more) => (await ask(CHAT, chat({ max_tokens: 30, ...more }))).choices.map((c) => c.message.content);
    const [plain] = await text();
    assert.equal((await text({ n: 3 })).length, 3);
    assert.deepEqual(await text({ temperature: 2, top_k: 1, seed: 5 }), [plain]);
    assert.deepEqual(await text({ temperature: 2, top_p: 1e-6, seed: 5 }), [plain]);
    assert.deepEqual(await text({ temperature: 2, seed: 5 }), await text({ temperature: 2, seed: 5 }));
    assert.notDeepEqual(await text({ temperature: 2, seed: 5 }), await text({ temperature: 2, seed: 6 }));
    const cut = [...plain].slice(3, 5).join('');
    assert.deepEqual(await text({ stop: cut }), [plain.slice(0, plain.indexOf(cut))]);
    for (const key of ['max_tokens', 'temperature', 'top_p', 'top_k', 'n', 'stream', 'stop', 'seed', 'tools', 'tool_choice', 'reasoning'])
        assert.equal((await post(CHAT, chat({ [key]: null }))).status, 200, key);
    assert.equal((await post(CHAT, chat({ anything: 1, reasoning: { effort: 'low', exclude: true } }))).status, 200);
    assert.deepEqual(await text({ messages: [user([{ type: 'text', text: 'H' }, { type: 'text', text: 'i' }])] }), [plain]);
});

test('completions: two prompts, token ids, streamed', async () => {
    const a = await ask(TEXT, { model: 'tiny', prompt: ['The sky is', 'Grass is'], max_tokens: 4, temperature: 0 });
    assert.equal(a.object, 'text_completion');
    assert.deepEqual(a.choices.map((c) => Object.keys(c)), [['index', 'text', 'finish_reason'], ['index', 'text', 'finish_reason']]);
    const one = await ask(TEXT, { model: 'tiny', prompt: 'Grass is', max_tokens: 4, temperature: 0 });
    assert.equal(a.choices[1].text, one.choices[0].text);
    const { tokens } = await ask('/tokenize', { content: 'Grass is', add_special: true });
    assert.equal((await ask(TEXT, { model: 'tiny', prompt: tokens, max_tokens: 4, temperature: 0 })).choices[0].text, one.choices[0].text);
    const r = await (await post(TEXT, { model: 'tiny', prompt: 'Grass is', max_tokens: 4, temperature: 0, stream: true })).text();
    assert.equal(r.split('\n\n').filter((f) => f.startsWith('data: {')).map((f) => JSON.parse(f.slice(6)).choices[0].text).join(''), one.choices[0].text);
    for (const prompt of ['', [], {}, [[]]]) assert.ok([400, 422].includes((await post(TEXT, { model: 'tiny', prompt })).status), JSON.stringify(prompt));
});

test('lists and health; a client that leaves stops its run', async () => {
    const get = async (path) => (await fetch(server.url + path)).json();
    assert.deepEqual(await get('/api/v3/models/aligned'), { domain_aligned_models: [] });
    assert.deepEqual(await get('/api/v3/models/base'), { models: [{ id: 'tiny', name: 'tiny', type: 'llm', context_length: 512 }] });
    assert.deepEqual(await get('/inference/health'), { status: 'ok' });
    const c = new AbortController();
    const r = await post(CHAT, chat({ stream: true, max_tokens: 100000 }), { signal: c.signal });
    c.abort();
    await r.text().catch(() => {});
    await until(async () => (await server.metric('runs_live')) === 0, 'no live run');
});
