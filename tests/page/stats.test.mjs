// The line under an answer, from times of reading that are given.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Meter } from '../../web/src/stats.js';

// [name, times of the reads that brought each piece, the server's count, the facts]
const CASES = [
    ['nothing came', [], null, []],
    ['one by one', [100, 200, 300, 400, 500], 5, ['5 tokens', '10.0 tokens/s', 'first after 100 ms', 'prompt 7 tokens']],
    ['all in one read', [100, 100, 100, 100], 4, ['4 tokens', 'first after 100 ms', 'prompt 7 tokens']],
    ['in two reads, soon after each other', [100, 100, 101], 3, ['3 tokens', 'first after 100 ms', 'prompt 7 tokens']],
    ['half at once, the rest in time', [100, 100, 100, 100, 300, 500, 700, 900], 8, ['8 tokens', '5.0 tokens/s', 'first after 100 ms', 'prompt 7 tokens']],
    ['pieces of several tokens', [1100, 2100, 3100], 9, ['9 tokens', '3.0 tokens/s', 'first after 1.1 s', 'prompt 7 tokens']],
    ['one token', [40], 1, ['1 token', 'first after 40 ms', 'prompt 7 tokens']],
    ['not counted', [100, 400], null, ['first after 100 ms']],
];

for (const [name, reads, tokens, want] of CASES)
    test(`speed: ${name}`, () => {
        const meter = new Meter(0);
        for (const at of reads) meter.piece(at);
        if (tokens !== null) meter.usage = { completion_tokens: tokens, prompt_tokens: 7 };
        assert.deepEqual(meter.facts(), want);
    });
