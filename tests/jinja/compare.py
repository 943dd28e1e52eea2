#!/usr/bin/python3
"""Renders chat templates with confab and with Python's Jinja2 and compares the bytes.

    tests/jinja/compare.py --confab build/confab TEMPLATE ...

TEMPLATE: a .jinja file, a tokenizer_config.json, or a folder of such files.  Each is rendered with
every conversation of conversations.py; the same bytes, or an error on both sides, is right.
Needs Debian's python3-jinja2.  --list FILE writes one line for each mismatch.
"""
import argparse
import concurrent.futures
import json
import os
import subprocess
import sys
import tempfile

import conversations
import oracle


def templates(paths):
    """(name, text) of each template in files and folders."""
    for path in paths:
        if os.path.isdir(path):
            yield from templates(os.path.join(path, f) for f in sorted(os.listdir(path)))
        elif path.endswith(".jinja"):
            with open(path, encoding="utf-8", newline="") as f:
                yield os.path.basename(path), f.read()
        elif path.endswith(".json"):
            with open(path, encoding="utf-8") as f:
                found = json.load(f).get("chat_template")
            for entry in found if isinstance(found, list) else [{"template": found}]:
                if entry["template"]:
                    yield path + ":" + entry.get("name", ""), entry["template"]


def confab(program, template, inputs):
    """(text, None) or (None, error) for each of the inputs."""
    with tempfile.NamedTemporaryFile(suffix=".jinja") as file:
        file.write(template.encode())
        file.flush()
        done = subprocess.run(
            [program, "render", "--lines", "--now", str(oracle.NOW), file.name, "-"],
            input="".join(json.dumps(v) + "\n" for v in inputs).encode(), capture_output=True,
            timeout=600, env=dict(os.environ, TZ="UTC"))
    if done.returncode not in (0, 1):
        raise RuntimeError(f"exit {done.returncode}: {done.stderr[-3000:].decode()}")
    if done.returncode == 1:  # it does not even compile
        return [(None, done.stderr.decode())] * len(inputs)
    lines = [json.loads(line) for line in done.stdout.split(b"\n") if line]
    return [(line.get("text"), line.get("error") and line["where"] + ": " + line["error"])
            for line in lines]


def check(program, name, template):
    """(compared, rendered, mismatches) of one template."""
    cases = list(conversations.cases())
    reference = oracle.compile(template)
    rendered, wrong = 0, []
    for (title, variables), (got, got_error) in zip(
            cases, confab(program, template, [v for _, v in cases]), strict=True):
        # Through JSON, as the server gets them.
        want, want_error = oracle.render(reference, json.loads(json.dumps(variables)))
        rendered += want is not None
        if want != got:
            wrong.append((name, title, want if want is not None else want_error,
                          got if got is not None else got_error))
    return len(cases), rendered, wrong


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--confab", default="build/confab")
    args.add_argument("--list", help="write mismatches here")
    args.add_argument("--jobs", type=int, default=2)
    args.add_argument("templates", nargs="+")
    args = args.parse_args()

    unique = {text: name for name, text in templates(args.templates)}
    total, rendered, wrong = 0, 0, []
    with concurrent.futures.ProcessPoolExecutor(args.jobs) as pool:
        jobs = {pool.submit(check, args.confab, name, text): name for text, name in unique.items()}
        for job in concurrent.futures.as_completed(jobs):
            n, r, w = job.result()
            total, rendered = total + n, rendered + r
            wrong += w
            if w:
                name, title, want, got = w[0]
                print(f"{name}: {len(w)} of {n} differ; first: {title}\n"
                      f"  want {want[:3000]!r}\n  got  {got[:3000]!r}")
    if args.list:
        with open(args.list, "w", encoding="utf-8") as f:
            for entry in wrong:
                f.write(json.dumps(entry) + "\n")
    print(f"{len(unique)} templates, {total} renders ({rendered} with text, {total - rendered} "
          f"refused by both), {len(wrong)} mismatches")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
