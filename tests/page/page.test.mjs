// The chat page in headless Chromium, on a scripted server: conversation, stopping, what is kept.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answers, ask, askAll, ended, lastAnswer } from './browser.mjs';
import { browser, fake, gate, open, pages, text, until } from './harness.mjs';

test('a conversation of three turns is streamed, and each request carries what was said', async () => {
    const page = await open();
    const { opened, go } = gate();
    fake.reply(async (a) => {
        await a.delta({ role: 'assistant', content: '' });
        await a.say('First half, ');
        await opened;
        await a.say('second half.');
        await a.end();
    });
    await ask(page, 'one');
    await page.waitForFunction(() =>
        document.querySelector('.answer')?.textContent.includes('First half'),
    );
    assert.equal(await text(lastAnswer(page)), 'First half,', 'shown before the answer has ended');
    assert.equal(await page.locator('#stop').isVisible(), true);
    assert.equal(await page.locator('#send').isVisible(), false);
    go();
    await ended(page, 1);
    assert.equal(await text(lastAnswer(page)), 'First half, second half.');
    assert.equal(await page.locator('#send').isVisible(), true);

    await askAll(page, 'two');
    await askAll(page, 'three');
    assert.equal(await text(lastAnswer(page)), 'You said: three');

    const bodies = fake.chats().map((r) => r.body);
    assert.deepEqual(bodies[2].messages, [
        { role: 'user', content: 'one' },
        { role: 'assistant', content: 'First half, second half.' },
        { role: 'user', content: 'two' },
        { role: 'assistant', content: 'You said: two' },
        { role: 'user', content: 'three' },
    ]);
    assert.deepEqual(
        bodies[2],
        {
            model: 'tale-small',
            messages: bodies[2].messages,
            stream: true,
            stream_options: { include_usage: true },
        },
        'settings that are not set are not sent',
    );
});

test('the line under an answer tells tokens and speed as the server counted', async () => {
    const page = await open();
    fake.reply(async (a) => {
        await a.say('a b c d e f g h i j k', { pause: 40 });
        await a.end();
    });
    await askAll(page, 'count');
    const facts = await text(page.locator('.stats'));
    const [, rate] =
        /^11 tokens · ([\d.]+) tokens\/s · first after \d+(?:\.\d)? m?s · prompt 21 tokens$/.exec(
            facts,
        ) ?? [];
    assert.ok(Number(rate) > 0, facts); // how it is reckoned: stats.test.mjs

    fake.reply((a) => {
        const chunk = (o) => `data: ${JSON.stringify(o)}\n\n`;
        const words = [...'abcdefghijk'].map((content) => chunk({ choices: [{ index: 0, delta: { content } }] }));
        const end = chunk({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] });
        const usage = chunk({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 11 } });
        a.bytes(`${words.join('')}${end}${usage}data: [DONE]\n\n`);
        a.res.end();
    });
    await askAll(page, 'at once');
    assert.match(await text(page.locator('.turn.last .stats')), /^11 tokens · first after/, 'no speed of what came at once');
});

test('an answer cut short by the token limit says so', async () => {
    const page = await open();
    fake.reply(async (a) => {
        await a.say('Once upon');
        await a.end('length');
    });
    await askAll(page, 'tell');
    assert.match(await text(page.locator('.stats')), /^Ended at the token limit · 2 tokens/);
});

test('reasoning is shown apart, folded when the answer begins, and not sent back', async () => {
    const page = await open();
    const { opened, go } = gate();
    fake.reply(async (a) => {
        await a.say('Let me <i>weigh</i> it.', { as: 'reasoning_content' });
        await opened;
        await a.say('Yes.');
        await a.end();
    });
    await ask(page, 'well?');
    const box = page.locator('details.thinking');
    await page.waitForFunction(() =>
        document.querySelector('.thinking-text').textContent.endsWith('it.'),
    );
    assert.equal(await box.evaluate((el) => el.open), true);
    assert.equal(await text(box.locator('summary')), 'Thinking…');
    go();
    await ended(page, 1);
    assert.equal(await box.evaluate((el) => el.open), false);
    assert.match(await text(box.locator('summary')), /^Thought for \d/);
    assert.equal(await text(lastAnswer(page)), 'Yes.');
    await box.locator('summary').click();
    assert.equal(await text(page.locator('.thinking-text')), 'Let me <i>weigh</i> it.');
    await askAll(page, 'more');
    assert.deepEqual(fake.chats()[1].body.messages[1], { role: 'assistant', content: 'Yes.' });
});

test('answer again replaces the last answer; edit goes back to a message', async () => {
    const page = await open();
    await askAll(page, 'one');
    await askAll(page, 'two');
    fake.reply(async (a) => {
        await a.say('Another.');
        await a.end();
    });
    await page.locator('.turn.last [data-act="retry"]:visible').click();
    await until('the second request for it', () => fake.chats().length === 3);
    await ended(page, 2);
    assert.equal(await text(lastAnswer(page)), 'Another.');
    assert.deepEqual(fake.chats()[2].body.messages, fake.chats()[1].body.messages);

    await page.locator('.turn.user').first().hover();
    await page.locator('[data-act="edit"]').first().click();
    assert.equal(await page.inputValue('#input'), 'one');
    assert.equal(await page.locator('.turn').count(), 0);
    await askAll(page, 'uno');
    assert.deepEqual(fake.chats()[3].body.messages, [{ role: 'user', content: 'uno' }]);
});

for (const [name, press] of [
    ['the button', (page) => page.click('#stop')],
    ['Esc', (page) => page.keyboard.press('Escape')],
    ['New chat', (page) => page.click('#new-chat')],
]) {
    test(`stopping by ${name} closes the connection`, async () => {
        const page = await open();
        await ask(page, 'slow');
        await page.waitForFunction(() =>
            document.querySelector('.answer').textContent.includes('word3'),
        );
        assert.equal(fake.left, 0);
        await press(page);
        await until('the server sees the client leave', () => fake.left === 1);
        if (name === 'New chat') return;
        await ended(page, 1);
        const kept = await text(lastAnswer(page));
        assert.match(kept, /^word0 word1 word2 word3/, 'what had arrived is kept');
        assert.match(await text(page.locator('.stats')), /^Stopped/);
        assert.equal(await page.locator('.problem').isVisible(), false);
        await askAll(page, 'next');
        assert.equal(
            fake.chats()[1].body.messages[1].content.trim().replace(/\s+/g, ' '),
            kept.replace(/\s+/g, ' '),
        );
        assert.equal(await text(lastAnswer(page)), 'You said: next');
    });
}

test('stopped before the first word: nothing is sent of it, and the roles still alternate', async () => {
    const page = await open();
    fake.reply((a) => a.gone);
    await ask(page, 'one');
    await until('the request', () => fake.chats().length === 1);
    await page.keyboard.press('Escape');
    await until('the server sees the client leave', () => fake.left === 1);
    await ended(page, 1);
    await askAll(page, 'two');
    assert.deepEqual(fake.chats()[1].body.messages, [{ role: 'user', content: 'one\n\ntwo' }]);
});

test('settings are sent, kept, checked and reset', async () => {
    const page = await open();
    await page.click('#open-settings');
    await page.fill('#set-system', 'Be brief.');
    await page.fill('#set-temperature', '0.3');
    await page.fill('#set-max', '77');
    await page.selectOption('#set-thinking', 'off');
    await page.click('#settings button[value="done"]');
    await page.reload();
    await page.locator('#model:enabled').waitFor();
    await askAll(page, 'hello');
    const { messages, temperature, max_completion_tokens, chat_template_kwargs } =
        fake.chats()[0].body;
    assert.deepEqual(messages, [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'hello' },
    ]);
    assert.deepEqual(
        [temperature, max_completion_tokens, chat_template_kwargs],
        [0.3, 77, { enable_thinking: false }],
    );

    await page.click('#open-settings');
    await page.fill('#set-temperature', '9'); // out of range: the last good value stays
    await page.keyboard.press('Escape');
    await page.locator('#settings').waitFor({ state: 'hidden' });
    await askAll(page, 'again');
    assert.equal(fake.chats()[1].body.temperature, 0.3);

    await page.click('#open-settings');
    assert.equal(await page.inputValue('#set-temperature'), '0.3');
    await page.click('#reset');
    await page.click('#settings button[value="done"]');
    await askAll(page, 'plain');
    const plain = fake.chats()[2].body;
    assert.equal(
        'temperature' in plain ||
            'max_completion_tokens' in plain ||
            'chat_template_kwargs' in plain,
        false,
    );
    assert.equal(plain.messages[0].role, 'user');
});

test('a reload keeps the conversation, also in the middle of an answer', async () => {
    const page = await open();
    await askAll(page, 'markdown');
    const before = await page
        .locator('#log')
        .evaluate((el) => el.querySelector('.answer').innerHTML);
    await ask(page, 'slow');
    await page.getByText('word4').waitFor();
    await page.reload();
    await page.locator('#model:enabled').waitFor();
    await until('the server sees the client leave', () => fake.left === 1);
    assert.deepEqual(await page.locator('.bubble').allTextContents(), ['markdown', 'slow']);
    assert.equal(
        await answers(page)
            .first()
            .evaluate((el) => el.innerHTML),
        before,
    );
    assert.match(await text(answers(page).last()), /^word0 word1 word2 word3 word4/);
    await askAll(page, 'go on');
    assert.deepEqual(
        fake
            .chats()
            .at(-1)
            .body.messages.map((m) => m.role),
        ['user', 'assistant', 'user', 'assistant', 'user'],
    );
});

test('new chat clears, undo brings back, the next message makes it final', async () => {
    const page = await open();
    await askAll(page, 'one');
    await page.click('#new-chat');
    assert.equal(await page.locator('.turn').count(), 0);
    assert.equal(await page.evaluate(() => document.activeElement.id), 'input');
    await page.click('#undo');
    assert.deepEqual(await page.locator('.bubble').allTextContents(), ['one']);
    await page.click('#new-chat');
    await askAll(page, 'two');
    assert.equal(await page.locator('#undo-bar').isVisible(), false);
    await page.reload();
    assert.deepEqual(await page.locator('.bubble').allTextContents(), ['two']);
    assert.deepEqual(fake.chats()[1].body.messages, [{ role: 'user', content: 'two' }]);
});

test('storage that holds nonsense, or is forbidden, does not keep the page from working', async () => {
    const page = await open();
    for (const kept of [
        '{',
        'null',
        '[]',
        '{"turns":7}',
        '{"turns":[null,7,{"role":"system","text":"x"},{"role":"user"},{"role":"assistant","text":"ok","error":3,"stats":[1]}]}',
    ]) {
        await page.evaluate((s) => {
            localStorage.setItem('confab.chat.1', s);
            localStorage.setItem('confab.settings.1', s);
        }, kept);
        await page.evaluate(() =>
            addEventListener('pagehide', (e) => e.stopImmediatePropagation(), true),
        );
        await page.reload();
        await page.locator('#model:enabled').waitFor();
        await page.click('#new-chat');
        await askAll(page, `after ${kept.slice(0, 9)}`);
        assert.match(await text(lastAnswer(page)), /^You said: after/);
    }
    const context = await browser.newContext();
    await context.addInitScript(() =>
        Object.defineProperty(window, 'localStorage', {
            get() {
                throw new DOMException('forbidden', 'SecurityError');
            },
        }),
    );
    const bare = await context.newPage();
    bare.faults = [];
    bare.on('pageerror', (e) => bare.faults.push(e.message));
    pages.push(bare);
    await bare.goto(fake.url);
    await askAll(bare, 'hello');
    assert.equal(await text(lastAnswer(bare)), 'You said: hello');
});
