// The vendor's own clients, both generations, unmodified.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import Newer from '@anthropic-ai/sdk';
import Older from 'anthropic-0';
import { startServer, until } from '../openai/harness.mjs';

let server;
before(async () => {
    server = await startServer({ args: ['--ctx', '512'] });
});
after(async () => {
    assert.equal(await server.stop(), 0, server.log());
});

const hi = { model: 'tiny', max_tokens: 12, messages: [{ role: 'user', content: 'Hi' }] };
const text = (m) => m.content.filter((b) => b.type === 'text').map((b) => b.text).join('');

for (const [name, Client] of [['1.x', Newer], ['0.x', Older]]) {
    const client = () => new Client({ baseURL: server.url, apiKey: 'none', maxRetries: 0 });

    test(`${name}: create`, async () => {
        const m = await client().messages.create({ ...hi, system: 'Be brief.', temperature: 0 });
        assert.match(m.id, /^msg_[0-9a-f]{32}$/);
        assert.equal(m.type, 'message');
        assert.equal(m.role, 'assistant');
        assert.equal(m.model, 'tiny');
        assert.ok(text(m).length > 0);
        assert.ok(['end_turn', 'max_tokens'].includes(m.stop_reason));
        assert.equal(m.stop_sequence, null);
        assert.ok(m.usage.input_tokens > 0 && m.usage.output_tokens > 0);
        assert.ok(m.usage.cache_read_input_tokens >= 0);
        assert.equal(m.usage.service_tier, 'standard');
        assert.match(m._request_id, /^req_/);
    });

    test(`${name}: the stream helper's message is the plain one`, async () => {
        const body = { ...hi, temperature: 0, max_tokens: 30 };
        const plain = await client().messages.create(body);
        const events = [];
        let joined = '';
        const stream = client().messages.stream(body).on('streamEvent', (e) => events.push(e)).on('text', (t) => (joined += t));
        const final = await stream.finalMessage();
        assert.deepEqual(final.content, plain.content);
        assert.equal(joined, text(plain));
        assert.equal(final.stop_reason, plain.stop_reason);
        assert.deepEqual(final.usage.output_tokens, plain.usage.output_tokens);
        assert.equal(events[0].type, 'message_start');
        assert.ok(events[0].message.usage.input_tokens > 0);
        assert.equal(events.at(-1).type, 'message_stop');
    });

    test(`${name}: countTokens is what create reports`, async () => {
        for (const more of [{}, { system: 'Be brief.' }, { messages: [{ role: 'user', content: [{ type: 'text', text: 'Hello' }] }] }]) {
            const { max_tokens, ...body } = { ...hi, ...more };
            const counted = await client().messages.countTokens(body);
            const m = await client().messages.create({ ...body, max_tokens: 1 });
            assert.equal(counted.input_tokens, m.usage.input_tokens + m.usage.cache_read_input_tokens);
        }
    });

    test(`${name}: error classes`, async () => {
        const rows = [
            [{ ...hi, model: 'nope' }, Client.NotFoundError, 404, 'not_found_error'],
            [{ ...hi, messages: [] }, Client.BadRequestError, 400, 'invalid_request_error'],
            [{ ...hi, max_tokens: undefined }, Client.BadRequestError, 400, 'invalid_request_error'],
            [{ ...hi, model: undefined }, Client.BadRequestError, 400, 'invalid_request_error'],
            [{ ...hi, top_p: 2 }, Client.BadRequestError, 400, 'invalid_request_error'],
            [{ ...hi, stop_sequences: ['  '] }, Client.BadRequestError, 400, 'invalid_request_error'],
            [{ ...hi, tools: [{ name: '', input_schema: { type: 'object' } }] }, Client.BadRequestError, 400, 'invalid_request_error'],
            [{ ...hi, thinking: { type: 'enabled', budget_tokens: 1024 }, max_tokens: 2000 }, Client.BadRequestError, 400, 'invalid_request_error'],
        ];
        for (const [body, kind, status, type] of rows)
            for (const stream of [false, true])
                await assert.rejects(client().messages.create({ ...body, stream }), (e) => {
                    assert.ok(e instanceof kind, `${JSON.stringify(body)}: ${e}`);
                    assert.equal(e.status, status);
                    assert.equal(e.error.type, 'error');
                    assert.equal(e.error.error.type, type);
                    assert.equal(e.error.request_id, e.requestID);
                    assert.match(e.requestID, /^req_/);
                    return true;
                });
    });

    test(`${name}: a prompt that is too long says so in the vendor's words`, async () => {
        const long = { ...hi, messages: [{ role: 'user', content: 'word '.repeat(2000) }] };
        for (const stream of [false, true])
            await assert.rejects(client().messages.create({ ...long, stream }), (e) => {
                assert.equal(e.status, 400);
                assert.match(e.error.error.message, /^prompt is too long: \d+ tokens > 511 maximum$/);
                return true;
            });
    });

    test(`${name}: abort stops the work`, async () => {
        const stream = client().messages.stream({ ...hi, max_tokens: 400, temperature: 1 });
        stream.on('error', () => {});
        for await (const e of stream) if (e.type === 'content_block_delta') break;
        stream.abort();
        await until(async () => (await server.metric('runs_live')) === 0 && (await server.metric('active')) === 0, 'no live run');
    });

    test(`${name}: models`, async () => {
        const page = await client().models.list({ limit: 10 });
        assert.equal(page.data.length, 1);
        assert.equal(page.has_more, false);
        assert.equal(page.first_id, 'tiny');
        const m = await client().models.retrieve('tiny');
        assert.equal(m.type, 'model');
        assert.equal(m.max_input_tokens, 511);
        await assert.rejects(client().models.retrieve('nope'), Client.NotFoundError);
        await assert.rejects(client().models.list({ after_id: 'nope' }), Client.BadRequestError);
    });

    test(`${name}: routes that are not here`, async () => {
        await assert.rejects(client().messages.batches.list().then(), (e) => e.status === 404 && e.error.error.type === 'not_found_error');
    });
}

test('a stop sequence ends the answer and is named', async () => {
    const client = new Older({ baseURL: server.url, apiKey: 'none' });
    const plain = await client.messages.create({ ...hi, temperature: 0, max_tokens: 40 });
    const stop = text(plain).replaceAll('�', ' ').trim().slice(4, 7);
    assert.equal(stop.trim().length > 0, true);
    const m = await client.messages.create({ ...hi, temperature: 0, max_tokens: 40, stop_sequences: [stop] });
    assert.equal(m.stop_reason, 'stop_sequence');
    assert.equal(m.stop_sequence, stop);
    assert.equal(text(m), text(plain).slice(0, text(plain).indexOf(stop)));
    const final = await client.messages.stream({ ...hi, temperature: 0, max_tokens: 40, stop_sequences: [stop] }).finalMessage();
    assert.equal(final.stop_sequence, stop);
    assert.equal(text(final), text(m));
});

test('the context ends before max_tokens', async () => {
    const client = new Older({ baseURL: server.url, apiKey: 'none' });
    const m = await client.messages.create({ ...hi, max_tokens: 5000, temperature: 1 });
    assert.ok(['model_context_window_exceeded', 'end_turn'].includes(m.stop_reason), m.stop_reason);
    if (m.stop_reason !== 'end_turn') assert.equal(m.usage.input_tokens + m.usage.cache_read_input_tokens + m.usage.output_tokens, 512);
});

test('max_tokens 0 computes no answer', async () => {
    const client = new Older({ baseURL: server.url, apiKey: 'none' });
    const m = await client.messages.create({ ...hi, max_tokens: 0 });
    assert.deepEqual(m.content, []);
    assert.equal(m.stop_reason, 'max_tokens');
    assert.ok(m.usage.input_tokens > 0);
});

test('aliases name the first model', async () => {
    const client = new Newer({ baseURL: server.url, apiKey: 'none' });
    for (const model of ['default', 'claude-sonnet-4-5', 'tiny'])
        assert.equal((await client.messages.create({ ...hi, model })).model, 'tiny');
});

test('an answer can be begun by the client', async () => {
    const client = new Older({ baseURL: server.url, apiKey: 'none' });
    const open = await client.messages.countTokens({ model: 'tiny', messages: hi.messages });
    const begun = await client.messages.countTokens({ model: 'tiny', messages: [...hi.messages, { role: 'assistant', content: 'Once' }] });
    assert.ok(begun.input_tokens > open.input_tokens);
    const m = await client.messages.create({ ...hi, messages: [...hi.messages, { role: 'assistant', content: 'Once' }] });
    assert.equal(m.usage.input_tokens + m.usage.cache_read_input_tokens, begun.input_tokens);
});

test('neighbours of one role are one turn', async () => {
    const client = new Older({ baseURL: server.url, apiKey: 'none' });
    const count = (messages) => client.messages.countTokens({ model: 'tiny', messages }).then((r) => r.input_tokens);
    assert.equal(
        await count([{ role: 'user', content: 'My name is Ada.' }, { role: 'user', content: 'What is it?' }]),
        await count([{ role: 'user', content: 'My name is Ada.\nWhat is it?' }]),
    );
});
