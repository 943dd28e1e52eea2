// Chromium for the tests, and what every test of the page does with it.

import { chromium } from 'playwright-core';

const ARGS = [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
];

export const launch = () =>
    chromium.launch({
        executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
        args: ARGS,
    });

// A page in a context of its own. page.faults collects what no test of ours may cause: scripts'
// errors, refusals by the content policy, requests to anywhere but base.
export async function openPage(browser, base, options = {}) {
    const context = await browser.newContext({
        viewport: { width: 1000, height: 720 },
        ...options,
    });
    const page = await context.newPage();
    page.setDefaultTimeout(options.timeout ?? 60000);
    page.faults = [];
    page.on('pageerror', (e) => page.faults.push(`error: ${e.message}`));
    page.on('console', (m) => {
        if (m.type() === 'error' && !m.text().startsWith('Failed to load resource'))
            page.faults.push(`console: ${m.text()}`);
    });
    page.on('dialog', (d) => {
        page.faults.push(`dialog: ${d.message()}`);
        d.dismiss();
    });
    page.on('request', (r) => {
        if (!r.url().startsWith(base) && !r.url().startsWith('data:'))
            page.faults.push(`request: ${r.url()}`);
    });
    await page.goto(base);
    await page.locator('#model:enabled, #banner:visible').first().waitFor();
    return page;
}

export const answers = (page) => page.locator('.turn.assistant .answer');
export const lastAnswer = (page) => answers(page).last();

export async function ask(page, text) {
    await page.fill('#input', text);
    await page.press('#input', 'Enter');
}

// Asks and waits until the answer has ended, well or not.
export async function askAll(page, text) {
    const before = await page.locator('.turn.assistant').count();
    await ask(page, text);
    await ended(page, before + 1);
}

export const ended = (page, count) =>
    page.waitForFunction((n) => {
        const turns = document.querySelectorAll('.turn.assistant');
        return turns.length === n && turns[n - 1].getAttribute('aria-busy') === 'false';
    }, count);

// How far the document is wider than the window.
export const overflow = (page) =>
    page.evaluate(() =>
        Math.max(
            document.documentElement.scrollWidth - innerWidth,
            ...[...document.querySelectorAll('#scroller, .bar, .dock, dialog[open]')].map(
                (x) => x.scrollWidth - x.clientWidth,
            ),
        ),
    );
