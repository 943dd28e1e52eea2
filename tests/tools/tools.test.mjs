// Tools that run on the server, with the starter model: FriendliAI's provider, Anthropic's client on
// Zylon's path, the openai client, plain requests, and the reference MCP server over both transports.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { createFriendli } from '@friendliai/ai-provider';
import { generateText, streamText } from 'ai';
import OpenAI from 'openai';
import { startServer, until } from '../openai/harness.mjs';
import { everything, hostile, starter, startEverything } from './servers.mjs';

const kinds = ['hangs', 'dies', 'rubbish', 'floods', 'deep', 'huge', 'changes', 'control'];

let server, dir, web, openai, anthropic, friendli;

before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'confab-tools-'));
    web = await startEverything('streamableHttp');
    server = await startServer({
        model: starter,
        args: [
            '--data', dir, '--allow-net', '127.0.0.1', '--tool-timeout', '5', '--tool-approval', '60',
            '--tools', 'math:*,web:url,code:python-interpreter,file:text',
            '--tool-policy', 'asked/*=ask,math:statistics=refuse',
            '--mcp-stdio', `every=${process.execPath} ${everything} stdio`,
            '--mcp-stdio', `asked=${process.execPath} ${hostile} asked`,
            '--mcp-stdio', `fine=${process.execPath} ${hostile} fine`,
            ...kinds.flatMap((k) => ['--mcp-stdio', `${k}=${process.execPath} ${hostile} ${k}`]),
            '--mcp-http', `web=${web.url}`,
            '--mcp-header', 'web=X-Secret: hunter2',
        ],
    });
    openai = new OpenAI({ apiKey: 'none', baseURL: `${server.url}/v1`, maxRetries: 0 });
    anthropic = new Anthropic({ apiKey: 'none', baseURL: `${server.url}/api/gpt`, maxRetries: 0 });
    friendli = createFriendli({ apiKey: 'none', baseURL: `${server.url}/serverless/tools/v1` });
});
after(async () => {
    web.stop();
    assert.equal(await server.stop(), 0, server.log());
    rmSync(dir, { recursive: true });
});

const sum = 'Please use math_calculator with expression 12 * 7.';
const wrong = 'Please use math_calculator with expression 5/(2-2).';
const echo = 'Echo "blue tree".';
const post = (path, body, headers = {}) =>
    fetch(server.url + path, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) });
const ask = (content, tools, more = {}) => ({ model: 'tiny', temperature: 0, max_tokens: 120, messages: [{ role: 'user', content }], tools, ...more });
const mcp = (server_label, more = {}) => ({ type: 'mcp', server_label, allowed_tools: ['echo'], ...more });
const chat = async (content, tools, more) => {
    const r = await post('/v1/chat/completions', ask(content, tools, more));
    const answer = await r.json();
    assert.equal(r.status, 200, JSON.stringify(answer));
    return answer.choices[0];
};
const assisted = '/serverless/tools/v1/chat/completions';
const frames = async (body, headers) => {
    const text = await (await post(assisted, { ...body, stream: true }, headers)).text();
    return text.split('\n\n').filter((f) => f && !f.startsWith(':')).map((f) => {
        const event = /^event: (.*)$/m.exec(f)?.[1];
        const data = /^data: (.*)$/m.exec(f)[1];
        return { event, data: data === '[DONE]' ? data : JSON.parse(data) };
    });
};

test('plain requests: the answer carries the result, the calls leave no trace', async () => {
    const choice = await chat(sum, [{ type: 'math:calculator' }]);
    assert.match(choice.message.content, /84/);
    assert.equal(choice.finish_reason, 'stop');
    assert.equal(choice.message.tool_calls, undefined);
    const r = await (await post(assisted, ask(sum, [{ type: 'math:calculator' }]))).json();
    assert.match(r.choices[0].message.content, /84/);
    assert.deepEqual(Object.keys(r.choices[0].message).sort(), ['content', 'role']);
    // What the tool brought is counted once.
    assert.ok(r.usage.prompt_tokens < 600, JSON.stringify(r.usage));
});

test('streams of the tool-assisted path tell of the call as specified', async () => {
    const all = await frames(ask(sum, [{ type: 'math:calculator' }]));
    const [started, ended] = all.filter((f) => f.event === 'tool_status').map((f) => f.data);
    const fixed = { files: null, message: null, error: null, usage: null, name: 'math:calculator', parameters: [{ name: 'expression', value: '12 * 7' }] };
    for (const f of [started, ended]) {
        assert.equal(typeof f.timestamp, 'number');
        assert.match(f.tool_call_id, /^call_/);
        assert.ok(!('choices' in f));
    }
    const { timestamp: t0, tool_call_id: id0, ...a } = started;
    const { timestamp: t1, tool_call_id: id1, ...b } = ended;
    assert.equal(id0, id1);
    assert.deepEqual(a, { ...fixed, status: 'STARTED', result: null });
    assert.deepEqual(b, { ...fixed, status: 'ENDED', result: JSON.stringify('{"result": "12 * 7=84"}') });
    const text = all.filter((f) => !f.event && f.data !== '[DONE]').map((f) => f.data.choices[0]?.delta.content ?? '').join('');
    assert.match(text, /84/);
    assert.equal(all.at(-1).data, '[DONE]');
    // OpenAI's own clients would choke on them.
    const quiet = await frames(ask(sum, [{ type: 'math:calculator' }]), { 'X-Stainless-Lang': 'js' });
    assert.ok(quiet.every((f) => f.event === undefined));
    const loud = await frames(ask(sum, [{ type: 'math:calculator' }]), { 'X-Stainless-Lang': 'js', 'X-Confab-Tool-Status': 'always' });
    assert.ok(loud.some((f) => f.event === 'tool_status'));
});

test('an everyday question finds the calculator', async () => {
    const r = await (await post(assisted, ask('What is 12 * 34?', [{ type: 'math:calculator' }]))).json();
    assert.match(r.choices[0].message.content, /408/);
});

test('a failure ends the generation, or is survived', async () => {
    const body = ask(wrong, [{ type: 'math:calculator' }]);
    const all = await frames(body);
    const status = all.filter((f) => f.event === 'tool_status').map((f) => f.data);
    assert.deepEqual(status.map((f) => f.status), ['STARTED', 'ERRORED']);
    assert.deepEqual(status[1].error, { type: 'INVALID_PARAMETER', msg: 'division by zero' });
    const last = all.at(-2).data.choices[0];
    assert.deepEqual([last.delta, last.finish_reason], [{ role: 'assistant' }, 'stop']);
    const r = await post(assisted, body);
    const e = (await r.json()).error;
    assert.equal(r.status, 422);
    assert.deepEqual([e.type, e.code, e.param], ['tool_execution_error', 'INVALID_PARAMETER', 'math:calculator']);
    const on = await frames({ ...body, resume_generation: true });
    const text = on.filter((f) => !f.event && f.data !== '[DONE]').map((f) => f.data.choices[0]?.delta.content ?? '').join('');
    assert.match(text, /division by zero/);
});

test("FriendliAI's provider runs the calculator, streamed and not", async () => {
    const options = { model: friendli('tiny'), prompt: sum, tools: { calc: friendli.tools.mathCalculator() }, temperature: 0, maxOutputTokens: 120 };
    const r = await generateText(options);
    assert.match(r.text, /84/);
    const parts = [];
    for await (const part of streamText(options).fullStream) parts.push(part);
    const of = (type) => parts.filter((p) => p.type === type);
    assert.deepEqual(of('error'), []);
    assert.equal(of('tool-call').length, 1);
    assert.equal(of('tool-call')[0].providerExecuted, true);
    assert.equal(of('tool-result').length, 1);
    assert.match(of('text-delta').map((p) => p.text).join(''), /84/);
});

test('the openai client sees an ordinary answer, and its own functions as calls', async () => {
    const stream = await openai.chat.completions.create({ ...ask(sum, [{ type: 'math:calculator' }]), stream: true });
    let text = '';
    for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? '';
    assert.match(text, /84/);
    const own = { type: 'function', function: { name: 'get_weather', description: 'Get the weather of a city.', parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } } };
    const r = await openai.chat.completions.create(ask('What is the weather in Lisbon?', [own, { type: 'math:calculator' }]));
    assert.equal(r.choices[0].finish_reason, 'tool_calls');
    assert.equal(r.choices[0].message.tool_calls[0].function.name, 'get_weather');
});

test('the openai client sees calls that run here as mcp_call items of a response', async () => {
    const secret = { authorization: 't0k', headers: { 'X-Other': 'hush' } };
    const body = { model: 'tiny', temperature: 0, max_output_tokens: 120, input: echo, tools: [{ type: 'mcp', server_label: 'shop', server_url: web.url, allowed_tools: ['echo'], require_approval: 'never', ...secret }] };
    const r = await openai.responses.create(body);
    const [call, answer] = r.output;
    assert.deepEqual({ ...call, id: null }, { id: null, type: 'mcp_call', status: 'completed', server_label: 'shop', name: 'echo', arguments: call.arguments, approval_request_id: null, output: 'Echo: blue tree', error: null });
    assert.deepEqual(JSON.parse(call.arguments), { message: 'blue tree' });
    assert.equal(answer.type, 'message');
    assert.match(r.output_text, /blue tree/);
    assert.ok(!JSON.stringify(r).includes('t0k') && !JSON.stringify(r).includes('hush'), 'what opens a server does not come back');
    assert.deepEqual({ ...(await openai.responses.retrieve(r.id)) }, { ...r });

    const helper = openai.responses.stream(body);
    const events = [];
    for await (const e of helper) events.push(e);
    events.forEach((e, i) => assert.equal(e.sequence_number, i));
    const of = events.filter((e) => /mcp|output_item/.test(e.type)).map((e) => e.type.slice('response.'.length));
    assert.deepEqual(of, ['output_item.added', 'mcp_call.in_progress', 'mcp_call_arguments.delta', 'mcp_call_arguments.done', 'mcp_call.completed', 'output_item.done', 'output_item.added', 'output_item.done']);
    const last = await helper.finalResponse();
    assert.deepEqual(last.output.map((o) => ({ ...o, id: null, parsed_arguments: undefined })).map((o) => o.type), ['mcp_call', 'message']);
    assert.equal(last.output_text, r.output_text);

    // Its output goes back in as it came, and from its id.
    const turn = { role: 'user', content: sum };
    const tools = [{ type: 'math:calculator' }];
    for (const next of [{ input: [{ role: 'user', content: echo }, ...r.output, turn] }, { input: [turn], previous_response_id: r.id }]) {
        const second = await openai.responses.create({ ...body, tools, ...next });
        assert.equal(second.output[0].type, 'mcp_call');
        assert.equal(second.output[0].server_label, 'confab');
        assert.equal(second.output[0].name, 'math:calculator');
        assert.match(second.output_text, /84/);
    }
    const failed = await openai.responses.create({ ...body, tools, input: wrong });
    assert.equal(failed.output[0].status, 'failed');
    assert.equal(failed.output[0].output, null);
    assert.ok(failed.output[0].error.length > 0);
    for (const [tool, param] of [[{ type: 'mcp', server_label: 'no one' }, 'tools[0].server_label'], [{ type: 'web_search' }, 'tools[0].type'], [{ type: 'mcp', server_label: 'every', require_approval: 'always' }, 'tools[0].require_approval']])
        await assert.rejects(openai.responses.create({ ...body, tools: [tool] }), (e) => e.status === 400 && e.param === param);
});

for (const [label, transport] of [['every', 'standard input and output'], ['web', 'HTTP']])
    test(`the reference MCP server answers over ${transport}`, async () => {
        const choice = await chat(echo, [mcp(label)]);
        assert.match(choice.message.content, /blue tree/);
        const all = await frames(ask(echo, [mcp(label)]));
        const status = all.filter((f) => f.event === 'tool_status').map((f) => f.data);
        assert.deepEqual(status.map((f) => [f.name, f.status]), [['echo', 'STARTED'], ['echo', 'ENDED']]);
    });

test("Anthropic's client on Zylon's path: server tools are blocks", async () => {
    const body = { model: 'tiny', max_tokens: 120, temperature: 0, messages: [{ role: 'user', content: echo }], mcp_servers: [{ name: 'shop', url: web.url, authorization_token: 't0k', tool_configuration: { allowed_tools: ['echo'] } }] };
    const check = (content) => {
        assert.deepEqual(content.map((b) => b.type), ['server_tool_use', 'server_tool_result', 'text']);
        const [use, result, text] = content;
        assert.equal(use.name, 'echo');
        assert.deepEqual(use.input, { message: 'blue tree' });
        assert.match(use.id, /^srvtoolu_/);
        assert.equal(result.tool_use_id, use.id);
        assert.deepEqual(result.content, [{ type: 'text', text: 'Echo: blue tree' }]);
        assert.equal(result.is_error, false);
        assert.match(text.text, /blue tree/);
    };
    const r = await anthropic.messages.create(body);
    check(r.content);
    assert.equal(r.stop_reason, 'end_turn');
    const streamed = await anthropic.messages.stream(body).finalMessage();
    check(streamed.content);
    const calc = await anthropic.messages.create({ ...body, mcp_servers: undefined, messages: [{ role: 'user', content: sum }], tools: [{ type: 'math:calculator' }] });
    assert.match(calc.content.at(-1).text, /84/);
    // The operator's program by its very command, and no other.
    const by = (url) => post('/api/gpt/v1/messages', { ...body, mcp_servers: [{ url }] });
    assert.equal((await by(`${process.execPath} ${hostile} fine`)).status, 200);
    const refused = await by('touch /tmp/pwned');
    assert.equal(refused.status, 400);
    assert.equal((await refused.json()).error.detail.code, 'INVALID_REQUEST_INVALID_MCP_ERROR');
    const down = await by('http://127.0.0.1:9/mcp');
    assert.equal(down.status, 400);
    const inside = await by('http://169.254.169.254/mcp');
    assert.equal(inside.status >= 400 && inside.status < 500, true);
});

test('the calendar and the policy', async () => {
    const all = await frames(ask('Please use math_calendar with operation weekday and date 2000-01-01.', [{ type: 'math:calendar' }]));
    const status = all.filter((f) => f.event === 'tool_status').map((f) => f.data);
    assert.deepEqual(status.map((f) => [f.name, f.status]), [['math:calendar', 'STARTED'], ['math:calendar', 'ENDED']]);
    const text = all.filter((f) => !f.event && f.data !== '[DONE]').map((f) => f.data.choices[0]?.delta.content ?? '').join('');
    assert.match(text, /Saturday/);
    const refused = await post('/v1/chat/completions', ask(sum, [{ type: 'math:statistics' }]));
    assert.equal(refused.status, 400);
    assert.equal((await refused.json()).error.code, 'tool_unavailable');
});

test('a call waits until somebody approves of it', async () => {
    for (const approve of [true, false]) {
        const r = await post(assisted, ask(echo, [mcp('asked')], { stream: true, resume_generation: true }));
        const run = r.headers.get('x-confab-run');
        const reader = r.body.pipeThrough(new TextDecoderStream()).getReader();
        let text = '';
        while (!text.includes('UPDATING')) text += (await reader.read()).value;
        const waiting = await (await fetch(`${server.url}/v1/streams/${run}/approvals`)).json();
        assert.equal(waiting.data.length, 1);
        assert.equal(waiting.data[0].tool, 'echo');
        assert.equal((await post(`/v1/streams/${run}/approvals/call_none`, { approve: true })).status, 404);
        assert.equal((await post(`/v1/streams/${run}/approvals/${waiting.data[0].id}`, { approve: 'yes' })).status, 400);
        assert.equal((await post(`/v1/streams/${run}/approvals/${waiting.data[0].id}`, { approve })).status, 200);
        for (let piece; !(piece = await reader.read()).done; ) text += piece.value;
        assert.ok(text.includes(approve ? 'Echo: blue tree' : 'not approved'), text);
    }
});

test('files belong to who put them', async () => {
    const made = await post('/beta/file', { name: 'note.txt', size: 9, digest: '', projectId: 'p' });
    assert.equal(made.status, 202);
    const { fileId, uploadUrl } = await made.json();
    assert.equal((await fetch(uploadUrl, { method: 'PUT', body: 'blue tree' })).status, 200);
    const done = await (await fetch(`${server.url}/beta/file/${fileId}`, { method: 'PATCH' })).json();
    assert.deepEqual([done.id, done.status, done.size], [fileId, 'UPLOADED', 9]);
    const { downloadUrl } = await (await fetch(`${server.url}/beta/file/${fileId}/download_url`)).json();
    assert.equal(await (await fetch(downloadUrl)).text(), 'blue tree');
    assert.equal((await post(assisted, ask('Hi', [{ type: 'file:text', files: [fileId] }]))).status, 200);
    assert.equal((await post(assisted, ask('x', [{ type: 'file:text', files: ['file_nonesuch00'] }]))).status, 404);
    assert.equal((await fetch(`${server.url}/beta/file/${fileId}`, { method: 'DELETE' })).status, 204);
});

const live = () => server.metric('tools_live');

test('hostile servers cost their call, not the run', async () => {
    await attack();
    // Once more: what the first time left (servers that run, pages that are warm) is what stays.
    const before = [server.descriptors(), server.residentKiB()];
    await attack();
    await until(() => server.descriptors() <= before[0] + 8, 'descriptors at their baseline');
    assert.ok(server.residentKiB() < before[1] + 32 * 1024, `${before[1]} KiB before, ${server.residentKiB()} after`);
    assert.equal(await live(), 0);
    // One that changes its tool after it was first seen loses it.
    assert.match((await chat(echo, [mcp('changes')])).message.content, /blue tree/);
    await chat(echo, [mcp('changes')]);
    assert.match(server.log(), /tools.mcp_changed server=changes tool=echo/);
    // What a tool says cannot become a turn: the next prompt is what it was, with more text in it.
    const control = await chat(echo, [mcp('control')]);
    assert.ok(!/pwned/i.test(control.message.content) || control.finish_reason !== 'tool_calls');
});

async function attack() {
    const wanted = { hangs: /no answer in time/, dies: /ended with status 3/, rubbish: /no message|in time/, floods: /without end|in time/, deep: /nested|in time/, huge: /Echo|y{10}|cut|result/ };
    for (const [kind, words] of Object.entries(wanted)) {
        const all = await frames(ask(echo, [mcp(kind)], { resume_generation: true, max_tokens: 400 }));
        const status = all.filter((f) => f.event === 'tool_status').map((f) => f.data);
        assert.equal(status[0].status, 'STARTED', kind);
        if (kind === 'huge') assert.ok(status[1].result.length < 200000);
        else assert.match(status[1].error.msg, words, kind);
        assert.equal(all.at(-1).data, '[DONE]');
    }
}

test('cancelled: a running tool is stopped, and nothing is left', async () => {
    await chat(sum, [{ type: 'math:calculator' }]);
    const before = [server.descriptors(), server.residentKiB()];
    for (let i = 0; i < 5; i++) {
        const stop = new AbortController();
        const r = await fetch(server.url + assisted, { method: 'POST', signal: stop.signal, headers: { 'content-type': 'application/json' }, body: JSON.stringify(ask(echo, [mcp('hangs')], { stream: true })) });
        const reader = r.body.pipeThrough(new TextDecoderStream()).getReader();
        let text = '';
        while (!text.includes('STARTED')) text += (await reader.read()).value;
        assert.equal(await live(), 1);
        stop.abort();
        await reader.closed.catch(() => {});
        await until(async () => (await live()) === 0, 'the call to be stopped');
    }
    await until(() => server.descriptors() <= before[0] + 8, 'descriptors at their baseline');
    assert.ok(server.residentKiB() < before[1] + 64 * 1024, `${before[1]} KiB before, ${server.residentKiB()} after`);
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    assert.match(metrics, /confab_tool_calls_total\{tool="math:calculator"\} [1-9]/);
    assert.match(server.log(), /tools.call run=\S+ team= tool=math:calculator end=ok ms=\d+ args_bytes=\d+ bytes=\d+ reports=\d+ args=/);
    assert.ok(!server.log().includes('hunter2'));
});
