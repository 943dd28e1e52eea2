// `confab chat` against a server of our own, by pipe and in a terminal (of Python's `pty`).
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';

const confab = resolve(process.env.CONFAB ?? '../../build/confab');

// Runs its arguments in a terminal of their own and ends as they end.
const PTY = 'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))';

// Answers "you said: ..." in pieces; some questions have answers of their own.
async function startServer() {
    const seen = { bodies: [], keys: [], gone: 0, held: 0 };
    const server = createServer(async (req, res) => {
        seen.keys.push(req.headers.authorization);
        if (req.url === '/v1/models') {
            if (seen.needKey && req.headers.authorization !== 'Bearer sesame') {
                res.writeHead(401).end(JSON.stringify({ error: { message: 'Incorrect API key provided.' } }));
                return;
            }
            return res.end(JSON.stringify({ object: 'list', data: [{ id: 'm1' }, { id: 'm2' }] }));
        }
        let text = '';
        for await (const part of req) text += part;
        const body = JSON.parse(text);
        seen.bodies.push(body);
        const said = body.messages.at(-1).content;
        const chunk = (delta, finish_reason = null) =>
            res.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason }] })}\n\n`);
        if (said === 'fail') {
            res.writeHead(400, { 'content-type': 'application/json' });
            res.end(JSON.stringify({ error: { message: 'That is not possible.', param: 'messages' } }));
            return;
        }
        res.writeHead(200, { 'content-type': 'text/event-stream' });
        chunk({ role: 'assistant', content: '' });
        if (said === 'later') {
            chunk({ content: 'soon ' });
            seen.release = () => res.end('data: [DONE]\n\n');
            return;
        }
        if (said === 'hold') {
            chunk({ content: 'for ever ' });
            seen.held++;
            res.on('close', () => seen.gone++);
            return;
        }
        if (said === 'cut') {
            chunk({ content: 'half' });
            return setImmediate(() => res.destroy());
        }
        if (said === 'break') {
            res.end(`data: ${JSON.stringify({ error: { message: 'It broke.' } })}\n\n`);
            return;
        }
        if (said === 'escape') chunk({ content: 'a\x1b[31mb\u009bc\x07d\te' });
        else if (said === 'think') chunk({ reasoning_content: 'hm' }), chunk({ content: 'so' });
        else for (const piece of ['you ', 'said: ', ...said]) chunk({ content: piece });
        chunk({}, said === 'long' ? 'length' : 'stop');
        res.end('data: [DONE]\n\n');
    });
    await new Promise((ok) => server.listen(0, '127.0.0.1', ok));
    return {
        url: `http://127.0.0.1:${server.address().port}`,
        seen,
        close: () => (server.closeAllConnections(), server.close()),
    };
}

function chatting(name, body) {
    test(name, async (t) => {
        const server = await startServer();
        const home = mkdtempSync(join(tmpdir(), 'confab-chat-'));
        t.after(() => {
            server.close();
            rmSync(home, { recursive: true });
        });
        const env = { ...process.env, HOME: home, CONFAB_URL: server.url, TERM: 'xterm', LC_ALL: 'C.UTF-8' };
        const watch = (child) => {
            const got = { out: '', err: '', child };
            child.stdin.on('error', () => {}); // a program that is through already reads no input
            t.after(() => child.kill('SIGKILL'));
            child.stdout.on('data', (d) => (got.out += d));
            child.stderr.on('data', (d) => (got.err += d));
            got.closed = new Promise((ok) => child.on('close', (code) => ok(code)));
            got.until = async (what) => {
                while (!what(got)) {
                    await new Promise((ok) => setTimeout(ok, 5));
                    assert.ok(child.exitCode === null && child.signalCode === null, `ended early: ${got.out}${got.err}`);
                }
            };
            return got;
        };
        const start = (args = [], more = {}) => watch(spawn(confab, ['chat', ...args], { env: { ...env, ...more } }));
        const run = async (input, args, more) => {
            const got = start(args, more);
            got.child.stdin.end(input);
            const code = await got.closed;
            return { ...got, code };
        };
        const terminal = (args = []) =>
            watch(spawn('python3', ['-c', PTY, confab, 'chat', ...args], { env }));
        await body({ ...server, home, start, run, terminal });
    });
}

chatting('lines of a pipe are messages of one conversation', async ({ run, seen }) => {
    const r = await run('hi\nthere\n');
    assert.equal(r.code, 0, r.err);
    assert.equal(r.out, 'you said: hi\nyou said: there\n');
    assert.equal(r.err, '');
    assert.equal(seen.bodies[0].model, 'm1');
    assert.deepEqual(seen.bodies[1].messages, [
        { role: 'user', content: 'hi' },
        { role: 'assistant', content: 'you said: hi' },
        { role: 'user', content: 'there' },
    ]);
});

chatting('a backslash goes on, the last line needs no end', async ({ run, seen }) => {
    assert.equal((await run('one\\\ntwo\\\n\\\nthree')).code, 0);
    assert.equal(seen.bodies[0].messages[0].content, 'one\ntwo\n\nthree');
});

chatting('a question as an argument', async ({ run, seen }) => {
    const args = ['-s', 'be kind', '--temperature', '0', '-n', '7', '--seed', '3', '--model', 'm2', 'why?'];
    const r = await run('', args, { CONFAB_API_KEY: 'sesame' });
    assert.equal(r.out, 'you said: why?\n');
    assert.deepEqual(seen.bodies[0], {
        model: 'm2',
        messages: [{ role: 'system', content: 'be kind' }, { role: 'user', content: 'why?' }],
        stream: true,
        temperature: 0,
        max_tokens: 7,
        seed: 3,
    });
    assert.ok(seen.keys.every((k) => k === 'Bearer sesame'));
});

chatting('commands', async ({ run, seen, home }) => {
    const json = join(home, 'talk.json'), text = join(home, 'talk.md');
    const input = ['/system be brief', 'a', '/new', 'b', '/system', `/save ${json}`, `/save ${text}`, '/help', '/quit', 'c'];
    const r = await run(input.join('\n'));
    assert.equal(r.code, 0, r.err);
    assert.equal(seen.bodies.length, 2);
    assert.deepEqual(seen.bodies[1].messages, [{ role: 'system', content: 'be brief' }, { role: 'user', content: 'b' }]);
    assert.deepEqual(JSON.parse(readFileSync(json)).map((m) => m.content), ['be brief', 'b', 'you said: b']);
    assert.match(String(readFileSync(text)), /## assistant\n\nyou said: b\n/);
    assert.match(r.out, /\/save FILE/);
    assert.equal((await run('/what\n')).code, 1);
});

chatting('what fails says so, and is not part of the conversation', async ({ run, seen }) => {
    const r = await run('fail\nbreak\ncut\nok\n');
    assert.equal(r.code, 1);
    assert.match(r.err, /That is not possible\.\n.*It broke\.\n.*cut/s);
    assert.ok(r.out.endsWith('you said: ok\n'));
    assert.deepEqual(seen.bodies[3].messages, [{ role: 'user', content: 'ok' }]);
});

chatting('an answer at its limit, reasoning, and bytes that are no text', async ({ run, seen }) => {
    const r = await run(Buffer.from([...Buffer.from('long\nthink\nx'), 0xff, 0x0a]));
    assert.equal(r.code, 0, r.err);
    assert.match(r.err, /limit of tokens/);
    assert.ok(!r.out.includes('hm'), 'reasoning is for people');
    assert.equal(seen.bodies[2].messages.at(-1).content, 'x\ufffd');
});

chatting('no server, no key', async ({ run, seen }) => {
    const r = await run('hi\n', ['--url', 'http://127.0.0.1:1']);
    assert.equal(r.code, 1);
    assert.match(r.err, /confab serve/);
    seen.needKey = true;
    const denied = await run('hi\n');
    assert.equal(denied.code, 1);
    assert.match(denied.err, /CONFAB_API_KEY.*Incorrect API key/);
});

chatting('wrong usage is 2', async ({ run }) => {
    for (const args of [['a', 'b'], ['--what'], ['-t', 'warm', 'x'], ['-t', '3', 'x'], ['-n', '-1', 'x'], ['-m', 'x', '-u', 'y']])
        assert.equal((await run('', args)).code, 2, args.join(' '));
    assert.equal((await run('', ['-h'])).code, 0);
});

chatting('SIGINT stops an answer of a pipe, and the server sees it', async ({ start, seen }) => {
    const r = start();
    r.child.stdin.end('hold\nafter\n');
    await r.until(() => r.out.includes('for ever'));
    r.child.kill('SIGINT');
    assert.equal(await r.closed, 1);
    assert.equal(r.out, 'for ever \nyou said: after\n');
    assert.equal(seen.gone, 1);
    assert.deepEqual(seen.bodies[1].messages.map((m) => m.content), ['hold', 'for ever ', 'after']);
});

chatting('SIGTERM ends it', async ({ start, seen }) => {
    const r = start();
    r.child.stdin.write('hold\n');
    await r.until(() => r.out.includes('for ever'));
    r.child.kill('SIGTERM');
    assert.equal(await r.closed, 1);
    assert.equal(seen.gone, 1);
});

chatting('a terminal: prompt, Ctrl-C stops the answer, Ctrl-D ends, history is kept', async ({ terminal, seen, home }) => {
    const r = terminal();
    await r.until(() => r.out.includes('> '));
    r.child.stdin.write('hold\r');
    await r.until(() => seen.held === 1 && r.out.includes('for ever'));
    r.child.stdin.write('\x03');
    await r.until(() => r.out.includes('[stopped]') && seen.gone === 1 && r.out.split('> ').length > 2);
    r.child.stdin.write('thrown away\x03');
    await r.until(() => r.out.split('> ').length > 3);
    r.child.stdin.write('grüße\r');
    await r.until(() => r.out.includes('you said: grüße'));
    r.child.stdin.write('escape\r');
    await r.until(() => r.out.includes('a[31mbcd'));
    r.child.stdin.write('think\r');
    await r.until(() => r.out.includes('\x1b[2mhm\x1b[0m'));
    r.child.stdin.write('fail\r');
    await r.until(() => r.out.includes('not possible'));
    r.child.stdin.write('\x04');
    assert.equal(await r.closed, 0, r.out);
    assert.deepEqual(seen.bodies.map((b) => b.messages.at(-1).content), ['hold', 'grüße', 'escape', 'think', 'fail']);
    const file = join(home, '.local/share/confab/history');
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.match(String(readFileSync(file)), /hold/);

    const again = terminal();
    await again.until(() => again.out.includes('> '));
    again.child.stdin.write('\x1b[A\x1b[A\r'); // up twice: "think"
    await again.until(() => again.out.includes('hm'));
    again.child.stdin.write('/quit\r');
    assert.equal(await again.closed, 0);
});

chatting('a terminal: what is typed during an answer is kept, Ctrl-D too', async ({ terminal, seen }) => {
    const r = terminal();
    await r.until(() => r.out.includes('> '));
    r.child.stdin.write('later\r');
    await r.until(() => r.out.includes('soon'));
    r.child.stdin.write('next\r\x04');
    seen.release();
    assert.equal(await r.closed, 0, r.out);
    assert.deepEqual(seen.bodies.map((b) => b.messages.at(-1).content), ['later', 'next']);
});

chatting('a server of its own comes and goes', async ({ start, run, home }) => {
    const model = join(home, 'tiny.gguf');
    execFileSync(confab, ['synth', '--preset', 'tiny-llama', '--type', 'F32', '--seed', '7', model]);
    const r = await run('', ['-m', model, '-n', '4', '-t', '0', 'hello']);
    assert.equal(r.code, 0, r.err);
    assert.ok(r.out.length > 1);

    const children = (pid) => String(readFileSync(`/proc/${pid}/task/${pid}/children`)).trim().split(' ').filter(Boolean);
    const held = start(['-m', model]);
    held.child.stdin.write('/system x\n/system\n');
    await held.until(() => held.out.includes('x\n'));
    const [server] = children(held.child.pid);
    assert.ok(server);
    held.child.kill('SIGKILL'); // the server must not outlive us
    await held.closed;
    while (existsSync(`/proc/${server}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${server}/status`, 'utf8')))
        await new Promise((ok) => setTimeout(ok, 10));

    const bad = await run('', ['-m', join(home, 'nothing.gguf'), 'hello']);
    assert.equal(bad.code, 1);
    assert.match(bad.err, /did not start: .*nothing\.gguf/);
});
