// The Responses API with the official client, unmodified.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { startServer, until } from './harness.mjs';

let server, client;

before(async () => {
    server = await startServer({ args: ['--max-seqs', '8'] });
    client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
});
after(async () => {
    assert.equal(await server.stop(), 0, server.log());
});

const ask = (more = {}) => ({ model: 'tiny', input: 'Say something.', max_output_tokens: 24, temperature: 0, ...more });
const long = { max_output_tokens: 100000, ignore_eos: true };
const collect = async (stream) => {
    const events = [];
    for await (const e of stream) events.push(e);
    return events;
};

test('a response has one message and counts tokens', async () => {
    const r = await client.responses.create(ask({ instructions: 'Be brief.', metadata: { a: 'b' } }));
    assert.match(r.id, /^resp_\w{24}$/);
    assert.equal(r.object, 'response');
    assert.ok(['completed', 'incomplete'].includes(r.status));
    assert.equal(r.model, 'tiny');
    assert.equal(r.instructions, 'Be brief.');
    assert.deepEqual(r.metadata, { a: 'b' });
    assert.equal(r.output.length, 1);
    assert.equal(r.output_text, r.output[0].content[0].text);
    assert.ok(r.output_text.length > 0);
    assert.equal(r.usage.total_tokens, r.usage.input_tokens + r.usage.output_tokens);
    assert.equal(r.store, true);
    assert.equal(r.previous_response_id, null);
    assert.deepEqual(r.text.format, { type: 'text' });
});

test('the answer is that of chat for the same conversation', async () => {
    const messages = [{ role: 'system', content: 'Be brief.' }, { role: 'user', content: 'One?' }, { role: 'assistant', content: 'Two.' }, { role: 'user', content: 'Three?' }];
    const chat = await client.chat.completions.create({ model: 'tiny', messages, max_tokens: 24, temperature: 0 });
    const r = await client.responses.create(ask({ instructions: 'Be brief.', input: messages.slice(1) }));
    assert.equal(r.output_text, chat.choices[0].message.content);
    assert.equal(r.usage.input_tokens, chat.usage.prompt_tokens);
    const { input_tokens } = await client.responses.inputTokens.count({ model: 'tiny', instructions: 'Be brief.', input: messages.slice(1) });
    assert.equal(input_tokens, r.usage.input_tokens);
});

test('max_output_tokens makes it incomplete', async () => {
    const r = await client.responses.create(ask({ max_output_tokens: 16, ignore_eos: true }));
    assert.equal(r.status, 'incomplete');
    assert.deepEqual(r.incomplete_details, { reason: 'max_output_tokens' });
    assert.equal(r.usage.output_tokens, 16);
});

test('a stream has the same answer, numbers without a gap, and the helper takes it', async () => {
    const plain = await client.responses.create(ask());
    const events = await collect(await client.responses.create(ask({ stream: true })));
    events.forEach((e, i) => assert.equal(e.sequence_number, i));
    assert.equal(events[0].type, 'response.created');
    assert.equal(events[1].type, 'response.in_progress');
    const text = events.filter((e) => e.type === 'response.output_text.delta').map((e) => e.delta).join('');
    assert.equal(text, plain.output_text);
    const last = events.at(-1);
    assert.equal(last.type, plain.status === 'completed' ? 'response.completed' : 'response.incomplete');
    assert.deepEqual(last.response.output.map((o) => o.content), plain.output.map((o) => o.content));
    const helped = await client.responses.stream(ask()).finalResponse();
    assert.equal(helped.output_text, plain.output_text);
});

test('a stored one is found, listed, continued and deleted', async () => {
    const r = await client.responses.create(ask({ input: [{ role: 'user', content: 'One.' }, { role: 'assistant', content: 'Two.' }, { role: 'user', content: 'Three.' }] }));
    const again = await client.responses.retrieve(r.id);
    assert.deepEqual({ ...again }, { ...r });

    const items = await client.responses.inputItems.list(r.id, { limit: 2 });
    assert.deepEqual(items.data.map((i) => i.content[0].text), ['Three.', 'Two.']);
    assert.equal(items.has_more, true);
    const all = [];
    for await (const i of client.responses.inputItems.list(r.id, { limit: 1, order: 'asc' })) all.push(i.content[0].text);
    assert.deepEqual(all, ['One.', 'Two.', 'Three.']);

    const next = await client.responses.create(ask({ input: 'Four?', previous_response_id: r.id, instructions: 'New.' }));
    assert.equal(next.previous_response_id, r.id);
    const chat = await client.chat.completions.create({
        model: 'tiny', max_tokens: 24, temperature: 0,
        messages: [{ role: 'system', content: 'New.' }, { role: 'user', content: 'One.' }, { role: 'assistant', content: 'Two.' }, { role: 'user', content: 'Three.' },
            { role: 'assistant', content: r.output_text }, { role: 'user', content: 'Four?' }],
    });
    assert.equal(next.output_text, chat.choices[0].message.content);
    assert.equal(next.usage.input_tokens, chat.usage.prompt_tokens);
    // Instructions are of one response; the turns go on.
    const third = await client.responses.create(ask({ input: 'Five?', previous_response_id: next.id }));
    const { input_tokens } = await client.responses.inputTokens.count({ model: 'tiny', input: [
        { role: 'user', content: 'One.' }, { role: 'assistant', content: 'Two.' }, { role: 'user', content: 'Three.' }, { role: 'assistant', content: r.output_text },
        { role: 'user', content: 'Four?' }, { role: 'assistant', content: next.output_text }, { role: 'user', content: 'Five?' }] });
    assert.equal(third.usage.input_tokens, input_tokens);

    await client.responses.delete(r.id);
    await assert.rejects(client.responses.retrieve(r.id), (e) => e.status === 404 && e.error.message.includes(r.id));
    await assert.rejects(client.responses.create(ask({ previous_response_id: r.id })), (e) => e.status === 404 && e.param === 'previous_response_id');
    assert.equal((await client.responses.retrieve(next.id)).status, next.status);
});

test('with store false nothing is found', async () => {
    const r = await client.responses.create(ask({ store: false }));
    assert.equal(r.store, false);
    await assert.rejects(client.responses.retrieve(r.id), (e) => e.status === 404);
    await assert.rejects(client.responses.delete(r.id), (e) => e.status === 404);
});

test('in the background: known at once, watched from any event, cancelled', async () => {
    const r = await client.responses.create(ask({ ...long, background: true }));
    assert.ok(['queued', 'in_progress'].includes(r.status));
    assert.equal(r.background, true);
    await until(async () => (await client.responses.retrieve(r.id)).output_text.length > 50, 'some text');
    const stream = await client.responses.retrieve(r.id, { stream: true });
    let n = 0;
    for await (const e of stream) {
        assert.equal(e.sequence_number, n);
        if (++n === 20) break;
    }
    const gone = await client.responses.cancel(r.id);
    assert.equal(gone.status, 'cancelled');
    await until(async () => (await server.metric('active')) === 0, 'no active run');
    const all = await collect(await client.responses.retrieve(r.id, { stream: true }));
    assert.equal(all.at(-1).type, 'response.failed');
    assert.equal(all.at(-1).response.status, 'cancelled');
    for (const after of [0, 1, 2, 17, all.length - 2, all.length - 1]) {
        const tail = await collect(await client.responses.retrieve(r.id, { stream: true, starting_after: after }));
        assert.deepEqual(tail, all.slice(after + 1), `after ${after}`);
    }
    assert.equal((await client.responses.cancel(r.id)).status, 'cancelled');
});

test('a background stream goes on when its client leaves', async () => {
    const controller = new AbortController();
    const stream = await client.responses.create(ask({ max_output_tokens: 400, ignore_eos: true, background: true, stream: true }), { signal: controller.signal });
    const seen = [];
    for await (const e of stream) {
        seen.push(e);
        if (seen.length === 8) controller.abort();
    }
    const { id } = seen[0].response;
    const rest = await collect(await client.responses.retrieve(id, { stream: true, starting_after: seen.at(-1).sequence_number }));
    const events = [...seen, ...rest];
    events.forEach((e, i) => assert.equal(e.sequence_number, i));
    assert.equal(events.at(-1).type, 'response.incomplete');
    const text = events.filter((e) => e.type === 'response.output_text.delta').map((e) => e.delta).join('');
    const r = await client.responses.retrieve(id);
    assert.equal(r.output_text, text);
    assert.equal(r.usage.output_tokens, 400);
});

test('a client that leaves a stream that is not in the background stops it', async () => {
    const controller = new AbortController();
    const stream = await client.responses.create(ask({ ...long, stream: true }), { signal: controller.signal });
    let id, n = 0;
    for await (const e of stream) {
        id ??= e.response.id;
        if (++n === 8) controller.abort();
    }
    await until(async () => (await client.responses.retrieve(id)).status === 'cancelled', 'cancelled');
    await until(async () => (await server.metric('active')) === 0, 'nothing is computed');
});

test('truncation auto drops the oldest turns, disabled refuses', async () => {
    const turns = [];
    for (let i = 0; i < 400; i++) turns.push({ role: i % 2 ? 'assistant' : 'user', content: `Turn ${i} with a number of words in it.` });
    turns.push({ role: 'user', content: 'Last?' });
    await assert.rejects(client.responses.create(ask({ input: turns })), (e) => e.status === 400 && e.code === 'context_length_exceeded');
    const { data, response } = await client.responses.create(ask({ input: turns, truncation: 'auto' })).withResponse();
    assert.equal(data.truncation, 'auto');
    assert.ok(data.output_text.length > 0);
    assert.ok(Number(response.headers.get('x-confab-evicted-messages')) > 0);
});

test('log probabilities, whole and streamed', async () => {
    const more = { include: ['message.output_text.logprobs'], top_logprobs: 2 };
    const r = await client.responses.create(ask(more));
    const { logprobs, text } = r.output[0].content[0];
    assert.equal(logprobs.map((l) => l.token).join(''), text);
    assert.ok(logprobs.every((l) => l.logprob <= 0 && l.top_logprobs.length === 2 && l.top_logprobs[0].logprob >= l.top_logprobs[1].logprob));
    const events = await collect(await client.responses.create(ask({ ...more, stream: true })));
    assert.deepEqual(events.filter((e) => e.type === 'response.output_text.delta').flatMap((e) => e.logprobs), logprobs);
    assert.deepEqual(events.find((e) => e.type === 'response.output_text.done').logprobs, logprobs);
    assert.deepEqual((await client.responses.create(ask())).output[0].content[0].logprobs, []);
});

test('what is not there is refused by name', async () => {
    const rows = [
        [{ input: undefined }, 'input', 'missing_required_parameter'],
        [{ input: [{ role: 'user', content: [{ type: 'input_image', image_url: 'x' }] }] }, 'input[0].content[0]', 'unsupported_value'],
        [{ input: [{ type: 'item_reference', id: 'x' }] }, 'input[0].type', 'unsupported_value'],
        [{ max_output_tokens: 3 }, 'max_output_tokens', 'out_of_range'],
        [{ temperature: 3 }, 'temperature', 'out_of_range'],
        [{ top_p: 2 }, 'top_p', 'out_of_range'],
        [{ truncation: 'some' }, 'truncation', 'unsupported_value'],
        [{ conversation: 'conv_1' }, 'conversation', 'unsupported_value'],
        [{ prompt: { id: 'p' } }, 'prompt', 'unsupported_value'],
        [{ background: true, store: false }, 'background', 'unsupported_value'],
        [{ reasoning: { effort: 'much' } }, 'reasoning.effort', 'unsupported_value'],
        [{ instructions: 7 }, 'instructions', 'invalid_type'],
        [{ tools: [{ type: 'web_search' }] }, 'tools', 'unsupported_value'],
    ];
    for (const [more, param, code] of rows) {
        const e = await client.responses.create(ask(more)).then(() => null, (x) => x);
        assert.ok(e, `${param}: no error`);
        assert.equal(e.status, 400, e.message);
        assert.equal(e.param?.startsWith(param), true, `${param}: ${e.param}`);
        assert.equal(e.code, code, param);
    }
    await assert.rejects(client.responses.create(ask({ model: 'none' })), (e) => e.status === 404 && e.code === 'model_not_found');
    for (const path of ['resp_none', 'none', 'resp_'])
        await assert.rejects(client.responses.retrieve(path), (e) => e.status === 404);
    const { response } = await client.responses.create(ask({ user: 'u', include: ['reasoning.encrypted_content'], made_up: 1 })).withResponse();
    assert.equal(response.headers.get('x-confab-ignored'), 'user, made_up, include');
});
