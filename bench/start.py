#!/usr/bin/env python3
"""Measures how long a server takes from its start to the first token of an answer over HTTP.

    bench/start.py [--confab build/confab] [--runs 5] FILE.gguf ... [-- serve options]

The file is read once before (a warm page cache). Told are the medians of: wall-clock time until it is ready and until
the first text of a streamed answer, and the processor time that both took. Only the standard library is used.
"""
import argparse
import json
import os
import subprocess
import sys
import time
import urllib.request


def start_once(confab, file, options):
    begin = time.monotonic()
    p = subprocess.Popen([confab, 'serve', '-m', f'm={file}', '--port', '0', *options], stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, text=True)
    try:
        line = next((x for x in p.stdout if 'ready at' in x), None)
        if not line:
            raise RuntimeError(f'the server ended with {p.wait()}')
        ready = time.monotonic() - begin
        body = {'messages': [{'role': 'user', 'content': 'Hello there'}], 'max_tokens': 8, 'stream': True}
        request = urllib.request.Request(line.split('ready at ')[1].split()[0] + '/v1/chat/completions',
                                         json.dumps(body).encode(), {'Content-Type': 'application/json'})
        with urllib.request.urlopen(request) as answer:
            next(x for x in answer if b'"content":"' in x and b'"content":""' not in x)
            first = time.monotonic() - begin
        with open(f'/proc/{p.pid}/stat') as f:
            v = f.read().rsplit(')', 1)[1].split()
        return ready, first, (int(v[11]) + int(v[12])) / os.sysconf('SC_CLK_TCK')
    finally:
        p.terminate()
        p.wait()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('files', nargs='+', metavar='FILE.gguf')
    p.add_argument('--confab', default='build/confab')
    p.add_argument('--runs', type=int, default=5)
    args = sys.argv[1:]
    options = args[args.index('--') + 1:] if '--' in args else []
    a = p.parse_args(args[:args.index('--')] if '--' in args else args)
    for file in a.files:
        with open(file, 'rb') as f:
            while f.read(1 << 24):
                pass
        runs = [start_once(a.confab, file, options) for _ in range(a.runs)]
        ready, first, cpu = (sorted(column)[len(runs) // 2] for column in zip(*runs))
        print(f'{os.path.basename(file)}: ready {ready:.2f} s, first token {first:.2f} s, processor time {cpu:.2f} s '
              f'(medians of {a.runs})')


if __name__ == '__main__':
    main()
