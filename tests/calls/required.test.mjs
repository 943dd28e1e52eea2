// A demanded call is a valid one, on a model of random weights, whatever it would have liked to say:
// required and named, streamed and not, in four dialects.  RUNS (default 24) is their number.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import Ajv from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { startServer } from '../openai/harness.mjs';

const runs = Number(process.env.RUNS ?? 24);
let server;

before(async () => {
    server = await startServer({ args: ['--max-seqs', '8', ...(process.env.SERVE_ARGS?.split(' ') ?? [])] });
});
after(async () => {
    assert.equal(await server.stop(), 0, server.log());
});

const schemas = {
    get_weather: { type: 'object', properties: { city: { type: 'string' }, unit: { enum: ['C', 'F'] }, days: { type: 'integer', minimum: 1, maximum: 14 } }, required: ['city', 'unit'], additionalProperties: false },
    book: { type: 'object', properties: { when: { type: 'string', format: 'date' }, seats: { type: 'array', items: { type: 'integer', minimum: 0, maximum: 99 }, minItems: 1, maxItems: 3 }, vip: { type: 'boolean' } }, required: ['when', 'seats'] },
    now: { type: 'object', properties: {} },
    tree: { type: 'object', properties: { root: { $ref: '#/$defs/node' } }, required: ['root'], $defs: { node: { type: 'object', properties: { v: { type: 'integer', minimum: 0, maximum: 9 }, kids: { type: 'array', items: { $ref: '#/$defs/leaf' }, maxItems: 2 } }, required: ['v'], additionalProperties: false }, leaf: { type: 'string', pattern: '^[a-z]{1,3}$' } } },
};
const names = Object.keys(schemas);
const ajv = new Ajv({ strict: false });
addFormats(ajv);
const checks = Object.fromEntries(names.map((n) => [n, ajv.compile(schemas[n])]));

const isValid = (calls, named) => {
    assert.ok(calls.length > 0, 'no call');
    for (const [name, args] of calls) {
        assert.ok(names.includes(name), name);
        if (named) assert.equal(name, named);
        assert.ok(checks[name](args), `${name} ${JSON.stringify(args)}: ${ajv.errorsText(checks[name].errors)}`);
    }
};

const post = async (path, body) => {
    const version = path.startsWith('/v1/messages') ? { 'anthropic-version': '2023-06-01' } : {};
    const r = await fetch(server.url + path, { method: 'POST', headers: { 'content-type': 'application/json', ...version }, body: JSON.stringify(body) });
    const text = await r.text();
    assert.equal(r.status, 200, text);
    return text;
};
const frames = (text) => [...text.matchAll(/^data: (\{.*\})$/gm)].map((m) => JSON.parse(m[1]));
const messages = [{ role: 'user', content: 'Do something.' }];

// OpenAI's shape, also FriendliAI's: [name, arguments] of every call.
const likeOpenai = async (path, named, stream, seed) => {
    const tools = names.map((name) => ({ type: 'function', function: { name, description: name, parameters: schemas[name] } }));
    const text = await post(path, {
        model: 'tiny', messages, tools, stream, seed, temperature: 1,
        tool_choice: named ? { type: 'function', function: { name: named } } : 'required',
    });
    const calls = [];
    let finish;
    if (!stream) {
        const [choice] = JSON.parse(text).choices;
        finish = choice.finish_reason;
        assert.equal(choice.message.content, null);
        for (const c of choice.message.tool_calls ?? []) calls.push([c.function.name, c.function.arguments]);
    } else {
        for (const f of frames(text)) {
            const [choice] = f.choices;
            finish = choice?.finish_reason ?? finish;
            assert.ok(!choice?.delta.content);
            for (const c of choice?.delta.tool_calls ?? [])
                if (c.id) calls[c.index] = [c.function.name, ''];
                else calls[c.index][1] += c.function.arguments;
        }
    }
    assert.equal(finish, 'tool_calls');
    return calls.map(([name, args]) => [name, JSON.parse(args)]);
};

// The messages wire: Anthropic's and Zylon's.
const likeAnthropic = async (path, named, stream, seed) => {
    const tools = names.map((name) => ({ name, description: name, input_schema: schemas[name] }));
    const text = await post(path, {
        model: 'tiny', max_tokens: 1500, messages, tools, stream, seed, temperature: 1,
        tool_choice: named ? { type: 'tool', name: named } : { type: 'any' },
    });
    if (!stream) {
        const r = JSON.parse(text);
        assert.equal(r.stop_reason, 'tool_use');
        assert.ok(r.content.every((b) => b.type === 'tool_use'));
        return r.content.map((b) => [b.name, b.input]);
    }
    const calls = [];
    let stop;
    for (const f of frames(text)) {
        if (f.type === 'content_block_start') calls[f.index] = [f.content_block.name, ''];
        if (f.type === 'content_block_delta') calls[f.index][1] += f.delta.partial_json;
        if (f.type === 'message_delta') stop = f.delta.stop_reason;
    }
    assert.equal(stop, 'tool_use');
    return calls.map(([name, args]) => [name, JSON.parse(args || '{}')]);
};

const dialects = {
    openai: [likeOpenai, '/v1/chat/completions'],
    friendli: [likeOpenai, '/serverless/v1/chat/completions'],
    anthropic: [likeAnthropic, '/v1/messages'],
    zylon: [likeAnthropic, '/api/gpt/v1/messages'],
};

for (const [name, [ask, path]] of Object.entries(dialects))
    test(`${name}: ${runs} demanded calls, all valid`, async () => {
        for (let seed = 0; seed < runs; seed += 4) {
            const batch = [0, 1, 2, 3].slice(0, runs - seed).map(async (k) => {
                const i = seed + k, named = i % 2 ? names[(i >> 1) % names.length] : undefined;
                isValid(await ask(path, named, (i & 2) !== 0, 1000 + i), named);
            });
            await Promise.all(batch);
        }
    });
