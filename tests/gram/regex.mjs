// Regular expressions at random against JavaScript's engine, both ways: what walks make must match
// there, and texts (made from the expression, then changed at random) are accepted exactly when it
// matches them.  node regex.mjs path/to/gram_walk [number]
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { rng } from './random.mjs';

const [, , tool, number = '3000'] = process.argv;
const child = spawn(tool, { stdio: ['pipe', 'pipe', 'inherit'] });
const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
const ask = async (q) => { child.stdin.write(JSON.stringify(q) + '\n'); return JSON.parse((await lines.next()).value); };

const LETTERS = [...'abcxyz019 -_.,"\\/é€😀\n\t'];
const escape = (c) => (/[\\^$.*+?()[\]{}|/-]/.test(c) ? '\\' + c : c === '\n' ? '\\n' : c === '\t' ? '\\t' : c);
// A node: source for us, source for JavaScript, and a maker of texts.
function atom(r, depth) {
  switch (r.int(0, depth > 2 ? 4 : 6)) {
    case 0: case 1: { const c = r.pick(LETTERS); return { ours: escape(c), js: c === '-' ? c : escape(c), make: () => c }; }
    case 2: return { ours: '.', js: '[^\\n]', make: () => r.pick(LETTERS.filter((c) => c !== '\n')) };
    case 3: {
      const [ours, js, set] = r.pick([['\\d', '\\d', '0123456789'], ['\\w', '\\w', 'abz_09AZ'], ['\\s', '[ \\t-\\r]', ' \t\n\r\v\f'], ['\\D', '\\D', 'abc é😀'], ['\\W', '\\W', ' -é€😀'], ['\\S', '[^ \\t-\\r]', 'ab\u00a0é']]);
      return { ours, js, make: () => r.pick([...set]) };
    }
    case 4: {
      const not = r.chance(0.25), parts = Array.from({ length: r.int(1, 3) }, () => r.pick(['a-c', 'x-z', '0-9', '_', 'é', '€-😀', '\\d', '\\-', '\\]', ' ']));
      const s = `[${not ? '^' : ''}${parts.join('')}]`, re = new RegExp(s, 'u');
      const fit = [...LETTERS, 'b', 'y', '5', ']', 'q'].filter((c) => re.test(c));
      return { ours: s, js: s, make: () => (fit.length ? r.pick(fit) : 'q') };
    }
    default: { const n = alternatives(r, depth + 1); const g = r.pick(['(', '(?:']); return { ours: `${g}${n.ours})`, js: `(?:${n.js})`, make: n.make }; }
  }
}
function piece(r, depth) {
  const a = atom(r, depth);
  // Nested repetitions would keep JavaScript's engine busy for ever.
  if (r.chance(0.55) || /[*+}]/.test(a.js)) return a;
  const lo = r.int(0, 3), hi = lo + r.int(0, 3);
  const [q, min, max] = r.pick([['*', 0, 3], ['+', 1, 4], ['?', 0, 1], [`{${lo}}`, lo, lo], [`{${lo},}`, lo, lo + 3], [`{${lo},${hi}}`, lo, hi], ['*?', 0, 3], [`{0,${40 + hi}}`, 0, 6]]);
  return { ours: a.ours + q, js: a.js + q, make: () => Array.from({ length: r.int(min, max) }, a.make).join('') };
}
function sequence(r, depth) {
  const list = Array.from({ length: r.int(r.chance(0.1) ? 0 : 1, 4) }, () => piece(r, depth));
  return { ours: list.map((x) => x.ours).join(''), js: list.map((x) => x.js).join(''), make: () => list.map((x) => x.make()).join('') };
}
function alternatives(r, depth) {
  const list = Array.from({ length: r.pick([1, 1, 1, 2, 3]) }, () => sequence(r, depth));
  return { ours: list.map((x) => x.ours).join('|'), js: list.map((x) => x.js).join('|'), make: () => r.pick(list).make() };
}
const change = (r, s) => {
  const cs = [...s];
  switch (r.int(0, 2)) {
    case 0: cs.splice(r.int(0, cs.length), 0, r.pick(LETTERS)); break;
    case 1: cs.splice(r.int(0, Math.max(0, cs.length - 1)), 1); break;
    default: if (cs.length) cs[r.int(0, cs.length - 1)] = r.pick(LETTERS);
  }
  return cs.join('');
};

const count = { patterns: 0, refused: 0, limit: 0, made: 0, unfinished: 0, wrong: 0, texts: 0, matching: 0, differ: 0 };
for (let i = 1; i <= Number(number); i++) {
  const r = rng(i), p = alternatives(r, 0), re = new RegExp(`^(?:${p.js})$`, 'u');
  const texts = Array.from({ length: 12 }, (_, k) => { let s = p.make(); for (let j = k % 4; j > 0; j--) s = change(r, s); return s; });
  const a = await ask({ kind: 'regex', source: p.ours, walks: 4, seed: i, texts });
  count.patterns++;
  if (a.error) { a.error.code === 'limit' ? count.limit++ : count.refused++; console.log('refused', p.ours, a.error.message); continue; }
  count.unfinished += a.unfinished;
  if (a.stuck) { count.wrong++; console.log('stuck', p.ours, a.stuck); }
  for (const s of a.made) { count.made++; if (!re.test(s)) { count.wrong++; console.log('made', p.ours, JSON.stringify(s)); } }
  texts.forEach((s, k) => {
    count.texts++;
    const want = re.test(s);
    count.matching += want;
    if (want !== a.accepted[k]) { count.differ++; console.log('text', p.ours, JSON.stringify(s), want); }
  });
}
console.log(JSON.stringify(count));
child.stdin.end();
if (count.wrong || count.differ || count.refused) process.exitCode = 1;
