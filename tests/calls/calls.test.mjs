// Tool calls and thinking of the starter model through the vendors' own clients, plain and streamed.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import Anthropic from '@anthropic-ai/sdk';
import { createFriendli } from '@friendliai/ai-provider';
import { generateText, jsonSchema, stepCountIs, streamText, tool } from 'ai';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { startServer } from '../openai/harness.mjs';

let server, openai, anthropic, friendli, ollama;

before(async () => {
    server = await startServer({ model: fileURLToPath(new URL('../../models/starter/confab-starter.gguf', import.meta.url)) });
    openai = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
    anthropic = new Anthropic({ baseURL: server.url, authToken: 'none', maxRetries: 0 });
    friendli = createFriendli({ apiKey: 'none', baseURL: `${server.url}/serverless/v1` });
    ollama = new Ollama({ host: server.url });
});
after(async () => {
    assert.equal(await server.stop(), 0, server.log());
});

const question = 'What is the weather in Oslo?';
const description = 'Current weather of a city';
const parameters = { type: 'object', properties: { city: { type: 'string', maxLength: 20 } }, required: ['city'], additionalProperties: false };
const weather = { type: 'function', function: { name: 'get_weather', description, parameters } };
const clock = { type: 'function', function: { name: 'get_time', description: 'The time now', parameters: { type: 'object', properties: {} } } };
const ask = (more = {}) => ({ model: 'tiny', temperature: 0, messages: [{ role: 'user', content: question }], tools: [weather], ...more });
const post = async (path, body, headers = {}) => {
    const r = await fetch(server.url + path, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) });
    return { status: r.status, text: await r.text() };
};
const isCity = (args) => {
    assert.deepEqual(Object.keys(args), ['city']);
    assert.equal(typeof args.city, 'string');
    assert.ok([...args.city].length <= 20);
};

test('openai: a call, then its result in the history', async () => {
    for (const tool_choice of ['required', { type: 'function', function: { name: 'get_weather' } }]) {
        const r = await openai.chat.completions.create(ask({ tool_choice }));
        const [choice] = r.choices;
        assert.equal(choice.finish_reason, 'tool_calls');
        assert.equal(choice.message.content, null);
        const [call] = choice.message.tool_calls;
        assert.match(call.id, /^call_[A-Za-z0-9]{24}$/);
        assert.equal(call.function.name, 'get_weather');
        isCity(JSON.parse(call.function.arguments));
        const next = await openai.chat.completions.create(ask({
            messages: [{ role: 'user', content: question }, choice.message, { role: 'tool', tool_call_id: call.id, content: '{"temp": 4}' }],
        }));
        assert.ok(next.choices[0].message.content.length > 0);
        assert.ok(next.usage.prompt_tokens > r.usage.prompt_tokens);
    }
});

test('openai: the streamed call is the whole one, through the stream helper and by hand', async () => {
    const body = ask({ tool_choice: 'required', seed: 3 });
    const whole = await openai.chat.completions.create(body);
    const helper = await openai.chat.completions.stream(body).finalChatCompletion();
    const strip = (m) => m.tool_calls.map((c) => [c.function.name, c.function.arguments]);
    assert.deepEqual(strip(helper.choices[0].message), strip(whole.choices[0].message));
    let name = '', args = '', pieces = 0, text = '';
    for await (const chunk of await openai.chat.completions.create({ ...body, stream: true })) {
        const delta = chunk.choices[0]?.delta ?? {};
        text += delta.content ?? '';
        for (const c of delta.tool_calls ?? []) {
            assert.equal(c.index, 0);
            if (c.id) name = c.function.name;
            args += c.function.arguments;
            pieces++;
        }
    }
    assert.deepEqual([[name, args]], strip(whole.choices[0].message));
    assert.ok(pieces > 2, 'arguments come in pieces');
    assert.equal(text, '');
});

test('openai: the run helper calls a function and goes on with what it says', async () => {
    const seen = [];
    const runner = openai.chat.completions.runTools({
        ...ask({ tools: undefined, tool_choice: { type: 'function', function: { name: 'get_weather' } } }),
        tools: [{ type: 'function', function: { ...weather.function, parse: JSON.parse, function: (args) => { seen.push(args); return 'rain'; } } }],
    });
    await runner.finalChatCompletion();
    assert.ok(seen.length >= 1);
    seen.forEach(isCity);
});

test('openai: none and auto; several tools; one call at most', async () => {
    const none = await openai.chat.completions.create(ask({ tool_choice: 'none' }));
    assert.equal(none.choices[0].message.tool_calls, undefined);
    assert.ok(!none.choices[0].message.content.includes('<tool_call>'));
    const auto = await openai.chat.completions.create(ask());
    if (auto.choices[0].finish_reason === 'tool_calls') isCity(JSON.parse(auto.choices[0].message.tool_calls[0].function.arguments));
    for (let seed = 0; seed < 6; seed++) {
        const r = await openai.chat.completions.create(ask({ tools: [weather, clock], tool_choice: 'required', parallel_tool_calls: false, temperature: 1, seed, messages: [{ role: 'user', content: 'Weather in Rome, and the time?' }] }));
        assert.equal(r.choices[0].message.tool_calls.length, 1);
    }
    const allowed = await openai.chat.completions.create(ask({ tools: [weather, clock], tool_choice: { type: 'allowed_tools', allowed_tools: { mode: 'required', tools: [{ type: 'function', function: { name: 'get_time' } }] } } }));
    assert.ok(allowed.choices[0].message.tool_calls.every((c) => c.function.name === 'get_time'));
});

test('openai: a demanded call that has no room shows no markup', async () => {
    for (let max_tokens = 1; max_tokens < 8; max_tokens++) {
        const body = ask({ tool_choice: 'required', max_tokens });
        const { finish_reason, message } = (await openai.chat.completions.create(body)).choices[0];
        assert.equal(finish_reason, 'length');
        assert.equal(message.content ?? '', '');
        let text = '';
        for await (const chunk of await openai.chat.completions.create({ ...body, stream: true })) text += chunk.choices[0]?.delta.content ?? '';
        assert.equal(text, '');
    }
});

test('openai: the same seed gives the same calls; refusals name the field', async () => {
    const body = ask({ tool_choice: 'required', temperature: 1, seed: 11, n: 2 });
    const [a, b] = [await openai.chat.completions.create(body), await openai.chat.completions.create(body)];
    const strip = (r) => r.choices.map((c) => c.message.tool_calls.map((t) => [t.function.name, t.function.arguments]));
    assert.deepEqual(strip(a), strip(b));
    const ids = a.choices.flatMap((c) => c.message.tool_calls.map((t) => t.id));
    assert.equal(new Set(ids).size, ids.length);
    const rows = [
        [{ tools: [weather, weather] }, 'tools[1].function.name'],
        [{ tools: [{ type: 'custom', custom: { name: 'x' } }] }, 'tools[0].type'],
        [{ tools: undefined, tool_choice: 'required' }, 'tool_choice'],
        [{ tool_choice: { type: 'function', function: { name: 'nope' } } }, 'tool_choice'],
        [{ tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object', properties: { a: { $ref: '#/nowhere' } } } } }] }, 'tools[0].function.parameters/properties/a/$ref'],
        [{ messages: [{ role: 'user', content: 'x' }, { role: 'assistant', tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: '[' } }] }] }, 'messages[1].tool_calls[0]'],
        [{ messages: [{ role: 'tool', content: 'x' }] }, 'messages[0].tool_call_id'],
    ];
    for (const [more, param] of rows)
        await assert.rejects(openai.chat.completions.create(ask(more)), (e) => {
            assert.equal(e.status, 400, param);
            assert.equal(e.param, param);
            return true;
        });
});

test('openai: functions and function_call, the older way', async () => {
    const get = weather.function, old = (more) => ask({ tools: undefined, functions: [get], ...more });
    const named = old({ function_call: { name: 'get_weather' }, temperature: 1, seed: 5 });
    const r = await openai.chat.completions.create(named);
    const { message, finish_reason } = r.choices[0];
    assert.equal(finish_reason, 'function_call');
    assert.equal(message.content, null);
    assert.equal(message.tool_calls, undefined);
    assert.equal(message.function_call.name, 'get_weather');
    isCity(JSON.parse(message.function_call.arguments));
    // The same as tools of the newer way, and as the stream.
    const newer = await openai.chat.completions.create(ask({ tool_choice: { type: 'function', function: { name: 'get_weather' } }, parallel_tool_calls: false, temperature: 1, seed: 5 }));
    assert.deepEqual(message.function_call, newer.choices[0].message.tool_calls[0].function);
    for (const count of ['prompt_tokens', 'completion_tokens']) assert.equal(r.usage[count], newer.usage[count]);
    const helper = await openai.chat.completions.stream(named).finalChatCompletion();
    assert.equal(helper.choices[0].finish_reason, 'function_call');
    assert.deepEqual(helper.choices[0].message.function_call, message.function_call);
    // The history: as calls and results of tools, both ways the same prompt.
    const told = old({ messages: [{ role: 'user', content: question }, message, { role: 'function', name: 'get_weather', content: '{"temp": 4}' }] });
    const next = await openai.chat.completions.create(told);
    const same = await openai.chat.completions.create(ask({ parallel_tool_calls: false, messages: [{ role: 'user', content: question }, newer.choices[0].message, { role: 'tool', tool_call_id: newer.choices[0].message.tool_calls[0].id, content: '{"temp": 4}' }] }));
    assert.ok(next.choices[0].message.content.length > 0);
    assert.equal(next.choices[0].message.content, same.choices[0].message.content);
    assert.equal(next.usage.prompt_tokens, same.usage.prompt_tokens);
    const none = await openai.chat.completions.create(old({ function_call: 'none' }));
    assert.equal(none.choices[0].message.function_call, undefined);
    assert.equal((await openai.chat.completions.create(ask({ tools: undefined, functions: [], function_call: 'auto' }))).choices[0].finish_reason, 'stop');
    const user = { role: 'user', content: 'x' };
    const rows = [
        [{ functions: [get, get] }, 'functions[1].name'],
        [{ functions: [{ name: 'a b' }] }, 'functions[0].name'],
        [{ functions: Array(129).fill(get) }, 'functions'],
        [{ functions: [{ name: 'f', parameters: { type: 'object', properties: { a: { $ref: '#/nowhere' } } } }] }, 'functions[0].parameters/properties/a/$ref'],
        [{ tools: [weather] }, 'functions'],
        [{ tool_choice: 'auto' }, 'functions'],
        [{ function_call: { name: 'nope' } }, 'function_call'],
        [{ function_call: 'always' }, 'function_call'],
        [{ functions: undefined, function_call: { name: 'get_weather' } }, 'function_call'],
        [{ messages: [user, { role: 'function', content: 'x' }] }, 'messages[1].name'],
        [{ messages: [user, { role: 'assistant', function_call: { name: 'f', arguments: '[' } }] }, 'messages[1].function_call[0]'],
        [{ messages: [user, { role: 'assistant', function_call: { arguments: '{}' } }] }, 'messages[1].function_call'],
        [{ messages: [user, { role: 'assistant', function_call: { name: 'f', arguments: '{}' }, tool_calls: newer.choices[0].message.tool_calls }] }, 'messages[1].function_call'],
    ];
    for (const [more, param] of rows)
        await assert.rejects(openai.chat.completions.create(old(more)), (e) => {
            assert.equal(e.status, 400, param);
            assert.equal(e.param, param);
            return true;
        });
});

test('openai: tools count into the prompt, and its error has both numbers', async () => {
    const bare = await openai.chat.completions.create(ask({ tools: undefined, max_tokens: 1 }));
    const with1 = await openai.chat.completions.create(ask({ max_tokens: 1 }));
    const with2 = await openai.chat.completions.create(ask({ tools: [weather, clock], max_tokens: 1 }));
    assert.ok(bare.usage.prompt_tokens < with1.usage.prompt_tokens && with1.usage.prompt_tokens < with2.usage.prompt_tokens);
    const many = Array.from({ length: 200 }, (_, i) => ({ type: 'function', function: { ...weather.function, name: `tool_${i}`, description: 'word '.repeat(40) } }));
    await assert.rejects(openai.chat.completions.create(ask({ tools: many })), (e) => e.status === 400 && e.code === 'context_length_exceeded' && /\d+ tokens.* \d+ tokens/.test(e.message));
});

test('openai: thinking is told apart, counted, hidden or left in the text', async () => {
    const body = ask({ tools: undefined, messages: [{ role: 'user', content: 'What is 12 + 7?' }], chat_template_kwargs: { enable_thinking: true } });
    const r = await openai.chat.completions.create(body);
    const { content, reasoning_content: thought } = r.choices[0].message;
    assert.ok(thought.length > 0 && content.length > 0);
    assert.ok(!/<\/?think>/.test(thought + content));
    assert.ok(r.usage.completion_tokens_details.reasoning_tokens > 0);
    assert.ok(r.usage.completion_tokens_details.reasoning_tokens < r.usage.completion_tokens);
    let streamed = '', said = '';
    for await (const chunk of await openai.chat.completions.create({ ...body, stream: true })) {
        streamed += chunk.choices[0]?.delta.reasoning_content ?? '';
        said += chunk.choices[0]?.delta.content ?? '';
    }
    assert.deepEqual([streamed, said], [thought, content]);
    const hidden = await openai.chat.completions.create({ ...body, include_reasoning: false });
    assert.deepEqual([hidden.choices[0].message.reasoning_content, hidden.choices[0].message.content], [undefined, content]);
    const raw = await openai.chat.completions.create({ ...body, parse_reasoning: false });
    assert.equal(raw.choices[0].message.reasoning_content, undefined);
    assert.ok(raw.choices[0].message.content.startsWith(thought) && raw.choices[0].message.content.includes('</think>'));
    const off = await openai.chat.completions.create({ ...body, chat_template_kwargs: { enable_thinking: false } });
    assert.equal(off.choices[0].message.reasoning_content, undefined);
});

test('openai: thinking goes before a call', async () => {
    const r = await openai.chat.completions.create(ask({ tool_choice: 'required', chat_template_kwargs: { enable_thinking: true }, max_tokens: 300 }));
    if (r.choices[0].finish_reason === 'length') return;
    assert.ok(r.choices[0].message.reasoning_content.length > 0);
    isCity(JSON.parse(r.choices[0].message.tool_calls[0].function.arguments));
});

const anthropicTool = { name: 'get_weather', description, input_schema: parameters };
const anthropicAsk = (more = {}) => ({ model: 'tiny', max_tokens: 200, messages: [{ role: 'user', content: question }], tools: [anthropicTool], ...more });

test('anthropic: a call, its result, streamed and not', async () => {
    for (const tool_choice of [{ type: 'any' }, { type: 'tool', name: 'get_weather' }]) {
        const r = await anthropic.messages.create(anthropicAsk({ tool_choice }));
        assert.equal(r.stop_reason, 'tool_use');
        const [block] = r.content;
        assert.equal(block.type, 'tool_use');
        assert.match(block.id, /^toolu_/);
        isCity(block.input);
        const next = await anthropic.messages.create(anthropicAsk({
            messages: [{ role: 'user', content: question }, { role: 'assistant', content: r.content }, { role: 'user', content: [{ type: 'tool_result', tool_use_id: block.id, content: '{"temp": 4}' }] }],
        }));
        assert.ok(['end_turn', 'tool_use', 'max_tokens'].includes(next.stop_reason));
        const streamed = await anthropic.messages.stream(anthropicAsk({ tool_choice })).finalMessage();
        assert.equal(streamed.stop_reason, 'tool_use');
        isCity(streamed.content[0].input);
    }
    await assert.rejects(anthropic.messages.create(anthropicAsk({ tool_choice: { type: 'tool', name: 'nope' } })), (e) => e.status === 400);
    const none = await anthropic.messages.create(anthropicAsk({ tool_choice: { type: 'none' } }));
    assert.ok(none.content.every((b) => b.type === 'text'));
    const { input_tokens } = await anthropic.messages.countTokens({ model: 'tiny', messages: anthropicAsk().messages, tools: [anthropicTool] });
    const used = await anthropic.messages.create(anthropicAsk());
    assert.equal(used.usage.input_tokens + used.usage.cache_read_input_tokens, input_tokens);
});

test('a schema that is refused is named in the words of each dialect', async () => {
    const schema = { type: 'object', properties: { a: { type: 'string' }, b: { $ref: '#/nowhere' } } };
    const rows = [
        ['/v1/chat/completions', { messages: [{ role: 'user', content: 'x' }], tools: [weather, { type: 'function', function: { name: 'f', parameters: schema } }] }, 'tools[1].function.parameters/properties/b/$ref'],
        ['/v1/responses', { input: 'x', tools: [{ type: 'function', name: 'f', parameters: schema }] }, 'tools[0].parameters/properties/b/$ref'],
        ['/v1/messages', { model: 'tiny', max_tokens: 9, messages: [{ role: 'user', content: 'x' }], tools: [{ name: 'f', input_schema: schema }] }, 'tools[0].input_schema/properties/b/$ref'],
    ];
    for (const [path, body, place] of rows) {
        const { status, text } = await post(path, body, { 'anthropic-version': '2023-06-01' });
        assert.equal(status, 400);
        assert.ok(text.includes(`'${place}'`), text);
    }
});

test('anthropic: thinking blocks', async () => {
    const body = { model: 'tiny', max_tokens: 2000, thinking: { type: 'adaptive' }, messages: [{ role: 'user', content: 'What is 12 + 7?' }] };
    for (const r of [await anthropic.messages.create(body), await anthropic.messages.stream(body).finalMessage()]) {
        assert.equal(r.content[0].type, 'thinking');
        assert.ok(r.content[0].thinking.length > 0);
        assert.equal(r.content[1].type, 'text');
        assert.ok(!/<\/?think>/.test(JSON.stringify(r.content)));
    }
});

test('zylon: a call in one piece, results in either role', async () => {
    const body = { messages: [{ role: 'user', content: question }], tools: [{ name: 'get_weather', description, inputSchema: parameters }], tool_choice: { type: 'any' }, temperature: 0 };
    const whole = JSON.parse((await post('/api/gpt/v1/messages', body)).text);
    assert.equal(whole.stop_reason, 'tool_use');
    const [block] = whole.content;
    isCity(block.input);
    const stream = (await post('/api/gpt/v1/messages', { ...body, stream: true })).text;
    const deltas = [...stream.matchAll(/^data: (.*input_json_delta.*)$/gm)].map((m) => JSON.parse(m[1]).delta);
    assert.equal(deltas.length, 1);
    assert.deepEqual(JSON.parse(deltas[0].partial_json), deltas[0].partial_json_obj);
    isCity(deltas[0].partial_json_obj);
    for (const result of [{ role: 'user', content: [{ type: 'tool_result', tool_use_id: block.id, content: '4 C' }] }, { role: 'assistant', content: [{ type: 'tool_result', tool_use_id: block.id, content: [{ type: 'text', text: '4 C' }] }] }]) {
        const r = await post('/api/gpt/v1/messages', { ...body, tool_choice: { type: 'auto' }, messages: [...body.messages, { role: 'assistant', content: whole.content }, result] });
        assert.equal(r.status, 200, r.text);
    }
    const demanded = JSON.parse((await post('/api/gpt/v1/messages', { ...body, tool_choice: undefined, response_format: { type: 'tool_call', name: 'get_weather' } })).text);
    assert.equal(demanded.stop_reason, 'tool_use');
});

const aiTools = (seen) => ({ get_weather: tool({ description, inputSchema: jsonSchema(parameters), execute: async (args) => (seen.push(args), { temp: 4 }) }) });

test('friendli: the provider runs a tool and goes on, plain and streamed', async () => {
    const settings = { model: friendli('tiny'), prompt: question, temperature: 0, toolChoice: 'required', stopWhen: stepCountIs(1), maxRetries: 0 };
    const seen = [];
    const r = await generateText({ ...settings, tools: aiTools(seen) });
    assert.equal(r.finishReason, 'tool-calls');
    assert.equal(r.toolCalls[0].toolName, 'get_weather');
    const streamed = streamText({ ...settings, tools: aiTools(seen) });
    for await (const part of streamed.fullStream) assert.notEqual(part.type, 'error', JSON.stringify(part));
    assert.deepEqual((await streamed.toolCalls).map((c) => c.input), r.toolCalls.map((c) => c.input));
    assert.ok(seen.length >= 2);
    seen.forEach(isCity);
    const two = await generateText({ ...settings, toolChoice: 'auto', stopWhen: stepCountIs(3), tools: aiTools([]) });
    assert.ok(two.steps.length >= 1);
});

test('friendli: parsed thinking; combinations that contradict', async () => {
    const thinking = { model: 'tiny', temperature: 0, messages: [{ role: 'user', content: 'What is 12 + 7?' }], chat_template_kwargs: { enable_thinking: true }, parse_reasoning: true };
    const r = JSON.parse((await post('/serverless/v1/chat/completions', thinking)).text);
    assert.ok(r.choices[0].message.reasoning_content.length > 0 && r.usage.completion_tokens_details.reasoning_tokens > 0);
    const stream = (await post('/serverless/v1/chat/completions', { ...thinking, stream: true })).text;
    const first = JSON.parse(/^data: (.*)$/m.exec(stream)[1]).choices[0].delta;
    assert.equal(first.role, 'assistant');
    assert.ok(first.reasoning_content.length > 0 && !('content' in first));
    const none = JSON.parse((await post('/serverless/v1/chat/completions', ask({ tool_choice: 'none', max_tokens: 1 }))).text);
    const bare = JSON.parse((await post('/serverless/v1/chat/completions', ask({ tools: undefined, max_tokens: 1 }))).text);
    assert.equal(none.usage.prompt_tokens, bare.usage.prompt_tokens, 'tools that cannot be called are not shown');
    for (const [more, param] of [[{ min_tokens: 3 }, 'min_tokens'], [{ tool_choice: { type: 'function', function: { name: 'no' } } }, 'tool_choice']]) {
        const e = await post('/serverless/v1/chat/completions', ask(more));
        assert.equal(e.status, 422);
        assert.equal(JSON.parse(e.text).error.param, param);
    }
});

test('ollama: a call as an object, thinking apart', async () => {
    const call = await ollama.chat({ model: 'tiny', messages: [{ role: 'user', content: question }], tools: [weather], options: { temperature: 0 } });
    for (const c of call.message.tool_calls ?? []) isCity(c.function.arguments);
    const next = await ollama.chat({
        model: 'tiny', tools: [weather], options: { temperature: 0 },
        messages: [{ role: 'user', content: question }, { role: 'assistant', content: '', tool_calls: [{ function: { name: 'get_weather', arguments: { city: 'Oslo' } } }] }, { role: 'tool', tool_name: 'get_weather', content: '4 C' }],
    });
    assert.ok(next.message.content.length > 0);
    const thought = await ollama.chat({ model: 'tiny', messages: [{ role: 'user', content: 'What is 12 + 7?' }], think: true, options: { temperature: 0 } });
    assert.ok(thought.message.thinking.length > 0 && thought.message.content.length > 0);
    const quiet = await ollama.chat({ model: 'tiny', messages: [{ role: 'user', content: 'What is 12 + 7?' }], think: false, options: { temperature: 0 } });
    assert.equal(quiet.message.thinking, undefined);
    const shown = await ollama.show({ model: 'tiny' });
    assert.ok(shown.capabilities.includes('tools') && shown.capabilities.includes('thinking'));
});

test('nugen and pawa: calls in their words', async () => {
    const nugen = JSON.parse((await post('/inference/chat_text', ask({ tool_choice: 'required' }))).text);
    assert.equal(nugen.choices[0].finish_reason, 'tool_calls');
    isCity(JSON.parse(nugen.choices[0].message.tool_calls[0].function.arguments));
    const pawa = JSON.parse((await post('/v1/chat/request', ask({ tool_choice: 'required' }))).text).data.request[0];
    assert.equal(pawa.finish_reason, 'tool');
    assert.equal(pawa.message.content, '');
    assert.equal(pawa.message.tool_calls.length, 1);
    isCity(JSON.parse(pawa.message.tool_calls[0].function.arguments));
    const next = await post('/v1/chat/request', ask({ messages: [{ role: 'user', content: question }, pawa.message, { role: 'tool', tool_call_id: pawa.message.tool_calls[0].id, content: '4 C' }] }));
    assert.equal(next.status, 200, next.text);
});

test('paddler: raw in the older shape, parsed in the current one', async () => {
    const body = {
        add_generation_prompt: true, enable_thinking: false, max_tokens: 80, tools: [weather],
        conversation_history: [{ role: 'user', content: question }],
    };
    const kinds = async (more) => (await post('/api/v1/continue_from_conversation_history', { ...body, ...more })).text.trim().split('\n').map((l) => JSON.parse(l).Response.response.GeneratedToken);
    const older = (await kinds({})).map((g) => g.Token ?? '').join('');
    const current = await kinds({ parse_tool_calls: true });
    if (older.includes('<tool_call>')) assert.match(older, /<tool_call>\s*\{"name": "get_weather", "arguments": \{/);
    const parsed = current.find((g) => g.ToolCallParsed)?.ToolCallParsed;
    for (const c of parsed ?? []) isCity(c.arguments.ValidJson);
    const thinking = await kinds({ tools: undefined, parse_tool_calls: false, enable_thinking: true, conversation_history: [{ role: 'user', content: 'What is 12 + 7?' }] });
    assert.ok(thinking.some((g) => g.ReasoningToken) && thinking.some((g) => g.ContentToken));
    assert.ok(thinking.at(-1).Done.usage.reasoning_tokens > 0);
    assert.ok(!thinking.some((g) => /<\/?think>/.test(g.ReasoningToken ?? g.ContentToken ?? '')));
});

// What a live server sends, byte for byte, but for ids, times, counts and the city that the model wrote.
test('the brands without a client: a whole answer with a call', async () => {
    const plain = (text) => text
        .replace(/"((?:call|chat|msg|tool)_|nugen-)[A-Za-z0-9]{24,32}"/g, '"$1ID"').replace(/"request_id":"[A-Za-z0-9]{24}"/g, '"request_id":"ID"')
        .replace(/"created":\d+/, '"created":0').replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME').replace(/("(?:\w*tokens\w*|tokens_in|tokens_out)"):\d+/g, '$1:0')
        .replace(/(\\?"city\\?": ?\\?")[^"\\]{1,20}/g, '$1CITY');
    const call = { tool_choice: 'required' };
    const zylon = { max_tokens: 80, messages: [{ role: 'user', content: question }], tools: [{ name: 'get_weather', description, input_schema: parameters }], tool_choice: { type: 'any' } };
    const paddler = { add_generation_prompt: true, enable_thinking: false, max_tokens: 80, tools: [weather], conversation_history: [{ role: 'user', content: question }], parse_tool_calls: true };
    const rows = [
        ['/inference/chat_text', ask(call), '{"id":"nugen-ID","object":"chat.completion","created":0,"model":"tiny","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"call_ID","type":"function","function":{"name":"get_weather","arguments":"{\\"city\\": \\"CITY\\"}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}'],
        ['/v1/chat/request', ask(call), '{"success":true,"message":"Chat request processed successfully","data":{"id":"chat_ID","request":[{"finish_reason":"tool","message":{"role":"assistant","content":"","tool_calls":[{"id":"call_ID","type":"function","function":{"name":"get_weather","arguments":"{\\"city\\": \\"CITY\\"}"}}]},"matched_stop":null}],"created":0,"model":"tiny","object":"chat.request","usage":{"tokens_in":0,"tokens_out":0}}}'],
        ['/api/gpt/v1/messages', zylon, '{"id":"msg_ID","type":"message","role":"assistant","content":[{"type":"tool_use","start_timestamp":"TIME","stop_timestamp":"TIME","id":"tool_ID","name":"get_weather","input":{"city":"CITY"}}],"model":"tiny","container":null,"stop_details":null,"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":0,"output_tokens":0}}'],
    ];
    for (const [path, body, want] of rows) assert.equal(plain((await post(path, body)).text), want, path);
    // Paddler draws: whether it calls is the model's, what a call looks like is not.
    const text = plain((await post('/api/v1/continue_from_conversation_history', paddler)).text).split('\n').filter((l) => /ToolCallParsed|Done/.test(l));
    const head = '{"Response":{"generated_by":null,"request_id":"ID","response":{"GeneratedToken":';
    const done = `${head}{"Done":{"usage":{"prompt_tokens":0,"cached_prompt_tokens":0,"input_image_tokens":0,"input_audio_tokens":0,"content_tokens":0,"reasoning_tokens":0,"tool_call_tokens":0,"undeterminable_tokens":0}}}}}}`;
    if (text.length > 1) assert.equal(text[0], `${head}{"ToolCallParsed":[{"id":"call_ID","name":"get_weather","arguments":{"ValidJson":{"city":"CITY"}}}]}}}}`);
    assert.equal(text.at(-1), done);
    const wrong = { ...paddler, tools: [{ ...weather, function: { ...weather.function, parameters: { type: 'object', properties: { city: { type: 'string', pattern: '(?=a)b' } } } } }] };
    const refused = plain((await post('/api/v1/continue_from_conversation_history', wrong)).text);
    assert.match(refused, /^\{"Response":\{"generated_by":null,"request_id":"ID","response":\{"GeneratedToken":\{"ToolSchemaInvalid":"[^"]*tools\[0\].function.parameters[^"]*look-ahead[^"]*"\}\}\}\}\n$/);
    const { parse_tool_calls, ...older } = wrong;
    const error = JSON.parse((await post('/api/v1/continue_from_conversation_history', older)).text).Error.error;
    assert.equal(error.code, 400);
    assert.match(error.description, /look-ahead/);
});
