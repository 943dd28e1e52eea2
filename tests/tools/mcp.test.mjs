// The MCP client against the reference server, and against servers that are worse: progress, streams
// that break off, tokens that run out, the HTTP of 2024, results that are no text.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { startServer } from '../openai/harness.mjs';
import { everything, framesOf, hostile, starter, startEverything } from './servers.mjs';

// Stands before the reference server.  What it does to it:
//   /auth/mcp    wants the newest token of /auth/token; each is good for two calls of a tool
//   /cut/mcp     cuts the answer of a tool's call behind its first event, and lets the client wait
//                for the rest until the tool is done
//   /shut/mcp    refuses everybody
async function startGate(target) {
    const seen = { tokens: 0, refused: 0, cut: 0, resumed: 0, grants: [] };
    let calls = 0;
    const body = async (req) => {
        let text = '';
        for await (const piece of req) text += piece;
        return text;
    };
    const server = createServer(async (req, res) => {
        const text = await body(req);
        const [, kind, what] = req.url.split('/');
        if (what === 'token') {
            seen.grants.push({ ...Object.fromEntries(new URLSearchParams(text)), authorization: req.headers.authorization });
            calls = 0;
            res.writeHead(200, { 'content-type': 'application/json' });
            return res.end(JSON.stringify({ access_token: `token-${++seen.tokens}`, token_type: 'Bearer', expires_in: 60 }));
        }
        const isCall = text.includes('"tools/call"');
        if (kind === 'shut' || (kind === 'auth' && (req.headers.authorization !== `Bearer token-${seen.tokens}` || (isCall && ++calls > 2)))) {
            seen.refused++;
            res.writeHead(401);
            return res.end();
        }
        const resumes = req.method === 'GET' && req.headers['last-event-id'];
        if (resumes) await new Promise((ok) => setTimeout(ok, 1500));
        const stop = new AbortController();
        res.on('close', () => stop.abort());
        const headers = Object.fromEntries(['content-type', 'accept', 'mcp-session-id', 'mcp-protocol-version', 'last-event-id'].filter((h) => req.headers[h]).map((h) => [h, req.headers[h]]));
        try {
            const answer = await fetch(target, { method: req.method, headers, body: text || undefined, signal: stop.signal });
            seen.resumed += !!resumes;
            res.writeHead(answer.status, Object.fromEntries(['content-type', 'mcp-session-id'].filter((h) => answer.headers.get(h)).map((h) => [h, answer.headers.get(h)])));
            let sent = '';
            for await (const piece of answer.body ?? []) {
                res.write(piece);
                sent += Buffer.from(piece).toString();
                if (kind === 'cut' && isCall && sent.includes('progress')) {
                    seen.cut++;
                    return res.destroy();
                }
            }
            res.end();
        } catch {
            res.destroy();
        }
    });
    await new Promise((ok) => server.listen(0, '127.0.0.1', ok));
    return { server, seen, url: (path) => `http://127.0.0.1:${server.address().port}${path}` };
}

let server, http, sse, gate;
before(async () => {
    http = await startEverything('streamableHttp');
    sse = await startEverything('sse');
    gate = await startGate(http.url);
    server = await startServer({
        model: starter,
        env: { SOME_SECRET: 'hunter2' },
        args: [
            '--allow-net', '127.0.0.1', '--tool-timeout', '20',
            '--mcp-stdio', `stdio=${process.execPath} ${everything} stdio`,
            '--mcp-stdio', `reports=${process.execPath} ${hostile} reports`,
            '--mcp-http', `http=${http.url}`,
            '--mcp-http', `cut=${gate.url('/cut/mcp')}`,
            '--mcp-http', `auth=${gate.url('/auth/mcp')}`,
            '--mcp-oauth', `auth=${gate.url('/auth/token')} client_id=confab client_secret=s3cret scope=tools`,
        ],
    });
});
after(async () => {
    http.stop();
    sse.stop();
    gate.server.close();
    gate.server.closeAllConnections();
    assert.equal(await server.stop(), 0, server.log());
});

const post = (path, body, headers = {}) =>
    fetch(server.url + path, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) });
const assisted = '/serverless/tools/v1/chat/completions';
const mcp = (server_label, ...allowed_tools) => ({ type: 'mcp', server_label, allowed_tools });
const ask = (content, tools, more) => ({ model: 'tiny', temperature: 0, max_tokens: 120, messages: [{ role: 'user', content }], tools, ...more });
const stream = async (path, body) => framesOf(await (await post(path, { ...body, stream: true })).text());
const statusOf = (frames) => frames.filter((f) => f.event === 'tool_status').map((f) => f.data);
const long = 'trigger-long-running-operation';
const slowly = `Please use ${long} with duration 1 and steps 4.`;
const echo = 'Echo "blue tree".';

for (const label of ['stdio', 'http'])
    test(`the reference server's progress is told (${label})`, async () => {
        const { frames } = await stream(assisted, ask(slowly, [mcp(label, long)], { tool_choice: 'required' }));
        const status = statusOf(frames);
        assert.equal(status[0].status, 'STARTED', JSON.stringify(frames));
        assert.equal(status.at(-1).status, 'ENDED', JSON.stringify(status.at(-1)));
        assert.match(status.at(-1).result, /Long running operation completed/);
        const between = status.slice(1, -1);
        assert.ok(between.length >= 1, 'no report');
        for (const f of between) {
            assert.deepEqual([f.status, f.result, f.message, f.error, f.usage], ['UPDATING', null, null, null, null]);
            assert.equal(f.tool_call_id, status[0].tool_call_id);
        }
    });

test('progress: a comment on the wires that have no event for it, and a number in the log', async () => {
    const body = { max_tokens: 120, temperature: 0, tool_choice: { type: 'any' }, messages: [{ role: 'user', content: slowly }], mcp_servers: [{ name: 'http', tool_configuration: { allowed_tools: [long] } }] };
    const { frames, comments } = await stream('/v1/messages', body);
    assert.ok(comments.some((c) => /^: a call goes on: \{"progress":[1-4],"total":4\}/.test(c)), comments.join('\n'));
    assert.equal(frames.at(-1).event, 'message_stop');
    assert.match(server.log(), /tools\.call run=\S+ team= tool=http\/trigger-long-running-operation end=ok ms=\d+ .* reports=[1-4] args=/);
});

test('a server that reports without end gets few words of it into the log', async () => {
    const { frames } = await stream(assisted, ask(echo, [mcp('reports', 'echo')]));
    const status = statusOf(frames);
    assert.equal(status.at(-1).status, 'ENDED');
    assert.ok(status.length >= 3 && status.length < 20, `${status.length} frames`);
    const body = { max_tokens: 120, temperature: 0, messages: [{ role: 'user', content: echo }], mcp_servers: [{ name: 'reports' }] };
    const zylon = await stream('/v1/messages', body);
    assert.ok(zylon.comments.some((c) => c.includes('part')));
    assert.ok(zylon.frames.every((f) => f.event), 'a report became a frame');
});

test("a stream that breaks off is taken up again behind its last event, by the reference server's own store", async () => {
    const { frames } = await stream(assisted, ask(slowly, [mcp('cut', long)], { tool_choice: 'required' }));
    const status = statusOf(frames);
    assert.equal(status.at(-1).status, 'ENDED', JSON.stringify(status.at(-1)));
    assert.match(status.at(-1).result, /Long running operation completed/);
    assert.deepEqual([gate.seen.cut, gate.seen.resumed], [1, 1]);
});

test('tokens come from the authorization server, and a new one when the old is refused', async () => {
    for (let i = 0; i < 3; i++) {
        const status = statusOf((await stream(assisted, ask(echo, [mcp('auth', 'echo')]))).frames);
        assert.equal(status.at(-1).status, 'ENDED', JSON.stringify(status.at(-1)));
    }
    assert.deepEqual([gate.seen.tokens, gate.seen.refused], [2, 1]);
    assert.deepEqual(gate.seen.grants[0], {
        grant_type: 'client_credentials', scope: 'tools', resource: gate.url('/auth/mcp'),
        authorization: `Basic ${Buffer.from('confab:s3cret').toString('base64')}`,
    });
    assert.ok(!/s3cret|token-[12]/.test(server.log()));
});

test('who is not let in is told so', async () => {
    const r = await post('/v1/messages', { max_tokens: 20, messages: [{ role: 'user', content: echo }], mcp_servers: [{ name: 'x', url: gate.url('/shut/mcp') }] });
    const { error } = await r.json();
    assert.deepEqual([r.status, error.type, error.detail.code], [403, 'permission_error', 'PERMISSION_MCP_AUTH_ERROR']);
});

test('the HTTP of 2024, as requests name it', async () => {
    for (const named of [{ url: sse.url }, { url: `${sse.url}?x=1`, type: 'sse' }]) {
        const r = await post('/v1/messages', { max_tokens: 120, temperature: 0, messages: [{ role: 'user', content: echo }], mcp_servers: [{ name: 'old', ...named, tool_configuration: { allowed_tools: ['echo'] } }] });
        const answer = await r.json();
        assert.equal(r.status, 200, JSON.stringify(answer));
        assert.deepEqual(answer.content[1].content, [{ type: 'text', text: 'Echo: blue tree' }]);
    }
    // The other transport at an address that has only this one, and the other way round.
    for (const named of [{ url: sse.url, type: 'http' }, { url: http.url, type: 'sse' }]) {
        const r = await post('/v1/messages', { max_tokens: 20, messages: [{ role: 'user', content: echo }], mcp_servers: [{ name: 'old', ...named }] });
        assert.equal(r.status, 400, await r.text());
    }
});

test("a choice may name a server's tool, which is known later; one that there is not is refused", async () => {
    const tools = [mcp('http', 'get-tiny-image', 'get-structured-content')];
    const named = (name) => ({ type: 'function', function: { name } });
    for (const tool_choice of [named('get-tiny-image'), 'required']) {
        const status = statusOf((await stream(assisted, ask('Hello!', tools, { tool_choice }))).frames);
        assert.deepEqual(status.map((f) => f.status).slice(0, 2), ['STARTED', 'ENDED']);
    }
    const body = { max_tokens: 120, temperature: 0, messages: [{ role: 'user', content: 'Hello!' }], mcp_servers: [{ name: 'http', tool_configuration: { allowed_tools: ['get-tiny-image'] } }] };
    for (const tool_choice of [{ type: 'any' }, { type: 'tool', name: 'get-tiny-image' }]) {
        const { content } = await (await post('/v1/messages', { ...body, tool_choice })).json();
        assert.equal(content[0].name, 'get-tiny-image');
    }
    const none = { ...ask('Hello!', [mcp('http', 'nonesuch')]), stream: false };
    for (const tool_choice of [named('nonesuch'), 'required']) {
        const r = await post('/v1/chat/completions', { ...none, tool_choice });
        const { error } = await r.json();
        assert.deepEqual([r.status, error.param], [400, 'tool_choice'], JSON.stringify(error));
    }
    const r = await post('/v1/messages', { ...body, tool_choice: { type: 'tool', name: 'nonesuch' } });
    assert.equal(r.status, 400, await r.text());
});

test('two servers with a tool of one name are told apart', async () => {
    const body = { max_tokens: 120, temperature: 0, messages: [{ role: 'user', content: echo }], mcp_servers: ['stdio', 'http'].map((name) => ({ name, tool_configuration: { allowed_tools: ['echo'] } })) };
    for (const [name, label] of [['echo', 'stdio'], ['http__echo', 'http']]) {
        const { content } = await (await post('/v1/messages', { ...body, tool_choice: { type: 'tool', name } })).json();
        assert.deepEqual([content[0].name, content[1].is_error], [name, false], JSON.stringify(content));
        assert.match(server.log(), new RegExp(`tool=${label}/${name} end=ok`));
    }
});

test('a program gets none of the secrets of the server', async () => {
    const { content } = await (await post('/v1/messages', { max_tokens: 60, temperature: 0, messages: [{ role: 'user', content: 'Hello!' }], tool_choice: { type: 'tool', name: 'get-env' }, mcp_servers: [{ name: 'stdio', tool_configuration: { allowed_tools: ['get-env'] } }] })).json();
    const names = Object.keys(JSON.parse(content[1].content[0].text));
    assert.ok(names.includes('PATH'), names.join());
    assert.deepEqual(names.filter((n) => !['PATH', 'HOME', 'LANG', 'LC_ALL', 'USER', 'TMPDIR'].includes(n)), []);
});

test('a toolset chooses among the tools of a server', async () => {
    const offered = async (toolset) => {
        const r = await post('/v1/messages', { max_tokens: 120, temperature: 0, messages: [{ role: 'user', content: 'Hello!' }], tool_choice: { type: 'any' }, mcp_servers: [{ type: 'url', name: 'every', url: http.url }], tools: [{ type: 'mcp_toolset', mcp_server_name: 'every', ...toolset }] });
        return { status: r.status, body: await r.json() };
    };
    const image = await offered({ default_config: { enabled: false }, configs: { 'get-tiny-image': { enabled: true } } });
    assert.equal(image.status, 200, JSON.stringify(image.body));
    assert.deepEqual(image.body.content[0].name, 'get-tiny-image');
    const none = await offered({ default_config: { enabled: false } });
    assert.equal(none.status, 400);
    assert.match(none.body.error.message, /there are no tools/);
    const unknown = await offered({ mcp_server_name: 'other' });
    assert.deepEqual([unknown.status, unknown.body.error.detail.code], [400, 'INVALID_REQUEST_INVALID_MCP_ERROR']);
});

test("a request's refresh token is named as not used, and needs its client", async () => {
    const ask = (more) => post('/v1/messages', { max_tokens: 20, messages: [{ role: 'user', content: 'Hello!' }], mcp_servers: [{ name: 'x', url: http.url, refresh_token: 'r', tool_configuration: { allowed_tools: ['echo'] }, ...more }] });
    const r = await ask({ client_id: 'c' });
    assert.equal(r.status, 200);
    assert.match(r.headers.get('x-confab-ignored'), /mcp_servers\.refresh_token/);
    await r.text();
    assert.equal((await ask()).status, 400);
});

test('images and structured results come as blocks, and as words for the model', async () => {
    const call = async (name) => {
        const body = { max_tokens: 200, temperature: 0, messages: [{ role: 'user', content: `Use ${name}.` }], tool_choice: { type: 'tool', name }, mcp_servers: [{ name: 'http', tool_configuration: { allowed_tools: [name] } }] };
        const answer = await (await post('/v1/messages', body)).json();
        assert.ok(answer.content?.[1], JSON.stringify(answer));
        return answer.content[1];
    };
    const image = await call('get-tiny-image');
    assert.equal(image.is_error, false);
    const [block] = image.content.filter((b) => b.type === 'image');
    assert.deepEqual([block.source.type, block.source.media_type], ['base64', 'image/png']);
    assert.ok(Buffer.from(block.source.data, 'base64').subarray(1, 4).equals(Buffer.from('PNG')));
    const structured = await call('get-structured-content');
    assert.equal(structured.is_error, false);
    assert.equal(typeof JSON.parse(structured.content[0].text).temperature, 'number');
});
