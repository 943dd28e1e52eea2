// One folder of durable state, and servers that come and go on it.
import { setMaxListeners } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startServer, tinyModel } from '../openai/harness.mjs';

export class House {
    constructor(args = []) {
        this.dir = mkdtempSync(join(tmpdir(), 'confab-durable-'));
        this.data = join(this.dir, 'data');
        this.model = tinyModel(this.dir);
        this.args = args;
    }
    async open(args = []) {
        this.server = await startServer({ model: this.model, args: ['--data', this.data, ...this.args, ...args] });
        this.url = this.server.url;
        this.life = new AbortController();
        setMaxListeners(0, this.life.signal);
        return this.server;
    }
    async close(signal = 'SIGTERM') {
        return this.server.stop(signal);
    }
    // As the machine would: at once, whatever it is doing.
    async kill() {
        await this.server.stop('SIGKILL');
        this.life.abort(); // whatever still waits for it
    }
    async reopen(args) {
        await this.kill();
        await this.open(args);
    }
    remove() {
        rmSync(this.dir, { recursive: true, force: true });
    }
    fetch(path, options = {}) {
        return fetch(this.url + path, { signal: this.life?.signal, ...options });
    }
    async call(method, path, body, headers = {}) {
        const r = await this.fetch(path, {
            method,
            headers: body === undefined ? headers : { 'content-type': 'application/json', ...headers },
            body: body === undefined ? undefined : JSON.stringify(body),
        });
        const text = await r.text();
        const json = (r.headers.get('content-type') ?? '').startsWith('application/json') && !text.includes('}\n{') ? safe(text) : null;
        return { status: r.status, headers: r.headers, text, json };
    }
    get(path, headers) {
        return this.call('GET', path, undefined, headers);
    }
    post(path, body, headers) {
        return this.call('POST', path, body, headers);
    }
    replay(id, query = '') {
        return this.get(`/v1/streams/${encodeURIComponent(id)}${query}`);
    }
}

const safe = (text) => {
    try {
        return JSON.parse(text);
    } catch {
        return null;
    }
};

// What a stream says, whatever its dialect.
export const textOf = (bytes) => {
    let text = '';
    for (const line of bytes.split('\n')) {
        const at = line.startsWith('data: ') ? 6 : line.startsWith('{') ? 0 : -1;
        if (at < 0 || line.slice(at) === '[DONE]') continue;
        const v = JSON.parse(line.slice(at));
        if (v.type === 'content_block_delta') text += v.delta.text ?? '';
        else if (v.type === 'response.output_text.delta') text += v.delta;
        else if (v.choices) text += v.choices.map((c) => c.delta?.content ?? c.text ?? '').join('');
        else if (v.message) text += v.message.content ?? '';
        else if (v.Response) text += v.Response.response.GeneratedToken.Token ?? '';
    }
    return text;
};

export const idsOf = (bytes) => [...bytes.matchAll(/^id: (\d+)$/gm)].map((m) => Number(m[1]));

// xorshift: the same moments for the same seed.
export const randomFrom = (seed) => {
    let x = BigInt(seed) * 2654435761n + 88172645463325252n;
    return (n) => {
        x ^= (x << 13n) & 0xffffffffffffffffn;
        x ^= x >> 7n;
        x ^= (x << 17n) & 0xffffffffffffffffn;
        return Number(x % BigInt(n));
    };
};
