#!/usr/bin/env python3
"""Whether every test that docs/internals/upstream-defects.md names exists, and every defect has a row. tools/check_defects.py [ROOT]

Exit code 0: all is there; 1: not, one line per finding.
"""

import re
import sys
from pathlib import Path

PAGE = "docs/internals/upstream-defects.md"
NUMBERS = [f"D{number}" for number in range(1, 25)] + [f"G{number}" for number in range(1, 23)]
ROW = re.compile(r"^\| ([DG]\d+(?: [DG]\d+)*) \|.*\| ([^|]*) \|$")
NAME = re.compile(r"`([^`]+)`")
UNIT_TEST = re.compile(r"^TEST(?:_F|_P)?\((\w+),\s*(\w+)\)", re.MULTILINE)
E2E_TEST = re.compile(r"^ +def (test_\w+)\(", re.MULTILINE)


def known_tests(root):
    """Names of all tests, as the page writes them."""
    names = set()
    for folder in ("src", "sim", "tests"):
        for path in sorted((root / folder).rglob("*_test.cc")):
            names |= {f"{suite}.{name}" for suite, name in UNIT_TEST.findall(path.read_text(encoding="utf-8"))}
    for path in sorted((root / "tests" / "e2e").glob("*_test.py")):
        names |= {f"{path.stem}.{name}" for name in E2E_TEST.findall(path.read_text(encoding="utf-8"))}
    return names


def check(text, tests, numbers):
    """Findings, as lines."""
    found, seen = [], []
    for number, line in enumerate(text.split("\n"), start=1):
        row = ROW.match(line)
        if not row:
            if re.match(r"^\| [DG]\d", line):
                found.append(f"{PAGE}:{number}: a row that can't be read; expected | numbers | upstream | here | `test` ... |")
            continue
        seen += row[1].split()
        names = NAME.findall(row[2])
        if not names:
            found.append(f"{PAGE}:{number}: {row[1]} names no test")
        found += [f"{PAGE}:{number}: {row[1]} names {name}, and there is no such test" for name in names if name not in tests]
    found += [f"{PAGE}: {number} has no row" for number in numbers if number not in seen]
    found += [f"{PAGE}: {number} has two rows" for number in sorted(set(seen)) if seen.count(number) > 1]
    return found


def main(root):
    tests = known_tests(root)
    found = check((root / PAGE).read_text(encoding="utf-8"), tests, NUMBERS)
    print("\n".join(found), file=sys.stderr, end="\n" if found else "")
    print(f"defects of upstream: {len(NUMBERS)} numbers, {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent))
