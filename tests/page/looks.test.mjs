// The chat page under hands and eyes: keys, scrolling, copying, phone width, dark, screen readers.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { ask, askAll, ended, lastAnswer, overflow } from './browser.mjs';
import { fake, gate, open, shot, text, until } from './harness.mjs';

test('keys: Shift+Enter starts a line, Enter sends, composing does not', async () => {
    const page = await open();
    assert.equal(await page.evaluate(() => document.activeElement.id), 'input', 'ready to type');
    assert.equal(await page.locator('#send').isDisabled(), true);
    const flat = (await page.locator('#input').boundingBox()).height;
    await page.keyboard.type('a');
    await page.keyboard.press('Shift+Enter');
    await page.keyboard.type('b');
    assert.ok((await page.locator('#input').boundingBox()).height > flat + 10, 'the field grows');
    await page.evaluate(() =>
        document
            .querySelector('#input')
            .dispatchEvent(
                new KeyboardEvent('keydown', {
                    key: 'Enter',
                    isComposing: true,
                    bubbles: true,
                    cancelable: true,
                }),
            ),
    );
    assert.equal(await page.inputValue('#input'), 'a\nb');
    assert.equal(fake.chats().length, 0);
    await page.keyboard.press('Enter');
    await ended(page, 1);
    assert.equal(fake.chats()[0].body.messages[0].content, 'a\nb');
    assert.equal(await page.inputValue('#input'), '');
    assert.equal((await page.locator('#input').boundingBox()).height, flat, 'and shrinks again');
    await page.keyboard.press('Enter');
    await page.keyboard.type('   ');
    await page.keyboard.press('Enter');
    assert.equal(fake.chats().length, 1, 'nothing to send');
});

test('Enter while an answer is being made keeps the message', async () => {
    const page = await open();
    await ask(page, 'slow');
    await page.getByText('word2').waitFor();
    await ask(page, 'impatient');
    assert.equal(await page.inputValue('#input'), 'impatient');
    assert.equal(fake.chats().length, 1);
    await page.keyboard.press('Escape');
    await ended(page, 1);
});

test('the view follows the answer until the reader scrolls up, and again from the end on', async () => {
    const page = await open();
    await ask(page, 'slow');
    const distance = () =>
        page.evaluate(() => {
            const box = document.getElementById('scroller');
            return box.scrollHeight - box.clientHeight - box.scrollTop;
        });
    const top = () => page.evaluate(() => document.getElementById('scroller').scrollTop);
    await page.getByText('word150').waitFor({ timeout: 20000 });
    assert.ok((await distance()) < 40, `at the end: ${await distance()}`);
    await page.mouse.move(400, 300);
    await page.mouse.wheel(0, -200);
    await page.locator('#to-end').waitFor();
    const held = await top();
    await page.getByText('word200').waitFor({ timeout: 20000 });
    assert.equal(await top(), held, 'the text grows, the view stays');
    await page.click('#to-end');
    await page.getByText('word230').waitFor({ timeout: 20000 });
    assert.ok((await distance()) < 40, 'follows again');
    assert.equal(await page.locator('#to-end').isVisible(), false);
    await page.keyboard.press('Escape');
    await ended(page, 1);
});

test('a selection in a finished paragraph survives the text that follows', async () => {
    const page = await open();
    const { opened, go } = gate();
    fake.reply(async (a) => {
        await a.say('First paragraph.\n\nSecond ');
        await opened;
        await a.say('one, longer, and longer.');
        await a.end();
    });
    await ask(page, 'go');
    await page.waitForFunction(() => document.querySelectorAll('.answer p').length === 2);
    await page.evaluate(() =>
        getSelection().selectAllChildren(document.querySelector('.answer p')),
    );
    go();
    await ended(page, 1);
    assert.equal(await page.evaluate(() => getSelection().toString()), 'First paragraph.');
});

test('code is copied as it was written, with and without the clipboard interface', async () => {
    const page = await open({ permissions: ['clipboard-read', 'clipboard-write'] });
    const code = 'if a < b && c > "d":\n\tx = \'<b>\'\n\n    return x';
    fake.reply(async (a) => {
        await a.delta({ content: `Take this:\n\n\`\`\`python\n${code}\n\`\`\`\n\nand **that**.` });
        await a.end();
    });
    await askAll(page, 'code');
    const clip = () => page.evaluate(() => navigator.clipboard.readText());
    await page.click('[data-act="copy-code"]');
    await page.getByText('Copied').waitFor();
    assert.equal(await clip(), code);

    await page.locator('.turn.last [data-act="copy"]').click();
    await until('the answer on the clipboard', async () => (await clip()) !== code);
    assert.equal(await clip(), `Take this:\n\n\`\`\`python\n${code}\n\`\`\`\n\nand **that**.`);

    await page.evaluate(() => {
        Object.defineProperty(navigator.clipboard, 'writeText', {
            value: () => Promise.reject(new Error('no')),
        });
    });
    await page.click('[data-act="copy-code"]');
    await until('the code on the clipboard', async () => (await clip()) === code);
});

test('markdown comes out as it should', async () => {
    const page = await open();
    await askAll(page, 'markdown');
    const answer = lastAnswer(page);
    assert.equal(await text(answer.locator('h2')), 'A list and a table');
    assert.equal(await answer.locator('ol > li').count(), 2);
    assert.equal(await answer.locator('ul > li').count(), 1);
    assert.deepEqual(await answer.locator('td').allTextContents(), [
        'oats',
        '13 %',
        '1.20',
        'rye',
        '10 %',
        '0.95',
    ]);
    assert.equal(
        await answer
            .locator('td')
            .nth(2)
            .evaluate((el) => getComputedStyle(el).textAlign),
        'right',
    );
    assert.equal(await text(answer.locator('.code-language')), 'python');
    assert.match(await text(answer.locator('pre code')), /<b>not bold<\/b>/);
    assert.equal(await answer.locator('a').nth(1).getAttribute('href'), 'https://example.org/');
    assert.match(await text(answer.locator('blockquote')), /Grüße, 你好, 👩‍🚀\.$/);
});

const WIDE = `${'unbroken'.repeat(40)}\n\n\`\`\`\n${'x = 1; '.repeat(60)}\n\`\`\`\n\n| a | b |\n|---|---|\n| ${'wide '.repeat(40)} | ${'cell'.repeat(40)} |\n\n- ${'https://example.org/a'.repeat(12)}\n\n\`${'code'.repeat(60)}\``;

test('at phone width nothing scrolls sideways, whatever is shown', async () => {
    const page = await open({
        viewport: { width: 360, height: 640 },
        hasTouch: true,
        isMobile: true,
        deviceScaleFactor: 2,
    });
    assert.equal(await overflow(page), 0, 'empty');
    fake.models = [{ id: `a-rather-long-model-name-${'x'.repeat(60)}.gguf` }];
    await page.reload();
    await page.locator('#model:enabled').waitFor();
    await shot(page, 'phone-empty');
    assert.equal(await overflow(page), 0, 'long model name');
    fake.reply(async (a) => {
        await a.say(WIDE, { as: 'reasoning_content' });
        await a.delta({ content: WIDE });
        await a.end();
    });
    await askAll(page, 'unbroken'.repeat(40));
    await page.locator('.thinking summary').tap();
    assert.equal(await overflow(page), 0, 'wide things');
    fake.reply((a) => a.error(400, 'word'.repeat(90), { code: 'context_length_exceeded' }));
    await askAll(page, 'error');
    assert.equal(await overflow(page), 0, 'a long error');
    await shot(page, 'phone-wide');
    fake.key = 'k';
    await askAll(page, 'key');
    await page.locator('#key-form').waitFor();
    assert.equal(await overflow(page), 0, 'the key field');
    await page.tap('#open-settings');
    await shot(page, 'phone-settings');
    assert.equal(await overflow(page), 0, 'settings');
    for (const id of ['new-chat', 'theme', 'open-settings', 'send']) {
        const box = await page.locator(`#${id}`).boundingBox();
        assert.ok(
            box.width >= 40 && box.height >= 40,
            `${id} can be hit with a thumb: ${box.width} x ${box.height}`,
        );
    }
});

test('dark follows the system until the button says otherwise, and that is kept', async () => {
    const page = await open({ colorScheme: 'dark' });
    const lightness = () =>
        page.evaluate(() => {
            const [r, g, b] = getComputedStyle(document.body)
                .backgroundColor.match(/\d+/g)
                .map(Number);
            return (r + g + b) / 765;
        });
    assert.ok((await lightness()) < 0.2, 'dark with the system');
    await page.emulateMedia({ colorScheme: 'light' });
    assert.ok((await lightness()) > 0.9, 'light with the system');
    await page.click('#theme');
    assert.ok((await lightness()) < 0.2, 'dark by the button');
    await page.reload();
    assert.ok((await lightness()) < 0.2, 'still, after a reload');
    await page.click('#open-settings');
    await page.selectOption('#set-theme', 'system');
    assert.ok((await lightness()) > 0.9, 'back to the system');
});

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

for (const colorScheme of ['light', 'dark']) {
    test(`no fault that axe finds, in ${colorScheme}: conversation, error, wait, key, settings`, async () => {
        const page = await open({ colorScheme });
        await page.evaluate(AXE);
        const check = async (where) => {
            await shot(page, `${colorScheme}-${where}`);
            const found = await page.evaluate(() =>
                window.axe.run(document, { resultTypes: ['violations'] }),
            );
            assert.deepEqual(
                found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(' ')}`),
                [],
                where,
            );
        };
        await check('empty');
        await askAll(page, 'think');
        await askAll(page, 'markdown');
        await check('conversation');
        fake.reply((a) => a.error(400, 'Something is wrong with that.'));
        await askAll(page, 'error');
        await check('error');
        fake.reply((a) => a.error(429, 'The queue is full.', { headers: { 'Retry-After': '30' } }));
        await ask(page, 'wait');
        await page.locator('.problem.pending').waitFor();
        await check('wait');
        await page.keyboard.press('Escape');
        await ended(page, 4);
        fake.key = 'k';
        await askAll(page, 'key');
        await page.locator('#key-form').waitFor();
        await check('key');
        await page.click('#open-settings');
        await check('settings');
    });
}

test('a finished answer is told to screen readers once, not word by word', async () => {
    const page = await open();
    await page.evaluate(() => {
        window.told = [];
        new MutationObserver(() =>
            window.told.push(document.getElementById('status').textContent),
        ).observe(document.getElementById('status'), {
            childList: true,
            characterData: true,
            subtree: true,
        });
    });
    await askAll(page, 'hello there, you');
    assert.deepEqual(await page.evaluate(() => window.told), [
        'The answer begins.',
        'You said: hello there, you',
    ]);
    assert.equal(await page.locator('#log').getAttribute('aria-live'), 'off');
});

test('a long answer is drawn without stalling', async () => {
    const page = await open({ timeout: 60000 });
    const paragraph =
        'Some **words** and `code` in a paragraph of the usual length, again and again. ';
    fake.reply(async (a) => {
        for (let i = 0; i < 3000; i++)
            await a.delta({ content: i % 6 === 5 ? `${paragraph}\n\n` : paragraph });
        await a.end();
    });
    const start = Date.now();
    await askAll(page, 'long');
    assert.ok((await text(lastAnswer(page))).length > 200000);
    assert.ok(Date.now() - start < 30000, `took ${Date.now() - start} ms`);
});
