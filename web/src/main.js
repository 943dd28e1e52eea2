// The page: the conversation, what runs now, and the controls around them.

import './style.css';
import { ApiError, NetworkError, listModels, streamChat } from './api.js';
import { Follow } from './scroll.js';
import { Meter } from './stats.js';
import { DEFAULTS, loadChat, loadSettings, saveChat, saveSettings } from './store.js';
import { AssistantView, userView } from './view.js';

const $ = (id) => document.getElementById(id);
const input = $('input');
const follow = new Follow($('scroller'), $('to-end'));

const MAX_WAITS = 5; // how often a busy server is asked again by itself
const MAX_WAIT_S = 60;
const SAVE_MS = 1000;

let settings = loadSettings();
let turns = loadChat();
let views = [];
let run = null; // the answer that is being made: {abort, now}
let cleared = null; // what New chat took away, until the next message
let models = [];

/* ---- conversation ---- */

function viewOf(turn) {
    return turn.role === 'user' ? userView(turn) : new AssistantView(turn, () => follow.grown());
}

function append(turn) {
    const view = viewOf(turn);
    turns.push(turn);
    views.push(view);
    $('log').append(view.el);
    return view;
}

function cutFrom(index) {
    turns.length = index;
    for (const view of views.splice(index)) view.el.remove();
}

function show(list) {
    cutFrom(0);
    for (const turn of list) append(turn);
    changed();
    follow.toEnd();
}

let saveTimer = 0;

function saveSoon() {
    saveTimer ||= setTimeout(saveNow, SAVE_MS);
}

function saveNow() {
    clearTimeout(saveTimer);
    saveTimer = 0;
    saveChat(turns.map(({ note, wait, ...turn }) => turn));
}

function changed() {
    document.body.classList.toggle('has-turns', turns.length > 0);
    document.body.classList.toggle('is-running', run !== null);
    $('send').hidden = run !== null;
    $('stop').hidden = run === null;
    $('send').disabled = input.value.trim() === '';
    $('undo-bar').hidden = cleared === null;
    const last = views.at(-1)?.el;
    for (const view of views) view.el.classList.toggle('last', view.el === last);
    saveNow();
}

function say(text) {
    $('status').textContent = text;
}

/* ---- answers ---- */

// The messages to send: turns that came to nothing are left out, and what is then two messages of
// one role in a row becomes one, because many templates accept only strict turns.
function messagesOf(list) {
    const out = [];
    for (const { role, text } of list) {
        if (text.trim() === '') continue;
        if (out.at(-1)?.role === role) out.at(-1).content += `\n\n${text}`;
        else out.push({ role, content: text });
    }
    if (settings.system.trim() !== '') out.unshift({ role: 'system', content: settings.system });
    return out;
}

function requestOf(list) {
    const request = { model: $('model').value, messages: messagesOf(list) };
    if (settings.temperature !== null) request.temperature = settings.temperature;
    if (settings.maxTokens !== null) request.max_completion_tokens = settings.maxTokens;
    if (settings.thinking !== '')
        request.chat_template_kwargs = { enable_thinking: settings.thinking === 'on' };
    return request;
}

// A full queue or a loading model says when to come back: wait for it in sight of the reader.
// Ends early when the reader hurries (me.now), throws when the answer is stopped.
async function waitOut(error, turn, view, me) {
    const until = Date.now() + Math.max(1, error.retryAfter) * 1000;
    let timer = 0;
    try {
        await new Promise((resolve, reject) => {
            const tick = () => {
                const left = Math.ceil((until - Date.now()) / 1000);
                if (left <= 0) return resolve();
                turn.note = error.message;
                turn.wait = `Trying again in ${left} s.`;
                view.update();
            };
            me.now = resolve;
            me.abort.signal.addEventListener('abort', reject, { once: true });
            timer = setInterval(tick, 200);
            tick();
        });
    } finally {
        clearInterval(timer);
        me.now = null;
        turn.note = turn.wait = '';
        view.update();
    }
}

async function stream(request, turn, view, me) {
    const meter = new Meter(performance.now());
    try {
        for await (const piece of streamChat(request, {
            key: settings.key,
            signal: me.abort.signal,
        })) {
            if (piece.text || piece.reasoning) {
                meter.piece(piece.at);
                turn.state = 'streaming';
            }
            if (piece.text && turn.reasoning !== '' && turn.thinkMs === null)
                turn.thinkMs = piece.at - meter.first;
            turn.reasoning += piece.reasoning ?? '';
            turn.text += piece.text ?? '';
            turn.finish = piece.finish ?? turn.finish;
            meter.usage = piece.usage ?? meter.usage;
            view.update();
            saveSoon();
        }
    } finally {
        turn.stats = meter.facts();
    }
}

const mayWait = (e, waits) =>
    e instanceof ApiError &&
    (e.status === 429 || e.status === 503) &&
    e.retryAfter !== null &&
    e.retryAfter <= MAX_WAIT_S &&
    waits < MAX_WAITS;

async function answer() {
    const request = requestOf(turns);
    const turn = {
        role: 'assistant',
        text: '',
        reasoning: '',
        thinkMs: null,
        model: request.model,
        state: 'waiting',
        finish: '',
        stats: [],
        error: null,
        note: '',
        wait: '',
    };
    const view = append(turn);
    const me = { abort: new AbortController(), now: null };
    run = me;
    changed();
    follow.toEnd();
    say('The answer begins.');

    try {
        for (let waits = 0; ; waits++) {
            try {
                await stream(request, turn, view, me);
                break;
            } catch (e) {
                if (me.abort.signal.aborted || turn.text || turn.reasoning || !mayWait(e, waits))
                    throw e;
                await waitOut(e, turn, view, me);
            }
        }
        turn.state = 'done';
    } catch (e) {
        fail(e, turn, me);
    }
    if (run === me) run = null;
    view.flush();
    if (turns.includes(turn)) {
        changed();
        say(turn.error ? '' : turn.text.slice(0, 4000) || 'The answer is empty.');
    }
}

function fail(e, turn, me) {
    if (me.abort.signal.aborted) {
        turn.state = 'stopped';
        return;
    }
    turn.state = 'failed';
    turn.error = {
        message: e.message,
        code: e.status === 401 ? 'invalid_api_key' : (e.code ?? null),
    };
    if (e instanceof NetworkError)
        connect(); // away altogether, or was it this answer alone?
    else if (e.status === 401) lost(e);
    else if (!(e instanceof ApiError)) console.error(e);
}

function stop() {
    run?.abort.abort();
}

async function send() {
    const text = input.value.trim();
    if (text === '' || run) return;
    if (models.length === 0) {
        await connect();
        if (models.length === 0 || run) return;
    }
    cleared = null;
    input.value = '';
    fitInput();
    append({ role: 'user', text });
    answer();
}

function retry() {
    if (run) return run.now?.();
    if (turns.at(-1)?.role === 'assistant') cutFrom(turns.length - 1);
    if (turns.length > 0) answer();
}

function edit(index) {
    stop();
    run = null;
    input.value = turns[index].text;
    cutFrom(index);
    fitInput();
    changed();
    input.focus();
}

function newChat() {
    stop();
    run = null;
    if (turns.length > 0) cleared = turns.slice();
    cutFrom(0);
    changed();
    say('');
    input.focus();
}

/* ---- connection ---- */

let reconnectTimer = 0;
let reconnectMs = 0;

function banner(text, { key = false, again = false } = {}) {
    $('banner').hidden = text === '';
    if ($('banner-text').textContent !== text) $('banner-text').textContent = text;
    $('key-form').hidden = !key;
    $('reconnect').hidden = !again;
    follow.grown();
}

// Says what is wrong and, where waiting can help, keeps looking whether it is still so.
function lost(e) {
    clearTimeout(reconnectTimer);
    if (e.status === 401) {
        banner(
            settings.key
                ? 'The server does not accept this API key.'
                : 'This server asks for an API key.',
            { key: true },
        );
        return;
    }
    const away = e instanceof NetworkError;
    banner(away ? `The server at ${location.host} cannot be reached. Looking for it…` : e.message, {
        again: true,
    });
    reconnectMs = Math.min(15000, (reconnectMs || 750) * 2);
    reconnectTimer = setTimeout(connect, reconnectMs);
}

async function connect() {
    clearTimeout(reconnectTimer);
    try {
        models = await listModels({ key: settings.key });
        if (models.length === 0) throw new ApiError('The server has no model loaded.');
        reconnectMs = 0;
        banner('');
        showModels();
    } catch (e) {
        models = [];
        lost(e);
    }
}

function showModels() {
    const select = $('model');
    const wanted = models.some((m) => m.id === settings.model) ? settings.model : models[0].id;
    select.replaceChildren(...models.map((m) => new Option(m.id, m.id, false, m.id === wanted)));
    select.disabled = false;
    select.title = wanted;
    showFacts();
}

const scaled = (n) =>
    n >= 1e9
        ? `${(n / 1e9).toFixed(1)} billion`
        : n >= 1e6
          ? `${Math.round(n / 1e6)} million`
          : n.toLocaleString('en');

function showFacts() {
    const model = models.find((m) => m.id === $('model').value);
    const facts = [model?.id];
    if (model?.meta?.n_params > 0) facts.push(`${scaled(model.meta.n_params)} parameters`);
    if (model?.meta?.n_ctx > 0)
        facts.push(`room for ${model.meta.n_ctx.toLocaleString('en')} tokens`);
    $('model-facts').textContent = facts.filter(Boolean).join(' · ');
}

async function useKey(key) {
    settings.key = key.trim();
    saveSettings(settings);
    await connect();
    const last = turns.at(-1);
    if (models.length > 0 && last?.state === 'failed' && last.error?.code === 'invalid_api_key')
        retry();
}

/* ---- settings, theme, input ---- */

function showTheme() {
    if (settings.theme === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = settings.theme;
    $('theme').setAttribute('aria-pressed', String(isDark()));
}

const darkSystem = matchMedia('(prefers-color-scheme: dark)');
const isDark = () => (settings.theme === 'system' ? darkSystem.matches : settings.theme === 'dark');

function fillSettings() {
    for (const name of Object.keys(DEFAULTS)) {
        const field = $('settings-form').elements[name];
        if (field) field.value = settings[name] ?? '';
    }
}

function takeSetting(field) {
    if (!(field.name in DEFAULTS) || !field.checkValidity()) return;
    const number = field.type === 'number';
    settings[field.name] = !number ? field.value : field.value === '' ? null : field.valueAsNumber;
    saveSettings(settings);
    showTheme();
}

function fitInput() {
    input.style.height = 'auto';
    input.style.height = `${input.scrollHeight}px`;
    $('send').disabled = input.value.trim() === '';
    follow.grown();
}

async function copy(button, text) {
    const label = button.firstChild;
    const before = label.data;
    try {
        await navigator.clipboard.writeText(text);
    } catch {
        if (!copyOldWay(text)) return;
    }
    label.data = 'Copied';
    setTimeout(() => {
        label.data = before;
    }, 1500);
}

// navigator.clipboard exists only on https and localhost, and the server is often neither.
function copyOldWay(text) {
    const box = document.createElement('textarea');
    const back = document.activeElement;
    box.value = text;
    box.className = 'sr-only';
    document.body.append(box);
    box.select();
    const done = document.execCommand('copy');
    box.remove();
    back?.focus();
    return done;
}

/* ---- events ---- */

$('composer').addEventListener('submit', (e) => {
    e.preventDefault();
    send();
});
input.addEventListener('input', fitInput);
input.addEventListener('keydown', (e) => {
    if (e.key !== 'Enter' || e.shiftKey || e.isComposing || e.keyCode === 229) return;
    e.preventDefault();
    send();
});
document.addEventListener('keydown', (e) => {
    if (e.key === 'Escape' && run && !$('settings').open) {
        e.preventDefault();
        stop();
    }
});
$('stop').addEventListener('click', () => {
    stop();
    input.focus();
});
$('new-chat').addEventListener('click', newChat);
$('undo').addEventListener('click', () => {
    const back = cleared;
    cleared = null;
    show(back);
    input.focus();
});
$('log').addEventListener('click', (e) => {
    const button = e.target.closest('button[data-act]');
    const index = views.findIndex((view) => view.el.contains(button));
    if (!button || index < 0) return;
    const actions = {
        copy: () => copy(button, turns[index].text),
        'copy-code': () =>
            copy(button, button.closest('.code-block').querySelector('code').textContent),
        retry,
        edit: () => edit(index),
        'new-chat': newChat,
    };
    actions[button.dataset.act]();
});
$('model').addEventListener('change', () => {
    settings.model = $('model').value;
    $('model').title = settings.model;
    saveSettings(settings);
    showFacts();
});
$('theme').addEventListener('click', () => {
    settings.theme = isDark() ? 'light' : 'dark';
    saveSettings(settings);
    showTheme();
});
darkSystem.addEventListener('change', showTheme);
$('open-settings').addEventListener('click', () => {
    fillSettings();
    $('settings').showModal();
});
$('settings-form').addEventListener('input', (e) => takeSetting(e.target));
$('settings').addEventListener('click', (e) => {
    if (e.target === $('settings')) $('settings').close(); // the backdrop
});
let keyBefore = settings.key;
$('settings').addEventListener('close', () => {
    if (settings.key !== keyBefore) useKey(settings.key);
    keyBefore = settings.key;
});
$('reset').addEventListener('click', () => {
    settings = { ...DEFAULTS, model: settings.model };
    saveSettings(settings);
    fillSettings();
    showTheme();
});
$('key-form').addEventListener('submit', (e) => {
    e.preventDefault();
    useKey($('banner-key').value);
    keyBefore = settings.key;
    $('banner-key').value = '';
    input.focus();
});
$('reconnect').addEventListener('click', connect);
addEventListener('pagehide', saveNow);

showTheme();
show(turns.splice(0));
fitInput();
connect();
if (matchMedia('(pointer: fine)').matches) input.focus();
