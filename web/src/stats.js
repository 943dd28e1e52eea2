// The line under an answer: how many tokens, how fast, how soon.

const MIN_MS = 100; // less is too short to tell a speed from

export const duration = (ms) =>
    ms < 950 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 9950 ? 1 : 0)} s`;

// Notes what arrives and when. Pieces that came in one read came together, however long they had
// been underway: a speed is told from what arrived after the first read, in the time it took.
export class Meter {
    #asked;
    #first = null; // when the first read with a piece of the answer came
    #last = null;
    #pieces = 0;
    #later = 0; // of them, after the first read
    usage = null; // the server's count

    constructor(now) {
        this.#asked = now;
    }

    get first() {
        return this.#first;
    }

    // A piece of the answer, and when the read that brought it returned.
    piece(at) {
        this.#first ??= at;
        this.#last = at;
        this.#pieces++;
        if (at > this.#first) this.#later++;
    }

    // Short texts. Times are in milliseconds. The speed leaves out the wait before the first token,
    // which belongs to the prompt.
    facts() {
        const out = [];
        const tokens = this.usage?.completion_tokens;
        const plural = (n) => `${n} token${n === 1 ? '' : 's'}`;
        const took = this.#last - this.#first;
        if (Number.isInteger(tokens)) out.push(plural(tokens));
        if (tokens > 1 && took >= MIN_MS) {
            const measured = (tokens * this.#later) / this.#pieces; // a piece may be several tokens
            out.push(`${((measured * 1000) / took).toFixed(1)} tokens/s`);
        }
        if (this.#first !== null) out.push(`first after ${duration(this.#first - this.#asked)}`);
        if (Number.isInteger(this.usage?.prompt_tokens))
            out.push(`prompt ${plural(this.usage.prompt_tokens)}`);
        return out;
    }
}
