// Server-sent events out of a byte stream. The bytes may be cut anywhere: inside a character,
// between CR and LF, inside a field name.

const MAX_EVENT = 4 * 1024 * 1024; // characters; more than any answer needs

export class SseParser {
    #decoder = new TextDecoder(); // holds back the start of a character; drops a BOM
    #line = ''; // the line that has not ended yet
    #afterCr = false; // the last line ended with CR: a first LF belongs to it
    #data = null; // the event's data lines, joined

    // Takes the next bytes and returns the data of each event that they complete.
    push(bytes) {
        let text = this.#decoder.decode(bytes, { stream: true });
        if (this.#afterCr && text !== '') {
            this.#afterCr = false;
            if (text[0] === '\n') text = text.slice(1);
        }

        const events = [];
        let start = 0;
        for (const end of text.matchAll(/\r\n|\n|\r/g)) {
            this.#field(this.#line + text.slice(start, end.index), events);
            this.#line = '';
            start = end.index + end[0].length;
        }
        this.#afterCr ||= start === text.length && text.endsWith('\r');
        this.#line += text.slice(start);
        if (this.#line.length + (this.#data?.length ?? 0) > MAX_EVENT)
            throw new Error('The server sent an event that is too long.');
        return events;
    }

    #field(line, events) {
        if (line === '') {
            if (this.#data !== null) events.push(this.#data);
            this.#data = null;
            return;
        }
        const colon = line.indexOf(':');
        const name = colon < 0 ? line : line.slice(0, colon);
        if (name !== 'data')
            // comments, event, id, retry: nothing here needs them
            return;
        let value = colon < 0 ? '' : line.slice(colon + 1);
        if (value[0] === ' ') value = value.slice(1);
        this.#data = this.#data === null ? value : `${this.#data}\n${value}`;
    }
}
