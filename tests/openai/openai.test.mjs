// The official client, unmodified.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { startServer, until } from './harness.mjs';

let server, client;

before(async () => {
    server = await startServer({ args: ['--max-seqs', '8'] });
    client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
});
after(async () => {
    assert.equal(await server.stop(), 0, server.log());
});

const ask = (more = {}) => ({
    model: 'tiny',
    messages: [{ role: 'user', content: 'Say something.' }],
    max_tokens: 24,
    temperature: 0,
    ...more,
});

test('chat answers with one choice and counts tokens', async () => {
    const r = await client.chat.completions.create(ask());
    assert.match(r.id, /^chatcmpl-\w{24}$/);
    assert.equal(r.object, 'chat.completion');
    assert.equal(r.model, 'tiny');
    assert.equal(r.choices.length, 1);
    const [c] = r.choices;
    assert.equal(c.message.role, 'assistant');
    assert.equal(c.message.refusal, null);
    assert.ok(['stop', 'length'].includes(c.finish_reason));
    assert.ok(r.usage.prompt_tokens > 0);
    assert.ok(r.usage.completion_tokens > 0 && r.usage.completion_tokens <= 24);
    assert.equal(r.usage.total_tokens, r.usage.prompt_tokens + r.usage.completion_tokens);
    assert.match(r._request_id, /^req_/);
    assert.match(r.system_fingerprint, /^fp_/);
});

test('joined deltas equal the plain answer', async () => {
    for (const more of [{}, { temperature: 1, seed: 5 }, { temperature: 0.7, top_k: 20, top_p: 0.9, min_p: 0.01, seed: 11 }]) {
        const plain = await client.chat.completions.create(ask(more));
        let text = '', finish = null, roles = 0;
        const stream = await client.chat.completions.create(ask({ ...more, stream: true }));
        for await (const chunk of stream) {
            assert.equal(chunk.object, 'chat.completion.chunk');
            assert.equal(chunk.usage, undefined);
            const [c] = chunk.choices;
            if (c.delta.role) roles++;
            text += c.delta.content ?? '';
            finish = c.finish_reason ?? finish;
        }
        assert.equal(roles, 1);
        assert.equal(text, plain.choices[0].message.content);
        assert.equal(finish, plain.choices[0].finish_reason);
    }
});

test('the stream helper completes', async () => {
    const final = await client.chat.completions.stream(ask()).finalChatCompletion();
    assert.equal(final.choices[0].message.role, 'assistant');
    assert.equal(typeof final.choices[0].message.content, 'string');
});

test('usage comes in a last chunk when asked for', async () => {
    const chunks = [];
    const stream = await client.chat.completions.create(ask({ stream: true, stream_options: { include_usage: true } }));
    for await (const chunk of stream) chunks.push(chunk);
    const last = chunks.pop();
    assert.deepEqual(last.choices, []);
    assert.ok(last.usage.total_tokens > 0);
    for (const c of chunks) assert.equal(c.usage, null);
});

test('n gives that many choices, the first as if alone', async () => {
    const one = await client.chat.completions.create(ask({ temperature: 1, seed: 3 }));
    const four = await client.chat.completions.create(ask({ temperature: 1, seed: 3, n: 4 }));
    assert.deepEqual(four.choices.map((c) => c.index), [0, 1, 2, 3]);
    assert.equal(four.choices[0].message.content, one.choices[0].message.content);
    const next = await client.chat.completions.create(ask({ temperature: 1, seed: 4 }));
    assert.equal(four.choices[1].message.content, next.choices[0].message.content);
    const streamed = ['', '', '', ''], finish = [];
    for await (const chunk of await client.chat.completions.create(ask({ temperature: 1, seed: 3, n: 4, stream: true }))) {
        const [c] = chunk.choices;
        streamed[c.index] += c.delta.content ?? '';
        if (c.finish_reason) finish.push(c.index);
    }
    assert.deepEqual(streamed, four.choices.map((c) => c.message.content));
    assert.deepEqual(finish.sort(), [0, 1, 2, 3]);
});

test('a stop text ends the answer and never shows, wherever it stands', async () => {
    const whole = (await client.chat.completions.create(ask({ max_tokens: 40, temperature: 1, seed: 9 }))).choices[0].message.content;
    const chars = [...whole];
    for (let at = 1; at < Math.min(chars.length - 3, 30); at += 3) {
        const stop = chars.slice(at, at + 3).join('');
        const want = whole.slice(0, whole.indexOf(stop));
        const plain = await client.chat.completions.create(ask({ max_tokens: 40, temperature: 1, seed: 9, stop }));
        assert.equal(plain.choices[0].message.content, want);
        assert.equal(plain.choices[0].finish_reason, 'stop');
        let text = '';
        for await (const c of await client.chat.completions.create(ask({ max_tokens: 40, temperature: 1, seed: 9, stop: ['never there', stop], stream: true })))
            text += c.choices[0].delta.content ?? '';
        assert.equal(text, want);
    }
});

test('max_completion_tokens and ignore_eos bound the answer exactly', async () => {
    const r = await client.chat.completions.create(ask({ max_tokens: undefined, max_completion_tokens: 7, ignore_eos: true }));
    assert.equal(r.usage.completion_tokens, 7);
    assert.equal(r.choices[0].finish_reason, 'length');
});

test('aborting a stream stops the work', async () => {
    const controller = new AbortController();
    const stream = await client.chat.completions.create(
        ask({ max_tokens: 100000, ignore_eos: true, stream: true }), { signal: controller.signal });
    let n = 0;
    for await (const chunk of stream) {
        assert.ok(chunk);
        if (++n === 5) controller.abort();
    }
    await until(async () => (await server.metric('active')) === 0 && (await server.metric('runs_live')) === 0, 'no active run');
});

// The entries' bytes are the text; the same streamed and whole; the best token is what temperature 0 takes.
test('log-probabilities', async () => {
    for (const temperature of [0, 1]) {
        const settings = ask({ logprobs: true, top_logprobs: 3, max_tokens: 12, temperature, seed: 5 });
        const whole = (await client.chat.completions.create(settings)).choices[0];
        const entries = whole.logprobs.content;
        assert.ok(entries.length > 0 && entries.length <= 12);
        const bytes = Buffer.from(entries.flatMap((e) => e.bytes));
        assert.equal(bytes.toString(), whole.message.content);
        for (const e of entries) {
            assert.equal(e.top_logprobs.length, 3);
            const sum = e.top_logprobs.reduce((a, t) => a + Math.exp(t.logprob), 0);
            assert.ok(e.logprob <= 0 && sum > 0 && sum <= 1.0001);
            assert.ok(e.top_logprobs.every((t, i, all) => i === 0 || t.logprob <= all[i - 1].logprob));
            const same = e.top_logprobs.find((t) => t.token === e.token && String(t.bytes) === String(e.bytes));
            if (same && temperature === 0) assert.equal(same.logprob, e.logprob);
        }
        const streamed = [];
        for await (const c of await client.chat.completions.create({ ...settings, stream: true }))
            streamed.push(...(c.choices[0].logprobs?.content ?? []));
        assert.deepEqual(streamed, entries);
    }
    const r = (await client.completions.create({ model: 'tiny', prompt: 'The capital', logprobs: 2, max_tokens: 8, seed: 1 })).choices[0];
    const { tokens, token_logprobs, top_logprobs, text_offset } = r.logprobs;
    assert.ok(tokens.length > 0);
    assert.deepEqual([token_logprobs.length, top_logprobs.length, text_offset.length], Array(3).fill(tokens.length));
    text_offset.forEach((at, i) => {
        if (!tokens[i].includes('\ufffd')) assert.equal([...r.text].slice(at).join('').slice(0, tokens[i].length), tokens[i]);
    });
});

test('errors carry type, param and code', async () => {
    const rows = [
        [ask({ model: 'gpt-x' }), 404, 'model', 'model_not_found'],
        [ask({ temperature: 3 }), 400, 'temperature', 'out_of_range'],
        [ask({ temperature: 'hot' }), 400, 'temperature', 'invalid_type'],
        [ask({ n: 0 }), 400, 'n', 'out_of_range'],
        [ask({ messages: [] }), 400, 'messages', null],
        [ask({ messages: [{ role: 'robot', content: 'x' }] }), 400, 'messages[0].role', 'unsupported_value'],
        [ask({ messages: [{ role: 'user' }] }), 400, 'messages[0].content', 'invalid_type'],
        [ask({ messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'x' } }] }] }), 400, 'messages[0].content[0]', 'unsupported_value'],
        [ask({ top_logprobs: 2 }), 400, 'top_logprobs', 'unsupported_combination'],
        [ask({ logprobs: true, top_logprobs: 21 }), 400, 'top_logprobs', 'out_of_range'],
        [ask({ response_format: { type: 'poem' } }), 400, 'response_format.type', 'unsupported_value'],
        [ask({ response_format: { type: 'json_schema', json_schema: { name: 'x', schema: { properties: { a: { uniqueItems: true } } } } } }), 400, 'response_format.json_schema.schema/properties/a/uniqueItems', 'unsupported_schema'],
        [ask({ tools: [{ type: 'function', function: { name: 'f f' } }] }), 400, 'tools[0].function.name', 'invalid_value'],
        [ask({ logit_bias: { 999999: 1 } }), 400, 'logit_bias', 'out_of_range'],
        [ask({ eos_token: [999999] }), 400, 'eos_token', 'out_of_range'],
        [ask({ stop: ['a', ''] }), 400, 'stop', 'invalid_type'],
        [ask({ stream_options: { include_usage: true } }), 400, 'stream_options', null],
        [ask({ messages: [{ role: 'user', content: 'long '.repeat(20000) }] }), 400, 'messages', 'context_length_exceeded'],
        [{ model: 'tiny' }, 400, 'messages', 'missing_required_parameter'],
    ];
    for (const [body, status, param, code] of rows) {
        for (const stream of [false, true]) {
            if (stream && body.stream_options) continue;
            const error = await client.chat.completions.create({ ...body, stream }).then(() => null, (e) => e);
            assert.ok(error instanceof OpenAI.APIError, `${param}: no error`);
            assert.equal(error.status, status, error.message);
            assert.equal(error.param, param);
            assert.equal(error.code, code);
            assert.ok(error.requestID?.startsWith('req_'));
            assert.ok(error.error.message.length > 10);
        }
    }
});

test('what takes no effect is named in a header', async () => {
    const { response } = await client.chat.completions.create(ask({ user: 'u', made_up: 1 })).withResponse();
    assert.equal(response.headers.get('x-confab-ignored'), 'user, made_up');
    // A format that is complete ends the answer.
    const formatted = await client.chat.completions.create(ask({ min_tokens: 50, max_tokens: 60, response_format: { type: 'regex', schema: 'yes' } })).withResponse();
    assert.equal(formatted.data.choices[0].message.content, 'yes');
    assert.equal(formatted.response.headers.get('x-confab-ignored'), 'min_tokens');
});

test('parts, developer messages and template arguments are taken', async () => {
    const r = await client.chat.completions.create(ask({
        messages: [
            { role: 'developer', content: 'Be brief.' },
            { role: 'user', content: [{ type: 'text', text: 'one' }, { type: 'text', text: 'two' }] },
        ],
        chat_template_kwargs: { enable_thinking: false },
    }));
    const t = await (await fetch(`${server.url}/apply-template`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ messages: [{ role: 'developer', content: 'Be brief.' }, { role: 'user', content: [{ type: 'text', text: 'one' }, { type: 'text', text: 'two' }] }] }),
    })).json();
    assert.ok(t.prompt.includes('one\ntwo') && t.prompt.includes('system'), t.prompt);
    assert.ok(r.usage.prompt_tokens > 5);
});

test('completions: text, many prompts, ids, echo, stream', async () => {
    const r = await client.completions.create({ model: 'tiny', prompt: ['Once', 'Twice'], max_tokens: 5, n: 2, temperature: 0, ignore_eos: true });
    assert.equal(r.object, 'text_completion');
    assert.deepEqual(r.choices.map((c) => c.index), [0, 1, 2, 3]);
    assert.equal(r.usage.completion_tokens, 20);
    const alone = await client.completions.create({ model: 'tiny', prompt: 'Twice', max_tokens: 5, temperature: 0, ignore_eos: true });
    assert.equal(alone.choices[0].text, r.choices[2].text);
    const echo = await client.completions.create({ model: 'tiny', prompt: 'Twice', max_tokens: 5, temperature: 0, ignore_eos: true, echo: true });
    assert.equal(echo.choices[0].text, 'Twice' + alone.choices[0].text);
    const { tokens } = await (await fetch(`${server.url}/tokenize`, {
        method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ content: 'Twice', add_special: true }),
    })).json();
    const ids = await client.completions.create({ model: 'tiny', prompt: tokens, max_tokens: 5, temperature: 0, ignore_eos: true });
    assert.equal(ids.choices[0].text, alone.choices[0].text);
    let text = '';
    for await (const c of await client.completions.create({ model: 'tiny', prompt: 'Twice', max_tokens: 5, temperature: 0, ignore_eos: true, stream: true }))
        text += c.choices[0].text;
    assert.equal(text, alone.choices[0].text);
});

test('the tokens of a conversation are counted without an answer', async () => {
    const r = await client.chat.completions.create(ask());
    const count = await fetch(`${server.url}/v1/chat/completions/input_tokens`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(ask()) });
    assert.deepEqual(await count.json(), { object: 'response.input_tokens', input_tokens: r.usage.prompt_tokens });
    const { response } = await client.chat.completions.create(ask({ modalities: ['text'] })).withResponse();
    assert.equal(response.headers.get('x-confab-ignored'), null);
});

test('models are listed and shown', async () => {
    const list = await client.models.list();
    assert.deepEqual(list.data.map((m) => m.id), ['tiny']);
    assert.equal((await client.models.retrieve('tiny')).object, 'model');
    await assert.rejects(client.models.retrieve('none'), (e) => e.status === 404 && e.code === 'model_not_found');
});

test('tokenize and detokenize return what went in', async () => {
    const post = async (path, body) => (await fetch(server.url + path, {
        method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
    })).json();
    for (const text of ['Hello, world', 'naïve 日本語 😀', '  two  blanks\n', '']) {
        const { tokens } = await post('/tokenize', { content: text });
        assert.equal((await post('/detokenize', { tokens })).content, text);
    }
    const { tokens } = await post('/tokenize', { content: 'Hi', with_pieces: true });
    assert.ok(tokens.every((t) => typeof t.id === 'number'));
});
