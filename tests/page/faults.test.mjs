// The chat page when answers attack, break or fail, and when the server is away or wants a key.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ask, askAll, ended, lastAnswer } from './browser.mjs';
import { fake, open, shot, text, until } from './harness.mjs';

const HOSTILE = `<script>window.owned = 1</script>

<img src=x onerror="window.owned = 2"> <svg/onload="window.owned = 3"> <iframe src="javascript:window.owned = 4"></iframe>

[click](javascript:window.owned=5) [tab](java	script:window.owned=6) [data](data:text/html,<script>window.owned=7</script>)
[vb](vbscript:x) <javascript:window.owned=8> [enc](&#106;avascript:window.owned=9) [file](file:///etc/passwd)

![picture](https://tracker.example/pixel.png?secret) ![x](x"onerror="window.owned=10)

[ref]: javascript:window.owned=11
[ref] [ok](https://ok.example/ "a title \\" onmouseover=window.owned=12")

\`\`\`html" onclick="window.owned=13
<script>window.owned = 14</script>
\`\`\`

<style>body { display: none }</style><form action="https://tracker.example"><input name=q></form>
<a href="javascript:window.owned=15" style="position:fixed">raw</a> <math><mtext><table><mglyph><style><img src=x onerror=window.owned=16>
`;

test('an answer cannot run, load or restyle anything: HTML stays text, bad links stay inert', async () => {
    const page = await open();
    fake.reply(async (a) => {
        for (const piece of HOSTILE.match(/[^]{1,7}/g))
            // every prefix is drawn, too
            await a.delta({ content: piece });
        await a.end();
    });
    await askAll(
        page,
        'attack <script>window.owned = 20</script><img src=x onerror=window.owned=21>',
    );
    await shot(page, 'hostile');
    const found = await page.evaluate(() => ({
        owned: window.owned ?? null,
        tags: [
            ...new Set(
                [...document.querySelectorAll('#log .answer *, #log .bubble *')].map(
                    (x) => x.localName,
                ),
            ),
        ].sort(),
        attributes: [
            ...new Set(
                [...document.querySelectorAll('#log .answer *')].flatMap((x) =>
                    x.getAttributeNames(),
                ),
            ),
        ].sort(),
        links: [...document.querySelectorAll('#log .answer a')].map((a) => [
            a.getAttribute('href'),
            a.rel,
            a.target,
        ]),
    }));
    assert.equal(found.owned, null);
    assert.deepEqual(
        found.tags.filter(
            (t) => !['a', 'p', 'div', 'span', 'pre', 'code', 'button', 'br'].includes(t),
        ),
        [],
    );
    assert.deepEqual(
        found.attributes.filter(
            (a) => a.startsWith('on') || ['style', 'src', 'srcdoc', 'id', 'name'].includes(a),
        ),
        [],
    );
    assert.deepEqual(
        found.links.map((l) => l[0]),
        [
            'https://tracker.example/pixel.png?secret',
            'https://ok.example/',
            'https://tracker.example',
        ],
    );
    for (const [, rel, target] of found.links)
        assert.deepEqual([rel, target], ['noopener noreferrer nofollow', '_blank']);
    const shown = await text(lastAnswer(page));
    for (const seen of [
        '<script>window.owned = 1</script>',
        'onerror="window.owned = 2"',
        '[click](javascript:window.owned=5)',
        '<style>body',
    ])
        assert.ok(shown.includes(seen), `stays readable: ${seen}`);
    assert.equal(
        await text(page.locator('.bubble')),
        'attack <script>window.owned = 20</script><img src=x onerror=window.owned=21>',
    );
});

test('the page itself allows no other script: policy by digest, trusted types, no handlers', async () => {
    const html = readFileSync(new URL('../../web/dist/index.html', import.meta.url), 'utf8');
    const policy = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(html)[1];
    for (const tag of ['script', 'style']) {
        const inner = new RegExp(`<${tag}(?: type="module")?>([^]*?)</${tag}>`).exec(html)[1];
        const digest = createHash('sha256').update(inner).digest('base64');
        assert.ok(policy.includes(`${tag}-src 'sha256-${digest}'`), `${tag}-src names its digest`);
    }
    assert.doesNotMatch(policy, /unsafe/);
    assert.doesNotMatch(
        html.replace(/<script[^]*<\/script>/, ''),
        /\son\w+\s*=|\sstyle\s*=|(?:src|href)="(?!data:|#)/,
    );

    const page = await open();
    const refused = await page.evaluate(() => {
        const script = document.createElement('script');
        try {
            script.text = 'window.owned = 1';
            document.body.append(script);
        } catch (e) {
            return e.name;
        }
        return window.owned ?? 'did not run';
    });
    assert.equal(refused, 'TypeError');
    page.faults.length = 0; // that refusal was meant
});

test('bytes cut anywhere: inside characters, inside lines, between CR and LF, with comments', async () => {
    const page = await open();
    const words = 'Grüße, 你好, 👩‍🚀 — “ok”';
    const event = (o) => `: ping\r\n\r\nevent: x\r\ndata: ${JSON.stringify(o)}\r\n\r\n`;
    const wire =
        '\ufeff' +
        [...words]
            .map((c) =>
                event({ choices: [{ index: 0, delta: { content: c }, finish_reason: null }] }),
            )
            .join('') +
        event({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }) +
        'data: [DONE]\r\n\r\n';
    for (const size of [1, 2, 7, 1e6]) {
        fake.reply(async (a) => {
            const bytes = Buffer.from(wire);
            for (let i = 0; i < bytes.length; i += size) await a.bytes(bytes.subarray(i, i + size));
            a.res.end();
        });
        await askAll(page, `pieces of ${size}`);
        assert.equal(await text(lastAnswer(page)), words, `pieces of ${size}`);
        assert.equal(await page.locator('.turn.last .problem').isVisible(), false);
    }
});

const BROKEN = [
    [
        'an error inside the stream',
        async (a) => {
            await a.say('Half');
            await a.bytes(
                'data: {"error":{"message":"The run was canceled.","type":"server_error","param":null,"code":null}}\n\n',
            );
            a.res.end();
        },
        'The run was canceled.',
    ],
    [
        'a stream that ends too soon',
        async (a) => {
            await a.say('Half');
            a.res.end();
        },
        'The connection closed before the answer was complete.',
    ],
    [
        'a connection that breaks',
        async (a) => {
            await a.say('Half', { pause: 50 });
            a.res.destroy();
        },
        'The connection to the server was lost.',
    ],
    [
        'an event that is not JSON',
        async (a) => {
            await a.say('Half');
            await a.bytes('data: {"choices":\n\n');
            await a.gone;
        },
        'The server sent an event that is not JSON.',
    ],
    [
        'events of odd shapes, then an end',
        async (a) => {
            for (const odd of [
                'null',
                '[]',
                '{"choices":null}',
                '{"choices":[null]}',
                '{"choices":[{"delta":{"content":7}}]}',
                '{"choices":[{"delta":null}]}',
            ])
                await a.bytes(`data: ${odd}\n\n`);
            await a.say('Half');
            a.res.end();
        },
        'The connection closed before the answer was complete.',
    ],
];

for (const [name, reply, message] of BROKEN) {
    test(`${name}: what arrived is kept, the fault is named, trying again works`, async () => {
        const page = await open();
        fake.reply(reply);
        await askAll(page, 'go');
        assert.equal(await text(lastAnswer(page)), 'Half');
        assert.equal(await text(page.locator('.problem-text')), message);
        await page.locator('.problem [data-act="retry"]').click();
        await until('another request', () => fake.chats().length === 2);
        await ended(page, 1);
        assert.equal(await text(lastAnswer(page)), 'You said: go');
        assert.equal(await page.locator('.problem').isVisible(), false);
    });
}

test('an error is shown in the words of the server, with a way on', async () => {
    const page = await open();
    const message =
        "The prompt has 2210 tokens; this model's maximum context length is 2048 tokens.";
    fake.reply((a) =>
        a.error(400, message, { param: 'messages', code: 'context_length_exceeded' }),
    );
    await askAll(page, 'too long');
    assert.equal(await text(page.locator('.problem-text')), message);
    await shot(page, 'error');
    await page.reload();
    assert.equal(await text(page.locator('.problem-text')), message, 'also after a reload');
    await page.locator('.problem [data-act="new-chat"]').click();
    assert.equal(await page.locator('.turn').count(), 0);
});

for (const [name, type, body, shown] of [
    ['no body', 'text/plain', '', 'The server answered 502 without saying why.'],
    [
        'a page of a proxy',
        'text/html',
        '<html><h1>Bad Gateway</h1></html>',
        'The server answered 502 without saying why.',
    ],
    ['plain text', 'text/plain', 'upstream is down\n', 'upstream is down'],
    ['another shape', 'application/json', '{"detail":"no such thing"}', 'no such thing'],
    [
        'HTML in the message',
        'application/json',
        '{"error":{"message":"<img src=x onerror=alert(1)>"}}',
        '<img src=x onerror=alert(1)>',
    ],
]) {
    test(`an error with ${name} is shown as text`, async () => {
        const page = await open();
        fake.reply((a) => {
            a.res.writeHead(502, { 'Content-Type': type });
            a.res.end(body);
        });
        await askAll(page, 'go');
        assert.equal(await text(page.locator('.problem-text')), shown);
    });
}

test('an answer that is no stream is refused', async () => {
    const page = await open();
    fake.reply((a) => {
        a.res.writeHead(200, { 'Content-Type': 'application/json' });
        a.res.end('{"choices":[]}');
    });
    await askAll(page, 'go');
    assert.match(await text(page.locator('.problem-text')), /not with a stream/);
});

test('429 with Retry-After: waits in sight, for as long as asked, then goes on by itself', async () => {
    const page = await open();
    const busy = (a) =>
        a.error(429, 'The queue is full.', {
            headers: { 'Retry-After': '1' },
            code: 'rate_limit_exceeded',
        });
    fake.reply(busy, busy);
    await page.evaluate(() => {
        window.told = new Set();
        const note = () =>
            window.told.add(document.querySelector('.problem.pending')?.innerText.split('\n')[0]);
        new MutationObserver(note).observe(document.getElementById('log'), {
            childList: true,
            subtree: true,
            characterData: true,
            attributes: true,
        });
    });
    await ask(page, 'hello');
    await ended(page, 1);
    const told = await page.evaluate(() => [...window.told]);
    assert.ok(told.includes('The queue is full. Trying again in 1 s.'), `${told}`);
    assert.equal(await text(lastAnswer(page)), 'You said: hello');
    assert.equal(await page.locator('.problem').isVisible(), false);
    const at = fake.chats().map((r) => r.at);
    assert.equal(at.length, 3);
    assert.ok(
        at[1] - at[0] >= 950 && at[2] - at[1] >= 950,
        `waited ${at[1] - at[0]} and ${at[2] - at[1]} ms`,
    );
});

test('429: the wait can be cut short, or given up', async () => {
    const page = await open();
    const busy = (a) => a.error(429, 'The queue is full.', { headers: { 'Retry-After': '30' } });
    fake.reply(busy);
    await ask(page, 'hello');
    await page.locator('.problem.pending [data-act="retry"]').click();
    await ended(page, 1);
    assert.equal(await text(lastAnswer(page)), 'You said: hello');

    fake.reply(busy);
    await ask(page, 'again');
    await page.locator('.problem.pending').waitFor();
    await page.keyboard.press('Escape');
    await ended(page, 2);
    assert.equal(fake.chats().length, 3);
    assert.match(await text(page.locator('.turn.last .stats')), /^Stopped/);
});

test('429 without Retry-After, or a long one, is an error like others', async () => {
    const page = await open();
    for (const headers of [{}, { 'Retry-After': '3600' }]) {
        fake.reply((a) => a.error(429, 'Too many requests.', { headers }));
        await askAll(page, 'go');
        assert.equal(await page.locator('.turn.last .problem').getAttribute('class'), 'problem');
    }
    assert.equal(fake.chats().length, 2);
});

test('a server that asks for a key: the field appears, a wrong key is told, the right one is kept', async () => {
    fake.key = 'k-right';
    const page = await open();
    await page.locator('#key-form').waitFor();
    assert.equal(await text(page.locator('#banner-text')), 'This server asks for an API key.');
    await page.fill('#banner-key', 'k-wrong');
    await page.press('#banner-key', 'Enter');
    await page.getByText('The server does not accept this API key.').waitFor();
    await page.fill('#banner-key', 'k-right');
    await page.press('#banner-key', 'Enter');
    await page.locator('#banner').waitFor({ state: 'hidden' });
    await askAll(page, 'hello');
    assert.equal(await text(lastAnswer(page)), 'You said: hello');

    await page.reload();
    await page.locator('#model:enabled').waitFor();
    await askAll(page, 'still there');
    assert.equal(fake.chats().at(-1).headers.authorization, 'Bearer k-right');

    fake.key = 'k-new'; // revoked in the middle: ask, then answer what was asked
    await askAll(page, 'and now');
    assert.equal(await text(page.locator('.problem-text').last()), 'Incorrect API key provided.');
    await page.fill('#banner-key', 'k-new');
    await page.press('#banner-key', 'Enter');
    await lastAnswer(page).getByText('You said: and now').waitFor();
});

test('a server that cannot be reached: said at once, looked for, found again', async () => {
    const page = await open();
    await askAll(page, 'one');
    const port = Number(new URL(fake.url).port);
    await fake.stop();
    await askAll(page, 'two');
    assert.equal(await text(page.locator('.problem-text').last()), 'The server cannot be reached.');
    assert.match(
        await text(page.locator('#banner-text')),
        /^The server at 127\.0\.0\.1:\d+ cannot be reached/,
    );
    await shot(page, 'unreachable');
    await fake.start(port);
    await page.locator('#banner').waitFor({ state: 'hidden' });
    await page.locator('.turn.last .problem [data-act="retry"]').click();
    await lastAnswer(page).getByText('You said: two').waitFor();
});

test('a server without a model says so, and the message written meanwhile is not lost', async () => {
    fake.models = [];
    const page = await open();
    assert.equal(await text(page.locator('#banner-text')), 'The server has no model loaded.');
    await ask(page, 'hello');
    assert.equal(await page.inputValue('#input'), 'hello');
    fake.models = [{ id: 'late' }];
    await page.click('#reconnect');
    await page.locator('#banner').waitFor({ state: 'hidden' });
    await page.press('#input', 'Enter');
    await ended(page, 1);
    assert.equal(fake.chats()[0].body.model, 'late');
});

test('the model is chosen from the list, and the choice is kept', async () => {
    const page = await open();
    assert.deepEqual(await page.locator('#model option').allTextContents(), [
        'tale-small',
        'tale-large',
    ]);
    assert.equal(
        await text(page.locator('#model-facts')),
        'tale-small · 135 million parameters · room for 2,048 tokens',
    );
    await page.selectOption('#model', 'tale-large');
    await askAll(page, 'hello');
    await page.reload();
    await page.locator('#model:enabled').waitFor();
    await askAll(page, 'hello again');
    assert.deepEqual(
        fake.chats().map((r) => r.body.model),
        ['tale-large', 'tale-large'],
    );
});
