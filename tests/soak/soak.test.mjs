// Many short requests, plain and streamed, in every dialect, some refused and some left: what the server
// holds behind them does not grow.
//     REQUESTS=10000 node --test soak.test.mjs
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startServer, until } from '../openai/harness.mjs';

const REQUESTS = Number(process.env.REQUESTS ?? 1000);
const WIDTH = 8;         // requests at the same time
const SLACK_KIB = 2048;  // of the allocator; a leak of 250 bytes a request shows in ten thousand

const user = (i) => [{ role: 'user', content: `Count ${i % 10} of the ${i} sheep.` }];
const anthropic = { 'anthropic-version': '2023-06-01' };
const kinds = [
    { path: '/v1/chat/completions', body: (i) => ({ messages: user(i), max_tokens: 6, n: 1 + (i % 2), logprobs: i % 3 === 0 }) },
    { path: '/v1/completions', body: (i) => ({ prompt: `Sheep ${i}`, max_tokens: 6, stop: ['zzz'] }) },
    { path: '/v1/responses', body: (i) => ({ input: user(i), max_output_tokens: 16 }) },
    { path: '/v1/messages', headers: anthropic, body: (i) => ({ model: 'tiny', messages: user(i), max_tokens: 6 }) },
    { path: '/v1/messages', body: (i) => ({ messages: user(i), max_tokens: 6 }) },
    { path: '/serverless/v1/chat/completions', body: (i) => ({ model: 'tiny', messages: user(i), max_tokens: 6 }) },
    { path: '/inference/chat_text', body: (i) => ({ model: 'tiny', messages: user(i), max_tokens: 6 }) },
    { path: '/v1/chat/request', body: (i) => ({ model: 'tiny', messages: user(i), max_tokens: 6 }) },
    { path: '/api/v1/continue_from_conversation_history', always: true,
        body: (i) => ({ add_generation_prompt: true, enable_thinking: false, conversation_history: user(i), max_tokens: 6 }) },
    { path: '/api/chat', ollama: true, body: (i) => ({ model: 'tiny', messages: user(i), options: { num_predict: 6 } }) },
    { path: '/v1/chat/completions', body: (i) => ({ messages: user(i), max_tokens: 12, response_format: { type: 'json_object' } }) },
];

async function one(server, i) {
    const kind = kinds[i % kinds.length], body = kind.body(i);
    if (!kind.always) body.stream = i % 3 !== 0;
    const refused = i % 23 === 22, left = !refused && i % 29 === 28;
    if (refused) kind.always ? (body.max_tokens = 'x') : (body.stream = 'x');
    const abort = new AbortController();
    const r = await fetch(server.url + kind.path, {
        method: 'POST', headers: { 'Content-Type': 'application/json', ...kind.headers }, body: JSON.stringify(body), signal: abort.signal,
    });
    if (left) return abort.abort();
    const text = await r.text();
    if (refused) return assert.ok(r.status >= 400 && r.status < 500, text);
    assert.equal(r.status, 200, `${kind.path}: ${text}`);
    assert.ok(text.length > 0, kind.path);
}

test('short requests leave nothing behind', async () => {
    // All that may fill up is small, so that it is full when the first measure is taken.
    const server = await startServer({ args: ['--max-seqs', '8', '--ctx', '512', '--kv-tokens', '2048', '--keep-memory', '1', '--no-log-requests', '--log', 'warn'] });
    let next = 0;
    const ask = async (n) => {
        const to = next + n;
        await Promise.all(Array.from({ length: WIDTH }, async () => {
            while (next < to) await one(server, next++);
        }));
        await until(async () => await server.metric('open_requests') === 1, 'all requests to end');
    };
    const warm = Math.max(400, REQUESTS / 10);
    await ask(warm);
    const kib = [server.residentKiB()], descriptors = server.descriptors();
    for (let k = 0; k < 4; k++) {
        await ask(Math.ceil((REQUESTS - warm) / 4));
        kib.push(server.residentKiB());
    }
    console.log(`resident KiB after ${warm} requests and in four steps to ${next}: ${kib.join(' ')}; descriptors ${descriptors} then ${server.descriptors()}`);
    assert.ok(kib.at(-1) - kib[0] <= SLACK_KIB, `resident memory grew: ${kib.join(' ')} KiB`);
    assert.ok(server.descriptors() <= descriptors + WIDTH, `descriptors grew from ${descriptors} to ${server.descriptors()}`);
    assert.equal(await server.metric('active'), 0);
    assert.equal(await server.stop(), 0, server.log());
});
