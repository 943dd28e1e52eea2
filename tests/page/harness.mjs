// What each test of the page starts from: a scripted server of its own, a browser for the file.
// SHOTS=folder also writes screenshots, to be looked at.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { after, afterEach, before, beforeEach } from 'node:test';
import { launch, openPage } from './browser.mjs';
import { startFake } from './fake-server.mjs';

export let browser;
export let fake;
export let pages;

before(async () => {
    browser = await launch();
});
after(() => browser?.close());
beforeEach(async () => {
    fake = await startFake();
    pages = [];
});
afterEach(async () => {
    const faults = pages.flatMap((p) => p.faults);
    await Promise.all(pages.map((p) => p.context().close()));
    await fake.stop();
    assert.deepEqual(faults, [], 'script errors, policy refusals, requests elsewhere');
});

export async function open(options) {
    const page = await openPage(browser, fake.url, options);
    pages.push(page);
    return page;
}

export const shot = (page, name) => {
    if (!process.env.SHOTS) return null;
    mkdirSync(process.env.SHOTS, { recursive: true });
    return page.screenshot({ path: `${process.env.SHOTS}/${name}.png` });
};

export const text = (locator) => locator.evaluate((el) => el.textContent.trim());

// Waits for a condition of the test's own side.
export async function until(what, check, ms = 30000) {
    for (const end = Date.now() + ms; Date.now() < end;) {
        if (await check()) return;
        await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.fail(`not within ${ms} ms: ${what}`);
}

// Lets a reply hold still until the test says go.
export function gate() {
    let go;
    const opened = new Promise((resolve) => (go = resolve));
    return { opened, go };
}
