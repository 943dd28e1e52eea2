// Two teams compete: a flood from one leaves the other its half, and its place in the queue.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { request } from 'node:http';
import { confab, startServer, until } from './harness.mjs';

// A server whose answers do not end by themselves, with two teams.
async function start(...args) {
    const dir = mkdtempSync(join(tmpdir(), 'confab-teams-'));
    const key = (team) => JSON.parse(execFileSync(confab, ['keys', 'add', '--data', dir, '--team', team, '--json', team])).key;
    const keys = { red: key('red'), blue: key('blue') };
    const server = await startServer({ endless: true, args: ['--data', dir, ...args] });
    return {
        ...server,
        ...keys,
        stop: async () => {
            assert.equal(await server.stop(), 0, server.log());
            rmSync(dir, { recursive: true });
        },
    };
}

let server, red, blue;
before(async () => {
    server = await start('--max-seqs', '4', '--queue', '16');
    ({ red, blue } = server);
});
after(() => server.stop());

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
            const r = await ask(key, 200, stop.signal);
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
    // More than there are places: while this process has no time, blue still has work that waits.
    for (let i = 0; i < 10; i++) workers.push(work('blue', blue));
    await until(async () => tokens.blue >= 2000, 'both at work');
    tokens.red = tokens.blue = all = 0;
    await until(async () => all >= 30000, 'tokens enough to compare', 300000);
    stop.abort();
    await Promise.allSettled(workers);
    const share = tokens.blue / (tokens.red + tokens.blue);
    assert.ok(share >= 0.45, `blue has ${(share * 100).toFixed(1)} % of ${all} tokens`);
    assert.ok(share <= 0.55, `blue has ${(share * 100).toFixed(1)} % of ${all} tokens`);
});

// A stream of one team, counted as it arrives.  `tokens` are its pieces of text, about one each.
function stream(at, key, max_tokens, signal) {
    const s = { tokens: 0 };
    s.done = new Promise((ok) => {
        const req = request(`${at.url}/v1/chat/completions`, {
            method: 'POST', signal, agent: false, headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
        }, (res) => {
            s.status = res.statusCode;
            res.on('data', (d) => {
                for (let i = d.indexOf('data: {'); i >= 0; i = d.indexOf('data: {', i + 7)) s.tokens++;
            });
            res.on('close', ok);
        });
        req.on('error', ok);
        req.end(JSON.stringify({ messages: [{ role: 'user', content: 'Hi' }], max_tokens, stream: true }));
    });
    return s;
}

// Red's answers end when the test does and hold every place; blue asks for short ones.
async function holdPlaces(places, ...args) {
    const at = await start(...args);
    const stop = new AbortController();
    const red_streams = [];
    for (let i = 0; i < places + 2; i++) red_streams.push(stream(at, at.red, 100000, stop.signal));
    await until(async () => red_streams.filter((s) => s.tokens > 20).length >= places, 'red to hold all places');
    let blue_tokens = 0, blue_live = 0, from;
    const blues = [];
    const work = async () => {
        while (!stop.signal.aborted) {
            const s = stream(at, at.blue, 300, stop.signal);
            let last = 0;
            s.tell = () => { blue_tokens += s.tokens - last; last = s.tokens; };
            blues.push(s);
            await s.done;
            s.tell();
            blues.splice(blues.indexOf(s), 1);
            if (!stop.signal.aborted) assert.equal(s.status, 200);
        }
    };
    const workers = [];
    for (let i = 0; i < places + 8; i++) workers.push(work()); // as above
    const reds = () => red_streams.reduce((sum, s) => sum + s.tokens, 0);
    const blueNow = () => (blues.forEach((s) => s.tell()), blue_tokens);
    await until(async () => blueNow() > 1000, 'blue to have places');
    const r0 = reds(), b0 = blueNow();
    await until(async () => reds() - r0 + blueNow() - b0 >= 8000 + 500 * places, 'tokens enough to compare', 300000);
    const r = reds() - r0, b = blueNow() - b0;
    stop.abort();
    await Promise.allSettled([...workers, ...red_streams.map((s) => s.done)]);
    await at.stop();
    return b / (r + b);
}

for (const [name, places, ...args] of [
    ['the only place', 1, '--max-seqs', '1'], ['three places', 3, '--max-seqs', '3'], ['as many places as there are by default', 16],
])
    test(`answers without end that hold ${name} leave the other team its share`, async () => {
        const share = await holdPlaces(places, ...args);
        assert.ok(share >= 0.45, `blue has ${(share * 100).toFixed(1)} % of the tokens`);
        assert.ok(share <= 0.55, `blue has ${(share * 100).toFixed(1)} % of the tokens`);
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
    assert.match(Buffer.from(value).toString(), /^(: (waiting \d+|prompt \d+\/\d+)\n\n|data: )/);
    stop.abort();
    await Promise.allSettled(flood);
});
