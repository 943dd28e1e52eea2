#!/usr/bin/env python3
"""Loads a server that speaks OpenAI's /v1/completions and tells what its clients saw.

    bench/load.py URL --streams 8 --prompt 131 --shared 0 --out 48 [--rounds 1] [--vocab 1000] [--json]

Every stream asks with a prompt of token ids, the first --shared of them alike for all streams of a round, at
temperature 0.8 and top_k 40, without an end. Told are the tokens of all answers per second of wall-clock time, the worst time
between two pieces of one stream, and the times to the first piece. A token that ends within a character has no piece of its
own: how many did not is told too, since the gap around one is that of two tokens. Only the standard library is used.
"""
import argparse
import asyncio
import json
import random
import sys
import time
from urllib.parse import urlsplit


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))] if values else None


async def one_stream(address, prompt, n_out, start):
    """Returns the times of the pieces, and the tokens that the server counted."""
    body = json.dumps({'prompt': prompt, 'max_tokens': n_out, 'temperature': 0.8, 'top_k': 40, 'seed': 1, 'ignore_eos': True, 'stream': True,
                       'stream_options': {'include_usage': True}}).encode()
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(b'POST /v1/completions HTTP/1.1\r\nHost: %b\r\nContent-Type: application/json\r\n'
                 b'Content-Length: %d\r\nConnection: close\r\n\r\n' % (address.netloc.encode(), len(body)) + body)
    times, tokens, status = [], 0, await reader.readline()
    try:
        if b' 200' not in status:
            raise RuntimeError(f'{status!r} {await reader.read()!r}')
        while line := await reader.readline():
            if not line.startswith(b'data: {'):
                continue
            data = json.loads(line[6:])
            if 'error' in data:
                raise RuntimeError(data['error'])
            if data.get('choices') and data['choices'][0].get('text'):
                times.append(time.monotonic() - start)
            if data.get('usage'):
                tokens = data['usage']['completion_tokens']
    finally:
        writer.close()
    if tokens != n_out:
        raise RuntimeError(f'{tokens} tokens instead of {n_out}')
    return times, tokens


async def run(url, streams, n_prompt, n_shared, n_out, rounds, vocab, seed):
    address, rng = urlsplit(url), random.Random(seed)
    first, gaps, tokens, pieces, failures = [], [], 0, 0, []
    begin = time.monotonic()
    for _ in range(rounds):
        shared = [rng.randrange(10, vocab) for _ in range(n_shared)]
        prompts = [shared + [rng.randrange(10, vocab) for _ in range(n_prompt - n_shared)] for _ in range(streams)]
        start = time.monotonic()
        for result in await asyncio.gather(*(one_stream(address, p, n_out, start) for p in prompts),
                                           return_exceptions=True):
            if isinstance(result, Exception):
                failures.append(str(result))
                continue
            times, n = result
            tokens += n
            pieces += len(times)
            first += times[:1]
            gaps += [b - a for a, b in zip(times, times[1:])]
    wall = time.monotonic() - begin
    return {'tokens_per_s': tokens / wall, 'worst_gap_ms': 1000 * max(gaps, default=0),
            'p50_gap_ms': 1000 * (percentile(gaps, 0.5) or 0), 'p50_first_ms': 1000 * (percentile(first, 0.5) or 0),
            'p99_first_ms': 1000 * (percentile(first, 0.99) or 0), 'tokens': tokens, 'without_piece': tokens - pieces,
            'wall_s': wall, 'failures': failures}


def measure(url, streams, n_prompt, n_shared, n_out, rounds=1, vocab=1000, seed=1):
    return asyncio.run(run(url, streams, n_prompt, n_shared, n_out, rounds, vocab, seed))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('url')
    for name, value in [('streams', 8), ('prompt', 131), ('shared', 0), ('out', 48), ('rounds', 1), ('vocab', 1000),
                        ('seed', 1)]:
        p.add_argument(f'--{name}', type=int, default=value)
    p.add_argument('--json', action='store_true')
    a = p.parse_args()
    if not 0 <= a.shared <= a.prompt or a.prompt < 1 or a.vocab < 11:
        p.error('--shared must not exceed --prompt; --vocab must be above 10')
    r = measure(a.url, a.streams, a.prompt, a.shared, a.out, a.rounds, a.vocab, a.seed)
    if a.json:
        print(json.dumps(r))
    else:
        print(f"{a.streams} streams, {a.prompt} tokens each ({a.shared} shared), {a.out} out: "
              f"{r['tokens_per_s']:.1f} tokens/s; worst gap {r['worst_gap_ms']:.0f} ms; first piece "
              f"{r['p50_first_ms']:.0f} ms (p50), {r['p99_first_ms']:.0f} ms (p99); "
              f"{r['without_piece']} tokens without a piece")
        for f in r['failures']:
            print('failed:', f, file=sys.stderr)
    return 1 if r['failures'] else 0


if __name__ == '__main__':
    sys.exit(main())
