// Every client with every kind of tool, streamed and not: the answer carries the result, and the
// events are the specified ones.  FriendliAI's provider on its tool-assisted path, Anthropic's client
// on Zylon's path, and plain requests; the calculator, the calendar, and the reference MCP server
// over its three transports.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { createFriendli } from '@friendliai/ai-provider';
import { generateText, streamText } from 'ai';
import { startServer } from '../openai/harness.mjs';
import { everything, framesOf, starter, startEverything } from './servers.mjs';

let server, http, sse;
before(async () => {
    http = await startEverything('streamableHttp');
    sse = await startEverything('sse');
    server = await startServer({
        model: starter,
        args: [
            '--mcp-stdio', `stdio=${process.execPath} ${everything} stdio`,
            '--mcp-http', `http=${http.url}`,
            '--mcp-http', `sse=${sse.url}`,
        ],
    });
});
after(async () => {
    http.stop();
    sse.stop();
    assert.equal(await server.stop(), 0, server.log());
});

/** The tiny model may add an argument that it was not given. */
const holds = (got, want) => assert.deepEqual(Object.fromEntries(Object.keys(want).map((k) => [k, got[k]])), want);

const mcp = (label) => ({
    name: 'echo',
    zylonName: 'echo',
    prompt: 'Echo "blue tree".',
    input: { message: 'blue tree' },
    result: 'Echo: blue tree',
    words: /blue tree/,
    tool: { type: 'mcp', server_label: label, allowed_tools: ['echo'] },
    zylon: { mcp_servers: [{ name: label, tool_configuration: { allowed_tools: ['echo'] } }] },
});
const tools = {
    'the calculator': {
        name: 'math:calculator',
        zylonName: 'math_calculator',
        prompt: 'Please use math_calculator with expression 12 * 7.',
        input: { expression: '12 * 7' },
        result: '{"result": "12 * 7=84"}',
        words: /84/,
        tool: { type: 'math:calculator' },
        zylon: { tools: [{ type: 'math:calculator' }] },
    },
    'the calendar': {
        name: 'math:calendar',
        zylonName: 'math_calendar',
        prompt: 'Please use math_calendar with operation weekday and date 2000-01-01.',
        input: { operation: 'weekday', date: '2000-01-01' },
        result: '{"result": "Saturday"}',
        words: /Saturday/,
        tool: { type: 'math:calendar' },
        zylon: { tools: [{ type: 'math:calendar' }] },
    },
    'an MCP tool over standard input and output': mcp('stdio'),
    'an MCP tool over streamable HTTP': mcp('http'),
    'an MCP tool over the HTTP of 2024': mcp('sse'),
};

const post = (path, body) =>
    fetch(server.url + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
const chat = (t, more) => ({ model: 'tiny', temperature: 0, max_tokens: 120, messages: [{ role: 'user', content: t.prompt }], tools: [t.tool], ...more });
const contentOf = (frames) => frames.filter((f) => !f.event && f.data !== '[DONE]').map((f) => f.data.choices[0]?.delta.content ?? '').join('');

// The frames of tool_status of one call that goes well.
function checkStatus(t, frames) {
    const status = frames.filter((f) => f.event === 'tool_status').map((f) => f.data);
    assert.deepEqual(status.map((f) => f.status), ['STARTED', 'ENDED']);
    for (const f of status) {
        assert.equal(f.name, t.name);
        assert.match(f.tool_call_id, /^call_/);
        assert.equal(f.tool_call_id, status[0].tool_call_id);
        holds(Object.fromEntries(f.parameters.map((p) => [p.name, p.value])), t.input);
        assert.deepEqual([f.files, f.message, f.error, f.usage], [null, null, null, null]);
        assert.equal(typeof f.timestamp, 'number');
        assert.ok(!('choices' in f));
    }
    assert.equal(status[0].result, null);
    assert.equal(status[1].result, JSON.stringify(t.result));
    assert.equal(frames.at(-1).data, '[DONE]');
}

// The blocks of a message with one call that goes well.
function checkBlocks(t, content) {
    assert.deepEqual(content.map((b) => b.type), ['server_tool_use', 'server_tool_result', 'text']);
    const [use, result, text] = content;
    assert.equal(use.name, t.zylonName);
    assert.match(use.id, /^srvtoolu_[a-zA-Z0-9_]+$/);
    holds(use.input, t.input);
    assert.equal(result.tool_use_id, use.id);
    assert.deepEqual(result.content, [{ type: 'text', text: t.result }]);
    assert.equal(result.is_error, false);
    assert.match(text.text, t.words);
}

for (const [name, t] of Object.entries(tools)) {
    test(`plain requests, ${name}`, async () => {
        for (const path of ['/v1/chat/completions', '/serverless/tools/v1/chat/completions']) {
            const answer = await (await post(path, chat(t))).json();
            const [choice] = answer.choices;
            assert.match(choice.message.content, t.words);
            assert.equal(choice.finish_reason, 'stop');
            assert.equal(choice.message.tool_calls, undefined);
            const { frames } = framesOf(await (await post(path, chat(t, { stream: true }))).text());
            assert.match(contentOf(frames), t.words);
            if (path.startsWith('/serverless')) checkStatus(t, frames);
            else assert.ok(frames.every((f) => f.event === undefined));
        }
        const body = { max_tokens: 120, temperature: 0, messages: [{ role: 'user', content: t.prompt }], ...t.zylon };
        checkBlocks(t, (await (await post('/v1/messages', body)).json()).content);
        const { frames } = framesOf(await (await post('/v1/messages', { ...body, stream: true })).text());
        assert.deepEqual(frames.map((f) => f.event), frames.map((f) => f.data.type));
        const outline = frames.map((f) => f.data).filter((e) => e.delta?.type !== 'text_delta' && e.type !== 'ping');
        assert.deepEqual(
            outline.map((e) => (e.type === 'content_block_start' ? e.content_block.type : e.delta?.type ?? e.type)),
            ['message_start', 'server_tool_use', 'input_json_delta', 'content_block_stop', 'server_tool_result',
                'content_block_stop', 'text', 'content_block_stop', 'message_delta', 'message_stop'],
        );
        holds(outline[2].delta.partial_json_obj, t.input);
        assert.deepEqual(outline[4].content_block.content, [{ type: 'text', text: t.result }]);
        assert.equal(outline.at(-2).delta.stop_reason, 'end_turn');
    });

    test(`FriendliAI's provider, ${name}`, async () => {
        // The provider knows FriendliAI's own tools; one of another kind joins the body on its way.
        const bodies = [];
        const friendli = createFriendli({
            apiKey: 'none',
            baseURL: `${server.url}/serverless/tools/v1`,
            fetch: (url, init) => {
                const body = JSON.parse(init.body);
                if (t.tool.type === 'mcp') body.tools = [t.tool];
                bodies.push(body);
                return fetch(url, { ...init, body: JSON.stringify(body) });
            },
        });
        const own = { 'math:calculator': () => friendli.tools.mathCalculator(), 'math:calendar': () => friendli.tools.mathCalendar() }[t.name];
        const options = { model: friendli('tiny'), prompt: t.prompt, temperature: 0, maxOutputTokens: 120, ...(own && { tools: { own: own() } }) };
        const r = await generateText(options);
        assert.match(r.text, t.words);
        assert.equal(r.finishReason, 'stop');
        const parts = [];
        for await (const part of streamText(options).fullStream) parts.push(part);
        const of = (type) => parts.filter((p) => p.type === type);
        assert.deepEqual(of('error'), []);
        assert.deepEqual(bodies.map((b) => b.tools[0].type), [t.tool.type, t.tool.type]);
        assert.equal(of('tool-call').length, 1);
        assert.equal(of('tool-call')[0].providerExecuted, true);
        if (own) assert.equal(of('tool-result').length, 1);
        assert.match(of('text-delta').map((p) => p.text).join(''), t.words);
    });

    test(`Anthropic's client on Zylon's path, ${name}`, async () => {
        const anthropic = new Anthropic({ apiKey: 'none', baseURL: `${server.url}/api/gpt`, maxRetries: 0 });
        const body = { model: 'tiny', max_tokens: 120, temperature: 0, messages: [{ role: 'user', content: t.prompt }], ...t.zylon };
        const whole = await anthropic.messages.create(body);
        checkBlocks(t, whole.content);
        assert.equal(whole.stop_reason, 'end_turn');
        const streamed = await anthropic.messages.stream(body).finalMessage();
        checkBlocks(t, streamed.content);
        assert.equal(streamed.stop_reason, 'end_turn');
    });
}
