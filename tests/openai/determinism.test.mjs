// A seeded request gives the same bytes alone, again, among 31 others, with one thread and two, from a cold
// and a warm cache, on every level of kernels, with drafts and without: texts, tokens' log-probabilities and all.
//     REQUESTS=1000 node --test determinism.test.mjs
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startServer } from './harness.mjs';

const REQUESTS = Number(process.env.REQUESTS ?? 120);
const words = 'the tide comes in twice a day and leaves the sand wet cold and smooth for those who walk early'.split(' ');

// Settings of every kind; long common beginnings among the prompts, so that the cache has something to find.
function request(i) {
    const common = Array.from({ length: 90 }, (_, k) => words[(k * (1 + (i % 3))) % words.length]).join(' ');
    return {
        model: 'tiny',
        messages: [
            { role: 'system', content: i % 2 ? common : 'Be brief.' },
            { role: 'user', content: words.slice(i % 7, 7 + (i % 11)).join(' ') + ` ${i}` },
        ],
        max_tokens: 12 + (i % 20),
        seed: i * 7919,
        temperature: [1, 0, 0.7, 1.5, 0.2][i % 5],
        top_p: [1, 0.9, 0.5][i % 3],
        top_k: i % 4 === 3 ? 20 : 0,
        min_p: i % 6 === 5 ? 0.05 : 0,
        frequency_penalty: i % 8 === 7 ? 0.5 : 0,
        repetition_penalty: i % 9 === 8 ? 1.2 : 1,
        xtc_threshold: 0.05,
        xtc_probability: i % 10 === 9 ? 0.5 : 0,
        n: i % 12 === 11 ? 2 : 1,
        logprobs: i % 2 === 0,
        ...(i % 2 === 0 ? { top_logprobs: 3 } : {}),
    };
}

async function answer(server, i) {
    const r = await fetch(server.url + '/v1/chat/completions', {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(request(i)),
    });
    const body = await r.json();
    assert.equal(r.status, 200, JSON.stringify(body));
    return JSON.stringify(body.choices);
}

// So many at a time, in an order of their own.
async function answers(server, n, width) {
    const out = [], order = Array.from({ length: n }, (_, i) => (i * 37) % n);
    if (new Set(order).size !== n) order.forEach((_, i) => (order[i] = i));
    const work = async () => {
        for (let i; (i = order.shift()) !== undefined; ) out[i] = await answer(server, i);
    };
    await Promise.all(Array.from({ length: width }, work));
    return out;
}

test('a seeded request gives the same bytes in any company, on any level', { timeout: 1800000 }, async () => {
    const passes = [
        ['alone, cold', 1, ['--threads', '1']],
        ['again, warm', 1, null],
        ['32 at a time, two threads', 32, ['--threads', '2', '--max-seqs', '32']],
        ['32 at a time, warm', 32, null],
        ['on AVX2', 32, ['--threads', '2', '--max-seqs', '32', '--cpu-mask', 'avx2']],
        ['on AVX2, one thread', 5, ['--threads', '1', '--cpu-mask', 'avx2']],
        ['on AVX-512', 8, ['--threads', '2', '--cpu-mask', 'avx512']],
        ['without drafts', 1, ['--threads', '2', '--drafts', '0']],
        ['with little room', 16, ['--threads', '2', '--ctx', '1024', '--kv-tokens', '1024']],
    ];
    const n = Math.ceil(REQUESTS / passes.length);
    let server, want;
    for (const [name, width, args] of passes) {
        if (args) {
            if (server) assert.equal(await server.stop(), 0, server.log());
            server = await startServer({ args: ['--queue', '64', ...args] });
        }
        const got = await answers(server, n, width);
        want ??= got;
        for (let i = 0; i < n; i++) assert.equal(got[i], want[i], `${name}: request ${i}`);
    }
    assert.equal(await server.stop(), 0, server.log());
});
