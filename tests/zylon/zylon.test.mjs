// Zylon's API: bodies of every generation, and chats in the background.
import assert from 'node:assert/strict';
import { writeFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startServer, until } from '../openai/harness.mjs';

// A template with thinking and calls; what it writes does not matter to a random model.
const template = `{%- for m in messages -%}<{{ m.role }}>{% if m.reasoning_content %}({{ m.reasoning_content }}){% endif %}{{ m.content }}
{%- for c in m.tool_calls or [] %}[{{ c.function.name }} {{ c.function.arguments | tojson }}]{% endfor %}
{% endfor -%}{%- if tools %}{{ tools | tojson }}{% endif -%}
{%- if add_generation_prompt %}<assistant>{% if enable_thinking %}(think){% endif %}{% endif -%}`;

let server, dir;
before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'confab-zylon-'));
    writeFileSync(join(dir, 'chat.jinja'), template);
    server = await startServer({ args: ['--max-seqs', '2', '--chat-template', join(dir, 'chat.jinja')] });
});
after(async () => {
    rmSync(dir, { recursive: true });
    assert.equal(await server.stop(), 0, server.log());
});

const user = (content) => ({ role: 'user', content });
const call = async (method, path, body) => {
    const r = await fetch(server.url + path, { method, headers: body === undefined ? {} : { 'content-type': 'application/json' }, body: body === undefined ? undefined : JSON.stringify(body) });
    const text = await r.text();
    const type = r.headers.get('content-type') ?? '';
    return { status: r.status, headers: r.headers, text, json: type.startsWith('application/json') ? JSON.parse(text) : null };
};
const post = (path, body) => call('POST', path, body);
const hi = { messages: [user('Hi')], max_tokens: 8 };
const endless = { messages: [user('Count to one million.')], max_tokens: 3000, temperature: 1, stop_sequences: [] };
// A test whose answers are really endless: on a server with such a model.
const onEndless = (name, body) => test(name, async () => {
    const usual = server;
    server = await startServer({ endless: true, args: ['--max-seqs', '2', '--chat-template', join(dir, 'chat.jinja')] });
    try {
        await body({ ...endless, max_tokens: 100000 });
        assert.equal(await server.stop(), 0, server.log());
    } finally {
        server = usual;
    }
});
const count = async (body) => {
    const r = await post('/v1/messages/count_tokens', body);
    assert.equal(r.status, 200, r.text);
    return r.json.input_tokens;
};
const parse = (sse) => sse.split('\n\n').filter(Boolean).map((frame) => {
    const [event, data, ...rest] = frame.split('\n');
    assert.equal(rest.length, 0);
    const v = JSON.parse(data.replace(/^data: /, ''));
    assert.equal(event, `event: ${v.type}`);
    return v;
});
const wellFormed = (events) => {
    const real = events.filter((e) => e.type !== 'ping');
    assert.equal(real[0].type, 'message_start');
    let open = null, next = 0;
    for (const e of real) {
        if (e.type === 'content_block_start') {
            assert.equal(open, null);
            assert.equal(e.index, next++);
            open = e;
        } else if (e.type.startsWith('content_block')) {
            assert.equal(e.index, open.index);
            assert.equal(e.block_id, open.block_id);
            if (e.type === 'content_block_stop') open = null;
        }
    }
    assert.equal(open, null);
    return real;
};
const textOf = (events) => events.filter((e) => e.delta?.type === 'text_delta').map((e) => e.delta.text).join('');
const waitFor = (id, status) => until(async () => (await call('GET', `/v1/messages/async/${id}/status`)).json.status === status, `${id} to be ${status}`);

test('a plain answer has the newest shape', async () => {
    const r = await post('/v1/messages', { ...hi, correlation_id: 'trace-9' });
    assert.equal(r.status, 200);
    assert.deepEqual(Object.keys(r.json), ['id', 'type', 'role', 'content', 'model', 'container', 'stop_details', 'stop_reason', 'stop_sequence', 'usage']);
    assert.match(r.json.id, /^msg_[0-9a-f]{32}$/);
    assert.deepEqual(Object.keys(r.json.content[0]), ['type', 'start_timestamp', 'stop_timestamp', 'text']);
    assert.match(r.json.content[0].start_timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    assert.equal(r.headers.get('x-correlation-id'), 'trace-9');
    assert.match(r.headers.get('request-id'), /^req_/);
    assert.equal(r.json.usage.input_tokens, await count(hi));
});

test('a stream carries what the plain answer holds', async () => {
    const body = { ...hi, max_tokens: 30, seed: 4, temperature: 1 };
    const plain = (await post('/v1/messages', body)).json;
    const r = await post('/v1/messages?beta=true', { ...body, stream: true });
    assert.equal(r.headers.get('content-type'), 'text/event-stream; charset=utf-8');
    const events = wellFormed(parse(r.text));
    assert.equal(textOf(events), plain.content[0].text);
    assert.deepEqual(events.at(-2).usage, plain.usage);
    assert.equal(events.at(-2).delta.stop_reason, plain.stop_reason);
    assert.equal(events.at(-1).type, 'message_stop');
});

test('every seed field is accepted, also as null; ranges are kept', async () => {
    const fields = {
        model: 'default', stream: false, tools: [], tool_choice: { type: 'auto' }, tool_context: [], mcp_servers: [], response_format: { type: 'text' },
        system: { text: 'Be brief.', use_default_prompt: false, citations: { enabled: false } }, thinking: { enabled: false }, priority: 1, seed: 42, min_p: 0.05, top_p: 0.9,
        temperature: 0.7, top_k: 40, repetition_penalty: 1.1, presence_penalty: 0, frequency_penalty: 0, max_tokens: 6, correlation_id: 'c',
    };
    const all = await post('/v1/messages', { messages: hi.messages, ...fields });
    assert.equal(all.status, 200, all.text);
    const again = await post('/v1/messages', { messages: hi.messages, ...fields });
    assert.equal(again.json.content[0].text, all.json.content[0].text);
    for (const [name, value] of Object.entries(fields))
        for (const v of [value, null]) {
            const r = await post('/v1/messages', { ...hi, [name]: v, ...(name === 'max_tokens' && v === null ? { top_k: 1, stop_sequences: [] } : {}) });
            assert.equal(r.status, 200, `${name}: ${r.text}`);
        }
    for (const [name, v] of [['temperature', 1.5], ['top_p', 2], ['top_k', -1], ['seed', 'x'], ['priority', 1e12], ['stream', 'yes'], ['max_tokens', 1.5], ['correlation_id', 7], ['messages', {}], ['system', 7], ['tools', {}], ['thinking', true]]) {
        const r = await post('/v1/messages', { ...hi, [name]: v });
        assert.equal(r.status, 400, name);
        assert.deepEqual(r.json.detail[0].loc, ['body', name]);
        assert.deepEqual(r.json.error.detail.explanation, r.json.detail);
    }
    for (const [name, v] of [['max_tokens', 0], ['max_tokens', -5], ['seed', -1], ['min_p', -1], ['presence_penalty', -1], ['repetition_penalty', -1], ['frequency_penalty', -1]]) {
        const r = await post('/v1/messages', { ...hi, top_k: 1, [name]: v, ...(name === 'max_tokens' ? { stop_sequences: [' '] } : {}) });
        assert.equal(r.status, 200, `${name} ${v}: ${r.text}`);
        assert.equal(r.headers.get('x-confab-ignored'), name);
    }
});

test('what is not built is refused by name', async () => {
    for (const [more, code] of [
        [{ tools: ['web_search_v1'] }, 'INVALID_REQUEST_TOOL_SUPPORTED_ERROR'],
        [{ response_format: { type: 'json_schema', json_schema: { type: 'array', uniqueItems: true } } }, 'INVALID_REQUEST_ERROR'],
        [{ output_config: { format: { type: 'json_schema', schema: { type: 'array', uniqueItems: true } } } }, 'INVALID_REQUEST_ERROR'],
    ]) {
        const r = await post('/v1/messages', { ...hi, ...more });
        assert.equal(r.status, 400, r.text);
        assert.equal(r.json.error.detail.code, code);
        assert.ok(r.text.includes(Object.keys(more)[0]));
    }
});

test('every shape of system is the same prompt', async () => {
    const shapes = ['Be brief.', { text: 'Be brief.' }, [{ type: 'text', text: 'Be brief.' }], ['Be', { text: '' }].length ? [{ text: 'Be brief.', extensions: ['zylon'] }, {}] : null];
    const counts = await Promise.all(shapes.map((system) => count({ ...hi, system })));
    counts.push(await count({ messages: [{ role: 'system', content: 'Be brief.' }, ...hi.messages] }));
    counts.push(await count({ messages: [{ role: 'system', content: [{ type: 'text', text: 'Be brief.' }] }, ...hi.messages] }));
    assert.equal(new Set(counts).size, 1, counts.join());
    assert.ok(counts[0] > (await count(hi)));
    assert.equal(await count({ ...hi, system: ['Be', 'brief.'] }), await count({ ...hi, system: 'Be\nbrief.' }));
    const own = await count({ ...hi, system: { text: 'Be brief.', use_default_prompt: true } });
    assert.ok(own > counts[0], 'the default prompt stands behind the text');
});

test('thinking: every way to switch it', async () => {
    const off = await count(hi);
    const rows = [
        [{}, false], [{ thinking: { enabled: true } }, true], [{ thinking: { enabled: true, effort: 'low' } }, true], [{ thinking: { effort: 'high' } }, true],
        [{ output_config: { effort: 'max' } }, true], [{ thinking: { enabled: true, type: 'xhigh' } }, true], [{ thinking: { enabled: false, type: 'high' } }, false],
        [{ thinking: { type: 'enabled', budget_tokens: 100 } }, true], [{ thinking: { type: 'adaptive' } }, true], [{ thinking: { type: 'disabled' } }, false], [{ thinking: { enabled: false } }, false],
    ];
    for (const [more, on] of rows) assert.equal((await count({ ...hi, ...more })) > off, on, JSON.stringify(more));
    assert.equal((await post('/v1/messages', { ...hi, thinking: { effort: 'huge' } })).status, 400);
});

test('results may stand with the user or with the assistant', async () => {
    const use = { type: 'tool_use', id: 'tool_1', name: 'get_weather', input: { city: 'Oslo' } };
    const result = { type: 'tool_result', tool_use_id: 'tool_1', content: '4 C, rain' };
    const with_user = await count({ messages: [user('Weather?'), { role: 'assistant', content: [use] }, user([result])] });
    const with_assistant = await count({ messages: [user('Weather?'), { role: 'assistant', content: [use] }, { role: 'assistant', content: [{ ...result, content: [{ type: 'text', text: '4 C, rain' }] }] }] });
    assert.equal(with_user, with_assistant);
    const answered = await post('/v1/messages', { max_tokens: 4, messages: [user('Weather?'), { role: 'assistant', content: [use] }, user([result])] });
    assert.equal(answered.status, 200, answered.text);
    const offered = await count({ ...hi, tools: [{ name: 'a', inputSchema: { type: 'object' } }, { name: 'b' }] });
    assert.ok(offered > (await count({ ...hi, tools: [{ name: 'a', input_schema: { type: 'object' } }] })));
    assert.equal(await count({ ...hi, tools: [{ name: 'a' }], tool_choice: { type: 'none' } }), await count(hi));
    for (const content of [[use], [use, use, result], [{ ...result, tool_use_id: 'nope' }]])
        assert.equal((await post('/v1/messages', { messages: [user('q'), { role: 'assistant', content }] })).status, 400);
});

test('what fails later comes as an error event, or with its status', async () => {
    const rows = [
        [{ model: 'no-such-model' }, 400, 'INVALID_REQUEST_ERROR', "Model 'no-such-model' not found"],
        [{ messages: [user('  ')] }, 400, 'INVALID_REQUEST_EMPTY_MESSAGE_ERROR'],
        [{ messages: [user([{ type: 'image', source: { type: 'url', url: 'http://x/y.png' } }, { type: 'text', text: 'q' }])] }, 400, 'INVALID_REQUEST_IMAGE_SUPPORT_ERROR'],
        [{ messages: [user('word '.repeat(9000))] }, 413, 'REQUEST_TOO_LARGE_ERROR'],
    ];
    for (const [more, status, code, message] of rows) {
        const plain = await post('/v1/messages', { ...hi, ...more });
        assert.equal(plain.status, status, plain.text);
        assert.equal(plain.json.error.detail.code, code);
        if (message) assert.equal(plain.json.detail, message);
        const r = await post('/v1/messages', { ...hi, ...more, stream: true });
        assert.equal(r.status, 200);
        const events = parse(r.text);
        assert.deepEqual(events.map((e) => e.type), ['message_start', 'error']);
        assert.equal(events[1].error.detail.code, code);
        assert.equal(events[1].request_id, events[0].message.id);
        const v = await post('/v1/messages/validate', { ...hi, ...more });
        assert.equal(v.status, 400);
        assert.equal(v.json.valid, false);
        assert.equal(v.json.errors.length, 1);
    }
});

test('validate', async () => {
    const r = await post('/v1/messages/validate', { ...hi, stream: true });
    assert.equal(r.status, 200);
    assert.deepEqual(r.json, { valid: true, errors: null, warnings: [], request_summary: { message_count: 1, has_tools: false, stream_enabled: true, tool_choice: 'auto' } });
    const bad = await post('/v1/messages/validate', { messages: [] });
    assert.equal(bad.status, 400);
    assert.equal(bad.json.error.message, 'Messages cannot be empty');
});

test('async: with an id, without, with an empty one', async () => {
    for (const [query, want] of [['?message_id=report-1', /^report-1$/], ['', /^msg_[0-9a-f]{32}$/], ['?message_id=', /^msg_[0-9a-f]{32}$/]]) {
        const r = await post('/v1/messages/async' + query, { ...hi, stream: true });
        assert.equal(r.status, 200);
        assert.deepEqual(Object.keys(r.json), ['message_id', 'status', 'message']);
        assert.match(r.json.message_id, want);
        assert.equal(r.json.status, 'pending');
        assert.equal(r.json.message, 'Request initiated successfully');
        const s = await call('GET', `/v1/messages/async/${r.json.message_id}/status`);
        assert.equal(s.status, 200);
        assert.deepEqual(Object.keys(s.json), ['message_id', 'status', 'created_at', 'updated_at', 'completed_at', 'error_message', 'stream_type', 'metadata']);
        await waitFor(r.json.message_id, 'completed');
        const events = wellFormed(parse((await call('GET', `/v1/messages/async/${r.json.message_id}/stream`)).text));
        if (r.json.message_id.startsWith('msg_')) assert.equal(events[0].message.id, r.json.message_id);
        assert.equal((await call('DELETE', `/v1/messages/async/${r.json.message_id}/delete`)).status, 204);
    }
    for (const id of ['a b', 'ä', 'x'.repeat(257), 'a/b'])
        assert.equal((await post('/v1/messages/async?message_id=' + encodeURIComponent(id), hi)).status, 400, id);
    const bad = await post('/v1/messages/async?message_id=never', { messages: [] });
    assert.equal(bad.status, 400);
    assert.equal((await call('GET', '/v1/messages/async/never/status')).status, 404);
});

test('async: an id is used once until it is deleted', async () => {
    const both = await Promise.all([post('/v1/messages/async?message_id=once', endless), post('/v1/messages/async?message_id=once', endless)]);
    assert.deepEqual(both.map((r) => r.status).sort(), [200, 400]);
    const lost = both.find((r) => r.status === 400);
    assert.equal(lost.json.detail, 'Stream with this message_id already exists');
    await call('POST', '/v1/messages/async/once/cancel');
    assert.equal((await post('/v1/messages/async?message_id=once', hi)).status, 400);
    assert.equal((await call('DELETE', '/v1/messages/async/once/delete')).status, 204);
    for (const [method, end] of [['GET', 'status'], ['GET', 'stream'], ['POST', 'cancel'], ['DELETE', 'delete']]) {
        const r = await call(method, `/v1/messages/async/once/${end}`);
        assert.equal(r.status, 404, end);
        assert.equal(r.json.detail, 'Stream with message_id once not found');
    }
    assert.equal((await post('/v1/messages/async?message_id=once', hi)).status, 200);
    await waitFor('once', 'completed');
    assert.equal((await call('DELETE', '/v1/messages/async/once')).status, 204);
});

test('async: observers early and late see the same bytes, and leaving changes nothing', async () => {
    await post('/v1/messages/async?message_id=watched', { ...endless, max_tokens: 400, seed: 3 });
    const early = call('GET', '/v1/messages/async/watched/stream');
    const leaver = new AbortController();
    const left = await fetch(server.url + '/v1/messages/async/watched/stream', { signal: leaver.signal });
    await left.body.getReader().read();
    leaver.abort();
    const middle = call('GET', '/v1/messages/async/watched/stream');
    const [a, b] = await Promise.all([early, middle]);
    await waitFor('watched', 'completed');
    const c = await call('GET', '/v1/messages/async/watched/stream');
    assert.equal(b.text, a.text);
    assert.equal(c.text, a.text);
    wellFormed(parse(a.text));
    // From a cursor, with the numbers that a client asks for.
    const numbered = (await call('GET', '/v1/messages/async/watched/stream?ids=true')).text;
    const ids = [...numbered.matchAll(/^id: (\d+)$/gm)].map((m) => m[1]);
    assert.ok(ids.length > 3);
    const at = ids[Math.floor(ids.length / 2)];
    const tail = await call('GET', `/v1/messages/async/watched/stream?ids=true&last_event_id=${at}`);
    assert.equal(tail.text, numbered.slice(numbered.indexOf('\n\n', numbered.indexOf(`\nid: ${at}\n`)) + 2));
    assert.equal((await call('GET', `/v1/messages/async/watched/stream?last_event_id=${ids.at(-1)}`)).status, 204);
    assert.equal((await call('GET', '/v1/messages/async/watched/stream?last_event_id=x')).status, 400);
    // The same run, by its message's id, in another dialect.
    const id = parse(a.text)[0].message.id;
    const status = (await call('GET', '/v1/messages/async/watched/status')).json;
    assert.equal(status.error_message, null);
    assert.ok(status.completed_at >= status.created_at);
    assert.equal(status.metadata.message_count, 1);
    assert.match(id, /^msg_[0-9a-f]{32}$/);
    const openai = await call('GET', '/v1/streams/watched?dialect=openai.chat');
    const chunks = openai.text.split('\n\n').filter((l) => l.startsWith('data: {')).map((l) => JSON.parse(l.slice(6)));
    assert.equal(chunks.map((k) => k.choices[0]?.delta?.content ?? '').join(''), textOf(parse(a.text)));
});

onEndless('async: cancel while running, queued, over, twice, unknown', async (never) => {
    const ids = ['run-1', 'run-2', 'run-3'];
    for (const id of ids) await post(`/v1/messages/async?message_id=${id}`, never);
    await waitFor('run-1', 'processing');
    const seen = call('GET', '/v1/messages/async/run-1/stream');
    for (const id of [...ids].reverse()) {
        const r = await call('POST', `/v1/messages/async/${id}/cancel`);
        assert.deepEqual(r.json, { message: 'Stream cancelled successfully', message_id: id });
        assert.equal((await call('GET', `/v1/messages/async/${id}/status`)).json.status, 'cancelled');
        assert.equal((await call('POST', `/v1/messages/async/${id}/cancel`)).status, 200);
    }
    for (const text of [(await seen).text, ...(await Promise.all(ids.map((id) => call('GET', `/v1/messages/async/${id}/stream`)))).map((r) => r.text)]) {
        const events = wellFormed(parse(text));
        assert.equal(events.at(-2).delta.stop_reason, null);
        assert.equal(events.at(-1).type, 'message_stop');
    }
    assert.equal((await call('POST', '/v1/messages/async/run/cancel')).status, 404, 'ids are matched whole');
    await post('/v1/messages/async?message_id=done', hi);
    await waitFor('done', 'completed');
    assert.equal((await call('POST', '/v1/messages/async/done/cancel')).status, 200);
    assert.equal((await call('GET', '/v1/messages/async/done/status')).json.status, 'completed');
    await until(async () => (await server.metric('active')) === 0, 'no work left');
});

onEndless('async: deleting a run that is watched ends it', async (never) => {
    await post('/v1/messages/async?message_id=gone', never);
    const seen = call('GET', '/v1/messages/async/gone/stream');
    await waitFor('gone', 'processing');
    assert.equal((await call('DELETE', '/v1/messages/async/gone/delete')).status, 204);
    assert.equal(wellFormed(parse((await seen).text)).at(-1).type, 'message_stop');
    assert.equal((await call('DELETE', '/v1/messages/async/gone/delete')).status, 404);
    await until(async () => (await server.metric('runs_live')) === 0, 'no live run');
});

test('async: a request that cannot be answered ends failed', async () => {
    assert.equal((await post('/v1/messages/async?message_id=bad', { ...hi, model: 'nope' })).status, 200);
    const s = (await call('GET', '/v1/messages/async/bad/status')).json;
    assert.equal(s.status, 'failed');
    assert.equal(s.error_message, "Model 'nope' not found");
    assert.deepEqual(parse((await call('GET', '/v1/messages/async/bad/stream')).text).map((e) => e.type), ['message_start', 'error']);
});

test('the hosted prefix, wrong methods, unknown paths', async () => {
    assert.equal((await post('/api/gpt/v1/messages', hi)).status, 200);
    const page = (await call('GET', '/api/gpt/v1/models')).json;
    assert.equal(page.data[0].type, 'model');
    assert.equal(page.data[0].capabilities.thinking.supported, true);
    assert.equal((await call('GET', '/api/gpt/v1/models/nope')).status, 404);
    for (const [method, path, status] of [['GET', '/v1/messages', 405], ['GET', '/v1/messages/async', 405], ['PUT', '/v1/messages/async/x/status', 405], ['GET', '/v1/messages/nowhere', 404]]) {
        const r = await call(method, path);
        assert.equal(r.status, status, path);
        assert.equal(r.json.type, 'error');
        assert.equal(typeof r.json.detail, 'string');
    }
});

onEndless('a client that leaves ends its answer', async (never) => {
    const leaver = new AbortController();
    const r = await fetch(server.url + '/v1/messages', { method: 'POST', signal: leaver.signal, headers: { 'content-type': 'application/json' }, body: JSON.stringify({ ...never, stream: true }) });
    await r.body.getReader().read();
    leaver.abort();
    await until(async () => (await server.metric('runs_live')) === 0 && (await server.metric('active')) === 0, 'no live run');
});
