// The page's parser of server-sent events, on bytes cut in every way.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { retryAfterSeconds } from '../../web/src/api.js';
import { SseParser } from '../../web/src/sse.js';

const bytes = (text) => new TextEncoder().encode(text);

function parse(...parts) {
    const parser = new SseParser();
    return parts.flatMap((part) => parser.push(part));
}

const CASES = [
    ['bare data', 'data: hi\n\n', ['hi']],
    ['no space after the colon', 'data:hi\n\n', ['hi']],
    ['only one space belongs to the colon', 'data:  hi\n\n', [' hi']],
    ['no colon', 'data\n\n', ['']],
    ['several lines', 'data: a\ndata: b\n\n', ['a\nb']],
    ['several events', 'data: a\n\ndata: b\n\n', ['a', 'b']],
    ['CR LF', 'data: a\r\n\r\ndata: b\r\n\r\n', ['a', 'b']],
    ['CR', 'data: a\r\rdata: b\r\r', ['a', 'b']],
    ['mixed line ends', 'data: a\r\n\ndata: b\n\rdata: c\r\r\n', ['a', 'b', 'c']],
    [
        'comments and other fields',
        ': hello\nevent: x\nid: 1\nretry: 5\ndatum: no\ndata: a\n\n',
        ['a'],
    ],
    ['blank lines alone', '\n\n\r\n\n', []],
    ['a byte order mark', '\ufeffdata: a\n\n', ['a']],
    ['characters of two, three and four bytes', 'data: ü€👩‍🚀\n\n', ['ü€👩‍🚀']],
    ['line separators of Unicode end no line', 'data: a\u2028b\u0085c\n\n', ['a\u2028b\u0085c']],
    ['an event that has not ended', 'data: a\n\ndata: b\n', ['a']],
];

for (const [name, text, want] of CASES) {
    test(`sse: ${name}, cut at every byte`, () => {
        const all = bytes(text);
        assert.deepEqual(parse(all), want, 'in one piece');
        assert.deepEqual(parse(...Array.from(all, (b) => Uint8Array.of(b))), want, 'byte by byte');
        for (let i = 0; i <= all.length; i++)
            for (let j = i; j <= all.length; j++)
                assert.deepEqual(
                    parse(all.slice(0, i), all.slice(i, j), all.slice(j)),
                    want,
                    `cut at ${i} and ${j}`,
                );
    });
}

test('sse: invalid UTF-8 becomes replacement characters, and the stream goes on', () => {
    const all = Uint8Array.of(...bytes('data: a'), 0xff, 0xc3, ...bytes('b\n\ndata: c\n\n'));
    assert.deepEqual(parse(all), ['a\ufffd\ufffdb', 'c']);
});

test('sse: an event without end is refused', () => {
    const parser = new SseParser();
    const piece = bytes('x'.repeat(1 << 20));
    assert.throws(() => {
        for (let i = 0; i < 10; i++) parser.push(piece);
    }, /too long/);
});

test('Retry-After: seconds, a date, nonsense', () => {
    const now = Date.parse('2026-01-01T00:00:00Z');
    assert.equal(retryAfterSeconds('7', now), 7);
    assert.equal(retryAfterSeconds('Thu, 01 Jan 2026 00:00:09 GMT', now), 9);
    assert.equal(retryAfterSeconds('Thu, 01 Jan 2025 00:00:09 GMT', now), 0);
    assert.equal(retryAfterSeconds('soon', now), null);
    assert.equal(retryAfterSeconds(null, now), null);
});
