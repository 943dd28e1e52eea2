// Draws turns. A view is handed its turn again whenever the turn has changed.
//
// An assistant turn holds: text, reasoning (markdown, plain text), state (waiting, streaming,
// done, stopped, failed), finish (the server's reason), thinkMs, model, stats (short texts),
// error ({message, code}), note and wait (why the answer waits, and how long still).

import { renderMarkdown } from './markdown.js';
import { duration } from './stats.js';

const cut = (id) => document.getElementById(id).content.firstElementChild.cloneNode(true);

export function userView(turn) {
    const el = cut('user-template');
    el.querySelector('.bubble').textContent = turn.text;
    return { el, update() {}, flush() {} };
}

// Replaces the children that differ, from the first one on, so that a selection, the focus and
// an unchanged code block survive the next piece of text.
function patch(box, fragment) {
    const old = [...box.childNodes];
    const fresh = [...fragment.childNodes];
    let same = 0;
    while (same < old.length && same < fresh.length && old[same].isEqualNode(fresh[same])) same++;
    for (const node of old.slice(same)) node.remove();
    box.append(...fresh.slice(same));
}

export class AssistantView {
    el = cut('assistant-template');
    #turn;
    #timer = 0;
    #due = 0; // when the next drawing may happen
    #drawn = null; // the text that is on the page
    #part = (name) => this.el.querySelector(`.${name}`);

    // changed() is called after each drawing.
    constructor(turn, changed) {
        this.#turn = turn;
        this.changed = changed;
        this.update();
    }

    // Draws soon: the longer a drawing takes, the longer the pause before the next.
    update() {
        if (this.#timer) return;
        const pause = Math.max(0, this.#due - performance.now());
        if (pause === 0 && this.#drawn === null) return this.flush();
        this.#timer = setTimeout(() => this.flush(), pause);
    }

    flush() {
        clearTimeout(this.#timer);
        this.#timer = 0;
        const start = performance.now();
        this.#draw();
        const end = performance.now();
        this.#due = end + Math.max(40, 4 * (end - start));
        this.changed?.();
    }

    #draw() {
        const turn = this.#turn;
        const busy = turn.state === 'waiting' || turn.state === 'streaming';
        this.el.setAttribute('aria-busy', String(busy));
        this.el.dataset.state = turn.state;
        if (this.#drawn !== turn.text) {
            patch(this.#part('answer'), renderMarkdown(turn.text));
            this.#drawn = turn.text;
        }
        this.#drawThinking(turn, busy);
        this.#part('waiting').hidden = !busy || Boolean(turn.note) || turn.text !== '';

        const problem = turn.note || turn.error?.message || '';
        this.#part('problem').hidden = !problem;
        this.#part('problem').classList.toggle('pending', Boolean(turn.note));
        if (this.#part('problem-text').textContent !== problem)
            this.#part('problem-text').textContent = problem;
        this.#part('problem-wait').textContent = turn.wait ?? '';
        this.#part('problem [data-act="retry"]').textContent = turn.note ? 'Try now' : 'Try again';
        this.#part('problem [data-act="new-chat"]').hidden =
            turn.error?.code !== 'context_length_exceeded';

        this.#part('turn-foot').hidden = busy || (turn.text === '' && Boolean(turn.error));
        this.#part('turn-foot [data-act="copy"]').hidden = turn.text === '';
        this.#part('stats').textContent = this.#facts(turn).join(' · ');
    }

    #drawThinking(turn, busy) {
        const box = this.#part('thinking');
        const first = box.hidden && turn.reasoning !== '';
        box.hidden = turn.reasoning === '';
        if (box.hidden) return;
        const now = busy && turn.thinkMs === null;
        if (first) box.open = now;
        else if (!now && box.classList.contains('now')) box.open = false; // once, when the answer begins; then it is the reader's
        box.classList.toggle('now', now);
        const label = turn.thinkMs === null ? 'Thought' : `Thought for ${duration(turn.thinkMs)}`;
        box.querySelector('summary').textContent = now ? 'Thinking…' : label;
        const text = this.#part('thinking-text');
        if (text.textContent !== turn.reasoning) text.textContent = turn.reasoning;
    }

    #facts(turn) {
        const facts = [...(turn.stats ?? [])];
        if (turn.state === 'stopped') facts.unshift('Stopped');
        else if (turn.finish === 'length') facts.unshift('Ended at the token limit');
        return facts;
    }
}
