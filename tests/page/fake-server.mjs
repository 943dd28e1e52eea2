// A server that speaks just enough of the OpenAI dialect to drive the page, and whose every byte
// the test decides: reply() queues what the next answers are. Serves web/dist/index.html at /.
//
// By hand:  node fake-server.mjs [PORT]     then write "markdown", "slow", "think" or any text

import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const PAGE = new URL('../../web/dist/index.html', import.meta.url);

export const MODELS = [
    {
        id: 'tale-small',
        object: 'model',
        created: 1,
        owned_by: 'confab',
        meta: { n_params: 135e6, n_ctx: 2048 },
    },
    { id: 'tale-large', object: 'model', created: 1, owned_by: 'confab' },
];

// One request's answer, under the hand of a reply function.
class Answer {
    #usage = { prompt_tokens: 21, completion_tokens: 0, total_tokens: 21 };

    constructor(request, res) {
        this.request = request;
        this.res = res;
        this.gone = new Promise((resolve) => res.on('close', () => resolve(!res.writableFinished)));
    }

    bytes(data) {
        if (!this.res.headersSent)
            this.res.writeHead(200, {
                'Content-Type': 'text/event-stream',
                'Cache-Control': 'no-cache',
            });
        return new Promise((resolve) => this.res.write(data, resolve));
    }

    event(choices, more) {
        const chunk = {
            id: 'chatcmpl-1',
            object: 'chat.completion.chunk',
            created: 1,
            choices,
            ...more,
        };
        return this.bytes(`data: ${JSON.stringify(chunk)}\n\n`);
    }

    delta(delta, finish_reason = null) {
        return this.event([{ index: 0, delta, finish_reason }]);
    }

    // Sends text in small pieces, pause milliseconds apart, until it is out or the client is gone.
    async say(text, { pause = 0, as = 'content' } = {}) {
        for (const piece of text.match(/\S+\s*|\s+/g) ?? []) {
            if (this.res.destroyed) return;
            this.#usage.completion_tokens++;
            await this.delta({ [as]: piece });
            if (pause) await sleep(pause);
        }
    }

    async end(finish = 'stop') {
        this.#usage.total_tokens = 21 + this.#usage.completion_tokens;
        await this.delta({}, finish);
        await this.event([], { usage: this.#usage });
        await this.bytes('data: [DONE]\n\n');
        this.res.end();
    }

    error(status, message, { headers = {}, ...more } = {}) {
        this.res.writeHead(status, { 'Content-Type': 'application/json', ...headers });
        this.res.end(
            JSON.stringify({
                error: { message, type: 'invalid_request_error', param: null, code: null, ...more },
            }),
        );
    }
}

export const MARKDOWN = `Here is a short tour.

## A list and a table

1. **Bold**, *slanted* and \`inline code\`
2. A [link](https://example.org/a?b=c) and a bare one: https://example.org/
   - nested once

| grain | protein | price |
|:------|:-------:|------:|
| oats  | 13 %    | 1.20  |
| rye   | 10 %    | 0.95  |

\`\`\`python
def greet(name: str) -> str:
    return f"Hello, {name}!  <b>not bold</b>"
\`\`\`

> A quotation, to end with. Grüße, 你好, 👩‍🚀.
`;

const SLOW = Array.from({ length: 400 }, (_, i) => `word${i}${i % 12 === 11 ? '.\n\n' : ' '}`).join(
    '',
);

// What the server says when no reply is queued, by the last message's first word.
const STANDARD = {
    markdown: (a) => a.say(MARKDOWN, { pause: 8 }),
    slow: (a) => a.say(SLOW, { pause: 20 }),
    async think(a) {
        await a.say('The reader asks for a thought. Let me weigh two of them, briefly. ', {
            pause: 60,
            as: 'reasoning_content',
        });
        await a.say('Forty-two, I think.', { pause: 60 });
    },
};

async function standard(a) {
    const said = a.request.body.messages.at(-1).content;
    if (said.length > 100000) {
        a.error(400, 'The prompt is longer than the context of 2048 tokens.', {
            code: 'context_length_exceeded',
        });
        return;
    }
    const reply =
        STANDARD[said.split(/\s/, 1)[0]] ?? (() => a.say(`You said: ${said}`, { pause: 5 }));
    await a.delta({ role: 'assistant', content: '' });
    await reply(a);
    if (!a.res.destroyed) await a.end();
}

async function bodyOf(req) {
    let text = '';
    for await (const piece of req.setEncoding('utf8')) text += piece;
    return text ? JSON.parse(text) : null;
}

// Starts it. Fields: url, requests (each with method, path, headers, body), models, key (asked for
// when set), left (how many clients went before their answer's end).
export async function startFake({ port = 0 } = {}) {
    const replies = [];
    const fake = { requests: [], models: MODELS, key: '', left: 0, url: '' };

    const server = http.createServer(async (req, res) => {
        const path = req.url.split('?')[0];
        if (req.method === 'GET' && path === '/') {
            res.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' });
            res.end(await readFile(PAGE));
            return;
        }
        const request = {
            method: req.method,
            path,
            headers: req.headers,
            body: await bodyOf(req),
            at: Date.now(),
        };
        fake.requests.push(request);
        const answer = new Answer(request, res);
        if (fake.key && req.headers.authorization !== `Bearer ${fake.key}`) {
            answer.error(401, 'Incorrect API key provided.', { code: 'invalid_api_key' });
        } else if (path === '/v1/models') {
            res.writeHead(200, { 'Content-Type': 'application/json' });
            res.end(JSON.stringify({ object: 'list', data: fake.models }));
        } else if (req.method === 'POST' && path === '/v1/chat/completions') {
            answer.gone.then((early) => (fake.left += early));
            await (replies.shift() ?? standard)(answer);
        } else if (path === '/health') {
            res.end('{"status":"ok"}');
        } else {
            answer.error(404, `No route ${req.method} ${path}.`);
        }
    });

    fake.reply = (...list) => replies.push(...list);
    fake.chats = () => fake.requests.filter((r) => r.method === 'POST');
    fake.stop = () =>
        new Promise((resolve) => {
            server.close(resolve);
            server.closeAllConnections();
        });
    fake.start = (at) =>
        new Promise((resolve, reject) => {
            server.once('error', reject);
            server.listen(at, '127.0.0.1', () => {
                fake.url = `http://127.0.0.1:${server.address().port}/`;
                resolve();
            });
        });
    await fake.start(port);
    return fake;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
    const fake = await startFake({ port: Number(process.argv[2] ?? 8081) });
    console.log(`the page, on a scripted server: ${fake.url}`);
}
