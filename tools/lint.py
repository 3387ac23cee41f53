#!/usr/bin/env python3
"""Runs clang-tidy (checks: .clang-tidy) over the sources of a build directory, several at once; tests and examples are left out.

tools/lint.py [--build DIR] [--jobs N] [--changed BASE] [FILE...]
Exit code 0: nothing found; 1: something was, or clang could not read a file.
"""

import argparse
import json
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHECKED = re.compile(r"^(src|sim)/.*\.cc$")
# Warnings are g++'s business and some of its options mean nothing to clang.
EXTRA = ["--extra-arg=-w", "--extra-arg=-Wno-unknown-warning-option"]


def files_of(build):
    """Paths, relative to the root, of what the build compiles and this program checks."""
    entries = json.loads((build / "compile_commands.json").read_text())
    names = set()
    for entry in entries:
        path = (Path(entry["directory"]) / entry["file"]).resolve()
        if path.is_relative_to(ROOT):
            names.add(str(path.relative_to(ROOT)))
    return sorted(name for name in names if CHECKED.match(name) and not name.endswith("_test.cc"))


def changed_since(base):
    result = subprocess.run(["git", "diff", "--name-only", base, "--"], cwd=ROOT, check=True, capture_output=True, text=True)
    return set(result.stdout.split())


def lint(build, name):
    """Answers (name, findings, seconds); findings is empty if all is well."""
    started = time.monotonic()
    command = ["clang-tidy-19", "-p", str(build), "--quiet", *EXTRA, name]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    output = result.stdout.strip()
    if result.returncode != 0 and not output:
        output = result.stderr.strip()
    return name, output if result.returncode != 0 else "", time.monotonic() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--changed", metavar="BASE", help="only files that differ from this commit")
    parser.add_argument("files", nargs="*")
    arguments = parser.parse_args()
    build = (ROOT / arguments.build).resolve()
    files = arguments.files or files_of(build)
    if arguments.changed:
        files = sorted(set(files) & changed_since(arguments.changed))
    started, slowest, failed = time.monotonic(), ("", 0.0), 0
    seen = set()
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for name, findings, seconds in pool.map(lambda name: lint(build, name), files):
            slowest = max(slowest, (name, seconds), key=lambda pair: pair[1])
            # A finding in a header comes with every file that includes it; once is enough.
            fresh = [block for block in re.split(r"\n(?=\S+:\d+:\d+: (?:error|warning))", findings) if block and block not in seen]
            seen.update(fresh)
            failed += bool(findings)
            if fresh:
                print("\n".join(fresh).replace(str(ROOT) + "/", ""), flush=True)
    print(f"clang-tidy: {len(files)} files in {time.monotonic() - started:.0f} s, {failed} with findings; slowest {slowest[0]} {slowest[1]:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
