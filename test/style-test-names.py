#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each test that docs/testing.md names has to be there: a fault list whose tests were renamed proves
nothing. In backticks, `Suite.Name`, `Instance/Suite.Name/Parameter`, `Suite.Begin..`, `Suite.*`,
and behind such a one `.Begin..` for the same suite. Usage: style-test-names.py [DOCUMENT]"""
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parent.parent
document = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else root / "docs/testing.md")

tests = {}
for source in (root / "test").rglob("*.cpp"):
    for suite, name in re.findall(r"^TEST(?:_F|_P)?\((\w+),\s*(\w+)\)", source.read_text(), re.M):
        tests.setdefault(suite, set()).add(name)

missing, seen, suite = [], 0, None
for number, line in enumerate(document.read_text().splitlines(), 1):
    for word in re.findall(r"`([^`]+)`", line):
        match = re.fullmatch(r"(?:[A-Z]\w*/)?([A-Z]\w+)?\.([\w*.]+)(?:/\S*)?", word)
        if not match or (match[1] and match[1][0].islower()):
            continue
        if match[1]:
            suite = match[1]
        if suite not in tests:
            if match[1] and not re.search(r"\.(cpp|hpp|md|py|json|sh|toml)$", word):
                missing.append((number, word))
            continue
        seen += 1
        # A name that begins with * speaks of a parameter, which no source has.
        pattern = match[2]
        if pattern.startswith("*"):
            continue
        pattern = re.escape(pattern).replace(r"\.\.", r"\w*").replace(r"\*", r"\w*")
        if not any(re.fullmatch(pattern, name) for name in tests[suite]):
            missing.append((number, word))

for number, word in missing:
    print(f"{document}:{number}: there is no test {word}", file=sys.stderr)
if seen == 0:
    print(f"{document}: names no test at all", file=sys.stderr)
sys.exit(1 if missing or seen == 0 else 0)
