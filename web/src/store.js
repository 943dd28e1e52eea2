// What outlives a reload: the conversation and the settings, in localStorage. Where the browser
// forbids storage the page works all the same and forgets.

const CHAT = 'confab.chat.1';
const SETTINGS = 'confab.settings.1';

export const DEFAULTS = Object.freeze({
    model: '',
    system: '',
    temperature: null, // null: the server's own
    maxTokens: null,
    thinking: '', // '', 'on' or 'off'
    key: '',
    theme: 'system',
});

function read(name) {
    try {
        return JSON.parse(localStorage.getItem(name));
    } catch {
        return null;
    }
}

// Returns whether the value was kept.
function write(name, value) {
    try {
        localStorage.setItem(name, JSON.stringify(value));
        return true;
    } catch {
        return false;
    }
}

const isText = (x) => typeof x === 'string';
const isCount = (x) => typeof x === 'number' && Number.isFinite(x);

export function loadSettings() {
    const kept = read(SETTINGS);
    const settings = { ...DEFAULTS };
    for (const [name, fallback] of Object.entries(DEFAULTS)) {
        const value = kept?.[name];
        if (fallback === null ? isCount(value) : isText(value)) settings[name] = value;
    }
    return settings;
}

export const saveSettings = (settings) => write(SETTINGS, settings);

// A turn is {role: 'user', text} or {role: 'assistant', text, reasoning, state, ...}, where state
// is done, stopped or failed; view.js lists the rest.
export function loadChat() {
    const turns = read(CHAT)?.turns;
    if (!Array.isArray(turns)) return [];
    return turns
        .filter((t) => (t?.role === 'user' || t?.role === 'assistant') && isText(t.text))
        .map((t) => (t.role === 'user' ? { role: t.role, text: t.text } : answerOf(t)));
}

// The page may have been closed in the middle of an answer: what had arrived is kept.
function answerOf(t) {
    const state = ['done', 'stopped', 'failed'].includes(t.state) ? t.state : 'stopped';
    return {
        role: t.role,
        text: t.text,
        reasoning: isText(t.reasoning) ? t.reasoning : '',
        thinkMs: isCount(t.thinkMs) ? t.thinkMs : null,
        model: isText(t.model) ? t.model : '',
        state,
        finish: isText(t.finish) ? t.finish : '',
        stats: Array.isArray(t.stats) ? t.stats.filter(isText) : [],
        error: isText(t.error?.message) ? { message: t.error.message, code: t.error.code } : null,
    };
}

export const saveChat = (turns) => write(CHAT, { turns });
