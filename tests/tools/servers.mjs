// What these tests start beside confab: the reference MCP server over HTTP, and how its answers are
// read.
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { resolve } from 'node:path';
import { until } from '../openai/harness.mjs';

export const starter = resolve('../../models/starter/confab-starter.gguf');
export const everything = resolve('node_modules/@modelcontextprotocol/server-everything/dist/index.js');
export const hostile = resolve('hostile.mjs');

export async function freePort() {
    const s = createServer();
    await new Promise((ok) => s.listen(0, '127.0.0.1', ok));
    const { port } = s.address();
    await new Promise((ok) => s.close(ok));
    return port;
}

// The reference server: transport is 'streamableHttp' (at /mcp) or 'sse' (at /sse).
export async function startEverything(transport) {
    const port = await freePort();
    const path = transport === 'sse' ? '/sse' : '/mcp';
    const child = spawn(process.execPath, [everything, transport], { env: { ...process.env, PORT: port }, stdio: 'ignore' });
    child.unref();
    const url = `http://127.0.0.1:${port}${path}`;
    await until(() => fetch(url, { method: transport === 'sse' ? 'OPTIONS' : 'GET' }).then(() => true, () => false), `the reference server (${transport})`);
    return { url, port, stop: () => child.kill() };
}

// Frames of a stream of events: [{event, data}], data as JSON but for [DONE]; comments apart.
export function framesOf(text) {
    const all = text.split('\n\n').filter(Boolean);
    const frames = all.filter((f) => !f.startsWith(':')).map((f) => {
        const data = /^data: (.*)$/m.exec(f)?.[1];
        return { event: /^event: (.*)$/m.exec(f)?.[1], data: data === '[DONE]' ? data : JSON.parse(data) };
    });
    return { frames, comments: all.filter((f) => f.startsWith(':')) };
}
