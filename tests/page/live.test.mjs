// The chat page on a real server: one of its own with a random model, or
//     CONFAB_URL=http://127.0.0.1:8080/ node --test live.test.mjs
// Holds for any model, so it looks at how answers come, not at what they say.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { startServer } from '../openai/harness.mjs';
import { ask, askAll, ended, lastAnswer, launch, openPage, overflow } from './browser.mjs';

const LONG_MS = 120000; // for one answer, on a slow machine

describe('on a running confab', { timeout: 10 * LONG_MS }, () => {
    let base;
    let browser;
    let page;

    before(async () => {
        const url = process.env.CONFAB_URL ?? (await startServer({ endless: true })).url;
        base = new URL('/', url).href;
        browser = await launch();
    });
    after(() => browser?.close());
    beforeEach(async () => {
        page = await openPage(browser, base, { timeout: LONG_MS });
        await page.locator('#model:enabled').waitFor();
        await page.click('#open-settings');
        await page.fill('#set-temperature', '0');
        await page.fill('#set-max', '24');
        await page.click('#settings button[value="done"]');
    });
    afterEach(async () => {
        const faults = page?.faults ?? [];
        await page?.context().close();
        assert.deepEqual(faults, []);
    });

    const shot = (name) => {
        if (!process.env.SHOTS) return null;
        mkdirSync(process.env.SHOTS, { recursive: true });
        return page.screenshot({ path: `${process.env.SHOTS}/${name}.png` });
    };
    const problem = () => page.locator('.turn.last .problem:visible .problem-text');

    test('the page that it serves is the one that was built', async () => {
        const response = await fetch(base);
        assert.equal(response.status, 200);
        assert.match(response.headers.get('content-type'), /^text\/html; ?charset=utf-8$/i);
        const built = readFileSync(new URL('../../web/dist/index.html', import.meta.url), 'utf8');
        assert.equal(await response.text(), built);
    });

    test('a conversation of two turns is counted, and survives a reload', async () => {
        assert.ok((await page.locator('#model option').count()) >= 1);
        for (const [i, said] of ['Tell me a story about a cat.', 'And then?'].entries()) {
            await askAll(page, said);
            assert.equal(await problem().count(), 0, 'no error');
            assert.equal(await page.locator('.turn.assistant').count(), i + 1);
            assert.match(
                await page.locator('.turn.last .stats').textContent(),
                /\d+ tokens? · .*first after .* · prompt \d+ tokens?$/,
            );
        }
        await shot('live');

        const before = await page.locator('.answer').allTextContents();
        assert.ok(before.every((t) => t.trim() !== ''));
        await page.reload();
        await page.locator('#model:enabled').waitFor();
        assert.deepEqual(await page.locator('.answer').allTextContents(), before);
    });

    test('the same question at temperature 0 has the same answer', async () => {
        await askAll(page, 'Once upon a time');
        const first = await lastAnswer(page).textContent();
        await page.locator('.turn.last .turn-foot [data-act="retry"]').click();
        await page
            .locator('#stop')
            .waitFor({ state: 'visible' })
            .catch(() => {});
        await ended(page, 1);
        assert.equal(await lastAnswer(page).textContent(), first);
    });

    test('the text grows while it is read, stop stops it, and the next answer comes', async () => {
        await page.click('#open-settings');
        await page.fill('#set-max', '100000');
        await page.click('#settings button[value="done"]');
        await page.evaluate(() => {
            // when the text has grown once, faster than any hand
            const lengths = new Set();
            new MutationObserver(() => {
                const answer = document.querySelector('.turn.last .answer');
                if (answer?.textContent) lengths.add(answer.textContent.length);
                if (lengths.size > 1) document.querySelector('#stop:not([hidden])')?.click();
            }).observe(document.getElementById('log'), {
                childList: true,
                subtree: true,
                characterData: true,
            });
        });
        await ask(page, 'Tell me a very long story.');
        await ended(page, 1);
        assert.match(await page.locator('.turn.last .stats').textContent(), /^Stopped/);
        await page.reload();
        await page.locator('#model:enabled').waitFor();
        await page.click('#open-settings');
        await page.fill('#set-max', '8');
        await page.click('#settings button[value="done"]');
        await askAll(page, 'Shorter.');
        assert.equal(await problem().count(), 0);
        assert.equal((await fetch(new URL('health', base))).status, 200);
    });

    test('a script tag stays text', async () => {
        const said = '<script>window.owned = 1</script><img src=x onerror="window.owned = 1">';
        await askAll(page, `Repeat: ${said}`);
        assert.equal(await page.evaluate(() => window.owned ?? null), null);
        assert.equal(await page.locator('#log script, #log img').count(), 0);
        assert.equal(await page.locator('.bubble').last().textContent(), `Repeat: ${said}`);
    });

    test('a prompt beyond the context is refused in the words of the server', async () => {
        await askAll(page, 'word '.repeat(150000));
        assert.match(await problem().textContent(), /token|context|large/i);
    });

    test('at phone width nothing scrolls sideways', async () => {
        await page.setViewportSize({ width: 360, height: 640 });
        await askAll(page, 'Hello');
        assert.equal(await overflow(page), 0);
        await shot('live-phone');
    });
});
