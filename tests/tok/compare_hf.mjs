// Compares `confab tokenize` with Hugging Face's own tokenizer (npm: @huggingface/tokenizers).
//
//   node compare_hf.mjs --package DIR --confab build/confab --texts FILE NAME.gguf=tokenizer.json ...
//
// DIR is the installed package; FILE holds texts ended by NUL bytes (compare.py --dump).  Both
// recognise special tokens; neither adds any.  This is the oracle for what libllama leaves out: the
// normal form that some vocabularies ask for.
import {spawnSync} from 'node:child_process';
import {readFileSync} from 'node:fs';
import {join, resolve} from 'node:path';
import {parseArgs} from 'node:util';

const {values: o, positionals} = parseArgs({
  allowPositionals: true,
  options: {
    package: {type: 'string'},
    confab: {type: 'string'},
    texts: {type: 'string'},
    show: {type: 'string', default: '3'},
  },
});
const {Tokenizer} = await import(resolve(o.package, 'dist/tokenizers.mjs'));

const data = readFileSync(o.texts);
const texts = data.toString('utf8').split('\0').slice(0, -1);
let bad = 0;
for (const pair of positionals) {
  const [gguf, json] = pair.split('=');
  const file = JSON.parse(readFileSync(json));
  const theirs = new Tokenizer(file, {});
  // Qwen's vocabulary has an ordinary token of this name; libllama and confab take it for control.
  const ordinary = !file.added_tokens.some((t) => t.content === '</s>');
  const run = spawnSync(o.confab, ['tokenize', '-m', gguf, '--no-bos', '-0'], {
    input: data,
    maxBuffer: 1 << 30,
  });
  if (run.status !== 0) throw new Error(run.stderr.toString());
  const ours = run.stdout.toString().split('\n').slice(0, -1);
  const kinds = {};
  texts.forEach((text, i) => {
    const want = theirs.encode(text, {add_special_tokens: false}).ids.join(' ');
    const changes = text.normalize('NFC') !== text;
    const control = ordinary && text.includes('</s>') && want !== ours[i];
    const kind =
      (control ? 'control' : want === ours[i] ? 'same' : 'different') +
      (changes ? ', text not in NFC' : '');
    kinds[kind] = (kinds[kind] ?? 0) + 1;
    if (want !== ours[i] && !control && bad++ < Number(o.show)) {
      console.log(JSON.stringify(text.slice(0, 200)));
      console.log('  confab', ours[i].slice(0, 200));
      console.log('  hf    ', want.slice(0, 200));
    }
  });
  console.log(`${gguf.split('/').pop()}: ${texts.length} texts, ${JSON.stringify(kinds)}`);
}
process.exit(bad > 0 ? 1 : 0);
