#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints file:line of each co_await whose full expression holds a capturing lambda or a braced
temporary (Type{...} or a bare {...} argument): g++ 12 destroys those twice."""
import re
import sys


def strip(text):
    """Comments and string contents become spaces, so that offsets stay."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
    return pattern.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def expression(text, start):
    """From a co_await to the end of its full expression: the ; or the unmatched closer."""
    depth = 0
    for at in range(start, len(text)):
        char = text[at]
        if char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
            if depth < 0:
                return text[start:at]
        elif char == ";" and depth == 0:
            return text[start:at]
    return text[start:]


LAMBDA = re.compile(r"\[\s*[^\]\s][^\]]*\]\s*[({]")  # [x](..) or [&]{..}; [] captures nothing
BRACED = re.compile(r"[\w>)]\s*\{|[(,]\s*\{")


def faults(path):
    text = strip(open(path, encoding="utf-8").read())
    for found in re.finditer(r"\bco_await\b", text):
        body = expression(text, found.end())
        # An index such as a[i](...) looks like a lambda; house style has none inside co_await.
        if LAMBDA.search(body) or BRACED.search(body):
            yield text.count("\n", 0, found.start()) + 1


if __name__ == "__main__":
    for name in sys.argv[1:]:
        for line in faults(name):
            print(f"{name}:{line}")
