// A tool-assisted run in the background survives kill -9: what a tool had answered stands, and one
// that had not answered is reported as lost, or runs again if that does no harm; never silently
// twice.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { startServer, until } from '../openai/harness.mjs';
import { scriptModel } from './script.mjs';

const starter = resolve('../../models/starter/confab-starter.gguf');
const hostile = resolve('hostile.mjs');
let dir, server, journal;
const open = async () => {
    server = await startServer({
        model: starter,
        env: { CONFAB_TEST_JOURNAL: journal },
        args: ['--data', join(dir, 'data'), '--tool-timeout', '60', '--mcp-stdio', `slow=${process.execPath} ${hostile} once ${journal}`],
    });
};
before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'confab-tools-kill-'));
    journal = join(dir, 'journal');
    await open();
});
after(async () => {
    assert.equal(await server.stop(), 0, server.log());
    rmSync(dir, { recursive: true });
});

const begin = async (id, content, more) => {
    const r = await fetch(`${server.url}/v1/messages/async?message_id=${id}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ max_tokens: 120, temperature: 0, messages: [{ role: 'user', content }], ...more }),
    });
    assert.equal(r.status, 200, await r.text());
};
const status = async (id) => (await (await fetch(`${server.url}/v1/messages/async/${id}/status`)).json()).status;
const whole = async (id) => {
    const text = await (await fetch(`${server.url}/v1/messages/async/${id}/stream`)).text();
    return text.split('\n\n').filter((f) => f.startsWith('event: ')).map((f) => JSON.parse(/^data: (.*)$/m.exec(f)[1]));
};
const blocks = (events) => events.filter((e) => e.type === 'content_block_start').map((e) => e.content_block);
const calls = () => (existsSync(journal) ? readFileSync(journal, 'utf8').split('\n').filter(Boolean).length : 0);

test('a tool that had not answered is reported as lost, and is not called again', async () => {
    await begin('lost', 'Echo "blue tree".', { mcp_servers: [{ name: 'slow' }] });
    await until(() => calls() === 1, 'the call');
    await server.stop('SIGKILL');
    await open();
    await until(async () => (await status('lost')) === 'completed', 'the run to be over');
    const events = await whole('lost');
    const [use, result] = blocks(events);
    assert.equal(use.type, 'server_tool_use');
    assert.equal(result.type, 'server_tool_result');
    assert.equal(result.is_error, true);
    assert.match(result.content, /restarted while the tool ran/);
    assert.equal(calls(), 1);
    assert.equal(events.at(-1).type, 'message_stop');
    assert.equal(blocks(events).filter((b) => b.type === 'server_tool_use').length, 1);
});

test('what a tool had answered stands', async () => {
    await begin('kept', 'Please use math_calculator with expression 12 * 7.', { tools: [{ type: 'math:calculator' }] });
    await until(async () => (await status('kept')) !== 'pending', 'it to begin');
    await server.stop('SIGKILL');
    await open();
    await until(async () => (await status('kept')) === 'completed', 'the run to be over');
    const all = blocks(await whole('kept'));
    assert.deepEqual(all.map((b) => b.type), ['server_tool_use', 'server_tool_result', 'text']);
    assert.deepEqual(all[1].content, [{ type: 'text', text: '{"result": "12 * 7=84"}' }]);
});

test('a tool that does no harm by it runs again, and is told once', async () => {
    let asked = 0, hold = true;
    const page = createServer((req, res) => {
        asked++;
        if (!hold) res.writeHead(200, { 'content-type': 'text/plain' }).end('The tree is blue.');
    });
    await new Promise((ok) => page.listen(0, '127.0.0.1', ok));
    const url = `http://127.0.0.1:${page.address().port}/`;
    const model = scriptModel(join(dir, 'script.gguf'), { read: [[{ name: 'web_url', args: { url } }], ['It is blue.']] });
    const first = server;
    const start = async () => (server = await startServer({ model, args: ['--data', join(dir, 'again'), '--tools', 'web:url', '--allow-net', '127.0.0.1', '--tool-timeout', '60'] }));
    try {
        await start();
        await begin('again', 'read', { tools: [{ type: 'web:url' }] });
        await until(() => asked === 1, 'the call');
        await server.stop('SIGKILL');
        hold = false;
        await start();
        await until(async () => (await status('again')) === 'completed', 'the run to be over');
        const all = blocks(await whole('again'));
        assert.deepEqual(all.map((b) => b.type), ['server_tool_use', 'web_fetch_tool_result', 'text']);
        assert.ok(!all[1].is_error && JSON.stringify(all[1].content).includes('blue'), JSON.stringify(all[1]));
        assert.equal(asked, 2);
    } finally {
        await server.stop();
        server = first;
        page.close();
        page.closeAllConnections();
    }
});
