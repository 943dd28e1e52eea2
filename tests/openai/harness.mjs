// Starts confab on a free port with a tiny random-weight model, or with the one CONFAB_MODEL names.
import { spawn, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

export const confab = resolve(process.env.CONFAB ?? '../../build/confab');

export function tinyModel(dir, preset = 'tiny-llama') {
    const file = join(dir, `${preset}.gguf`);
    if (!existsSync(file)) execFileSync(confab, ['synth', '--preset', preset, '--type', 'F32', '--seed', '7', file]);
    return file;
}

export async function startServer({ model, args = [], env = {} } = {}) {
    const dir = mkdtempSync(join(tmpdir(), 'confab-test-'));
    const file = model ?? tinyModel(dir);
    const child = spawn(confab, ['serve', '-m', `tiny=${file}`, '--port', '0', ...args], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, ...env },
    });
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
            if (child.exitCode === null && child.signalCode === null) {
                const gone = new Promise((ok) => child.on('exit', ok));
                child.kill(signal);
                await gone;
            }
            rmSync(dir, { recursive: true, force: true });
            return child.exitCode;
        },
    };
}

// Waits until check() is true, looking often; fails after a generous while.
export async function until(check, what, ms = 20000) {
    for (const end = Date.now() + ms; ; ) {
        if (await check()) return;
        if (Date.now() > end) throw new Error(`timed out waiting for: ${what}`);
        await new Promise((ok) => setTimeout(ok, 20));
    }
}
