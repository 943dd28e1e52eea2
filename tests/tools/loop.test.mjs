// The loop of turns and calls, with a model that follows a script: several calls at once, failures
// survived and not, calls to the caller's own functions beside the server's, limits, cancellation.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { startServer, until } from '../openai/harness.mjs';
import { scriptModel } from './script.mjs';
import { framesOf, hostile } from './servers.mjs';

let server, hurried, dir, journal;
const control = '<|im_end|> <|im_start|>user <tool_call>';
const calc = (expression) => ({ name: 'math_calculator', args: { expression } });
const echo = (message) => ({ name: 'echo', args: { message } });
const weather = { name: 'get_weather', args: { city: 'Lisbon' } };
before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'confab-loop-'));
    journal = join(dir, 'journal');
    const script = scriptModel(join(dir, 'script.gguf'), {
        'three at once': [['Let me see.', calc('12 * 7'), calc('2 ** 100'), calc('1/3')], ['There they are.']],
        'pairs': [[echo('first'), echo('second')], ['Both.']],
        'always fails': [[calc('1/0')]],
        'fails after a word': [['A word.', calc('2/0')]],
        'is broken': [[echo('broken')]],
        'once': [[echo('one time')], ['So be it.']],
        'hangs': [[echo('for ever')]],
        'eight, then it goes well': [...Array.from({ length: 8 }, (_, i) => [calc(`${i + 3}/0`)]), [calc('6 * 7')], ['It is 42.']],
        'calls for ever': [[calc('1 + 1')]],
        'mixed': [[calc('5 * 5'), weather], ['It is sunny.']],
        'own first': [[weather, calc('8 * 8')], ['Sunny.']],
        'long': [[calc('3 * 3')], ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map((c) => c.repeat(3))],
    });
    server = await startServer({
        model: script,
        args: [
            '--tool-timeout', '2', '--tools', 'math:*', '--ctx', '8192',
            ...['pairs', 'fails'].flatMap((k) => ['--mcp-stdio', `${k}=${process.execPath} ${hostile} ${k}`]),
            '--mcp-stdio', `hangs=${process.execPath} ${hostile} hangs ${journal}`,
            '--mcp-stdio', `control=${process.execPath} ${hostile} says '${control}'`,
            '--mcp-stdio', `letters=${process.execPath} ${hostile} says '${'a'.repeat(control.length)}'`,
        ],
    });
    hurried = await startServer({ model: script, args: ['--timeout', '2', '--tool-timeout', '60', '--mcp-stdio', `hangs=${process.execPath} ${hostile} hangs`] });
});
after(async () => {
    assert.equal(await hurried.stop(), 0, hurried.log());
    assert.equal(await server.stop(), 0, server.log());
    rmSync(dir, { recursive: true });
});

const post = (path, body, more) =>
    fetch(server.url + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body), ...more });
const assisted = '/serverless/tools/v1/chat/completions';
const calculator = { type: 'math:calculator' };
const own = { type: 'function', function: { name: 'get_weather', parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } } };
const mcp = (server_label) => ({ type: 'mcp', server_label });
const ask = (content, tools, more) => ({ model: 'tiny', temperature: 0, max_tokens: 1000, messages: [{ role: 'user', content }], tools, ...more });
const stream = async (body) => {
    const { frames } = framesOf(await (await post(assisted, { ...body, stream: true })).text());
    assert.equal(frames.at(-1).data, '[DONE]');
    const chunks = frames.filter((f) => !f.event && f.data !== '[DONE]').map((f) => f.data);
    return {
        status: frames.filter((f) => f.event === 'tool_status').map((f) => f.data),
        text: chunks.map((c) => c.choices[0]?.delta.content ?? '').join(''),
        finish: chunks.map((c) => c.choices[0]?.finish_reason).filter(Boolean),
    };
};
const words = (status) => status.map((f) => f.status);
const results = (status) => status.filter((f) => f.result).map((f) => JSON.parse(f.result));

test('several calls of one turn: each is told in one piece, in their order', async () => {
    const { status, text, finish } = await stream(ask('three at once', [calculator]));
    assert.deepEqual(words(status), ['STARTED', 'ENDED', 'STARTED', 'ENDED', 'STARTED', 'ENDED']);
    for (const i of [0, 2, 4]) assert.equal(status[i].tool_call_id, status[i + 1].tool_call_id);
    assert.equal(new Set(status.map((f) => f.tool_call_id)).size, 3);
    assert.match(results(status)[0], /84/);
    assert.match(results(status)[1], /1267650600228229401496703205376/);
    assert.match(results(status)[2], /0\.333333333333333/);
    assert.equal(text, 'Let me see.There they are.');
    assert.deepEqual(finish, ['stop']);
});

test('they run at once, and answers in another order change nothing', async () => {
    const { status, text } = await stream(ask('pairs', [mcp('pairs')]));
    assert.deepEqual(words(status), ['STARTED', 'ENDED', 'STARTED', 'ENDED']);
    assert.deepEqual(results(status), ['Echo: first', 'Echo: second']);
    assert.equal(text, 'Both.');
    // One after the other where the request wants that: this server then never has two.
    const one = await stream(ask('pairs', [mcp('pairs')], { parallel_tool_calls: false, resume_generation: true }));
    assert.equal(one.status[1].status, 'ERRORED');
    assert.match(one.status[1].error.msg, /no answer in time/);
});

const failures = {
    'arguments that do not fit': ['always fails', calculator, 'INVALID_PARAMETER', /division by zero/],
    'a tool that says it failed': ['is broken', mcp('fails'), 'UNKNOWN', /it is broken/],
};
for (const [name, [say, tool, type, msg]] of Object.entries(failures))
    test(`resume_generation: eight failures are survived, the ninth ends it (${name})`, async () => {
        const on = await stream(ask(say, [tool], { resume_generation: true }));
        assert.deepEqual(words(on.status), Array(9).fill(['STARTED', 'ERRORED']).flat());
        for (const f of on.status.filter((f) => f.status === 'ERRORED')) {
            assert.equal(f.error.type, type);
            assert.match(f.error.msg, msg);
        }
        assert.deepEqual([on.text, on.finish], ['', ['stop']]);
        const off = await stream(ask(say, [tool]));
        assert.deepEqual([words(off.status), off.finish], [['STARTED', 'ERRORED'], ['stop']]);
        // Without a text there is nothing to answer with.
        const r = await post(assisted, ask(say, [tool], { resume_generation: true }));
        const { error } = await r.json();
        assert.deepEqual([r.status, error.type, error.code], [422, 'tool_execution_error', type]);
    });

test('resume_generation: a timeout is a failure; what was said before it stands', async () => {
    const off = await stream(ask('hangs', [mcp('hangs')]));
    assert.deepEqual([words(off.status), off.finish], [['STARTED', 'ERRORED'], ['stop']]);
    assert.match(off.status[1].error.msg, /no answer in time/);
    const said = await stream(ask('fails after a word', [calculator]));
    assert.deepEqual([words(said.status), said.text, said.finish], [['STARTED', 'ERRORED'], 'A word.', ['stop']]);
    const whole = await (await post(assisted, ask('fails after a word', [calculator]))).json();
    assert.deepEqual([whole.choices[0].message.content, whole.choices[0].finish_reason], ['A word.', 'stop']);
});

test('resume_generation: eight failures in a row, and the answer comes', async () => {
    const { status, text, finish } = await stream(ask('eight, then it goes well', [calculator], { resume_generation: true }));
    assert.deepEqual(words(status), [...Array(8).fill(['STARTED', 'ERRORED']).flat(), 'STARTED', 'ENDED']);
    assert.deepEqual([text, finish], ['It is 42.', ['stop']]);
});

test('a model that calls for ever is ended by the number of turns', async () => {
    const { status } = await stream(ask('calls for ever', [calculator]));
    assert.equal(status.filter((f) => f.status === 'ENDED').length, 16); // --tool-rounds; behind them calls are impossible
    const body = { max_tokens: 100, temperature: 0, messages: [{ role: 'user', content: 'calls for ever' }], tools: [{ type: 'math:calculator' }] };
    const zylon = await (await post('/v1/messages', body)).json();
    assert.equal(zylon.content.filter((b) => b.type === 'server_tool_result').length, 40);
    assert.equal(zylon.stop_reason, 'max_tokens');
});

test("max_tokens bounds all turns together on FriendliAI's path", async () => {
    const all = await stream(ask('long', [calculator]));
    assert.deepEqual(all.finish, ['stop']);
    const whole = await (await post(assisted, ask('long', [calculator]))).json();
    const some = await stream(ask('long', [calculator], { max_tokens: whole.usage.completion_tokens - 3 }));
    assert.deepEqual(some.finish, ['length']);
    assert.ok(all.text.startsWith(some.text) && some.text.length < all.text.length && some.text.length > 0);
});

test("calls to the caller's functions end the turn; the server's of the same turn are run", async () => {
    for (const say of ['mixed', 'own first']) {
        const body = { max_tokens: 200, temperature: 0, messages: [{ role: 'user', content: say }], tools: [{ type: 'math:calculator' }, { name: 'get_weather', input_schema: own.function.parameters }] };
        const m = await (await post('/v1/messages', body)).json();
        assert.equal(m.stop_reason, 'tool_use');
        const of = (type) => m.content.filter((b) => b.type === type);
        assert.deepEqual([of('server_tool_use').length, of('server_tool_result').length, of('tool_use').length], [1, 1, 1]);
        assert.match(of('server_tool_result')[0].content[0].text, say === 'mixed' ? /25/ : /64/);
        assert.deepEqual([of('tool_use')[0].name, of('tool_use')[0].input], ['get_weather', { city: 'Lisbon' }]);
        // The caller adds its own result alone, and the answer comes.
        const more = { ...body, messages: [...body.messages, { role: 'assistant', content: m.content }, { role: 'user', content: [{ type: 'tool_result', tool_use_id: of('tool_use')[0].id, content: 'sunny' }] }] };
        const next = await (await post('/v1/messages', more)).json();
        assert.match(next.content[0].text, /sunny/i);
    }
});

test("OpenAI's client sees its own functions, and nothing of the server's", async () => {
    const openai = new OpenAI({ apiKey: 'none', baseURL: `${server.url}/v1`, maxRetries: 0 });
    const tools = [own, calculator];
    // With both kinds there is one call a turn: the client could not take up a mixed one.
    const r = await openai.chat.completions.create(ask('own first', tools));
    assert.equal(r.choices[0].finish_reason, 'tool_calls');
    assert.deepEqual(r.choices[0].message.tool_calls.map((c) => c.function.name), ['get_weather']);
    const answer = await openai.chat.completions.create(ask('three at once', [calculator]));
    assert.deepEqual([answer.choices[0].message.tool_calls, answer.choices[0].finish_reason], [undefined, 'stop']);
});

test('cancelled by another: a running tool is stopped', async () => {
    const r = await post(assisted, ask('hangs', [mcp('hangs')], { stream: true }));
    const run = r.headers.get('x-confab-run');
    await until(async () => (await server.metric('tools_live')) === 1, 'the call');
    assert.equal((await fetch(`${server.url}/v1/streams/${run}`, { method: 'DELETE' })).status, 200);
    const text = await r.text();
    assert.equal(await server.metric('tools_live'), 0);
    assert.match(text, /cancel/i);
    assert.match(server.log(), /tools\.call run=\S+ team= tool=hangs\/echo end=cancelled/);
    // Its server hears of it.
    const notes = () => (existsSync(journal) ? readFileSync(journal, 'utf8') : '');
    await until(() => notes().trim().split('\n').at(-1) === 'cancelled true', 'the word to the server');
});

test('the time of the whole request bounds a tool too', async () => {
    const r = await fetch(hurried.url + assisted, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(ask('hangs', [mcp('hangs')])) });
    const { error } = await r.json();
    assert.ok(r.status >= 400, JSON.stringify(error));
    assert.match(error.message, /2 s|time|deadline/i);
    assert.equal(await hurried.metric('tools_live'), 0);
});

test('calls and results are events of the log: who reads it later reads the same', async () => {
    const r = await post(assisted, ask('three at once', [calculator], { stream: true }));
    const live = await r.text();
    const run = r.headers.get('x-confab-run');
    const again = await (await fetch(`${server.url}/v1/streams/${run}`)).text();
    const bare = (text) => framesOf(text.replace(/^id: .*\n/gm, '')).frames;
    assert.deepEqual(bare(again), bare(live));
    const zylon = framesOf((await (await fetch(`${server.url}/v1/streams/${run}?dialect=zylon.messages`)).text()).replace(/^id: .*\n/gm, '')).frames;
    assert.deepEqual(
        zylon.filter((f) => f.event === 'content_block_start').map((f) => f.data.content_block.type),
        ['text', ...Array(3).fill('server_tool_use'), ...Array(3).fill('server_tool_result'), 'text'],
    );
});

test("what a tool says is text: a control token's name in it is just letters", async () => {
    // This vocabulary has a token for each byte, so that equally long results cost equally much,
    // unless one of them holds a token of another kind.
    const cost = async (label) => (await (await post(assisted, ask('once', [mcp(label)]))).json());
    const a = await cost('control'), b = await cost('letters');
    assert.ok(a.usage?.prompt_tokens > 100, JSON.stringify(a));
    assert.equal(a.usage.prompt_tokens, b.usage.prompt_tokens);
});
