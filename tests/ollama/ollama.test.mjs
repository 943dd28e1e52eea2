// The ollama client, unmodified, and plain requests.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Ollama } from 'ollama';
import { startServer } from '../openai/harness.mjs';

let server, client;

before(async () => {
    server = await startServer({ args: ['--max-seqs', '4'] });
    client = new Ollama({ host: server.url });
});
after(async () => {
    assert.equal(await server.stop(), 0, server.log());
});

const messages = [{ role: 'user', content: 'Name a colour.' }];
const chat = (options = {}, more = {}) =>
    client.chat({ model: 'tiny', messages, options: { num_predict: 12, seed: 3, ...options }, ...more });
const post = (path, data, type = 'application/json') =>
    fetch(server.url + path, {
        method: 'POST',
        headers: { 'Content-Type': type },
        body: typeof data === 'string' ? data : JSON.stringify(data),
    });

test('chat, plain and streamed, says the same', async () => {
    const whole = await chat();
    assert.equal(whole.model, 'tiny');
    assert.equal(whole.done, true);
    assert.equal(whole.done_reason, 'length');
    assert.equal(whole.message.role, 'assistant');
    assert.ok(whole.prompt_eval_count > 0);
    assert.equal(whole.eval_count, 12);
    assert.ok(whole.total_duration >= whole.eval_duration && Number.isInteger(whole.total_duration));
    assert.ok(!Number.isNaN(Date.parse(whole.created_at)));
    let text = '', last;
    for await (const part of await chat({}, { stream: true })) {
        text += part.message.content;
        last = part;
    }
    assert.equal(text, whole.message.content);
    assert.equal(last.done_reason, 'length');
    assert.equal(last.eval_count, 12);
});

test('generate, plain, streamed, raw, with a system text', async () => {
    const ask = (more) => client.generate({ model: 'tiny:latest', prompt: 'The sky is', options: { num_predict: 8, seed: 3 }, ...more });
    const whole = await ask({});
    assert.equal(typeof whole.response, 'string');
    let text = '';
    for await (const part of await ask({ stream: true })) text += part.response;
    assert.equal(text, whole.response);
    const raw = await ask({ raw: true });
    assert.ok(raw.prompt_eval_count < whole.prompt_eval_count);
    const led = await ask({ system: 'You are brief.' });
    assert.ok(led.prompt_eval_count > whole.prompt_eval_count);
    const asked = await client.chat({ model: 'tiny', messages: [{ role: 'USER', content: 'The sky is' }], options: { num_predict: 8, seed: 3 } });
    assert.equal(asked.message.content, whole.response);
});

test('streaming is on unless it is switched off, whatever the content type says', async () => {
    const r = await post('/api/chat', { model: 'tiny', messages, options: { num_predict: 3 } }, 'application/x-www-form-urlencoded');
    assert.equal(r.status, 200);
    assert.match(r.headers.get('content-type'), /^application\/x-ndjson/);
    const lines = (await r.text()).trimEnd().split('\n').map((l) => JSON.parse(l));
    assert.equal(lines.at(-1).done, true);
    assert.ok(lines.slice(0, -1).every((l) => l.done === false));
    const plain = await post('/api/chat', { model: 'tiny', messages, stream: false, options: { num_predict: 3 } });
    assert.match(plain.headers.get('content-type'), /^application\/json/);
});

test('options take effect', async () => {
    const text = async (o) => (await chat(o)).message.content;
    const greedy = await text({ temperature: 0 });
    assert.equal(await text({ top_k: 1 }), greedy);
    assert.equal(await text({ min_p: 1 }), greedy);
    assert.equal(await text({ top_p: 0 }), greedy);
    const plain = await text({ temperature: 1.5, top_k: 0, top_p: 1 });
    assert.notEqual(plain, greedy);
    assert.equal(await text({ temperature: 1.5, top_k: 0, top_p: 1 }), plain);
    assert.notEqual(await text({ temperature: 1.5, top_k: 0, top_p: 1, seed: 4 }), plain);
    assert.notEqual(await text({ temperature: 0, repeat_penalty: 5, presence_penalty: 2, frequency_penalty: 2 }), greedy);
    const stop = plain.slice(2, 4);
    assert.equal(await text({ temperature: 1.5, top_k: 0, top_p: 1, stop: [stop] }), plain.slice(0, plain.indexOf(stop)));
    await text({ num_gpu: 1, num_thread: 2, unheard_of: 1 });
    const many = Array.from({ length: 20 }, (_, i) => ({ role: i % 2 ? 'assistant' : 'user', content: `turn ${i}` }));
    many.push(messages[0]);
    const cut = await client.chat({ model: 'tiny', messages: many, options: { num_predict: 2, num_ctx: 64 } });
    assert.ok(cut.prompt_eval_count < 64);
    const all = await client.chat({ model: 'tiny', messages: many, truncate: false, options: { num_predict: 2, num_ctx: 64 } });
    assert.ok(all.prompt_eval_count > 64);
});

test('without a prompt it loads', async () => {
    const r = await client.chat({ model: 'tiny', messages: [] });
    assert.equal(r.done_reason, 'load');
    const u = await client.generate({ model: 'tiny', prompt: '', keep_alive: 0 });
    assert.equal(u.done_reason, 'unload');
    assert.equal(u.response, '');
});

test('lists', async () => {
    const { models } = await client.list();
    assert.equal(models[0].name, 'tiny:latest');
    assert.match(models[0].digest, /^[0-9a-f]{64}$/);
    assert.equal(models[0].details.format, 'gguf');
    assert.equal(models[0].details.quantization_level, 'F32');
    assert.ok(models[0].size > 0);
    const ps = await client.ps();
    assert.equal(ps.models[0].size_vram, 0);
    const shown = await client.show({ model: 'tiny' });
    assert.equal(shown.details.family, 'llama');
    assert.equal(shown.model_info['general.architecture'], 'llama');
    assert.ok(shown.template.length > 0);
    assert.deepEqual(shown.capabilities.slice(0, 1), ['completion']);
    assert.match((await client.version()).version, /^\d+\.\d+/);
    assert.equal((await fetch(server.url + '/api/tags', { method: 'HEAD' })).status, 200);
});

test('errors are one text', async () => {
    await assert.rejects(client.chat({ model: 'nope', messages }), (e) => e.status_code === 404 && /model 'nope' not found/.test(e.message));
    const rows = [
        ['/api/chat', '{', 400],
        ['/api/chat', { messages }, 400],
        ['/api/chat', { model: 'tiny', messages: [{ role: 'king', content: 'x' }] }, 400],
        ['/api/chat', { model: 'tiny', messages: [{ role: 'user', content: 'x', images: ['AA=='] }] }, 400],
        ['/api/chat', { model: 'tiny', messages, tools: [{}] }, 400, /tools/],
        ['/api/chat', { model: 'tiny', messages, format: 'xml' }, 400, /format/],
        ['/api/chat', { model: 'tiny', messages, top_logprobs: 21 }, 400, /logprobs/],
        ['/api/chat', { model: 'tiny', messages, think: 'huge' }, 400, /think/],
        ['/api/chat', { model: 'tiny', messages, think: true }, 400, /thinking/],
        ['/api/chat', { model: 'tiny', messages, options: { top_p: 2 } }, 400, /options\.top_p/],
        ['/api/chat', { model: 'tiny', messages, options: { typical_p: 0.5 } }, 400, /typical_p/],
        ['/api/generate', { model: 'tiny', prompt: 'x', raw: true, system: 'y' }, 400, /raw/],
        ['/api/generate', { model: 'tiny', prompt: 'x', suffix: 'y' }, 400, /suffix/],
        ['/api/generate', { model: 'tiny', prompt: 'x', template: 'y' }, 400, /template/],
        ['/api/generate', { model: 'tiny', prompt: 'x', context: [1] }, 400, /context/],
        ['/api/generate', { model: 'tiny', prompt: 'x', images: ['AA=='] }, 400, /images/],
        ['/api/show', { model: 'nope' }, 404],
        ['/api/pull', { model: 'nope' }, 501],
        ['/api/embed', { model: 'tiny', input: 'x' }, 501],
    ];
    for (const [path, data, status, words] of rows) {
        const r = await post(path, data);
        const e = await r.json();
        assert.equal(r.status, status, JSON.stringify(data));
        assert.deepEqual(Object.keys(e), ['error']);
        if (words) assert.match(e.error, words);
    }
    assert.equal((await fetch(server.url + '/api/chat')).status, 405);
});

test('a client that waits hears empty pieces, and has the whole answer in the end', async () => {
    const own = await startServer({ endless: true, args: ['--max-seqs', '1', '--keep-alive', '1'] });
    const one = new Ollama({ host: own.url });
    const warn = console.warn, warnings = [];
    console.warn = (...what) => warnings.push(what);
    try {
        for (const way of ['chat', 'generate']) {
            const holder = new AbortController();
            const held = await fetch(`${own.url}/v1/chat/completions`, { method: 'POST', signal: holder.signal, headers: { 'content-type': 'application/json' }, body: JSON.stringify({ messages: [{ role: 'user', content: 'x' }], max_tokens: 100000, stream: true }) });
            assert.equal(held.status, 200);
            const parts = [], text = (p) => (way === 'chat' ? p.message.content : p.response);
            const stream = await one[way]({ model: 'tiny', messages: [{ role: 'user', content: 'Hi' }], prompt: 'Hi', stream: true, options: { num_predict: 8, temperature: 0 } });
            for await (const p of stream) {
                parts.push(p);
                holder.abort(); // its own turn comes once it has heard something
            }
            assert.deepEqual([parts[0].done, text(parts[0]), parts[0].model], [false, '', 'tiny']);
            assert.ok(parts.map(text).join('').length > 0);
            assert.equal(parts.at(-1).done, true);
            assert.equal(parts.at(-1).eval_count, 8);
        }
        assert.deepEqual(warnings, []);
    } finally {
        console.warn = warn;
        assert.equal(await own.stop(), 0, own.log());
    }
});
