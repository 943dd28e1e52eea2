// The server's OpenAI dialect, as far as a chat page needs it.

import { SseParser } from './sse.js';

// The server answered, and the answer is an error.
export class ApiError extends Error {
    constructor(message, { status = 0, code = null, retryAfter = null } = {}) {
        super(message);
        this.name = 'ApiError';
        this.status = status; // HTTP status; 0 for an error inside a stream
        this.code = code; // the server's word, such as context_length_exceeded
        this.retryAfter = retryAfter; // seconds, or null
    }
}

// No answer came, or it broke off.
export class NetworkError extends Error {
    constructor(message) {
        super(message);
        this.name = 'NetworkError';
    }
}

// Seconds from a Retry-After header (a number or a date), or null.
export function retryAfterSeconds(header, now = Date.now()) {
    if (!header) return null;
    const seconds = /^\s*\d+\s*$/.test(header) ? Number(header) : (Date.parse(header) - now) / 1000;
    return Number.isFinite(seconds) ? Math.max(0, Math.ceil(seconds)) : null;
}

// The error's own words, whatever shape they came in.
function errorOf(body, response) {
    const inner = body?.error ?? body;
    const said = [inner?.message, inner?.detail, inner].find((x) => typeof x === 'string' && x);
    return new ApiError(said ?? `The server answered ${response?.status} without saying why.`, {
        status: response?.status ?? 0,
        code: typeof inner?.code === 'string' ? inner.code : null,
        retryAfter: retryAfterSeconds(response?.headers.get('retry-after')),
    });
}

async function call(path, { key, body, signal }) {
    const headers = {};
    if (key) headers.Authorization = `Bearer ${key}`;
    if (body) headers['Content-Type'] = 'application/json';

    let response;
    try {
        response = await fetch(new URL(path, document.baseURI), {
            method: body ? 'POST' : 'GET',
            headers,
            body: body && JSON.stringify(body),
            signal,
            cache: 'no-store',
            credentials: 'same-origin',
        });
    } catch (e) {
        if (signal?.aborted) throw e;
        throw new NetworkError('The server cannot be reached.');
    }
    if (response.ok) return response;

    let said = await response.text().catch(() => '');
    try {
        said = JSON.parse(said);
    } catch {
        said = said.length < 300 && !said.includes('<') ? said.trim() : null; // a proxy's page
    }
    throw errorOf(said, response);
}

// The models that can be asked: [{id, meta}].
export async function listModels(options) {
    const response = await call('v1/models', options);
    const body = await response.json().catch(() => null);
    if (!Array.isArray(body?.data))
        throw new ApiError('The server sent a model list that cannot be read.', {
            status: response.status,
        });
    return body.data.filter((m) => typeof m?.id === 'string' && m.id);
}

// Asks for one streamed answer. Yields {text}, {reasoning}, {finish}, {usage} as they arrive, each
// with at, when the read that brought it returned (as performance.now() tells); returns when the answer is whole; throws ApiError, NetworkError, or the signal's AbortError.
export async function* streamChat(request, options) {
    const body = { ...request, stream: true, stream_options: { include_usage: true } };
    const response = await call('v1/chat/completions', { ...options, body });
    const type = response.headers.get('content-type') ?? '';
    if (!type.startsWith('text/event-stream') || !response.body)
        throw new ApiError(`The server answered with ${type || 'no type'}, not with a stream.`);

    const reader = response.body.getReader();
    const parser = new SseParser();
    let finished = false;
    try {
        for (;;) {
            const { value, done } = await read(reader, options.signal);
            if (done) break;
            const at = performance.now();
            for (const data of parser.push(value)) {
                if (data === '[DONE]') return;
                for (const piece of pieces(data)) {
                    finished ||= Boolean(piece.finish);
                    yield { at, ...piece };
                }
            }
        }
    } finally {
        reader.cancel().catch(() => {});
    }
    if (!finished) throw new NetworkError('The connection closed before the answer was complete.');
}

async function read(reader, signal) {
    try {
        return await reader.read();
    } catch (e) {
        if (signal?.aborted) throw e;
        throw new NetworkError('The connection to the server was lost.');
    }
}

function* pieces(data) {
    let chunk;
    try {
        chunk = JSON.parse(data);
    } catch {
        throw new ApiError('The server sent an event that is not JSON.');
    }
    if (chunk?.error) throw errorOf(chunk);
    const choice = Array.isArray(chunk?.choices) ? chunk.choices[0] : null;
    const { reasoning_content: reasoning, content: text } = choice?.delta ?? {};
    if (typeof reasoning === 'string' && reasoning) yield { reasoning };
    if (typeof text === 'string' && text) yield { text };
    if (choice?.finish_reason) yield { finish: String(choice.finish_reason) };
    if (chunk?.usage) yield { usage: chunk.usage };
}
