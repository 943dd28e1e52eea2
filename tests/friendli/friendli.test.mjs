// FriendliAI's provider for the AI SDK and the openai client, both unmodified, and plain requests.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createFriendli } from '@friendliai/ai-provider';
import { APICallError, generateText, streamText } from 'ai';
import OpenAI from 'openai';
import { startServer } from '../openai/harness.mjs';

let server, friendli;

before(async () => {
    server = await startServer({ args: ['--max-seqs', '8'] });
    friendli = createFriendli({ apiKey: 'none', teamId: 'team-1', baseURL: `${server.url}/serverless/v1` });
});
after(async () => {
    assert.equal(await server.stop(), 0, server.log());
});

const body = (more = {}) => ({
    model: 'tiny',
    messages: [{ role: 'user', content: 'Say something.' }],
    max_tokens: 16,
    ...more,
});
const post = (path, data) =>
    fetch(server.url + path, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', 'X-Friendli-Team': 't1' },
        body: typeof data === 'string' ? data : JSON.stringify(data),
    });
const ask = async (more, path = '/serverless/v1/chat/completions') => {
    const r = await post(path, body(more));
    const answer = await r.json();
    assert.equal(r.status, 200, JSON.stringify(answer));
    return answer;
};
const frames = async (more, path = '/serverless/v1/chat/completions') => {
    const text = await (await post(path, body({ stream: true, ...more }))).text();
    const lines = text.split('\n\n').filter(Boolean);
    assert.equal(lines.pop(), 'data: [DONE]');
    return lines.filter((l) => !l.startsWith(':')).map((l) => JSON.parse(l.replace(/^data: /, '')));
};

test('the provider generates text', async () => {
    const r = await generateText({
        model: friendli('tiny'),
        prompt: 'Say something.',
        maxOutputTokens: 12,
        temperature: 1,
        seed: 4,
        maxRetries: 0,
    });
    assert.ok(r.text.length > 0);
    assert.ok(['stop', 'length'].includes(r.finishReason));
    assert.ok(r.usage.inputTokens > 0 && r.usage.outputTokens > 0);
    assert.equal(r.text, (await ask({ max_tokens: 12, temperature: 1, seed: 4 })).choices[0].message.content);
});

test('the provider streams the same text, and nothing empty', async () => {
    const settings = { model: friendli('tiny'), prompt: 'Say something.', maxOutputTokens: 12, temperature: 1, seed: 4 };
    const whole = await generateText(settings);
    const r = streamText(settings);
    const parts = [];
    for await (const part of r.fullStream) parts.push(part);
    assert.deepEqual(parts.filter((p) => p.type === 'error'), []);
    const deltas = parts.filter((p) => p.type === 'text-delta').map((p) => p.text);
    assert.ok(deltas.every((d) => d.length > 0));
    assert.equal(deltas.join(''), whole.text);
    assert.equal(parts.filter((p) => p.type === 'text-start').length, 1);
});

test('the provider shows the words of an error', async () => {
    await assert.rejects(
        generateText({ model: friendli('nope'), prompt: 'x', maxRetries: 0 }),
        (e) => APICallError.isInstance(e) && e.statusCode === 404 && /nope/.test(e.message),
    );
});

test('the openai client works on all prefixes', async () => {
    for (const prefix of ['/v1', '/serverless/v1', '/dedicated/v1', '/serverless/tools/v1', '/tools/v1']) {
        const client = new OpenAI({ baseURL: server.url + prefix, apiKey: 'none', maxRetries: 0 });
        const r = await client.chat.completions.create(body({ temperature: 0 }));
        assert.equal(r.object, 'chat.completion');
        const helped = await client.chat.completions.stream(body({ temperature: 0 })).finalChatCompletion();
        assert.equal(helped.choices[0].message.content, r.choices[0].message.content, prefix);
    }
    const client = new OpenAI({ baseURL: `${server.url}/serverless/v1`, apiKey: 'none', maxRetries: 0 });
    await assert.rejects(
        client.chat.completions.create(body({ top_p: 0 })),
        (e) => e.status === 422 && e.param === 'top_p' && e.code === 'out_of_range' && /top_p/.test(e.message),
    );
});

test('frames keep to the rules', async () => {
    const all = await frames({ n: 3, seed: 5, temperature: 1, stream_options: { include_usage: true } });
    const usage = all.pop();
    assert.deepEqual(usage.choices, []);
    assert.ok(usage.usage.total_tokens > 0);
    for (let i = 0; i < 3; i++) {
        const own = all.filter((f) => f.choices[0].index === i).map((f) => f.choices[0]);
        assert.equal(own[0].delta.role, 'assistant');
        assert.notEqual(own[0].delta.content, '');
        assert.equal(own.filter((c) => 'role' in c.delta).length, 1);
        assert.equal(own.filter((c) => c.finish_reason).length, 1);
        assert.equal(own.at(-1).seed, 5 + i);
    }
    for (const f of all) {
        assert.equal(f.choices.length, 1);
        assert.equal(f.usage, null);
    }
    for (const f of await frames({})) assert.ok(!('usage' in f));
});

test('seeds: a list, a number that counts up, one that is drawn and returned', async () => {
    const text = (c) => c.message.content;
    const one = async (seed) => text((await ask({ seed, temperature: 1 })).choices[0]);
    const listed = await ask({ n: 3, seed: [11, -4, 11], temperature: 1 });
    assert.deepEqual(listed.choices.map((c) => c.seed), [11, -4, 11]);
    assert.deepEqual(listed.choices.map(text), [await one(11), await one(-4), await one(11)]);
    const counted = await ask({ n: 2, seed: 5, temperature: 1 });
    assert.deepEqual(counted.choices.map(text), [await one(5), await one(6)]);
    const drawn = await ask({ temperature: 1 });
    assert.ok(Number.isSafeInteger(drawn.choices[0].seed));
    assert.equal(await one(drawn.choices[0].seed), text(drawn.choices[0]));
    // The container's path takes the list too.
    const v1 = await ask({ n: 2, seed: [11, 5], temperature: 1 }, '/v1/chat/completions');
    assert.deepEqual(v1.choices.map(text), [await one(11), await one(5)]);
});

test('eos_token ends the answer before its text, min_tokens holds it off', async () => {
    const { tokens } = await (await post('/serverless/v1/tokenize', { model: 'tiny', prompt: 'a' })).json();
    const id = tokens.at(-1);
    const bias = { [id]: 100 };
    const without = await ask({ logit_bias: bias });
    assert.equal(without.choices[0].finish_reason, 'length');
    for (const path of ['/serverless/v1/chat/completions', '/v1/chat/completions']) {
        const r = await ask({ logit_bias: bias, eos_token: [id] }, path);
        assert.equal(r.choices[0].message.content, '');
        assert.equal(r.choices[0].finish_reason, 'stop');
        assert.equal(r.usage.completion_tokens, 1);
    }
    const held = await ask({ logit_bias: bias, eos_token: [id], min_tokens: 4 });
    assert.equal(held.usage.completion_tokens, 5);
    // It is no field of the tool-assisted path.
    const r = await ask({ logit_bias: bias, eos_token: [id], min_tokens: 4 }, '/serverless/tools/v1/chat/completions');
    assert.equal(r.usage.completion_tokens, 1);
});

test('settings take effect', async () => {
    const text = async (more) => (await ask({ seed: 9, temperature: 1, ...more })).choices[0].message.content;
    const greedy = await text({ temperature: 0 });
    assert.equal(await text({ top_k: 1 }), greedy);
    assert.equal(await text({ min_p: 1 }), greedy);
    assert.equal(await text({ top_p: 1e-9 }), greedy);
    const plain = await text({});
    assert.notEqual(plain, greedy);
    assert.equal(await text({ top_k: -1 }), plain);
    assert.equal(await text({ xtc_threshold: 0, xtc_probability: 1 }), plain);
    assert.notEqual(await text({ xtc_threshold: 1e-6, xtc_probability: 1, top_k: 2 }), await text({ top_k: 2 }));
    assert.notEqual(await text({ repetition_penalty: 5, temperature: 0, frequency_penalty: 2, presence_penalty: 2 }), greedy);
    const [stop] = [plain.slice(2, 4)];
    assert.equal(await text({ stop: [stop] }), plain.slice(0, plain.indexOf(stop)));
    const late = await post('/serverless/v1/chat/completions', body({ timeout_microseconds: 1, max_tokens: 400 }));
    assert.equal(late.status, 504);
    assert.equal((await late.json()).error.type, 'timeout_error');
});

test('faults of a body are told with 422 and their field', async () => {
    const tool = { type: 'function', function: { name: 'f', parameters: {} } };
    const rows = [
        [{ model: undefined }, 'model'],
        [{ messages: [] }, 'messages'],
        [{ messages: [{ role: 'function', content: 'x' }] }, 'messages[0].role'],
        [{ top_p: 0 }, 'top_p'],
        [{ temperature: -1 }, 'temperature'],
        [{ repetition_penalty: 0 }, 'repetition_penalty'],
        [{ frequency_penalty: 2.5 }, 'frequency_penalty'],
        [{ presence_penalty: -2.5 }, 'presence_penalty'],
        [{ min_p: 2 }, 'min_p'],
        [{ top_k: -2 }, 'top_k'],
        [{ xtc_threshold: 2 }, 'xtc_threshold'],
        [{ xtc_probability: -1 }, 'xtc_probability'],
        [{ max_tokens: 0 }, 'max_tokens'],
        [{ max_tokens: 5.5 }, 'max_tokens'],
        [{ min_tokens: 17 }, 'min_tokens'],
        [{ n: 0 }, 'n'],
        [{ n: 9 }, 'n'],
        [{ n: 2, seed: [1, 2, 3] }, 'seed'],
        [{ seed: 'x' }, 'seed'],
        [{ stop: [''] }, 'stop'],
        [{ stop: Array(17).fill('x') }, 'stop'],
        [{ eos_token: [1e6] }, 'eos_token'],
        [{ eos_token: ['x'] }, 'eos_token'],
        [{ logit_bias: { 1000000: 1 } }, 'logit_bias'],
        [{ logprobs: true, top_logprobs: 21 }, 'top_logprobs'],
        [{ reasoning_budget: 0 }, 'reasoning_budget'],
        [{ top_logprobs: 2 }, 'top_logprobs'],
        [{ stream_options: { include_usage: true } }, 'stream_options'],
        [{ tools: [tool, tool] }, 'tools[1].function.name'],
        [{ tools: Array(129).fill(tool) }, 'tools'],
        [{ tools: [tool], response_format: { type: 'json_object' } }, 'response_format'],
        [{ tools: [tool], min_tokens: 2 }, 'min_tokens'],
        [{ tools: [{ type: 'math:calculator' }] }, 'tools[0].type'],
        [{ tools: [{ type: 'math:magic' }] }, 'tools[0].type'],
        [{ tool_choice: 'required' }, 'tool_choice'],
        [{ response_format: { type: 'poem' } }, 'response_format.type'],
        [{ response_format: { type: 'regex', schema: 'a(?=b)' } }, 'response_format.schema'],
        [{ min_tokens: 2, response_format: { type: 'json_object' } }, 'min_tokens'],
        [{ reasoning_effort: 'huge' }, 'reasoning_effort'],
        [{ timeout_microseconds: 0 }, 'timeout_microseconds'],
        [{ functions: [{}] }, 'functions'],
    ];
    for (const [more, param] of rows) {
        const r = await post('/serverless/v1/chat/completions', body(more));
        const e = await r.json();
        assert.equal(r.status, 422, param);
        assert.equal(e.error.param, param, e.message);
        assert.equal(e.error.type, 'invalid_request_error');
        assert.equal(e.message, e.error.message);
        assert.equal(e.detail[0].loc[0], 'body');
        assert.equal(e.detail[0].loc[1], param.split(/[.[]/)[0]);
    }
    const refused = await post('/serverless/tools/v1/chat/completions', body({ tools: [{ type: 'linkup:search' }] }));
    assert.equal(refused.status, 422);
    const e = await refused.json();
    assert.equal(e.error.code, 'tool_unavailable');
    assert.match(e.message, /linkup:search/);
});

test('what costs nothing is accepted', async () => {
    await ask({
        parse_reasoning: true,
        include_reasoning: false,
        parallel_tool_calls: false,
        resume_generation: true,
        tools: [],
        tool_choice: 'auto',
        chat_template_kwargs: { enable_thinking: false },
        reasoning_effort: 'ultracode',
        response_format: { type: 'text' },
        user: 'u',
        metadata: {},
        unheard_of: 1,
    });
    await ask({ response_format: { type: 'json_object' }, resume_generation: true }, '/serverless/tools/v1/chat/completions');
    await ask({}, '/serverless/beta/chat/completions');
    await ask({}, '/dedicated/v1/chat/completions/');
    await ask({ model: undefined }, '/v1/chat/completions');
    await ask({
        messages: [
            { role: 'user', content: [{ type: 'text', text: 'a' }] },
            { role: 'assistant', content: 'b', reasoning: 'r', extra_content: {} },
            { role: 'developer', content: 'c' },
            { role: 'user', content: 'd', name: 'x' },
        ],
    });
});

test('statuses and shapes of other errors', async () => {
    const rows = [
        ['/serverless/v1/chat/completions', '{', 400],
        ['/serverless/v1/chat/completions', '[]', 400],
        ['/serverless/v1/chat/completions', body({ model: 'nope' }), 404],
        ['/serverless/v1/chat/completions', body({ messages: [{ role: 'user', content: 'x '.repeat(20000) }] }), 400],
        ['/serverless/v1/images/generations', {}, 404],
        ['/dedicated/v1/audio/transcriptions', {}, 404],
    ];
    for (const [path, data, status] of rows) {
        const r = await post(path, data);
        const e = await r.json();
        assert.equal(r.status, status, path);
        assert.equal(e.message, e.error.message);
        assert.ok(r.headers.get('x-request-id'));
    }
    const wrong = await fetch(server.url + '/serverless/v1/chat/completions');
    assert.equal(wrong.status, 405);
    assert.match(wrong.headers.get('allow'), /POST/);
});

test('completions take text or tokens, and tell seeds', async () => {
    for (const path of ['/serverless/v1/completions', '/dedicated/v1/completions']) {
        const go = async (more) => {
            const r = await post(path, { model: 'tiny', max_tokens: 8, seed: 3, temperature: 1, ...more });
            return [r.status, await r.json()];
        };
        const [status, r] = await go({ prompt: 'The capital' });
        assert.equal(status, 200, r.message);
        assert.equal(r.object, 'text_completion');
        assert.equal(r.choices[0].seed, 3);
        const { tokens } = await (await post('/dedicated/v1/tokenize', { model: 'tiny', prompt: 'The capital' })).json();
        assert.equal((await go({ tokens }))[1].choices[0].text, r.choices[0].text);
        const many = (await go({ prompt: ['The capital', 'x'], n: 2 }))[1];
        assert.deepEqual(many.choices.map((c) => c.seed), [3, 4, 5, 6]);
        assert.equal(many.choices[0].text, r.choices[0].text);
        const text = (await frames({ prompt: 'The capital', max_tokens: 8, seed: 3, messages: undefined }, path))
            .map((f) => f.choices[0].text).join('');
        assert.equal(text, r.choices[0].text);
        for (const more of [
            { prompt: 'a', tokens: [1] }, {}, { prompt: 'a', bad_words: [''] }, { prompt: 'a', no_repeat_ngram: -2 },
            { prompt: 'a', max_total_tokens: 9 }, { prompt: 'a', echo: true }, { prompt: 'a', logprobs: 21 },
            { prompt: 'a', max_tokens: undefined, max_total_tokens: 1, tokens: undefined },
            { prompt: 'a', forced_output_tokens: [1e7] }, { prompt: 'a', embedding_to_replace: [1] },
            { prompt: 'a', bad_word_tokens: [[1]] }, { prompt: 'a', stop_tokens: [{ tokens: [] }] },
            { prompt: 'a', bad_word_tokens: [{ tokens: [1e7] }] },
            { prompt: 'a', response_format: { type: 'regex', schema: '(?=a)' } },
        ])
            assert.equal((await go(more))[0], 422, JSON.stringify(more));
    }
});

// What bounds a completion by its tokens: each has the effect that its own tokens show.
test('completions are bounded by tokens', async () => {
    const path = '/serverless/v1/completions';
    const go = async (more) => {
        const r = await post(path, { model: 'tiny', prompt: 'The capital', max_tokens: 24, seed: 3, ...more });
        const answer = await r.json();
        assert.equal(r.status, 200, JSON.stringify(answer));
        return answer.choices[0];
    };
    const free = await go({});
    assert.equal(free.logprobs, null);
    const text = async (tokens) =>
        (await (await post('/serverless/v1/detokenize', { model: 'tiny', tokens })).json()).text;
    assert.equal(await text(free.tokens), free.text);

    const scored = await go({ logprobs: 2 });
    assert.deepEqual(scored.tokens, free.tokens);
    assert.equal(scored.logprobs.tokens.length, scored.logprobs.token_logprobs.length);
    const forced = await go({ forced_output_tokens: free.tokens, logprobs: 2, seed: 99 });
    assert.deepEqual(forced.tokens, free.tokens);
    assert.deepEqual(forced.logprobs, scored.logprobs);
    assert.equal(forced.finish_reason, 'length');

    const stop = await go({ stop_tokens: [{ tokens: free.tokens.slice(4, 6) }] });
    assert.deepEqual(stop.tokens, free.tokens.slice(0, 6));
    assert.equal(stop.finish_reason, 'stop');
    const bad = await go({ bad_word_tokens: [{ tokens: free.tokens.slice(4, 6) }] });
    assert.deepEqual(bad.tokens.slice(0, 5), free.tokens.slice(0, 5));
    assert.notEqual(bad.tokens[5], free.tokens[5]);
    const words = await go({ bad_words: ['e', ' t', 'a'], temperature: 2 });
    const { tokens: [e] } = await (await post('/serverless/v1/tokenize', { model: 'tiny', prompt: 'e' })).json().then((r) => ({ tokens: r.tokens.slice(-1) }));
    assert.ok(!words.tokens.includes(e));
    const twice = await go({ no_repeat_ngram: 2, temperature: 0.2, max_tokens: 60 });
    const pairs = twice.tokens.slice(1).map((t, i) => `${twice.tokens[i]} ${t}`);
    assert.equal(new Set(pairs).size, pairs.length);

    const { tokens: prompt } = await (await post('/serverless/v1/tokenize', { model: 'tiny', prompt: 'The capital' })).json();
    const total = await go({ max_tokens: undefined, max_total_tokens: prompt.length + 5, min_total_tokens: prompt.length + 5 });
    assert.equal(total.tokens.length, 5);

    const seen = [];
    for (const f of await frames({ prompt: 'The capital', max_tokens: 24, seed: 3, messages: undefined }, path))
        seen.push(...(f.choices[0].tokens ?? []));
    assert.deepEqual(seen, free.tokens);
});

test('tokenize, detokenize, render, models', async () => {
    for (const prefix of ['/serverless', '/dedicated', '']) {
        const { tokens } = await (await post(prefix + '/v1/tokenize', { model: 'tiny', prompt: 'Hello world' })).json();
        assert.ok(tokens.length > 1);
        const back = await (await post(prefix + '/v1/detokenize', { model: 'tiny', tokens })).json();
        assert.ok(back.text.endsWith('Hello world'));
        const bad = await post(prefix + '/v1/detokenize', { tokens: [-1] });
        assert.equal(bad.status, 422);
    }
    const r = await (await post('/serverless/v1/chat/render', { model: 'tiny', messages: body().messages })).json();
    assert.match(r.text, /Say something\./);
    assert.equal((await post('/serverless/v1/tokenize', { model: 'nope', prompt: 'x' })).status, 404);
    const list = await (await fetch(server.url + '/serverless/v1/models')).json();
    assert.equal(list.data[0].id, 'tiny');
    assert.ok(list.data[0].context_length > 0);
    assert.equal(list.data[0].pricing.input, '0');
});

test('Responses and Messages are found under the prefixes too', async () => {
    for (const prefix of ['/serverless', '/dedicated']) {
        const openai = new OpenAI({ baseURL: `${server.url}${prefix}/v1`, apiKey: 'none', maxRetries: 0 });
        const r = await openai.responses.create({ model: 'tiny', input: 'Say something.', max_output_tokens: 16, temperature: 0 });
        assert.equal((await openai.responses.retrieve(r.id)).output_text, r.output_text);
        const events = [];
        for await (const e of await openai.responses.create({ model: 'tiny', input: 'Say something.', max_output_tokens: 16, temperature: 0, stream: true })) events.push(e);
        assert.equal(events.filter((e) => e.type === 'response.output_text.delta').map((e) => e.delta).join(''), r.output_text);
        const m = await post(`${prefix}/v1/messages`, { model: 'tiny', max_tokens: 16, temperature: 0, top_k: 0, top_p: 1, min_p: 0, messages: body().messages });
        const message = await m.json();
        assert.equal(m.status, 200, JSON.stringify(message));
        assert.equal(message.type, 'message');
        assert.equal(message.content[0].text, r.output_text);
        const count = await (await post(`${prefix}/v1/messages/count_tokens`, { model: 'tiny', messages: body().messages })).json();
        assert.equal(count.input_tokens, message.usage.input_tokens + (message.usage.cache_read_input_tokens ?? 0));
    }
    const chat = await post('/dedicated/v1/chat/completions/', { model: 'tiny', max_tokens: 4, messages: body().messages });
    assert.equal(chat.status, 200, 'a trailing slash is fine');
    const list = await (await fetch(server.url + '/serverless/v1/openrouter/models')).json();
    assert.equal(list.data[0].id, 'tiny');
    assert.equal(list.data[0].pricing.prompt, '0');
});
