// API keys: who gets in, in every API's shape of refusal; whose runs are whose; without a restart.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { confab, startServer, tinyModel, until } from './harness.mjs';

let server, models, data;
let red, blue;

const keys = (dir, ...args) => spawnSync(confab, ['keys', ...args, '--data', dir], { encoding: 'utf8' });
const add = (dir, team, name) => JSON.parse(execFileSync(confab, ['keys', 'add', '--data', dir, '--team', team, '--json', name])).key;

before(async () => {
    models = mkdtempSync(join(tmpdir(), 'confab-model-'));
    data = mkdtempSync(join(tmpdir(), 'confab-data-'));
    red = add(data, 'red', 'first');
    blue = add(data, 'blue', 'second');
    server = await startServer({ model: tinyModel(models), args: ['--data', data] });
});
after(async () => {
    assert.equal(await server.stop(), 0, server.log());
    rmSync(models, { recursive: true });
    rmSync(data, { recursive: true });
});

const json = { 'content-type': 'application/json' };
const bearer = (key) => ({ authorization: `Bearer ${key}` });
const chat = { model: 'tiny', messages: [{ role: 'user', content: 'Hi' }], max_tokens: 4, temperature: 0 };
const post = (path, headers, body = chat) => fetch(server.url + path, { method: 'POST', headers: { ...json, ...headers }, body: JSON.stringify(body) });

test('a key is taken from either header, with and without Bearer', async () => {
    for (const headers of [bearer(red), { authorization: `bearer  ${red}` }, { authorization: red }, { 'x-api-key': red },
        { authorization: 'Bearer x', 'x-api-key': red }]) {
        const r = await post('/v1/chat/completions', headers);
        assert.equal(r.status, 200, JSON.stringify(headers));
        await r.arrayBuffer();
    }
    const client = new OpenAI({ baseURL: server.url + '/v1', apiKey: blue });
    assert.equal((await client.chat.completions.create(chat)).object, 'chat.completion');
    await assert.rejects(new OpenAI({ baseURL: server.url + '/v1', apiKey: 'sk-wrong', maxRetries: 0 }).chat.completions.create(chat),
        (e) => e instanceof OpenAI.AuthenticationError && e.code === 'invalid_api_key');
});

test('without one, or with a wrong one, nobody gets in', async () => {
    const wrong = [{}, bearer('x'), { authorization: 'Bearer' }, { 'x-api-key': '' }, { authorization: `Basic ${red}` }, bearer(red + 'x'), bearer(red.slice(0, -1)),
        bearer('x'.repeat(5000))];
    for (const headers of wrong) {
        const r = await post('/v1/chat/completions', headers);
        assert.equal(r.status, 401, JSON.stringify(headers));
        assert.equal(r.headers.get('www-authenticate'), 'Bearer');
        const { error } = await r.json();
        assert.equal(error.type, 'invalid_request_error');
        assert.equal(error.code, 'invalid_api_key');
    }
});

test('every API refuses in its own shape', async () => {
    const rows = [
        ['POST', '/v1/completions', {}, (b) => b.error.code === 'invalid_api_key'],
        ['GET', '/v1/models', {}, (b) => b.error.code === 'invalid_api_key'],
        ['GET', '/v1/models/tiny', {}, (b) => b.error.code === 'invalid_api_key'],
        ['GET', '/v1/chat/completions', {}, (b) => b.error.code === 'invalid_api_key'], // not even 405
        ['POST', '/tokenize', {}, (b) => b.error.code === 'invalid_api_key'],
        ['POST', '/detokenize', {}, (b) => b.error.code === 'invalid_api_key'],
        ['POST', '/apply-template', {}, (b) => b.error.code === 'invalid_api_key'],
        ['GET', '/v1/streams/x', {}, (b) => b.error.code === 'invalid_api_key'],
        ['DELETE', '/v1/streams/x', {}, (b) => b.error.code === 'invalid_api_key'],
        ['GET', '/metrics', {}, (b) => b.error.code === 'invalid_api_key'],
        ['POST', '/v1/messages', { 'anthropic-version': '2023-06-01' }, (b) => b.type === 'error' && b.error.type === 'authentication_error' && b.request_id],
        ['POST', '/v1/messages', {}, (b) => b.error.detail.code === 'AUTHENTICATION_ERROR'],
        ['POST', '/v1/messages/count_tokens', {}, (b) => b.error.type === 'authentication_error'],
        ['POST', '/api/v1/continue_from_conversation_history', {}, (b) => b.Error.error.code === 401],
        ['POST', '/v1/chat/request', {}, (b) => b.success === false && b.code === 'unauthorized'],
        ['POST', '/inference/chat_text', {}, (b) => b.detail && b.error.code === 'invalid_api_key'],
        ['POST', '/api/v1/continue_from_raw_prompt', {}, (b) => b.Error.error.code === 401],
        ['GET', '/api/v1/inference_socket', {}, (b) => b.Error.error.code === 401],
        ['POST', '/v1/responses', {}, (b) => b.error.code === 'invalid_api_key'],
        ['GET', '/v1/responses/resp_x', {}, (b) => b.error.code === 'invalid_api_key'],
        ['DELETE', '/v1/responses/resp_x', {}, (b) => b.error.code === 'invalid_api_key'],
        ['POST', '/v1/responses/resp_x/cancel', {}, (b) => b.error.code === 'invalid_api_key'],
        ['GET', '/v1/responses/resp_x/input_items', {}, (b) => b.error.code === 'invalid_api_key'],
        ['POST', '/v1/responses/input_tokens', {}, (b) => b.error.code === 'invalid_api_key'],
        ['POST', '/v1/chat/completions/input_tokens', {}, (b) => b.error.code === 'invalid_api_key'],
        ['POST', '/serverless/v1/responses', {}, (b) => b.error.code === 'invalid_api_key'],
        ['POST', '/dedicated/v1/messages', {}, (b) => b.error.type === 'authentication_error'],
        ['GET', '/serverless/v1/openrouter/models', {}, (b) => typeof b.message === 'string'],
        ['POST', '/api/chat', {}, (b) => typeof b.error === 'string'],
    ];
    for (const [method, path, headers, fits] of rows) {
        const r = await fetch(server.url + path, { method, headers: { ...json, ...headers }, body: method === 'POST' ? '{' : undefined });
        const body = await r.json();
        assert.equal(r.status, 401, path);
        assert.equal(r.headers.get('www-authenticate'), 'Bearer', path);
        assert.ok(fits(body), `${path}: ${JSON.stringify(body)}`);
    }
    for (const path of ['/health', '/']) assert.equal((await fetch(server.url + path)).status, 200, path);
    assert.equal((await fetch(server.url + '/metrics', { headers: bearer(red) })).status, 200);
    assert.equal((await fetch(server.url + '/v1/nowhere')).status, 404);
});

test("another team's run is a run that never was", async () => {
    const text = async (r) => [r.status, (await r.text()).replace(/"request_id":"[^"]*"/, '')];
    const { id } = await (await post('/v1/chat/completions', bearer(red))).json();
    const never = id.slice(0, -4) + 'zzzz';
    const stream = (name, key, method) => fetch(`${server.url}/v1/streams/${name}`, { method, headers: bearer(key) });
    assert.equal((await stream(id, red)).status, 200);
    for (const method of ['GET', 'DELETE']) {
        const others = await text(await stream(id, blue, method));
        assert.equal(others[0], 404);
        assert.deepEqual(others, await text(await stream(never, blue, method)));
        assert.deepEqual(others, await text(await stream(never, red, method)));
    }
    assert.equal((await stream(id, red)).status, 200); // the other's DELETE did nothing

    const stored = await (await post('/v1/responses', bearer(red), { input: 'Hi', max_output_tokens: 16 })).json();
    const response = (name, key, method = 'GET', end = '') => fetch(`${server.url}/v1/responses/${name}${end}`, { method, headers: bearer(key) });
    const nobody = stored.id.slice(0, -4) + 'zzzz';
    for (const [method, end] of [['GET', ''], ['GET', '?stream=true'], ['DELETE', ''], ['POST', '/cancel'], ['GET', '/input_items']]) {
        const others = await text(await response(stored.id, blue, method, end));
        assert.equal(others[0], 404, method + end);
        assert.deepEqual([404, (await text(await response(nobody, blue, method, end)))[1].replaceAll(nobody, stored.id)], others);
    }
    const going = await post('/v1/responses', bearer(blue), { input: 'Hi', previous_response_id: stored.id });
    assert.equal(going.status, 404);
    await going.text();
    assert.equal((await (await response(stored.id, red)).json()).status, stored.status); // nothing was done to it

    const path = '/v1/messages/async';
    const begun = await post(`${path}?message_id=mine`, bearer(red), { messages: chat.messages, max_tokens: 4, model: 'default' });
    assert.equal(begun.status, 200, await begun.text());
    for (const end of ['/status', '/stream']) {
        const others = await text(await fetch(`${server.url}${path}/mine${end}`, { headers: bearer(blue) }));
        const nobodys = await text(await fetch(`${server.url}${path}/ours${end}`, { headers: bearer(blue) }));
        assert.equal(others[0], 404);
        assert.deepEqual(others, [404, nobodys[1].replaceAll('ours', 'mine')]);
    }
    for (const end of ['/status', '/stream'])
        assert.equal((await fetch(`${server.url}${path}/mine${end}`, { headers: bearer(red) })).status, 200, end);
});

test('a key is made and revoked without a restart', async () => {
    const status = async (key) => {
        const r = await fetch(server.url + '/v1/models', { headers: bearer(key) });
        await r.arrayBuffer();
        return r.status;
    };
    const third = add(data, 'red', 'third');
    await until(async () => (await status(third)) === 200, 'the new key is known');
    assert.equal(keys(data, 'revoke', 'third').status, 0);
    await until(async () => (await status(third)) === 401, 'the key is revoked');
    assert.equal(await status(red), 200);
});

test('an open server asks for keys once there are some', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'confab-data-'));
    const open = await startServer({ model: tinyModel(models), args: ['--data', dir] });
    const status = async (headers) => (await fetch(open.url + '/v1/models', { headers })).status;
    assert.equal(await status({}), 200);
    const key = add(dir, 'red', 'one');
    await until(async () => (await status({})) === 401, 'keys are asked for');
    assert.equal(await status(bearer(key)), 200);
    assert.equal(keys(dir, 'revoke', 'one').status, 0);
    await until(async () => (await status(bearer(key))) === 401, 'nobody gets in');
    assert.equal(await status({}), 401); // the last key's end does not open the server
    await open.stop();
    rmSync(dir, { recursive: true });
});

test('other addresses are listened on with keys only, or when told to', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'confab-data-'));
    const model = tinyModel(models);
    const serve = (...args) => spawnSync(confab, ['serve', '-m', model, '--host', '0.0.0.0', '--port', '0', ...args], { encoding: 'utf8', timeout: 120000 });
    const refused = serve('--data', dir);
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /no API keys/);
    add(dir, 'red', 'one');
    for (const args of [['--data', dir], ['--unsafe-listen']]) {
        const s = await startServer({ model, args: ['--host', '0.0.0.0', ...args] });
        assert.equal(await s.stop(), 0);
    }
    writeFileSync(join(dir, 'keys.json'), '{"version":1');
    const broken = serve('--data', dir);
    assert.equal(broken.status, 1);
    assert.match(broken.stderr, /keys\.json/);
    rmSync(dir, { recursive: true });
});

test('the command shows a key once and keeps its digest', () => {
    const dir = mkdtempSync(join(tmpdir(), 'confab-data-'));
    const one = keys(dir, 'add', '--team', 'red', 'one');
    assert.equal(one.status, 0);
    assert.match(one.stdout, /^sk-confab-[A-Za-z0-9]{24}\n$/);
    const file = join(dir, 'keys.json');
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.ok(!readFileSync(file, 'utf8').includes(one.stdout.trim().slice(-12)));
    const [key] = JSON.parse(keys(dir, 'list', '--json').stdout);
    assert.deepEqual(Object.keys(key), ['id', 'name', 'team', 'created']);
    assert.match(keys(dir, 'list').stdout, /^NAME.*\none +red +\d{4}-/);
    const rows = [
        [['add', '--team', 'red', 'one'], 1, /already/], [['add', '--team', 'red', 'a b'], 1, /letters/],
        [['add', 'two'], 2, /--team/], [['add', '--team', 'red'], 2, /name is missing/], [['revoke', 'nobody'], 1, /no key/],
        [['drop'], 2, /add, list or revoke/], [[], 2, /what to do/], [['list', 'x'], 2, /too many/],
    ];
    for (const [args, status, says] of rows) {
        const r = keys(dir, ...args);
        assert.equal(r.status, status, args.join(' '));
        assert.match(r.stderr, says);
    }
    assert.equal(keys(dir, 'revoke', key.id).status, 0);
    assert.match(keys(dir, 'list').stdout, /no keys/);
    rmSync(dir, { recursive: true });
});
