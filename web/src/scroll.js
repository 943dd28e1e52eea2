// Keeps the end of a growing text in view for as long as the reader wants it there: scrolling up
// lets go, coming back to the end takes hold again.

const NEAR = 32; // pixels from the end that still count as the end

export class Follow {
    #box;
    #button;
    #last = 0;
    #held = true;

    // box scrolls; button takes the reader to the end and shows only away from it.
    constructor(box, button) {
        this.#box = box;
        this.#button = button;
        box.addEventListener('scroll', () => this.#moved(), { passive: true });
        button.addEventListener('click', () => this.toEnd());
        new ResizeObserver(() => this.grown()).observe(box);
    }

    // Call after the text has changed.
    grown() {
        if (this.#held) this.#box.scrollTop = this.#box.scrollHeight;
        this.#last = this.#box.scrollTop;
        this.#show();
    }

    toEnd() {
        this.#held = true;
        this.grown();
    }

    #distance() {
        return this.#box.scrollHeight - this.#box.clientHeight - this.#box.scrollTop;
    }

    #moved() {
        const up = this.#box.scrollTop < this.#last - 1;
        this.#last = this.#box.scrollTop;
        if (this.#distance() <= NEAR) this.#held = !up || this.#distance() <= 1;
        else if (up) this.#held = false;
        this.#show();
    }

    #show() {
        this.#button.hidden = this.#held || this.#distance() <= NEAR;
    }
}
