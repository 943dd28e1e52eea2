#!/usr/bin/python3
"""Checks that Python's Jinja2 gives the texts of tests/jinja/golden/ and refuses what they refuse."""
import glob
import os
import re
import sys

import oracle

# Integers past 64 bits are refused by confab alone.
OURS_ALONE = {"integers past 64 bits are refused"}


def main():
    n = wrong = 0
    for path in sorted(glob.glob(os.path.join(os.path.dirname(__file__), "golden", "*.txt"))):
        with open(path, newline="", encoding="utf-8") as f:
            cases = re.split(r"(?m)^=== ", f.read())[1:]
        for case in cases:
            title, rest = case.split("\n", 1)
            mark = re.search(r"(?m)^--- (text|error)[^\n]*\n", rest)
            want = rest[mark.end():-1] if mark.group(1) == "text" else None
            got, error = oracle.render(oracle.compile(rest[:mark.start() - 1]), {})
            n += 1
            if got != want and title not in OURS_ALONE:
                wrong += 1
                print(f"{path}: {title}\n  golden {want!r}\n  Jinja2 {got!r} {error}")
    print(f"{n} cases, {wrong} differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
