// Starts confab on a free port with a tiny random-weight model, or with the one CONFAB_MODEL names.
import assert from 'node:assert/strict';
import { spawn, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after } from 'node:test';

export const confab = resolve(process.env.CONFAB ?? '../../build/confab');

export function tinyModel(dir, preset = 'tiny-llama') {
    const file = join(dir, `${preset}.gguf`);
    if (!existsSync(file)) execFileSync(confab, ['synth', '--preset', preset, '--type', 'F32', '--seed', '7', file]);
    return file;
}

// A tiny model that never ends an answer by itself, with a context that takes any machine minutes to
// fill: nothing in its file is named as what ends a text.  For tests of answers that are still
// running; no speed of the machine then decides what they see.
export function endlessModel(dir) {
    const file = join(dir, 'endless.gguf');
    if (existsSync(file)) return file;
    execFileSync(confab, ['synth', '--preset', 'tiny-llama', '--type', 'F32', '--seed', '7', '--ctx', '131072', file]);
    const bytes = readFileSync(file);
    for (const [from, to] of [['<|im_end|>', '<|im_and|>'], ['<|endoftext|>', '<|andoftext|>'], ['eos_token_id', 'xos_token_id']]) {
        assert.ok(bytes.includes(from), from);
        for (let at = 0; (at = bytes.indexOf(from, at)) >= 0; ) at += bytes.write(to, at);
    }
    writeFileSync(file, bytes);
    return file;
}

// No server outlives the file that started it, whatever fails: node would wait for it for ever.
const children = new Set();
const killAll = () => children.forEach((c) => c.kill('SIGKILL'));
process.on('exit', killAll);
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => process.exit(1));
after(async () => {
    await Promise.all([...children].map((c) => quit(c)));
});

// Ends it; by force when it does not listen.
async function quit(child, signal = 'SIGTERM') {
    if (child.exitCode === null && child.signalCode === null) {
        child.ref();
        const gone = new Promise((ok) => child.on('exit', ok));
        child.kill(signal);
        const late = setTimeout(() => child.kill('SIGKILL'), 60000);
        await gone;
        clearTimeout(late);
    }
    children.delete(child);
    return child.exitCode;
}

// Starts `confab serve` and waits for its address.  Its model is called "tiny": a random one, or an
// endless one (as above), or the file given.
export async function startServer({ model, endless = false, args = [], env = {} } = {}) {
    const dir = mkdtempSync(join(tmpdir(), 'confab-test-'));
    const file = model ?? (endless ? endlessModel(dir) : tinyModel(dir));
    const context = endless ? ['--ctx', '131072', '--kv-tokens', '1048576'] : [];
    const child = spawn(confab, ['serve', '-m', `tiny=${file}`, '--port', '0', ...context, ...args], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, ...env },
    });
    children.add(child);
    let log = '';
    child.stderr.on('data', (d) => (log += d));
    const url = await new Promise((ok, fail) => {
        let out = '';
        child.stdout.on('data', (d) => {
            out += d;
            const m = /ready at (http:\S+)/.exec(out);
            if (m) ok(m[1]);
        });
        child.on('exit', (code) => fail(new Error(`confab left with ${code}\n${log}`)));
    });
    for (const h of [child, child.stdout, child.stderr]) h.unref();
    return {
        url,
        pid: child.pid,
        log: () => log,
        // Open descriptors and resident memory, as the system counts them.
        descriptors: () => readdirSync(`/proc/${child.pid}/fd`).length,
        residentKiB: () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))[1]),
        metric: async (name) => {
            const text = await (await fetch(url + '/metrics')).text();
            const m = new RegExp(`^confab_${name.replace(/[{}"]/g, '\\$&')}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(text);
            return m ? Number(m[1]) : undefined;
        },
        stop: async (signal = 'SIGTERM') => {
            const code = await quit(child, signal);
            rmSync(dir, { recursive: true, force: true });
            return code;
        },
    };
}

// Waits until check() is true, looking often; fails after a generous while.
export async function until(check, what, ms = 60000) {
    for (const end = Date.now() + ms; ; ) {
        if (await check()) return;
        if (Date.now() > end) throw new Error(`timed out waiting for: ${what}`);
        await new Promise((ok) => setTimeout(ok, 20));
    }
}
