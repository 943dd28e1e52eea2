// Paddler's routes on a live server. Golden lines of every event are in src/dialect/paddler_test.c;
// here: what reaches them, field by field.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startServer, until } from '../openai/harness.mjs';

let server;
before(async () => {
    server = await startServer({ args: ['--max-seqs', '2', '--queue', '4', '--ctx', '512'] });
});
after(async () => {
    assert.equal(await server.stop(), 0, server.log());
});

const CHAT = '/api/v1/continue_from_conversation_history';
const RAW = '/api/v1/continue_from_raw_prompt';
const chat = (more = {}) => ({
    add_generation_prompt: true, enable_thinking: false, max_tokens: 4,
    conversation_history: [{ role: 'system', content: 'Be brief.' }, { role: 'user', content: 'Name a sea.' }],
    ...more,
});
const post = (path, body, headers = {}, more = {}) => fetch(server.url + path, {
    method: 'POST', headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body), ...more,
});
const lines = async (r) => {
    const text = await r.text();
    assert.ok(text.endsWith('\n'));
    return text.slice(0, -1).split('\n').map((l) => JSON.parse(l));
};
const kinds = (list) => list.map((l) => {
    if (l.Error) return `Error ${l.Error.error.code}`;
    const t = l.Response.response.GeneratedToken;
    return typeof t === 'string' ? t : Object.keys(t)[0];
});
const apply = async (messages, more) => (await (await fetch(server.url + '/apply-template', {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ messages, ...more }),
})).json()).prompt;

test('the older shape: token lines under one id, then "Done"', async () => {
    const r = await post(CHAT, chat());
    assert.equal(r.status, 200);
    assert.equal(r.headers.get('content-type'), 'application/json');
    assert.equal(r.headers.get('cache-control'), 'no-cache');
    assert.equal(r.headers.get('transfer-encoding'), 'chunked');
    const id = r.headers.get('x-confab-run');
    const bytes = await r.text();
    const texts = bytes.trimEnd().split('\n').slice(0, -1).map((l) => JSON.parse(l).Response.response.GeneratedToken.Token);
    assert.ok(texts.length <= 4);
    const golden = texts.map((t) => `{"Response":{"request_id":"${id}","response":{"GeneratedToken":{"Token":${JSON.stringify(t)}}}}}\n`).join('')
        + `{"Response":{"request_id":"${id}","response":{"GeneratedToken":"Done"}}}\n`;
    assert.equal(bytes, golden);
    assert.equal(await (await fetch(`${server.url}/v1/streams/${id}`)).text(), bytes);
});

test('the current shape is had by field, header or query', async () => {
    const rows = [
        [await post(CHAT, chat({ parse_tool_calls: false })), true],
        [await post(CHAT, chat(), { 'x-paddler-wire': '4' }), true],
        [await post(CHAT + '?wire=4', chat()), true],
        [await post(CHAT, chat({ parse_tool_calls: false }), { 'x-paddler-wire': '2' }), false],
        [await post(RAW + '?wire=4', { raw_prompt: 'Once', max_tokens: 4 }), true],
        [await post(RAW, { raw_prompt: 'Once', max_tokens: 4 }), false],
    ];
    for (const [r, current] of rows) {
        const list = await lines(r);
        const last = list.at(-1).Response.response.GeneratedToken;
        for (const l of list) assert.equal('generated_by' in l.Response, current);
        if (!current) assert.equal(last, 'Done');
        else {
            const u = last.Done.usage;
            assert.deepEqual(Object.keys(u), ['prompt_tokens', 'cached_prompt_tokens', 'input_image_tokens', 'input_audio_tokens',
                'content_tokens', 'reasoning_tokens', 'tool_call_tokens', 'undeterminable_tokens']);
            assert.ok(u.prompt_tokens > 0 && u.content_tokens > 0 && u.content_tokens <= 4);
        }
    }
    assert.equal((await post(CHAT + '?wire=3', chat())).status, 400);
});

test('max_tokens bounds the answer; none or fewer give the end alone', async () => {
    for (const [max_tokens, want] of [[1, 1], [0, 0], [-5, 0]]) {
        const list = await lines(await post(CHAT, chat({ max_tokens, parse_tool_calls: false })));
        const u = list.at(-1).Response.response.GeneratedToken.Done.usage;
        assert.equal(u.content_tokens, want);
        assert.ok(u.prompt_tokens > 10);
        assert.ok(list.length <= want + 1);
    }
});

test('history, both switches and tools reach the template', async () => {
    // The stand-in template shows all but the switch for thinking; the count of prompt tokens tells.
    const count = async (more) => (await lines(await post(CHAT, chat({ max_tokens: 0, parse_tool_calls: false, ...more })))).at(-1).Response.response.GeneratedToken.Done.usage.prompt_tokens;
    const tokens = async (text) => (await (await post('/tokenize', { content: text, add_special: true })).json()).tokens.length;
    const history = chat().conversation_history;
    assert.equal(await count(), await tokens(await apply(history)));
    assert.equal(await count({ add_generation_prompt: false }), await tokens(await apply(history, { add_generation_prompt: false })));
    assert.ok(await count({ add_generation_prompt: false }) < await count());
    const parts = [{ role: 'user', content: [{ type: 'text', text: 'Name ' }, { type: 'text', text: 'a sea.' }] }];
    assert.equal(await count({ conversation_history: parts }), await count({ conversation_history: [{ role: 'user', content: 'Name a sea.' }] }));
    const thought = [{ role: 'user', content: 'x' }, { role: 'assistant', content: '<think>\ny</think>z' }, { role: 'user', content: 'w' }];
    assert.equal(await count({ conversation_history: thought }), await tokens(await apply(thought)));
});

test('a template sees enable_thinking and the tools', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'confab-paddler-'));
    const file = join(dir, 'template');
    writeFileSync(file, "{{ messages|length }}{% if enable_thinking %} thinks{% endif %}{% for t in tools or [] %} {{ t.function.name }} {{ t.function.parameters|tojson }}{% endfor %}");
    const other = await startServer({ args: ['--chat-template', file] });
    const at = async (path, body) => (await fetch(other.url + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })).text();
    const tokens = async (content) => JSON.parse(await at('/tokenize', { content, add_special: true })).tokens.length;
    const tools = [{ type: 'function', function: { name: 'tide', description: 'd', parameters: { type: 'object', properties: { port: {} }, required: null } } }];
    const rows = [
        [{}, '2'], [{ enable_thinking: true }, '2 thinks'],
        [{ tools }, '2 tide {"type": "object", "properties": {"port": {}}}'],
        [{ conversation_history: [] }, '0'],
    ];
    for (const [more, text] of rows) {
        const last = (await at(CHAT + '?wire=4', chat({ max_tokens: 0, ...more }))).trimEnd().split('\n').at(-1);
        assert.equal(JSON.parse(last).Response.response.GeneratedToken.Done.usage.prompt_tokens, await tokens(text), text);
    }
    // A template that refuses is told in the stream.
    writeFileSync(file, "{{ raise_exception('no') }}");
    const refusing = await startServer({ args: ['--chat-template', file] });
    const r = await fetch(refusing.url + CHAT, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(chat()) });
    assert.equal(r.status, 200);
    assert.deepEqual(kinds(await lines(r)), ['ChatTemplateError']);
    assert.deepEqual([await other.stop(), await refusing.stop()], [0, 0]);
    rmSync(dir, { recursive: true });
});

test('bodies are read strictly', async () => {
    const tool = (f) => chat({ tools: [{ type: 'function', function: { name: 'tide', description: 'd', ...f } }] });
    const without = (key) => { const b = chat(); delete b[key]; return b; };
    const params = (more) => tool({ parameters: { type: 'object', properties: { port: {} }, ...more } });
    const message = (m) => chat({ conversation_history: [m] });
    const bad = [
        '{', '[]', JSON.stringify(chat()).replace('"max_tokens":4', '"max_tokens":4,"max_tokens":5'),
        JSON.stringify(chat()).replace('"max_tokens":4', '"max_tokens":4.0'),
        ...['add_generation_prompt', 'conversation_history', 'enable_thinking', 'max_tokens'].map(without),
        chat({ temperature: 1 }), chat({ model: 'tiny' }), chat({ seed: 1 }), chat({ max_tokens: '4' }), chat({ max_tokens: 2 ** 31 }), chat({ enable_thinking: 1 }),
        chat({ tools: null }), chat({ parse_tool_calls: null }), chat({ conversation_history: 'x' }),
        message('x'), message({ role: 'user' }), message({ role: 'user', content: null }), message({ role: 'user', content: 'x', name: 'n' }),
        message({ role: 'user', content: [{ type: 'audio', text: 'x' }] }), message({ role: 'user', content: [{ type: 'text', text: 'x', more: 1 }] }),
        message({ role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:,', detail: 'low' } }] }),
        tool({ strict: true }), tool({ parameters: {} }), tool({ name: null }), params({ $defs: {} }), params({ required: ['harbour'] }), params({ required: 'port' }),
        chat({ grammar: 'x' }), chat({ grammar: { type: 'gbnf' } }),
    ];
    for (const b of bad) {
        const r = await post(CHAT, b);
        assert.equal(r.status, 400, JSON.stringify(b));
        const { Error: e } = await r.json();
        assert.ok(e.request_id);
        assert.equal(e.error.code, 400);
        assert.ok(e.error.description);
    }
    const named = await (await post(CHAT, params({ required: ['harbour'] }))).json();
    assert.equal(named.Error.error.description, 'tool tide requires unknown property harbour');
    for (const b of [{ max_tokens: 1 }, { raw_prompt: 'x' }, { raw_prompt: 'x', max_tokens: 1, enable_thinking: false }])
        assert.equal((await post(RAW, b)).status, 400);
    for (const b of [params({ required: ['port'], additionalProperties: false }), params({ required: null, properties: null }), tool({}), tool({ parameters: null }), chat({ tools: [] }), chat({ grammar: null })])
        assert.deepEqual(kinds(await lines(await post(CHAT, b))).at(-1), 'Done', JSON.stringify(b));
    assert.equal((await post(CHAT, { ...tool({}), parse_tool_calls: true })).status, 200);
});

test('what Paddler tells in the stream is told with status 200', async () => {
    const image = (url) => chat({ conversation_history: [{ role: 'user', content: [{ type: 'image_url', image_url: { url } }] }] });
    const rows = [
        [chat({ conversation_history: [{ role: 'user', content: 'long '.repeat(600) }] }), 'SamplerError'],
        [image('https://example.org/x.png'), 'ImageDecodingFailed'],
        [image('data:image/png;base64,AAAA'), 'MultimodalNotSupported'],
        [chat({ enable_thinking: true, grammar: { type: 'json_schema', schema: '{}' } }), 'GrammarIncompatibleWithThinking'],
        [chat({ grammar: { type: 'json_schema', schema: '{' } }), 'GrammarSyntaxError'],
        [chat({ grammar: { type: 'json_schema', schema: '{"$ref":"#/none"}' } }), 'GrammarSyntaxError'],
        [chat({ grammar: { type: 'gbnf', grammar: 'top ::= (', root: 'top' } }), 'GrammarInitializationFailed'],
        [chat({ grammar: { type: 'gbnf', grammar: 'top ::= "a"', root: 'root' } }), 'GrammarInitializationFailed'],
    ];
    for (const [b, want] of rows)
        for (const wire of ['2', '4']) {
            const r = await post(CHAT, b, { 'x-paddler-wire': wire });
            assert.equal(r.status, 200);
            const list = await lines(r);
            assert.deepEqual(kinds(list), [want]);
            assert.equal('generated_by' in list[0].Response, wire === '4');
        }
});

test('control tokens of a raw prompt are read as such', async () => {
    const count = async (raw_prompt) => (await lines(await post(RAW + '?wire=4', { raw_prompt, max_tokens: 0 }))).at(-1).Response.response.GeneratedToken.Done.usage.prompt_tokens;
    const tokens = async (parse_special) => (await (await post('/tokenize', { content: '<s>a</s>', add_special: true, parse_special })).json()).tokens.length;
    assert.equal(await count('<s>a</s>'), await tokens(true));
});

test('a full queue, a cancelled run and a closed connection', async () => {
    const other = await startServer({ endless: true, args: ['--max-seqs', '2', '--queue', '1'] });
    const begin = (more, rest) => fetch(other.url + CHAT, {
        method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(chat({ max_tokens: 100000, ...more })), ...rest,
    });
    const idle = () => until(async () => (await other.metric('runs_live')) === 0 && (await other.metric('active')) === 0, 'no live run');
    const c = new AbortController();
    const held = [];
    const hold = (n) => { while (held.length < n) held.push(begin({}, { signal: c.signal }).then((r) => r.text()).catch(() => {})); };
    hold(1);
    await until(async () => (await other.metric('active')) === 1, 'one runs');
    hold(2);
    await until(async () => (await other.metric('active')) === 2, 'two run');
    hold(3);
    await until(async () => (await other.metric('waiting')) === 1, 'one waits');
    const refused = await begin();
    assert.equal(refused.status, 200);
    assert.deepEqual(kinds(await lines(refused)), ['Error 503']);
    c.abort();
    await Promise.all(held);
    await idle();
    const r = await begin();
    await fetch(`${other.url}/v1/streams/${r.headers.get('x-confab-run')}`, { method: 'DELETE' });
    assert.equal(kinds(await lines(r)).at(-1), 'Error 503');
    await idle();
    assert.equal(kinds(await lines(await begin({ max_tokens: 3 }))).at(-1), 'Done');
    assert.equal(await other.stop(), 0, other.log());
});
