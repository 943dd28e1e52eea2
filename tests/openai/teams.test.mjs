// Two teams compete: a flood from one leaves the other its half, and its place in the queue.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { confab, startServer, until } from './harness.mjs';

let server, dir, red, blue;
before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'confab-teams-'));
    const key = (team) => JSON.parse(execFileSync(confab, ['keys', 'add', '--data', dir, '--team', team, '--json', team])).key;
    red = key('red');
    blue = key('blue');
    server = await startServer({ endless: true, args: ['--data', dir, '--max-seqs', '4', '--queue', '16'] });
});
after(async () => {
    assert.equal(await server.stop(), 0, server.log());
    rmSync(dir, { recursive: true });
});

const ask = (key, max_tokens, signal) => fetch(`${server.url}/v1/chat/completions`, {
    method: 'POST', signal, headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
    body: JSON.stringify({ messages: [{ role: 'user', content: 'Hi' }], max_tokens }),
});

test('a team that floods leaves the other at least 45 % of the tokens', async () => {
    const tokens = { red: 0, blue: 0 };
    const stop = new AbortController();
    let all = 0;
    const work = async (team, key) => {
        while (!stop.signal.aborted) {
            const r = await ask(key, 60, stop.signal);
            const body = await r.json();
            if (r.status === 429) {
                await new Promise((ok) => setTimeout(ok, 20)); // not so fast that this process has no time for the other team
                continue;
            }
            assert.equal(r.status, 200, JSON.stringify(body));
            tokens[team] += body.usage.completion_tokens;
            all += body.usage.completion_tokens;
        }
    };
    const workers = [];
    for (let i = 0; i < 24; i++) workers.push(work('red', red));
    await until(async () => tokens.red >= 600, 'the flood');
    for (let i = 0; i < 8; i++) workers.push(work('blue', blue));
    await until(async () => tokens.blue >= 600, 'both at work');
    tokens.red = tokens.blue = all = 0;
    await until(async () => all >= 20000, 'tokens enough to compare', 300000);
    stop.abort();
    await Promise.allSettled(workers);
    const share = tokens.blue / (tokens.red + tokens.blue);
    assert.ok(share >= 0.45, `blue has ${(share * 100).toFixed(1)} % of ${all} tokens`);
    assert.ok(share <= 0.55, `blue has ${(share * 100).toFixed(1)} % of ${all} tokens`);
});

test('a queue full of one team has room for another', async () => {
    const stop = new AbortController();
    const flood = [];
    for (let i = 0; i < 40; i++) flood.push(ask(red, 100000, stop.signal).then(async (r) => [r.status, r.headers.get('retry-after'), await r.text()]).catch(() => null));
    const refused = await Promise.race(flood); // the others do not end
    assert.equal(refused[0], 429, refused[2]);
    assert.match(refused[1], /^[1-9]\d*$/);
    const r = await fetch(`${server.url}/v1/chat/completions`, {
        method: 'POST', signal: stop.signal, headers: { 'content-type': 'application/json', authorization: `Bearer ${blue}`, 'X-Confab-Progress': 'true' },
        body: JSON.stringify({ messages: [{ role: 'user', content: 'Hi' }], max_tokens: 4, stream: true }),
    });
    assert.equal(r.status, 200);
    const { value } = await r.body.getReader().read();
    assert.match(Buffer.from(value).toString(), /^(: waiting \d+\n\n|data: )/);
    stop.abort();
    await Promise.allSettled(flood);
});
