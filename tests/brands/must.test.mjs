// The five tables of fields that the vendors' own pages state: each field takes effect on the answer,
// or is refused by its name.  One test a field, named by it; a row says which of the two it is.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startServer, until } from '../openai/harness.mjs';

// A template that shows whatever a body can hand to one.
const template = `{%- for m in messages -%}<{{ m.role }}>{% if m.reasoning_content %}({{ m.reasoning_content }}){% endif %}{{ m.content }}
{%- for c in m.tool_calls or [] %}[{{ c.function.name }}]{% endfor %}
{% endfor -%}{%- if tools %}{{ tools | tojson }}{% endif -%}{{ extra or '' }}
{%- if add_generation_prompt %}<assistant>{% if enable_thinking %}(think aloud){% endif %}{% endif -%}`;

let server, dir;
before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'confab-must-'));
    writeFileSync(join(dir, 'chat.jinja'), template);
    server = await startServer({ args: ['--max-seqs', '4', '--chat-template', join(dir, 'chat.jinja')] });
});
after(async () => {
    rmSync(dir, { recursive: true });
    assert.equal(await server.stop(), 0, server.log());
});

const post = async (path, body) => {
    const r = await fetch(server.url + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
    const text = await r.text();
    return { status: r.status, headers: r.headers, text };
};
const user = (content) => ({ role: 'user', content });
const messages = [{ role: 'system', content: 'Be brief.' }, user('Name a few seas, please.')];

// How each brand is asked, and what its answer comes to: { text, prompt, output, raw }.
const brands = {
    friendli: {
        path: '/serverless/tools/v1/chat/completions',
        body: { model: 'tiny', messages, max_tokens: 24, seed: 9 },
        read: (text) => {
            const r = JSON.parse(text);
            return { text: r.choices[0].message.content, prompt: r.usage.prompt_tokens, output: r.usage.completion_tokens, raw: r };
        },
    },
    paddler: {
        path: '/api/v1/continue_from_conversation_history?wire=4',
        body: { add_generation_prompt: true, conversation_history: messages, enable_thinking: false, max_tokens: 24 },
        read: (text) => {
            const list = text.trimEnd().split('\n').map((l) => JSON.parse(l));
            const usage = list.at(-1).Response.response.GeneratedToken.Done.usage;
            return { prompt: usage.prompt_tokens, output: usage.content_tokens + usage.reasoning_tokens + usage.tool_call_tokens + usage.undeterminable_tokens, raw: list };
        },
    },
    nugen: {
        path: '/inference/chat_text',
        body: { model: 'tiny', messages, max_tokens: 24, seed: 9 },
        read: (text) => {
            const r = JSON.parse(text);
            return { text: r.choices[0].message.content, prompt: r.usage.prompt_tokens, output: r.usage.completion_tokens, raw: r };
        },
    },
    pawa: {
        path: '/v1/chat/request',
        body: { model: 'tiny', messages, max_tokens: 24, seed: 9 },
        read: (text) => {
            const r = JSON.parse(text);
            const said = JSON.stringify(r).match(/"content":("(?:[^"\\]|\\.)*")/);
            return { text: said && JSON.parse(said[1]), raw: r };
        },
    },
    zylon: {
        path: '/v1/messages',
        body: { messages, max_tokens: 24, seed: 9, temperature: 1, top_k: 0, top_p: 1, min_p: 0 },
        read: (text) => {
            const r = JSON.parse(text);
            return { text: r.content.map((c) => c.text ?? '').join(''), prompt: r.usage.input_tokens, output: r.usage.output_tokens, raw: r };
        },
    },
};
const raw = (brand, more) => post(brands[brand].path, { ...brands[brand].body, ...more });
const ask = async (brand, more = {}) => {
    const r = await raw(brand, more);
    assert.equal(r.status, 200, r.text);
    return brands[brand].read(r.text);
};

// What a row may say of its field.
const differ = (key, a, b) => async (brand, field) => {
    const one = (await ask(brand, a))[key], two = (await ask(brand, b))[key];
    assert.notDeepEqual(one, two, `${field}: the same ${key} either way`);
};
const same = (key, a, b) => async (brand, field) => {
    assert.deepEqual((await ask(brand, a))[key], (await ask(brand, b))[key], field);
};
const both = (...checks) => async (brand, field) => {
    for (const check of checks) await check(brand, field);
};
const exactly = (check, more) => async (brand) => check(await ask(brand, more), await raw(brand, more));
const refused = (more, name) => async (brand, field) => {
    const r = await raw(brand, more);
    assert.ok(r.status >= 400 && r.status < 500, `${field}: ${r.status}`);
    assert.ok(r.text.includes(name ?? field), `${field} is not named: ${r.text}`);
};
// Something that is being built by others, or is built: a refusal names it, an answer shows it.
const effectOrRefused = (more, shows, name) => async (brand, field) => {
    const r = await raw(brand, more);
    if (r.status === 200) assert.ok(shows(brands[brand].read(r.text), r), `${field}: no effect in ${r.text}`);
    else await refused(more, name)(brand, field);
};
const greedyWith = (more, greedy = { temperature: 0 }) => same('text', { temperature: 1, ...more }, greedy);

const tool = { type: 'function', function: { name: 'tide', description: 'Tides of a harbour', parameters: { type: 'object', properties: { harbour: { type: 'string' } }, required: ['harbour'] } } };
const zylonTool = { name: 'tide', description: 'Tides of a harbour', input_schema: { type: 'object', properties: { harbour: { type: 'string' } } } };
const fields = {
    friendli: {
        model: refused({ model: 'nobody' }, 'nobody'),
        messages: both(differ('prompt', {}, { messages: [user('Hi')] }), refused({ messages: [] })),
        chat_template_kwargs: differ('prompt', {}, { chat_template_kwargs: { extra: 'and more words than before' } }),
        eos_token: async () => {
            const plain = await ask('friendli', { temperature: 0 });
            const { tokens } = JSON.parse((await post('/serverless/v1/tokenize', { model: 'tiny', prompt: plain.text })).text);
            const cut = await ask('friendli', { temperature: 0, eos_token: tokens });
            assert.ok(cut.output < plain.output && plain.text.startsWith(cut.text), `${cut.text} of ${plain.text}`);
            assert.equal(cut.raw.choices[0].finish_reason, 'stop');
        },
        frequency_penalty: both(differ('text', { frequency_penalty: -2, temperature: 1 }, { temperature: 1 }), refused({ frequency_penalty: 3 })),
        presence_penalty: both(differ('text', { presence_penalty: -2, temperature: 1 }, { temperature: 1 }), refused({ presence_penalty: 3 })),
        repetition_penalty: both(differ('text', { repetition_penalty: 5 }, {}), refused({ repetition_penalty: 0 })),
        logit_bias: async () => {
            const { tokens } = JSON.parse((await post('/serverless/v1/tokenize', { model: 'tiny', prompt: 'x' })).text);
            const r = await ask('friendli', { logit_bias: { [tokens.at(-1)]: 100 }, max_tokens: 5 });
            assert.match(r.text, /^(x| x)+$/);
        },
        logprobs: effectOrRefused({ logprobs: true }, (r) => r.raw.choices[0].logprobs.content.length > r.output / 2 && r.raw.choices[0].logprobs.content.every((t) => t.logprob <= 0)),
        top_logprobs: both(effectOrRefused({ logprobs: true, top_logprobs: 2 }, (r) => r.raw.choices[0].logprobs.content.every((t) => t.top_logprobs.length === 2), 'logprobs'), refused({ top_logprobs: 2 })),
        max_tokens: both(exactly((r) => assert.ok(r.output <= 3), { max_tokens: 3 }), refused({ max_tokens: 0 })),
        n: both(exactly((r) => assert.equal(r.raw.choices.length, 3), { n: 3 }), refused({ n: 0 })),
        seed: both(same('text', { temperature: 1 }, { temperature: 1 }), differ('text', { temperature: 1, seed: 1 }, { temperature: 1, seed: 2 }),
            exactly((r) => assert.deepEqual(r.raw.choices.map((c) => c.seed), [5, 6]), { n: 2, seed: [5, 6] })),
        stop: async () => {
            const { text } = await ask('friendli', { temperature: 1 });
            const stop = text.slice(3, 5);
            assert.equal((await ask('friendli', { temperature: 1, stop: [stop] })).text, text.slice(0, text.indexOf(stop)));
        },
        stream: async () => {
            const r = await raw('friendli', { stream: true });
            assert.match(r.headers.get('content-type'), /^text\/event-stream/);
            assert.ok(r.text.endsWith('data: [DONE]\n\n'));
        },
        stream_options: async () => {
            const r = await raw('friendli', { stream: true, stream_options: { include_usage: true } });
            assert.match(r.text, /"usage":\{"prompt_tokens":\d+/);
            assert.doesNotMatch((await raw('friendli', { stream: true })).text, /"prompt_tokens"/);
            await refused({ stream_options: { include_usage: true } })('friendli', 'stream_options');
        },
        temperature: both(differ('text', { temperature: 0 }, { temperature: 1.5 }), refused({ temperature: -1 })),
        top_k: both(greedyWith({ top_k: 1 }), refused({ top_k: -2 })),
        top_p: both(greedyWith({ top_p: 1e-9 }), refused({ top_p: 0 })),
        min_p: both(greedyWith({ min_p: 1 }), refused({ min_p: 2 })),
        xtc_threshold: both(differ('text', { temperature: 1, top_k: 2, xtc_threshold: 1e-6, xtc_probability: 1 }, { temperature: 1, top_k: 2, xtc_threshold: 0, xtc_probability: 1 }), refused({ xtc_threshold: 2 })),
        xtc_probability: both(differ('text', { temperature: 1, top_k: 2, xtc_threshold: 1e-6, xtc_probability: 1 }, { temperature: 1, top_k: 2, xtc_threshold: 1e-6, xtc_probability: 0 }), refused({ xtc_probability: 2 })),
        tools: effectOrRefused({ tools: [tool] }, (r, answer) => r.prompt > 40 && answer.status === 200),
        tool_choice: both(refused({ tool_choice: 'often' }), effectOrRefused({ tools: [tool], tool_choice: 'required', max_tokens: 200 }, (r) => r.raw.choices[0].message.tool_calls?.[0].function.name === 'tide' || r.raw.choices[0].finish_reason === 'length', 'tool')),
        parallel_tool_calls: both(refused({ parallel_tool_calls: 'no' }), effectOrRefused({ tools: [tool], parallel_tool_calls: false }, () => true, 'tool')),
        resume_generation: same('text', { temperature: 0 }, { temperature: 0, resume_generation: true }),
    },
    paddler: {
        add_generation_prompt: differ('prompt', {}, { add_generation_prompt: false }),
        conversation_history: both(differ('prompt', {}, { conversation_history: [user('Hi')] }), refused({ conversation_history: undefined })),
        enable_thinking: differ('prompt', {}, { enable_thinking: true }),
        max_tokens: both(exactly((r) => assert.ok(r.output <= 3), { max_tokens: 3 }), exactly((r) => assert.equal(r.output, 0), { max_tokens: 0 }), refused({ max_tokens: '3' })),
        tools: differ('prompt', {}, { tools: [tool] }),
        'thinking in the history': differ('prompt', { conversation_history: [user('a'), { role: 'assistant', content: 'b' }] }, { conversation_history: [user('a'), { role: 'assistant', content: '<think>long thoughts</think>b' }] }),
    },
    nugen: {
        model: refused({ model: 'nobody' }, 'nobody'),
        messages: both(differ('prompt', {}, { messages: [user('Hi')] }), refused({ messages: [] })),
        max_tokens: both(exactly((r) => assert.ok(r.output <= 3), { max_tokens: 3 }), exactly((r) => assert.ok(r.output > 0), { max_tokens: 1e9, stop: ['e', 'a', 'o', ' '] }), refused({ max_tokens: -1 })),
        prompt_truncate_len: async () => {
            const turns = [];
            for (let i = 0; i < 40; i++) turns.push(user(`Turn ${i}`), { role: 'assistant', content: 'Yes, that is what it is.' });
            turns.push(user('Last?'));
            const whole = await ask('nugen', { messages: turns, prompt_truncate_len: null });
            const short = await ask('nugen', { messages: turns, prompt_truncate_len: 60 });
            assert.ok(whole.prompt > 60 && short.prompt <= 60, `${whole.prompt} ${short.prompt}`);
            await refused({ prompt_truncate_len: 0 })('nugen', 'prompt_truncate_len');
        },
        temperature: both(differ('text', { temperature: 0 }, { temperature: 1.5 }), refused({ temperature: 3 })),
    },
    pawa: {
        messages: both(differ('text', { temperature: 0 }, { temperature: 0, messages: [user('Hi')] }), refused({ messages: [] })),
        'messages: content as text or chunks': same('text', { messages: [user('Hi you')] }, { messages: [user([{ type: 'text', text: 'Hi' }, { type: 'text', text: ' you' }])] }),
        'messages: an assistant may open': differ('text', { temperature: 0, messages: [{ role: 'assistant', content: 'Hello!' }, user('Hi')] }, { temperature: 0, messages: [user('Hi')] }),
        'messages: role tool': differ('text', { temperature: 0, messages: [user('Hi'), { role: 'assistant', content: '', tool_calls: [{ id: 'c', type: 'function', function: { name: 'tide', arguments: '{}' } }] }, { role: 'tool', tool_call_id: 'c', content: 'high' }] }, { temperature: 0, messages: [user('Hi')] }),
        'messages: neighbours share no role': refused({ messages: [user('a'), user('b')] }, 'messages'),
        finish_reason: exactly((r) => assert.match(JSON.stringify(r.raw), /"finish_reason":"stop"/), {}),
    },
    zylon: {
        messages: both(differ('prompt', {}, { messages: [user('Hi')] }), refused({ messages: [] })),
        model: both(same('text', {}, { model: 'default' }), same('text', {}, { model: 'tiny' }), refused({ model: 'nobody' }, 'nobody')),
        stream: async () => {
            const r = await raw('zylon', { stream: true });
            assert.match(r.headers.get('content-type'), /^text\/event-stream/);
            assert.match(r.text, /event: message_stop\n/);
        },
        tools: both(effectOrRefused({ tools: [zylonTool] }, (r) => r.prompt > 40, 'tools'), refused({ tools: {} })),
        tool_choice: both(effectOrRefused({ tools: [zylonTool], tool_choice: { type: 'any' }, max_tokens: 200 }, (r) => r.raw.content.some((b) => b.type === 'tool_use') || r.raw.stop_reason === 'max_tokens', 'tool'), refused({ tool_choice: 'any' })),
        tool_context: both(same('text', {}, { tool_context: [] }), refused({ tool_context: {} })),
        mcp_servers: effectOrRefused({ mcp_servers: [{ name: 'x', url: 'http://127.0.0.1:1/mcp' }] }, () => false, "MCP server 'x'"),
        response_format: both(same('text', {}, { response_format: { type: 'text' } }),
            effectOrRefused({ response_format: { type: 'json_schema', json_schema: { type: 'object', properties: { a: { type: 'boolean' } }, required: ['a'], additionalProperties: false } }, max_tokens: 100 }, (r) => typeof JSON.parse(r.text).a === 'boolean'),
            refused({ response_format: { type: 'poem' } })),
        system: both(differ('prompt', { messages: [user('Hi')] }, { messages: [user('Hi')], system: { text: 'Be as brief as you can.' } }),
            differ('prompt', { messages: [user('Hi')] }, { messages: [user('Hi')], system: { use_default_prompt: true } }),
            same('text', {}, { system: { citations: { enabled: true } } })),
        thinking: both(differ('prompt', {}, { thinking: { enabled: true } }), refused({ thinking: true })),
        priority: refused({ priority: 1e12 }),
        seed: both(same('text', {}, {}), differ('text', { seed: 1 }, { seed: 2 }), refused({ seed: 'x' })),
        min_p: greedyWith({ min_p: 1 }),
        top_p: both(greedyWith({ top_p: 0 }), refused({ top_p: 2 })),
        temperature: both(differ('text', { temperature: 0 }, { temperature: 1 }), refused({ temperature: 1.5 })),
        top_k: both(greedyWith({ top_k: 1 }), refused({ top_k: -1 })),
        repetition_penalty: differ('text', { repetition_penalty: 5 }, {}),
        presence_penalty: differ('text', { presence_penalty: 2, temperature: 0, max_tokens: 60 }, { temperature: 0, max_tokens: 60 }),
        frequency_penalty: differ('text', { frequency_penalty: 2, temperature: 0, max_tokens: 60 }, { temperature: 0, max_tokens: 60 }),
        max_tokens: exactly((r) => assert.ok(r.output <= 3), { max_tokens: 3 }),
        correlation_id: exactly((r, answer) => assert.equal(answer.headers.get('x-correlation-id'), 'trace-7'), { correlation_id: 'trace-7' }),
    },
};
for (const [brand, rows] of Object.entries(fields))
    for (const [field, check] of Object.entries(rows)) test(`${brand}: ${field}`, () => check(brand, field));

// priority is about who comes first: one place, taken; then 2 and 0 ask, and 0 is answered first.
test('zylon: priority decides who comes first', async () => {
    const own = await startServer({ endless: true, args: ['--max-seqs', '1', '--queue', '8'] });
    const go = (path, body) => fetch(own.url + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
    const start = async (id, more) => (await go(`/v1/messages/async?message_id=${id}`, { messages: [user('Hi')], ...more })).status;
    const status = async (id) => (await (await fetch(`${own.url}/v1/messages/async/${id}/status`)).json());
    assert.equal(await start('first', { max_tokens: 100000 }), 200);
    await until(async () => (await status('first')).status === 'processing', 'the first runs');
    assert.equal(await start('behind', { max_tokens: 100000, priority: 2 }), 200);
    assert.equal(await start('before', { max_tokens: 4, priority: 0 }), 200);
    await until(async () => (await own.metric('waiting')) === 2, 'two wait');
    await go('/v1/messages/async/first/cancel', {});
    await until(async () => (await status('before')).status === 'completed', 'the important one is answered');
    await until(async () => (await status('behind')).status === 'processing', 'then the other runs');
    await go('/v1/messages/async/behind/cancel', {});
    assert.equal(await own.stop(), 0, own.log());
});
