// Constraints through the real server: a random-weight model at temperature 1 says nothing else than
// what was asked for, in every dialect; what cannot be enforced is refused naming the keyword.
// CORPUS=all walks the whole corpus (several minutes); otherwise a part of it.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test, before } from 'node:test';
import Ajv from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { startServer } from '../openai/harness.mjs';
import { schemas as own } from './schemas.mjs';
import { randomRoot } from './random.mjs';

let server;
before(async () => { server = await startServer({ args: ['--ctx', '2048'] }); });

const post = async (path, body) => {
    const r = await fetch(server.url + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
    const text = await r.text();
    return { status: r.status, text, json: (() => { try { return JSON.parse(text); } catch { return null; } })() };
};
const messages = [{ role: 'user', content: 'Say something.' }];
const chat = (more) => post('/v1/chat/completions', { model: 'tiny', messages, temperature: 1, max_tokens: 600, ...more });
const content = (r) => { assert.equal(r.status, 200, r.text); return r.json.choices[0].message.content; };
const validator = (schema) => {
    const ajv = new Ajv({ strict: false, multipleOfPrecision: 9, logger: false });
    formats(ajv);
    const { $schema, ...plain } = schema === true ? {} : schema;
    return ajv.compile(plain);
};

test('answers of a random model fit their schemas, or the schema is refused by a keyword', async () => {
    const all = process.env.CORPUS === 'all';
    const corpus = [...own, ...Array.from({ length: all ? 400 : 40 }, (_, i) => randomRoot(i + 1))].filter((_, i) => all || i % 4 === 0);
    const seeds = all ? [1, 2, 3] : [1];
    const count = { schemas: 0, refused: 0, nothing: 0, answers: 0, cut: 0, invalid: 0 };
    for (const schema of corpus) {
        count.schemas++;
        const asked = await Promise.all(seeds.map((seed) => chat({ seed, response_format: { type: 'json_schema', json_schema: { name: 'x', schema } } })));
        if (asked[0].status !== 200) {
            for (const r of asked) assert.equal(r.status, 400, r.text);
            const { error } = asked[0].json;
            if (/nothing at all/.test(error.message)) { count.nothing++; continue; }
            count.refused++;
            assert.match(error.param, /^response_format\.json_schema\.schema\//, asked[0].text);
            continue;
        }
        const valid = validator(schema);
        for (const r of asked) {
            if (r.json.choices[0].finish_reason === 'length') { count.cut++; continue; }
            assert.equal(r.json.choices[0].finish_reason, 'stop');
            count.answers++;
            let ok = false;
            try { ok = valid(JSON.parse(content(r))); } catch { /* not JSON */ }
            if (!ok) { count.invalid++; console.log(JSON.stringify(schema), content(r), valid.errors); }
        }
    }
    console.log(JSON.stringify(count));
    assert.equal(count.invalid, 0);
    assert.ok(count.answers > corpus.length / 2);
    assert.ok((count.refused) / count.schemas <= 0.1, 'at least 90 % are accepted');
});

test('other formats: objects, regular expressions, grammars', async () => {
    for (let seed = 1; seed <= 8; seed++) {
        assert.match(content(await chat({ seed, response_format: { type: 'regex', schema: '2025-[01][0-9]-[0-3][0-9]' } })), /^2025-[01][0-9]-[0-3][0-9]$/);
        assert.match(content(await chat({ seed, grammar: 'root ::= word (" " word){2}\nword ::= [a-c]+' })), /^[a-c]+ [a-c]+ [a-c]+$/);
        const r = await chat({ seed, response_format: { type: 'json_object' } });
        if (r.json.choices[0].finish_reason === 'stop') assert.equal(typeof JSON.parse(content(r)), 'object');
    }
    const r = await chat({ max_tokens: 3, response_format: { type: 'regex', schema: 'a{200}' } });
    assert.equal(r.json.choices[0].finish_reason, 'length');
});

test('a stream says the same as a whole answer', async () => {
    const ask = { seed: 5, response_format: { type: 'json_schema', json_schema: { name: 'x', schema: { type: 'object', properties: { a: { type: 'integer' }, b: { enum: ['x', 'y'] } }, required: ['a', 'b'] } } } };
    const whole = content(await chat(ask));
    const r = await chat({ ...ask, stream: true });
    const pieces = r.text.split('\n\n').filter((l) => l.startsWith('data: {')).map((l) => JSON.parse(l.slice(6)).choices[0]?.delta?.content ?? '');
    assert.equal(pieces.join(''), whole);
});

test('every dialect asks in its own words', async () => {
    const schema = { type: 'object', properties: { k: { type: 'boolean' } }, required: ['k'], additionalProperties: false };
    const fits = (text) => assert.equal(typeof JSON.parse(text).k, 'boolean');
    const format = { type: 'json_schema', json_schema: { name: 'x', schema } };
    const friendli = await post('/serverless/v1/chat/completions', { model: 'tiny', messages, response_format: { type: 'json_schema', json_schema: { schema } } });
    fits(content(friendli));
    fits(content(await post('/serverless/v1/chat/completions', { model: 'tiny', messages, response_format: { type: 'json_object', schema: JSON.stringify(schema) } })));
    fits((await post('/serverless/v1/completions', { model: 'tiny', prompt: 'x', max_tokens: 100, response_format: { type: 'json_schema', json_schema: { schema } } })).json.choices[0].text);
    fits((await post('/v1/completions', { model: 'tiny', prompt: 'x', max_tokens: 100, json_schema: schema })).json.choices[0].text);
    fits((await post('/v1/responses', { model: 'tiny', input: 'x', text: { format: { type: 'json_schema', name: 'x', schema } } })).json.output.at(-1).content[0].text);
    for (const more of [{ response_format: { type: 'json_schema', json_schema: schema } }, { response_format: format }, { output_config: { format: { type: 'json_schema', schema } } }])
        fits((await post('/v1/messages', { model: 'tiny', max_tokens: 100, messages, ...more })).json.content.at(-1).text);
    fits((await post('/api/chat', { model: 'tiny', messages, stream: false, format: schema })).json.message.content);
    fits((await post('/api/generate', { model: 'tiny', prompt: 'x', stream: false, format: schema })).json.response);
    const lines = (await post('/api/v1/continue_from_raw_prompt', { raw_prompt: 'x', max_tokens: 100, grammar: { type: 'json_schema', schema: JSON.stringify(schema) } })).text.split('\n').filter(Boolean).map((l) => JSON.parse(l));
    fits(lines.map((l) => { const t = l.Response.response.GeneratedToken; return t.Token ?? t.ContentToken ?? ''; }).join(''));
});

test('what cannot be enforced is refused by its place', async () => {
    const bad = { type: 'object', properties: { a: { type: 'array', uniqueItems: true } } };
    const rows = [
        [await chat({ response_format: { type: 'json_schema', json_schema: { name: 'x', schema: bad } } }), 400, 'response_format.json_schema.schema/properties/a/uniqueItems'],
        [await chat({ response_format: { type: 'json_schema', json_schema: { schema: bad } } }), 400, 'response_format.json_schema.name'],
        [await chat({ response_format: { type: 'regex', schema: 'a(?=b)' } }), 400, 'response_format.schema'],
        [await chat({ grammar: 'root ::= (' }), 400, 'grammar'],
        [await chat({ grammar: 'root ::= "a"', response_format: { type: 'json_object' } }), 400, 'grammar'],
        [await post('/serverless/v1/chat/completions', { model: 'tiny', messages, response_format: { type: 'json_schema', json_schema: { schema: bad } } }), 422, 'response_format.json_schema.schema/properties/a/uniqueItems'],
        [await post('/v1/responses', { model: 'tiny', input: 'x', text: { format: { type: 'json_schema', name: 'x', schema: bad } } }), 400, 'text.format.schema/properties/a/uniqueItems'],
    ];
    for (const [r, status, param] of rows) {
        assert.equal(r.status, status, r.text);
        assert.equal(r.json.error.param, param, r.text);
    }
    assert.match((await post('/api/chat', { model: 'tiny', messages, stream: false, format: bad })).text, /uniqueItems/);
});

test('regular expressions agree with a reference engine', { skip: !process.env.GRAM_WALK }, () => {
    console.log(execFileSync('node', ['regex.mjs', process.env.GRAM_WALK, '500'], { encoding: 'utf8' }));
    console.log(execFileSync('node', ['corpus.mjs', process.env.GRAM_WALK, '400', '8'], { encoding: 'utf8' }));
});
