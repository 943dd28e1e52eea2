// Built-in tools that reach out of the process: a page, a search, a program, files as text and as PDF.
// Their arguments are written by a script where they are not such as a small model writes; a search
// and a file are called by the starter model.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { startServer, until } from '../openai/harness.mjs';
import { scriptModel } from './script.mjs';
import { framesOf, starter } from './servers.mjs';

const answers = (args) => spawnSync(args[0], args.slice(1)).status === 0;
const sandbox = answers(['bwrap', '--unshare-user', '--ro-bind', '/', '/', 'true']);
const reads = sandbox && answers(['pdftotext', '-v']);
const python = sandbox && answers(['/usr/bin/python3', '--version']);

let server, scripted, plain, dir, web, at, searches = [];

// A PDF of one page that says one line.
function pdf(text) {
    const stream = `BT /F1 24 Tf 72 700 Td (${text}) Tj ET`;
    const objects = [
        '<< /Type /Catalog /Pages 2 0 R >>',
        '<< /Type /Pages /Kids [3 0 R] /Count 1 >>',
        '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>',
        `<< /Length ${stream.length} >>\nstream\n${stream}\nendstream`,
        '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>',
    ];
    let out = '%PDF-1.4\n';
    const places = objects.map((o, i) => {
        const place = out.length;
        out += `${i + 1} 0 obj\n${o}\nendobj\n`;
        return place;
    });
    const xref = out.length;
    out += `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${places.map((p) => `${String(p).padStart(10, '0')} 00000 n \n`).join('')}`;
    return Buffer.from(`${out}trailer\n<< /Size ${objects.length + 1} /Root 1 0 R >>\nstartxref\n${xref}\n%%EOF\n`, 'latin1');
}

before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'confab-builtin-'));
    // The page of every address, and a search endpoint that answers as SearXNG does.
    web = createServer((req, res) => {
        const url = new URL(req.url, 'http://x');
        if (url.pathname !== '/search') {
            res.writeHead(200, { 'content-type': 'text/html' });
            return res.end('<title>Trees</title><p>The tree is <b>blue</b>.</p><script>no()</script>');
        }
        searches.push(Object.fromEntries(url.searchParams));
        res.writeHead(200, { 'content-type': 'application/json' });
        const result = (i) => ({ title: `Title ${i}`, url: `http://example.com/${i}`, content: 'blue '.repeat(200), engine: 'x', score: 1 });
        res.end(JSON.stringify({ query: 'q', number_of_results: 30, results: Array.from({ length: 30 }, (_, i) => result(i)), suggestions: [] }));
    });
    await new Promise((ok) => web.listen(0, '127.0.0.1', ok));
    at = `http://127.0.0.1:${web.address().port}`;
    const args = [
        '--allow-net', '127.0.0.1', '--search-url', `${at}/search?language=en`,
        '--tools', 'math:*,web:*,code:python-interpreter,file:text',
    ];
    const page = { url: `${at}/page` }, inside = { url: 'http://169.254.169.254/latest/meta-data/' };
    const programs = {
        works: "print(6*7)\nimport sys\nprint('note', file=sys.stderr)",
        fails: 'import sys\nsys.exit(3)',
        'opens sockets': "import socket\nsocket.create_connection(('127.0.0.1', 80), 2)",
        'reads the host': "print(open('/etc/passwd').read())",
    };
    const scripts = {
        page: [[{ name: 'web_url', args: page }], ['The tree is blue.']],
        inside: [[{ name: 'web_url', args: inside }], ['I may not.']],
        fetch: [[{ name: 'web_fetch', args: page }], ['The tree is blue.']],
        'fetch inside': [[{ name: 'web_fetch', args: inside }], ['I may not.']],
        search: [[{ name: 'web_search', args: { query: 'blue & tree', max_results: 2 } }], ['Found.']],
        'no search': [[{ name: 'web_search', args: { query: '' } }], ['Nothing.']],
    };
    for (const [name, code] of Object.entries(programs)) {
        scripts[name] = [[{ name: 'code_python_interpreter', args: { code } }], [`It ${name}.`]];
        scripts[`${name} (Zylon)`] = [[{ name: 'code_execution', args: { code } }], [`It ${name}, too.`]];
    }
    const script = scriptModel(join(dir, 'script.gguf'), scripts);
    scripted = await startServer({ model: script, args });
    plain = await startServer({ model: script, args: [...args, '--zylon-results', 'client'] });
    server = await startServer({ model: starter, args: [...args, '--data', join(dir, 'data')] });
});
after(async () => {
    web.close();
    web.closeAllConnections();
    for (const s of [scripted, plain, server]) assert.equal(await s.stop(), 0, s.log());
    rmSync(dir, { recursive: true });
});

const post = (path, body, on) =>
    fetch(on.url + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
const ask = (content, tools, more) => ({ model: 'tiny', temperature: 0, max_tokens: 200, messages: [{ role: 'user', content }], tools, ...more });
// The last frame of the one call, with its result read.
async function call(on, content, tool, more) {
    const r = await post('/serverless/tools/v1/chat/completions', ask(content, [tool], { stream: true, ...more }), on);
    const { frames } = framesOf(await r.text());
    const status = frames.filter((f) => f.event === 'tool_status').map((f) => f.data);
    assert.equal(status.length, 2, JSON.stringify(frames));
    const last = status[1];
    return { ...last, inner: last.result && JSON.parse(JSON.parse(last.result)), text: frames.map((f) => f.data.choices?.[0]?.delta.content ?? '').join('') };
}
async function message(on, content, tool) {
    const body = { max_tokens: 200, temperature: 0, messages: [{ role: 'user', content }], tools: [{ type: tool }] };
    const whole = await (await post('/v1/messages', body, on)).json();
    const { frames } = framesOf(await (await post('/v1/messages', { ...body, stream: true }, on)).text());
    const streamed = frames.filter((f) => f.event === 'content_block_start').map((f) => f.data.content_block);
    // A block comes whole, and is the same in a stream; but for times, ids and texts that grow.
    const bare = (b) => ({ ...b, start_timestamp: 0, stop_timestamp: 0, id: 0, tool_use_id: 0, input: 0, text: 0, ...(b.content?.retrieved_at && { content: { ...b.content, retrieved_at: 0 } }) });
    assert.deepEqual(streamed.map(bare), whole.content.map(bare));
    return whole.content;
}

test('a page becomes text', async () => {
    const r = await call(scripted, 'page', { type: 'web:url' });
    assert.deepEqual(r.inner, { url: `${at}/page`, status: 200, title: 'Trees', text: 'The tree is blue.' });
    assert.match(r.text, /blue/);
    const refused = await call(scripted, 'inside', { type: 'web:url' });
    assert.deepEqual([refused.status, refused.error.type], ['ERRORED', 'UNKNOWN']);
    assert.match(refused.error.msg, /not one that may be reached/);
});

test('a search asks the endpoint and brings a few short results', async () => {
    searches = [];
    const r = await call(scripted, 'search', { type: 'web:search' });
    assert.deepEqual(searches, [{ language: 'en', format: 'json', q: 'blue & tree' }]);
    assert.deepEqual(r.inner.results.map((x) => [x.title, x.url]), [['Title 0', 'http://example.com/0'], ['Title 1', 'http://example.com/1']]);
    assert.ok(r.inner.results.every((x) => x.snippet.length <= 600 && /^blue blue/.test(x.snippet)));
    // The starter model, by itself.
    const own = await call(server, 'Please use web_search with query "blue tree".', { type: 'web:search' }, { tool_choice: { type: 'function', function: { name: 'web:search' } } });
    assert.equal(own.status, 'ENDED');
    assert.ok(own.inner.results.length >= 1 && own.inner.results.length <= 10);
    assert.equal(searches.length, 2);
    assert.equal(searches[1].q, own.parameters.find((p) => p.name === 'query').value);
    // Without an endpoint it is not offered.
    const none = await startServer({ model: join(dir, 'script.gguf'), args: ['--tools', 'web:search'] });
    const refused = await post('/v1/chat/completions', ask('search', [{ type: 'web:search' }]), none);
    const { error } = await refused.json();
    assert.deepEqual([refused.status, error.code], [400, 'tool_unavailable']);
    assert.match(error.message, /--search-url/);
    await none.stop();
});

test('what reaches out of the process is off unless it is switched on', async () => {
    const bare = await startServer({ model: join(dir, 'script.gguf') });
    for (const type of ['web:url', 'web:search', 'code:python-interpreter']) {
        const r = await post('/v1/chat/completions', ask('page', [{ type }]), bare);
        assert.deepEqual([r.status, (await r.json()).error.code], [400, 'tool_unavailable']);
    }
    for (const type of ['math:calculator', 'math:statistics', 'math:calendar'])
        assert.equal((await post('/v1/chat/completions', ask('page', [{ type }], { max_tokens: 1 }), bare)).status, 200);
    await bare.stop();
});

test('a program runs in the sandbox', { skip: !python && 'bubblewrap or python3 is missing' }, async () => {
    const run = async (name) => (await call(scripted, name, { type: 'code:python-interpreter' })).inner;
    assert.deepEqual(await run('works'), { stdout: '42\n', stderr: 'note\n', exit_code: 0 });
    assert.equal((await run('fails')).exit_code, 3);
    assert.match((await run('opens sockets')).stderr, /Error/);
    assert.match((await run('reads the host')).stderr, /FileNotFoundError/);
});

test('what searches, fetches and computes has blocks of its own on the wire of Zylon', async () => {
    const search = await message(scripted, 'search', 'web_search_v1');
    assert.deepEqual(search.map((b) => b.type), ['server_tool_use', 'web_search_tool_result', 'text']);
    assert.equal(search[0].name, 'web_search');
    assert.equal(search[1].tool_use_id, search[0].id);
    assert.deepEqual([search[1].content.length, search[1].content[1].type, search[1].content[1].url], [2, 'web_search_result', 'http://example.com/1']);
    const nothing = await message(scripted, 'no search', 'web_search');
    assert.deepEqual([nothing[1].content.type, nothing[1].content.error_code], ['web_search_tool_result_error', 'invalid_tool_input']);
    const page = await message(scripted, 'fetch', 'web_fetch');
    assert.equal(page[1].type, 'web_fetch_tool_result');
    assert.deepEqual([page[1].content.url, page[1].content.content.source.data], [`${at}/page`, 'The tree is blue.']);
    const inside = await message(scripted, 'fetch inside', 'web_fetch');
    assert.deepEqual([inside[1].content.type, inside[1].content.error_code], ['web_fetch_tool_result_error', 'url_not_allowed']);
    if (python) {
        const program = await message(scripted, 'works (Zylon)', 'code_execution');
        assert.deepEqual(program[1].content, { type: 'bash_code_execution_result', stdout: '42\n', stderr: 'note\n', return_code: 0, content: [] });
    }
    // The whole content goes back to the server as it came.
    const body = { model: 'tiny', max_tokens: 50, messages: [{ role: 'user', content: 'fetch' }, { role: 'assistant', content: page.slice(0, 2) }, { role: 'user', content: 'page' }] };
    const anthropic = new Anthropic({ apiKey: 'none', baseURL: `${scripted.url}/api/gpt`, maxRetries: 0 });
    assert.ok((await anthropic.messages.create(body)).content.length > 0);
});

test('... or looks like what a client ran', async () => {
    const [use, result] = await message(plain, 'fetch', 'web_fetch');
    assert.deepEqual([use.type, result.type, result.is_error], ['tool_use', 'tool_result', false]);
    assert.match(use.id, /^tool_/);
    assert.equal(result.tool_use_id, use.id);
    assert.match(result.content[0].text, /The tree is blue/);
});

test('a file is read, as text and as PDF', async () => {
    for (const [name, bytes, may] of [['note.txt', Buffer.from('Blue tree'), true], ['note.pdf', pdf('Blue tree'), reads]]) {
        if (!may) continue;
        const made = await (await post('/beta/file', { name, size: bytes.length, digest: '', projectId: 'p' }, server)).json();
        assert.equal((await fetch(made.uploadUrl, { method: 'PUT', body: bytes })).status, 200);
        assert.equal((await fetch(`${server.url}/beta/file/${made.fileId}`, { method: 'PATCH' })).status, 200);
        const r = await call(server, 'Please use file_text.', { type: 'file:text', files: [made.fileId] }, { tool_choice: { type: 'function', function: { name: 'file:text' } } });
        assert.equal(r.status, 'ENDED', JSON.stringify(r));
        assert.equal(r.inner.name, name);
        assert.equal(r.inner.text.trim(), 'Blue tree');
        // In a request of Zylon's, without the store.
        const content = (await (await post('/v1/messages', { max_tokens: 200, temperature: 0, messages: [{ role: 'user', content: 'Please use file_text.' }], tool_choice: { type: 'tool', name: 'file_text' }, tools: [{ type: 'file:text', name: 'file_text' }], tool_context: [{ type: 'file', value: bytes.toString('base64') }] }, server)).json()).content;
        assert.equal(JSON.parse(content[1].content[0].text).text.trim(), 'Blue tree');
    }
    // What is no PDF, though it says so, costs the call.
    if (!reads) return;
    const broken = Buffer.from('%PDF-1.4\nnothing of it is true');
    const made = await (await post('/beta/file', { name: 'x.pdf', size: broken.length, digest: '', projectId: 'p' }, server)).json();
    await fetch(made.uploadUrl, { method: 'PUT', body: broken });
    const r = await call(server, 'Please use file_text.', { type: 'file:text', files: [made.fileId] }, { tool_choice: { type: 'function', function: { name: 'file:text' } } });
    assert.deepEqual([r.status, r.error.msg], ['ERRORED', 'the PDF could not be read']);
});

test('nothing is left of all this', async () => {
    const run = async (i) => {
        for (const [content, tool] of [['page', 'web:url'], ['search', 'web:search'], ...(python ? [['works', 'code:python-interpreter']] : [])]) await call(scripted, content, { type: tool });
        return i;
    };
    await run(0);
    const before = [scripted.descriptors(), scripted.residentKiB()];
    for (let i = 0; i < 10; i++) await run(i);
    await until(() => scripted.descriptors() <= before[0] + 8, 'descriptors at their baseline');
    assert.ok(scripted.residentKiB() < before[1] + 32 * 1024, `${before[1]} KiB before, ${scripted.residentKiB()} after`);
    assert.equal(await scripted.metric('tools_live'), 0);
});
