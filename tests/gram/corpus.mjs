// The corpus: every schema is walked at random and what comes out is checked with ajv; instances
// made here must be accepted.  node corpus.mjs path/to/gram_walk [number of random schemas [walks]]
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import Ajv from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { schemas as own } from './schemas.mjs';
import { instance, randomRoot, rng } from './random.mjs';

const [, , tool, randomCount = '400', walks = '8'] = process.argv;
const corpus = [...own, ...Array.from({ length: Number(randomCount) }, (_, i) => randomRoot(i + 1))];
const child = spawn(tool, { stdio: ['pipe', 'pipe', 'inherit'] });
const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
const ask = async (q) => {
  child.stdin.write(JSON.stringify(q) + '\n');
  return JSON.parse((await lines.next()).value);
};

// Where some properties are told and nothing is said of others, others are not made.
function closed(s) {
  if (Array.isArray(s)) return s.map(closed);
  if (!s || typeof s !== 'object') return s;
  const out = {};
  for (const [k, v] of Object.entries(s)) {
    if (['properties', 'patternProperties', '$defs', 'definitions'].includes(k))
      out[k] = Object.fromEntries(Object.entries(v).map(([n, x]) => [n, closed(x)]));
    else if (['items', 'prefixItems', 'anyOf', 'oneOf', 'contains', 'additionalProperties'].includes(k)) out[k] = closed(v);
    else out[k] = v;
  }
  // Without it ajv keeps the last array's result for an empty one within a loop.
  if (s.contains !== undefined && s.maxContains === undefined) out.maxContains = 1e9;
  if ((s.properties || s.patternProperties) && s.additionalProperties === undefined && !s.allOf && !s.anyOf && !s.oneOf && !s.if)
    out.additionalProperties = false;
  return out;
}

const count = { schemas: 0, accepted: 0, refused: 0, nothing: 0, made: 0, unfinished: 0, invalid: 0, instances: 0, missed: 0, stuck: 0 };
const problems = [];
let slowest = 0;
for (const [i, schema] of corpus.entries()) {
  const ajv = new Ajv({ strict: false, multipleOfPrecision: 9, validateFormats: true, logger: false });
  formats(ajv);
  let valid, shut;
  const { $schema, ...plain } = schema === true ? {} : schema; // one of draft 7 among them
  try { valid = ajv.compile(plain); } catch (e) { valid = null; }
  const again = new Ajv({ strict: false, multipleOfPrecision: 9, logger: false });
  formats(again);
  try { shut = again.compile(closed(schema)); } catch (e) { shut = valid; }
  const r = rng(1000 + i), texts = [], seen = new Set();
  for (let k = 0; valid && k < 60 && texts.length < 24; k++) {
    let v;
    try { v = instance(r, schema, schema); } catch { continue; }
    if (v === undefined || !valid(v) || !shut(v)) continue;
    for (const text of [JSON.stringify(v), JSON.stringify(v, null, 2), spaced(v)])
      if (!seen.has(text)) { seen.add(text); texts.push(text); }
  }
  let a = await ask({ kind: 'schema', source: schema, walks: Number(walks), seed: i + 1, texts });
  count.schemas++;
  slowest = Math.max(slowest, a.ms ?? 0);
  if (a.error) {
    if (/nothing at all/.test(a.error.message)) { // then there must be no instance either
      count.nothing++;
      if (texts.length) problems.push(['said to be empty', i, schema, texts[0]]);
    } else {
      count.refused++;
      if (process.env.VERBOSE) console.log('refused', i, a.error.where, a.error.message);
      if (!a.error.where) problems.push(['refused without a place', i, schema, a.error.message]);
    }
    continue;
  }
  count.accepted++;
  if (!valid) { problems.push(['ajv does not take it', i, schema, '']); continue; }
  count.unfinished += a.unfinished;
  if (a.stuck) { count.stuck++; problems.push(['stuck', i, schema, a.stuck]); }
  for (const text of a.made) {
    count.made++;
    let v, ok = false;
    try { v = JSON.parse(text); ok = valid(v); } catch (e) { valid.errors = [e.message]; }
    if (!ok) { count.invalid++; problems.push(['invalid', i, schema, text, JSON.stringify(valid.errors)]); }
  }
  a.accepted.forEach((ok, k) => {
    count.instances++;
    if (!ok) { count.missed++; problems.push(['not accepted', i, schema, texts[k]]); }
  });
}
function spaced(v) { // as Python's json.dumps
  if (Array.isArray(v)) return `[${v.map(spaced).join(', ')}]`;
  if (v && typeof v === 'object') return `{${Object.entries(v).map(([k, x]) => `${JSON.stringify(k)}: ${spaced(x)}`).join(', ')}}`;
  return JSON.stringify(v);
}
for (const [what, i, schema, text, more] of problems.slice(0, Number(process.env.SHOW ?? 20)))
  console.log(`${what}: schema ${i}: ${JSON.stringify(schema).slice(0, 600)}\n    ${String(text).slice(0, 400)} ${more ?? ''}`);
console.log(JSON.stringify(count), `slowest compile ${slowest.toFixed(1)} ms`);
child.stdin.end();
const share = (count.accepted + count.nothing) / count.schemas;
if (count.invalid || count.missed || count.stuck || problems.length || share < 0.9) process.exitCode = 1;
