#!/usr/bin/env python3
"""The tidy test: habits of this house that no compiler checks. tools/tidy.py [ROOT]

Rules are functions from a file to findings. Exceptions stand in tools/tidy_exceptions.txt with a reason each; one that is no
longer needed is a finding too. Exit code 0: tidy; 1: not, one line per finding.
"""

import re
import subprocess
import sys
from pathlib import Path

EXCEPTIONS = "tools/tidy_exceptions.txt"
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
HEADER_COMMENT_LINES_MIN = 1
ROOM_FILES_WITHOUT_README_MAX = 10
CODE = (".h", ".cc", ".c")

# Spelled in pieces where this file would otherwise find itself.
TEST_FILE = re.compile(r"(?:_test\.cc|_testing\.(?:h|cc))$")
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work|root|home/[a-z]+)/")
AMBIENT = re.compile(
    r"std::random_device|(?:system|steady|high_resolution)_clock::now|\b(?:s?rand|gettimeofday|clock_gettime)\((?!CLOCK_THREAD_CPUTIME_ID)|[^\w.>]time\((?:nullptr|0|NULL)\)"
)
THREAD_UNSAFE = re.compile(r"(?<![\w.>])(?:std::)?(?:localtime|gmtime|ctime|asctime|strtok|setenv|putenv|unsetenv)\(")
STANDARD_OUTPUT = re.compile(r"std::cout|(?<![\w:])(?:std::)?(?:printf|puts)\(|fmt::print\((?!stderr)")
NOT_A_FUNCTION = re.compile(r"^(?:if|for|while|switch|do|else|try|catch|namespace|class|struct|enum|union|return|extern)\b|=\s*$|\benum\b")


class File:
    """A text file of the repository: `path` relative to its root, `lines` without line ends."""

    def __init__(self, path, text):
        self.path = path
        self.text = text
        self.lines = text.split("\n")[:-1] if text.endswith("\n") else text.split("\n")

    @property
    def is_code(self):
        return self.path.endswith(CODE)

    @property
    def is_logic(self):
        """Product code, which must not ask the machine for time, chance or a terminal."""
        return self.is_code and self.path.startswith(("src/", "include/", "sim/")) and not TEST_FILE.search(self.path)


def lines_matching(file, pattern, message):
    return [(number, message) for number, line in enumerate(file.lines, start=1) if pattern.search(line)]


def white_space(file):
    found = []
    if file.text and not file.text.endswith("\n"):
        found.append((len(file.lines), "the last line does not end"))
    if file.text.endswith("\n\n"):
        found.append((len(file.lines), "empty line at the end"))
    found += lines_matching(file, re.compile(r"\t"), "tab") if not file.path.endswith((".tsv", "Makefile", ".go", "go.mod")) else []
    found += lines_matching(file, re.compile(r"[ \r]$"), "trailing space or carriage return")
    return found


def unfinished(file):
    return lines_matching(file, UNFINISHED, "a note to come back; finish it or say in docs what is missing")


def machine_path(file):
    return lines_matching(file, MACHINE_PATH, "a path of somebody's machine")


def header_comment(file):
    if not file.path.endswith(".h"):
        return []
    comment = 0
    while comment < len(file.lines) and file.lines[comment].startswith(("//", "/*", " *")):
        comment += 1
    if comment < HEADER_COMMENT_LINES_MIN:
        return [(1, f"a header begins with what it models, who owns it and on which thread; found {comment} comment lines")]
    if not any(line == "#pragma once" or line.startswith("#ifndef ") for line in file.lines):
        return [(1, "no #pragma once")]
    return lines_matching(file, re.compile(r"^\s*using namespace\b"), "using namespace in a header")


def ambient(file):
    if not file.is_logic:
        return []
    # A thread's own CPU time is a measurement of this process, not the time of day.
    return lines_matching(file, AMBIENT, "time and chance are parameters: take a Clock or an Rng")


def thread_unsafe(file):
    if not file.is_logic:
        return []
    return lines_matching(file, THREAD_UNSAFE, "not safe with several threads; use the _r form or a parameter")


def standard_output(file):
    if not file.is_logic or file.path.startswith("src/cli/"):
        return []
    return lines_matching(file, STANDARD_OUTPUT, "only the cli and the console connector write to standard output")


def file_length(file):
    if not (file.is_code or file.path.endswith((".py", ".sh")) or file.path == "do"):
        return []
    if len(file.lines) <= FILE_LINES_MAX:
        return []
    return [(FILE_LINES_MAX, f"{len(file.lines)} lines, expected at most {FILE_LINES_MAX}; is there a seam by meaning?")]


def without_text(source):
    """The source with comments and the insides of literals blanked, line structure kept."""
    pattern = re.compile(
        r'//[^\n]*|/\*.*?\*/|R"(?P<mark>[^(\s]*)\(.*?\)(?P=mark)"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'', re.S
    )
    return pattern.sub(lambda match: re.sub(r"[^\n]", " ", match.group(0)), source)


def functions_of(source):
    """(first line, number of lines, signature) of every function body at namespace or class level. A heuristic over braces."""
    found, stack, statement, line = [], [], "", 1
    for character in re.sub(r"^[ ]*#[^\n]*", "", without_text(source), flags=re.M):
        if character == "\n":
            line += 1
            statement += " "
        elif character == "{":
            text = statement.strip()
            initialiser = bool(re.search(r"\)\s*(?:noexcept\s*)?:\s.*[\w>]$", text))
            inside_function = any(kind == "function" for kind, _, _ in stack)
            is_function = "(" in text and not initialiser and not inside_function and not NOT_A_FUNCTION.search(text)
            stack.append(("function" if is_function else "initialiser" if initialiser else "block", line, text))
            statement = ""
        elif character == "}":
            statement = ""
            if stack:
                kind, first, text = stack.pop()
                if kind == "function":
                    found.append((first, line - first + 1, text))
                elif kind == "initialiser":
                    statement = text + " x"
        elif character == ";":
            statement = ""
        else:
            statement += character
    return found


def function_length(file):
    if not file.is_code or TEST_FILE.search(file.path):  # a table of cases is as long as it has cases
        return []
    return [
        (first, f"a function of {length} lines, expected at most {FUNCTION_LINES_MAX}: {signature[-60:]}")
        for first, length, signature in functions_of(file.text)
        if length > FUNCTION_LINES_MAX
    ]


RULES = [white_space, unfinished, machine_path, header_comment, ambient, thread_unsafe, standard_output, file_length, function_length]


def room_readmes(paths):
    """A room with more than a handful of files has a README."""
    counts = {}
    for path in paths:
        match = re.match(r"^(src/stream/log|src/[a-z]+)/.*\.(?:h|cc)$", path)
        if match and not TEST_FILE.search(path):
            counts[match.group(1)] = counts.get(match.group(1), 0) + 1
    return [
        (f"{room}/README.md", 1, "room_readme", f"{room} has {count} files and no README of KEY TYPES and WHERE TO LOOK")
        for room, count in sorted(counts.items())
        if count > ROOM_FILES_WITHOUT_README_MAX and f"{room}/README.md" not in paths
    ]


def read_exceptions(text):
    """{(path, rule): reason} from lines `path | rule | reason`. Raises ValueError on a line without a reason."""
    exceptions = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) != 3 or not all(cells):
            raise ValueError(f"{EXCEPTIONS}:{number}: expected `path | rule | reason`, found: {line}")
        exceptions[(cells[0], cells[1])] = cells[2]
    return exceptions


def findings_of(files, exceptions):
    """(path, line, rule, message) of everything not excepted, and of exceptions that nothing needs."""
    found, used = [], set()
    for file in files:
        for rule in RULES:
            for line, message in rule(file):
                if (file.path, rule.__name__) in exceptions:
                    used.add((file.path, rule.__name__))
                else:
                    found.append((file.path, line, rule.__name__, message))
    found += room_readmes({file.path for file in files})
    for path, rule in sorted(set(exceptions) - used):
        found.append((EXCEPTIONS, 1, "exceptions", f"{path} no longer needs an exception from {rule}"))
    return found


def files_of(root):
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=root, check=True, capture_output=True).stdout.decode().split("\0")
    for name in names:
        path = root / name
        if not name or path.is_symlink() or not path.is_file():
            continue
        content = path.read_bytes()
        if b"\0" not in content and "/testdata/" not in name:
            yield File(name, content.decode("utf-8", errors="replace"))


def main(root):
    files = list(files_of(root))
    found = findings_of(files, read_exceptions((root / EXCEPTIONS).read_text()))
    for path, line, rule, message in found:
        print(f"{path}:{line}: {message} [{rule}]", file=sys.stderr)
    print(f"tidy: {len(files)} files, {len(found)} findings")
    return 1 if found or not files else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent))
