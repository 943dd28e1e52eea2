// `confab pull` against a hub of our own, in every way a network can disappoint.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { noise, sha256, startHub } from './hub.mjs';

const confab = resolve(process.env.CONFAB ?? '../../build/confab');
const big = noise(3_000_000);
const small = noise(1000);
const repos = {
    'acme/Tiny-GGUF': {
        'README.md': Buffer.from('hi'),
        'Tiny-Q4_K_M.gguf': small,
        'Tiny-Q8_0.gguf': big,
        'split/Tiny-BF16-00001-of-00002.gguf': big.subarray(0, 5000),
        'split/Tiny-BF16-00002-of-00002.gguf': big.subarray(5000, 9000),
    },
};

// Runs the test with a hub and an empty folder for models.
function pulling(name, hooks, body) {
    test(name, async (t) => {
        const hub = await startHub(repos, hooks);
        const dir = mkdtempSync(join(tmpdir(), 'confab-pull-'));
        t.after(() => {
            hub.close();
            rmSync(dir, { recursive: true });
        });
        const env = { ...process.env, HF_ENDPOINT: hub.url, CONFAB_MODELS: dir, HF_TOKEN: '', no_proxy: '*' };
        const start = (args, more = {}) => spawn(confab, args, { env: { ...env, ...more } });
        const run = (args, more) =>
            new Promise((ok) => {
                const child = start(args, more);
                const got = { out: '', err: '' };
                child.stdout.on('data', (d) => (got.out += d));
                child.stderr.on('data', (d) => (got.err += d));
                child.on('close', (code, signal) => ok({ ...got, code, signal }));
            });
        const file = (n) => readFileSync(join(dir, n));
        const files = () => readdirSync(dir).sort();
        await body({ hub, dir, run, start, file, files });
    });
}

const wanted = 'Tiny-Q8_0.gguf';
const name = 'acme/Tiny-GGUF:q8_0';

pulling('fetches the tag, verifies it, prints the place', {}, async ({ run, dir, file, files }) => {
    const r = await run(['pull', name]);
    assert.equal(r.code, 0, r.err);
    assert.equal(r.out, `${join(dir, wanted)}\n`);
    assert.deepEqual(files(), [wanted]);
    assert.ok(file(wanted).equals(big));
    assert.match(r.err, /100%/);
    assert.ok(!r.err.includes('\r'), 'no bar without a terminal');
    const again = await run(['pull', name]);
    assert.equal(again.code, 0);
    assert.match(again.err, /already/);
});

pulling('without a tag takes Q4_K_M', {}, async ({ run, file }) => {
    const r = await run(['pull', 'acme/Tiny-GGUF']);
    assert.equal(r.code, 0, r.err);
    assert.ok(file('Tiny-Q4_K_M.gguf').equals(small));
});

pulling('takes all parts of a split model', {}, async ({ run, dir, files, file }) => {
    const r = await run(['pull', 'acme/Tiny-GGUF:bf16']);
    assert.equal(r.code, 0, r.err);
    assert.equal(r.out, `${join(dir, 'Tiny-BF16-00001-of-00002.gguf')}\n`);
    assert.deepEqual(files(), ['Tiny-BF16-00001-of-00002.gguf', 'Tiny-BF16-00002-of-00002.gguf']);
    assert.ok(file('Tiny-BF16-00002-of-00002.gguf').equals(big.subarray(5000, 9000)));
});

pulling('lists, and says what there is when the tag is wrong', {}, async ({ run, files }) => {
    const list = await run(['pull', '--list', 'acme/Tiny-GGUF']);
    assert.equal(list.code, 0, list.err);
    for (const text of ['Q4_K_M', 'Q8_0', 'BF16', '3.0 MB', '(2 parts)']) assert.ok(list.out.includes(text), text);
    const wrong = await run(['pull', 'acme/Tiny-GGUF:Q2_K']);
    assert.equal(wrong.code, 1);
    assert.match(wrong.err, /no ':Q2_K'/);
    assert.match(wrong.err, /Q8_0/);
    assert.deepEqual(files(), []);
});

pulling('reads a listing of several pages', { pages: true }, async ({ run, hub }) => {
    assert.equal((await run(['pull', name])).code, 0);
    assert.equal(hub.log.filter((l) => l.includes('/api/')).length, 6);
});

pulling('follows redirects, and keeps the token from other hosts', { redirect: true, token: 'secret' },
    async ({ run, hub, file }) => {
        const r = await run(['pull', name], { HF_TOKEN: 'secret' });
        assert.equal(r.code, 0, r.err);
        assert.ok(file(wanted).equals(big));
        assert.ok(!hub.hooks.cdnSeesToken);
        assert.ok(!r.err.includes('secret') && !r.out.includes('secret'));
    });

pulling('asks for a token when one is needed', { token: 'secret' }, async ({ run }) => {
    const r = await run(['pull', name]);
    assert.equal(r.code, 1);
    assert.match(r.err, /HF_TOKEN/);
});

pulling('a repository that is not there', { knows404: true }, async ({ run }) => {
    const r = await run(['pull', 'acme/nothing']);
    assert.equal(r.code, 1);
    assert.match(r.err, /no repository acme\/nothing/);
});

pulling('a repository that is not there, or is private: the hub does not say which', {}, async ({ run }) => {
    const r = await run(['pull', 'acme/nothing']);
    assert.equal(r.code, 1);
    assert.match(r.err, /acme\/nothing/);
    assert.match(r.err, /does not exist/);
    assert.match(r.err, /HF_TOKEN/);
});

pulling('a renamed repository is followed', { renamed: { 'acme/Old-GGUF': 'acme/Tiny-GGUF' }, token: 'secret' }, async ({ run, file }) => {
    const r = await run(['pull', 'acme/Old-GGUF:q8_0'], { HF_TOKEN: 'secret' });
    assert.equal(r.code, 0, r.err);
    assert.ok(file(wanted).equals(big));
});

pulling('goes on after a cut, within one run', { cut: { times: 2, after: 1_000_000 } }, async ({ run, hub, file }) => {
    const r = await run(['pull', name]);
    assert.equal(r.code, 0, r.err);
    assert.ok(file(wanted).equals(big));
    const ranges = hub.log.filter((l) => l.includes('bytes='));
    assert.equal(ranges.length, 2, hub.log.join('\n'));
    assert.match(r.err, /cut/);
});

pulling('starts anew where ranges are not done', { cut: { times: 1, after: 1_000_000 }, noRanges: true },
    async ({ run, file }) => {
        const r = await run(['pull', name]);
        assert.equal(r.code, 0, r.err);
        assert.ok(file(wanted).equals(big));
    });

pulling('gives up in the end, keeps the part, and resumes it', { cut: { times: 1, after: 1_000_000 } },
    async ({ run, hub, file, files }) => {
        const r = await run(['pull', '--retries', '0', name]);
        assert.equal(r.code, 1);
        assert.match(r.err, /same command goes on/);
        assert.deepEqual(files(), [`${wanted}.part`]);
        const n = file(`${wanted}.part`).length;
        assert.ok(n > 0 && n < big.length);
        const again = await run(['pull', name]);
        assert.equal(again.code, 0, again.err);
        assert.ok(hub.log.at(-1).endsWith(`bytes=${n}-`), hub.log.at(-1));
        assert.ok(file(wanted).equals(big));
        assert.deepEqual(files(), [wanted]);
    });

pulling('survives kill -9', { stallAfter: 2_000_000 }, async ({ start, run, hub, dir, file, files }) => {
    const child = start(['pull', name]);
    const closed = new Promise((ok) => child.on('close', ok));
    const part = join(dir, `${wanted}.part`);
    while (!existsSync(part) || readFileSync(part).length < 2_000_000) await new Promise((ok) => setTimeout(ok, 5));
    const second = await run(['pull', name]);
    assert.equal(second.code, 1);
    assert.match(second.err, /another process/);
    child.kill('SIGKILL');
    await closed;
    assert.deepEqual(files(), [`${wanted}.part`]);
    hub.hooks.stallAfter = 0;
    const again = await run(['pull', name]);
    assert.equal(again.code, 0, again.err);
    assert.match(again.err, /going on/);
    assert.ok(hub.log.at(-1).endsWith('bytes=2000000-'));
    assert.ok(file(wanted).equals(big));
});

pulling('refuses a wrong digest', { digest: () => sha256('else') }, async ({ run, files }) => {
    const r = await run(['pull', name]);
    assert.equal(r.code, 1);
    assert.match(r.err, /SHA-256/);
    assert.deepEqual(files(), []);
});

pulling('refuses a damaged part', {}, async ({ run, dir, files }) => {
    writeFileSync(join(dir, `${wanted}.part`), 'garbage');
    const r = await run(['pull', name]);
    assert.equal(r.code, 1);
    assert.match(r.err, /SHA-256/);
    assert.deepEqual(files(), []);
    assert.equal((await run(['pull', name])).code, 0); // and is clean after that
});

pulling('waits when it is asked to', { refuse: [[429, { 'retry-after': '0' }], 500, 503] }, async ({ run, file }) => {
    const r = await run(['pull', name]);
    assert.equal(r.code, 0, r.err);
    assert.match(r.err, /too many requests/);
    assert.ok(file(wanted).equals(big));
});

pulling('does not insist on what is refused', { refuse: [403] }, async ({ run, hub, files }) => {
    const r = await run(['pull', name]);
    assert.equal(r.code, 1);
    assert.match(r.err, /403/);
    assert.equal(hub.log.filter((l) => l.includes('/resolve/')).length, 1);
    assert.deepEqual(files(), []);
});

for (const path of ['../../evil-Q8_0.gguf', '/etc/evil-Q8_0.gguf', 'a/../evil-Q8_0.gguf', '..\\evil-Q8_0.gguf',
    '.evil-Q8_0.gguf', 'a\n-Q8_0.gguf'])
    pulling(`refuses the listed name ${JSON.stringify(path)}`, {
        list: (req, res) => res.end(JSON.stringify([{ type: 'file', path, size: 5 }])),
    }, async ({ run, files, hub }) => {
        const r = await run(['pull', name]);
        assert.equal(r.code, 1);
        assert.match(r.err, /names that lead elsewhere/);
        assert.deepEqual(files(), []);
        assert.equal(hub.log.length, 1);
    });

pulling('a listing that is none', { list: (req, res) => res.end('<html>') }, async ({ run }) => {
    const r = await run(['pull', name]);
    assert.equal(r.code, 1);
    assert.match(r.err, /not understood/);
});

pulling('a file by its address, with the digest that a redirect names', { redirect: true },
    async ({ run, hub, file }) => {
        const r = await run(['pull', `${hub.url}/acme/Tiny-GGUF/resolve/main/${wanted}?download=true`]);
        assert.equal(r.code, 0, r.err);
        assert.ok(!r.err.includes('no digest'), r.err);
        assert.ok(file(wanted).equals(big));
    });

pulling('a file by its address from a server without digests', { cut: { times: 1, after: 1_000_000 } },
    async ({ run, hub, file }) => {
        const r = await run(['pull', `${hub.url}/acme/Tiny-GGUF/resolve/main/${wanted}`]);
        assert.equal(r.code, 0, r.err);
        assert.match(r.err, /no digest/);
        assert.ok(file(wanted).equals(big));
        assert.equal((await run(['pull', `${hub.url}/acme/Tiny-GGUF/resolve/main/README.md`])).code, 1);
    });

pulling('does not replace another file unasked', {}, async ({ run, dir, file }) => {
    writeFileSync(join(dir, wanted), 'mine');
    const r = await run(['pull', name]);
    assert.equal(r.code, 1);
    assert.match(r.err, /--force/);
    assert.equal(String(file(wanted)), 'mine');
    assert.equal((await run(['pull', '-f', name])).code, 0);
    assert.ok(file(wanted).equals(big));
});

pulling('says that it is offline', {}, async ({ run, hub }) => {
    hub.close();
    const r = await run(['pull', name]);
    assert.equal(r.code, 1);
    assert.match(r.err, /online/);
});

pulling('wrong usage is 2', {}, async ({ run }) => {
    for (const args of [[], ['a'], ['a/b', 'c'], ['--what', 'a/b'], ['--retries', 'x', 'a/b']])
        assert.equal((await run(['pull', ...args])).code, 2, args.join(' '));
    assert.equal((await run(['pull', '-h'])).code, 0);
});

pulling('models lists and removes', {}, async ({ run, dir, files }) => {
    assert.match((await run(['models'])).out, /no models/);
    assert.equal((await run(['pull', name])).code, 0);
    assert.equal((await run(['pull', 'acme/Tiny-GGUF:bf16'])).code, 0);
    writeFileSync(join(dir, 'half.gguf.part'), 'x');
    const list = await run(['models']);
    assert.equal(list.code, 0, list.err);
    assert.match(list.out, /Tiny-Q8_0\.gguf +3\.0 MB/);
    assert.match(list.out, /half\.gguf\.part.*unfinished/);
    assert.ok(!list.out.includes('00002-of'));
    const json = JSON.parse((await run(['models', '--json'])).out);
    assert.deepEqual(json.map((m) => m.name), ['Tiny-BF16-00001-of-00002.gguf', wanted, 'half.gguf.part']);
    assert.ok(json.every((m) => m.problem)); // none of these is a GGUF file
    mkdirSync(join(dir, 'sub'));
    for (const bad of ['../x', '.', 'sub/x']) assert.equal((await run(['models', 'rm', bad])).code, 2);
    assert.equal((await run(['models', 'rm', 'nothing'])).code, 1);
    assert.equal((await run(['models', 'rm', 'Tiny-BF16', wanted, 'half'])).code, 0);
    assert.deepEqual(files(), ['sub']);
});
