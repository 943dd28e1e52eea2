// Schemas at random from a seed, and instances of schemas: both know nothing of the automaton.
export function rng(seed) {
  let s = (seed * 2654435761 + 1) >>> 0;
  const next = () => {
    s = (s + 0x6d2b79f5) >>> 0;
    let t = Math.imul(s ^ (s >>> 15), 1 | s);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const int = (lo, hi) => lo + Math.floor(next() * (hi - lo + 1));
  return { next, int, pick: (list) => list[int(0, list.length - 1)], chance: (p) => next() < p };
}

const NAMES = ['a', 'b', 'name', 'id', 'x1', 'some key', 'é', 'value', 'type', 'a"q', 'b/c', 'items', 'n'];
const PATTERNS = ['^[a-z]+$', '^[A-Z]{2,4}[0-9]*$', 'ab', '^\\d+(\\.\\d+)?$', '^(x|yy|zzz){1,3}$', '[^a-c]', '^.{1,4}$'];
const FORMATS = ['date', 'time', 'date-time', 'uuid', 'email', 'ipv4', 'hostname'];

export function randomSchema(r, depth = 0, defs = []) {
  const kinds = ['string', 'string', 'integer', 'number', 'boolean', 'null', 'enum', 'const', 'types'];
  if (depth < 4) kinds.push('object', 'object', 'object', 'array', 'array', 'tuple', 'anyOf', 'allOf', 'ref', 'oneOf');
  const sub = () => randomSchema(r, depth + 1, defs);
  switch (depth === 0 ? r.pick(['object', 'object', 'array', 'anyOf', 'object']) : r.pick(kinds)) {
    case 'string': {
      const s = { type: 'string' };
      if (r.chance(0.3)) s.minLength = r.int(0, 6);
      if (r.chance(0.3)) s.maxLength = (s.minLength ?? 0) + r.int(0, 30);
      if (r.chance(0.2)) s.pattern = r.pick(PATTERNS);
      else if (r.chance(0.15)) return { type: 'string', format: r.pick(FORMATS) };
      return s;
    }
    case 'integer': {
      const s = { type: 'integer' };
      if (r.chance(0.5)) s.minimum = r.int(-2000, 2000);
      if (r.chance(0.4)) s.maximum = (s.minimum ?? 0) + r.int(0, 5000);
      if (r.chance(0.1)) s.multipleOf = r.int(1, 12);
      if (r.chance(0.1)) s.exclusiveMinimum = r.int(-100, 100);
      return s;
    }
    case 'number': {
      const s = { type: 'number' };
      if (r.chance(0.4)) s.minimum = r.int(-2000, 2000) / 8;
      if (r.chance(0.4)) s.maximum = (s.minimum ?? 0) + r.int(1, 500) / 10;
      return s;
    }
    case 'boolean': return { type: 'boolean' };
    case 'null': return { type: 'null' };
    case 'enum': return { enum: Array.from({ length: r.int(1, 6) }, (_, i) => r.pick([i, `v${i}`, null, true, i / 2, { k: i }, 'é\n"'])) };
    case 'const': return { const: r.pick([1, 'c', null, false, [1, 2], { a: 'b' }, -0.5]) };
    case 'types': return { type: r.pick([['string', 'null'], ['integer', 'boolean'], ['number', 'string', 'null']]) };
    case 'object': {
      const s = { type: 'object', properties: {}, required: [] };
      for (let i = r.int(0, 5); i > 0; i--) {
        const name = r.pick(NAMES);
        s.properties[name] = sub();
        if (r.chance(0.6) && !s.required.includes(name)) s.required.push(name);
      }
      const how = r.int(0, 5);
      if (how < 3) s.additionalProperties = false;
      else if (how === 3) s.additionalProperties = r.chance(0.5) ? true : sub();
      if (r.chance(0.1)) s.patternProperties = { '^p_': sub() };
      if (r.chance(0.1)) s.maxProperties = s.required.length + r.int(0, 3);
      if (r.chance(0.1)) s.minProperties = s.required.length + r.int(0, 1);
      if (r.chance(0.08)) { const k = Object.keys(s.properties); if (k.length > 1) s.dependentRequired = { [k[0]]: [k[1]] }; }
      return s;
    }
    case 'array': {
      const s = { type: 'array', items: sub() };
      if (r.chance(0.3)) s.minItems = r.int(0, 3);
      if (r.chance(0.4)) s.maxItems = (s.minItems ?? 0) + r.int(0, 4);
      if (r.chance(0.05)) s.uniqueItems = true;
      if (r.chance(0.06)) s.contains = sub();
      return s;
    }
    case 'tuple': {
      const s = { type: 'array', prefixItems: Array.from({ length: r.int(1, 3) }, sub) };
      if (r.chance(0.5)) s.items = r.chance(0.5) ? false : sub();
      if (r.chance(0.5)) s.minItems = r.int(0, s.prefixItems.length);
      return s;
    }
    case 'anyOf': return { anyOf: Array.from({ length: r.int(1, 3) }, sub) };
    case 'oneOf': return { oneOf: [{ type: 'object', properties: { kind: { const: 'a' }, v: sub() }, required: ['kind'] }, { type: 'object', properties: { kind: { const: 'b' }, w: sub() }, required: ['kind', 'w'] }] };
    case 'allOf': { const s = sub(); return { allOf: [s, r.pick([{}, { title: 'x' }, { type: s.type ?? 'object' }])] }; }
    case 'ref': {
      if (!defs.length || r.chance(0.4)) { const d = sub(); defs.push(d); return { $ref: `#/$defs/d${defs.indexOf(d)}` }; }
      return { $ref: `#/$defs/d${r.int(0, defs.length - 1)}` };
    }
  }
  return {};
}

export function randomRoot(seed) {
  const r = rng(seed), defs = [];
  const s = randomSchema(r, 0, defs);
  if (defs.length) s.$defs = Object.fromEntries(defs.map((d, i) => [`d${i}`, d]));
  return s;
}

// One try at an instance; the caller checks it with ajv.  Properties in the order of the schema.
export function instance(r, root, schema, depth = 0) {
  if (schema === true || schema === undefined) return r.pick([1, 'x', null, true, [], {}]);
  if (schema === false || depth > 12) return null;
  const sub = (s) => instance(r, root, s, depth + 1);
  if (schema.$ref?.startsWith('#')) {
    let at = root;
    for (const t of schema.$ref.slice(2).split('/')) if (t) at = at?.[t.replace(/~1/g, '/').replace(/~0/g, '~')];
    return sub({ ...at, ...Object.fromEntries(Object.entries(schema).filter(([k]) => k !== '$ref')) });
  }
  if ('const' in schema) return schema.const;
  if (schema.enum) return r.pick(schema.enum);
  for (const many of ['anyOf', 'oneOf']) if (schema[many]) {
    const { [many]: list, ...rest } = schema;
    return sub(merge(rest, r.pick(list)));
  }
  if (schema.allOf) { const { allOf, ...rest } = schema; return sub(allOf.reduce(merge, rest)); }
  const guess = schema.properties || schema.required || schema.patternProperties || schema.additionalProperties !== undefined ? 'object'
    : schema.items !== undefined || schema.prefixItems ? 'array' : schema.pattern || schema.minLength !== undefined || schema.maxLength !== undefined || schema.format ? 'string'
      : schema.minimum !== undefined || schema.maximum !== undefined || schema.multipleOf ? 'number' : r.pick(['string', 'integer', 'boolean', 'null']);
  const type = Array.isArray(schema.type) ? r.pick(schema.type) : schema.type ?? guess;
  switch (type) {
    case 'null': return null;
    case 'boolean': return r.chance(0.5);
    case 'integer': case 'number': {
      const lo = schema.minimum ?? (schema.exclusiveMinimum !== undefined ? schema.exclusiveMinimum + 1 : undefined);
      const hi = schema.maximum ?? (schema.exclusiveMaximum !== undefined ? schema.exclusiveMaximum - 1 : undefined);
      const from = lo ?? (hi !== undefined ? hi - 1000 : -1000), to = hi ?? from + 2000;
      let v = from + r.next() * (to - from);
      if (type === 'integer') v = Math.round(v);
      else v = Number(v.toFixed(r.int(0, 4)));
      if (schema.multipleOf) v = Number((Math.round(v / schema.multipleOf) * schema.multipleOf).toFixed(6));
      return v === 0 ? 0 : v;
    }
    case 'string': {
      const known = { date: '2024-02-29', time: '23:59:59.5+01:30', 'date-time': '1999-12-31T00:00:00Z', uuid: '123e4567-e89b-12d3-a456-426614174000', email: 'joe.o+x@mail.example.com', ipv4: '192.168.0.255', hostname: 'a-b.example.org', ipv6: '2001:db8::8a2e:370:7334', uri: 'https://u@x.example:80/a/b%20c?q=1#f', 'uri-reference': '../a?b', duration: 'P1Y2M3DT4H5M6S', 'json-pointer': '/a~1b/0', 'relative-json-pointer': '1/a', byte: 'aGVsbG8=' };
      if (schema.format && known[schema.format]) return known[schema.format];
      const min = schema.minLength ?? 0, max = schema.maxLength ?? min + 12;
      const alphabet = schema.pattern ? [...'abcxyz0123456789ABCZ'] : [...'abc xyz019"\\/\n\té€😀{}[],:'];
      return Array.from({ length: r.int(min, Math.max(min, Math.min(max, min + 12))) }, () => r.pick(alphabet)).join('');
    }
    case 'array': {
      const prefix = schema.prefixItems ?? [];
      const min = schema.minItems ?? 0;
      const most = schema.items === false || (prefix.length && schema.items === undefined) ? prefix.length : prefix.length + 3;
      const n = r.int(min, Math.max(min, Math.min(schema.maxItems ?? most, most)));
      const out = Array.from({ length: n }, (_, i) => sub(prefix[i] ?? schema.items));
      if (schema.contains && n && r.chance(0.8)) out[r.int(0, n - 1)] = sub(schema.contains);
      return out;
    }
    default: {
      const out = {};
      for (const [k, v] of Object.entries(schema.properties ?? {}))
        if (v !== false && (schema.required?.includes(k) || r.chance(depth < 6 ? 0.5 : 0.1))) out[k] = sub(v);
      for (const k of schema.required ?? []) if (!(k in out)) out[k] = sub(typeof schema.additionalProperties === 'object' ? schema.additionalProperties : true);
      if (schema.patternProperties?.['^p_'] && r.chance(0.5)) out.p_1 = sub(schema.patternProperties['^p_']);
      if (schema.additionalProperties && r.chance(0.5)) out.zz = sub(schema.additionalProperties);
      return out;
    }
  }
}

function merge(a, b) {
  if (typeof b !== 'object') return a;
  const out = { ...a, ...b };
  if (a.properties && b.properties) out.properties = { ...a.properties, ...b.properties };
  if (a.required && b.required) out.required = [...new Set([...a.required, ...b.required])];
  if (a.minimum !== undefined && b.minimum !== undefined) out.minimum = Math.max(a.minimum, b.minimum);
  if (a.maximum !== undefined && b.maximum !== undefined) out.maximum = Math.min(a.maximum, b.maximum);
  return out;
}
