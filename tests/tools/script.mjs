// A model that says what a script says, for tests of what the server makes of it: several calls in a
// turn, arguments that no small model would write, a tool called again and again.
//
// The file is an ordinary GGUF.  Each piece of a script is a token of its own, and the weights do
// nothing but lead from each to the next; the template chooses where to begin by the text of the
// user's message and by the number of turns the assistant has had.
import { writeFileSync } from 'node:fs';

const WIDTH = 256;

// As GPT-2's vocabularies spell bytes.
const spelled = (() => {
    const plain = (b) => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
    let next = 256;
    return Array.from({ length: 256 }, (_, b) => String.fromCharCode(plain(b) ? b : next++));
})();
const spell = (text) => [...Buffer.from(text)].map((b) => spelled[b]).join('');

const callText = ({ name, args }) => `<tool_call>\n${JSON.stringify({ name, arguments: args }).replace(/^\{"name":("[^"]*"),"arguments":/, '{"name": $1, "arguments": ')}\n</tool_call>`;

// The values of a GGUF file, little-endian.
class Writer {
    parts = [];
    put(size, write) {
        const b = Buffer.alloc(size);
        write(b);
        this.parts.push(b);
    }
    u32(v) { this.put(4, (b) => b.writeUInt32LE(v)); }
    u64(v) { this.put(8, (b) => b.writeBigUInt64LE(BigInt(v))); }
    f32(v) { this.put(4, (b) => b.writeFloatLE(v)); }
    str(s) {
        const b = Buffer.from(s);
        this.u64(b.length);
        this.parts.push(b);
    }
    value(v) {
        if (typeof v === 'string') this.u32(8), this.str(v);
        else if (v instanceof Float32Array) this.u32(6), this.f32(v[0]);
        else if (typeof v === 'number') this.u32(4), this.u32(v);
        else if (typeof v === 'boolean') this.u32(7), this.parts.push(Buffer.from([+v]));
        else if (typeof v[0] === 'string') this.u32(9), this.u32(8), this.u64(v.length), v.forEach((s) => this.str(s));
        else this.u32(9), this.u32(5), this.u64(v.length), v.forEach((n) => this.u32(n));
    }
    get bytes() { return Buffer.concat(this.parts); }
}

// scripts: { 'what the user says': [turn, ...] }, a turn an array of texts and of calls
// { name, args }.  The last turn of a script is said again for ever.
export function scriptModel(file, scripts) {
    const tokens = spelled.slice(), types = tokens.map(() => 1);
    const add = (text, type) => (types.push(type), tokens.push(text) - 1);
    const [, start, end] = ['<|endoftext|>', '<|im_start|>', '<|im_end|>'].map((t) => add(t, 3));
    // No two tokens have one name: a text that there is already is said in two halves.
    const cut = (text) => {
        const free = (s) => !tokens.includes(s);
        if (free(text)) return [text];
        for (let i = 2; i < text.length - 1; i++)
            if (free(text.slice(0, i)) && free(text.slice(i))) return [text.slice(0, i), text.slice(i)];
        throw new Error(`'${text}' is said too often`);
    };
    const places = new Map(), follows = []; // tokens of the chain: their place in the width, what is next
    const link = (from, to) => (places.has(from) || places.set(from, places.size), follows.push([from, to]));
    let choices = '';
    for (const [say, turns] of Object.entries(scripts))
        turns.forEach((turn, i) => {
            const name = `<|${Object.keys(scripts).indexOf(say)}.${i}|>`;
            let last = add(name, 3);
            const texts = turn.map((p, k) => (k ? '\n' : '') + (typeof p === 'string' ? p : callText(p)));
            for (const text of texts)
                for (const piece of cut(spell(text))) {
                    const next = add(piece, 1);
                    link(last, next);
                    last = next;
                }
            link(last, end);
            const when = `n ${i === turns.length - 1 ? '>=' : '=='} ${i}`;
            choices += `{%- if ns.said == ${JSON.stringify(say)} and ns.n${when.slice(1)} %}{{- '${name}' }}{%- endif %}\n`;
        });
    if (places.size > WIDTH) throw new Error(`the scripts have ${places.size} pieces, more than ${WIDTH}`);
    const template = `{%- set ns = namespace(n=0, said='') %}
{%- if tools %}{{- '<|im_start|>system\\nTools:\\n<tools>' }}{%- for tool in tools %}{{- '\\n' + (tool | tojson) }}{%- endfor %}{{- '\\n</tools><|im_end|>\\n' }}{%- endif %}
{%- for m in messages %}
{%- if m.role == 'user' %}{%- set ns.said = m.content %}{%- set ns.n = 0 %}{%- endif %}
{%- if m.role == 'assistant' %}{%- set ns.n = ns.n + 1 %}{%- endif %}
{{- '<|im_start|>' + m.role + '\\n' }}{{- m.content or '' }}
{%- for call in m.tool_calls or [] %}{{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}{{- call.function.arguments | tojson }}{{- '}\\n</tool_call>' }}{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}
${choices}{%- endif %}`;
    const meta = {
        'general.architecture': 'llama', 'general.name': 'script', 'general.file_type': 0,
        'llama.block_count': 1, 'llama.context_length': 8192, 'llama.embedding_length': WIDTH,
        'llama.feed_forward_length': 32, 'llama.attention.head_count': 4, 'llama.attention.head_count_kv': 4,
        'llama.attention.key_length': 64, 'llama.attention.value_length': 64,
        'llama.attention.layer_norm_rms_epsilon': new Float32Array([1e-5]), 'llama.rope.dimension_count': 64,
        'llama.vocab_size': tokens.length,
        'tokenizer.ggml.model': 'gpt2', 'tokenizer.ggml.pre': 'gpt-2', 'tokenizer.ggml.tokens': tokens,
        'tokenizer.ggml.token_type': types, 'tokenizer.ggml.merges': [`${spelled[32]} t`],
        'tokenizer.ggml.bos_token_id': start, 'tokenizer.ggml.eos_token_id': end,
        'tokenizer.ggml.add_bos_token': false, 'tokenizer.chat_template': template,
    };
    tokens[tokens.length] = spelled[32] + 't';
    types.push(1);
    meta['llama.vocab_size'] = tokens.length;
    const embed = new Float32Array(WIDTH * tokens.length), output = new Float32Array(WIDTH * tokens.length);
    for (const [token, place] of places) embed[token * WIDTH + place] = 1;
    for (const [from, to] of follows) output[to * WIDTH + places.get(from)] = 10;
    const ones = new Float32Array(WIDTH).fill(1), square = [WIDTH, WIDTH], none = (n) => new Float32Array(n);
    const tensors = [
        ['token_embd.weight', [WIDTH, tokens.length], embed],
        ['blk.0.attn_norm.weight', [WIDTH], ones], ['blk.0.ffn_norm.weight', [WIDTH], ones],
        ...['q', 'k', 'v', 'output'].map((x) => [`blk.0.attn_${x}.weight`, square, none(WIDTH * WIDTH)]),
        ['blk.0.ffn_gate.weight', [WIDTH, 32], none(WIDTH * 32)], ['blk.0.ffn_up.weight', [WIDTH, 32], none(WIDTH * 32)],
        ['blk.0.ffn_down.weight', [32, WIDTH], none(WIDTH * 32)],
        ['output_norm.weight', [WIDTH], ones], ['output.weight', [WIDTH, tokens.length], output],
    ];
    const w = new Writer();
    w.parts.push(Buffer.from('GGUF'));
    w.u32(3);
    w.u64(tensors.length);
    w.u64(Object.keys(meta).length);
    for (const [k, v] of Object.entries(meta)) w.str(k), w.value(v);
    let offset = 0;
    for (const [name, shape, data] of tensors) {
        w.str(name);
        w.u32(shape.length);
        shape.forEach((n) => w.u64(n));
        w.u32(0); // F32
        w.u64(offset);
        offset += Math.ceil(data.byteLength / 32) * 32;
    }
    const pad = () => w.parts.push(Buffer.alloc((32 - (w.parts.reduce((n, p) => n + p.length, 0) % 32)) % 32));
    pad();
    for (const [, , data] of tensors) {
        w.parts.push(Buffer.from(data.buffer));
        pad();
    }
    writeFileSync(file, w.bytes);
    return file;
}
