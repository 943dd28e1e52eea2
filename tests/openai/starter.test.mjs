// The conversation in the README, word for word, with the model that is built in.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { confab } from './harness.mjs';

test('the starter model says what the README says', async () => {
    const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
    const block = /word for word:\n\n((?: {4}.*\n)+)/.exec(readme)[1];
    const turns = block.split(/^ {4}> /m).slice(1).map((t) => t.trimEnd().split('\n').map((l) => l.replace(/^ {4}/, '')));
    assert.ok(turns.length >= 5);

    const child = spawn(confab, ['serve', '--port', '0'], { stdio: ['ignore', 'pipe', 'ignore'] });
    try {
        const url = await new Promise((ok, fail) => {
            child.stdout.on('data', (d) => ok(/http:\S+/.exec(d)[0]));
            child.on('exit', (code) => fail(new Error(`confab left with ${code}`)));
        });
        const messages = [];
        for (const [question, ...answer] of turns) {
            messages.push({ role: 'user', content: question });
            const r = await fetch(`${url}/v1/chat/completions`, {
                method: 'POST',
                headers: { 'content-type': 'application/json' },
                body: JSON.stringify({ messages, temperature: 0 }),
            });
            const said = (await r.json()).choices[0].message.content;
            assert.equal(said, answer.join('\n'));
            messages.push({ role: 'assistant', content: said });
        }
    } finally {
        child.removeAllListeners('exit');
        child.kill();
    }
});
