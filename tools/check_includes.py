#!/usr/bin/env python3
"""The include rule between rooms: reads the two tables of docs/internals/rooms.md and fails on any include they do not allow.

Run from anywhere: tools/check_includes.py [ROOT]. Exit code 0: the rule holds; 1: it does not, one line per include.
"""

import re
import subprocess
import sys
from pathlib import Path

TEST_TOOLS = "sim/"  # what a test beside the code may include on top of its room's row
TABLES = "docs/internals/rooms.md"
SOURCES = (".h", ".cc", ".c")
TEST_FILE = re.compile(r"(?:_test\.cc|_testing\.(?:h|cc))$")
PRIVATE_HEADER = "_private.h"  # only its own folder includes it, so it may include what other headers may not
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
CELL_NAMES = re.compile(r"`([^`]+)`")


class Rules:
    """The tables as values. `rooms` maps a folder to the folders it may include, None meaning all of them."""

    def __init__(self, rooms, libraries):
        self.rooms = rooms
        self.libraries = libraries

    def room_of(self, path):
        """The folder of the table that holds `path`: the longest that fits; None if there is none."""
        fitting = [room for room in self.rooms if path.startswith(room)]
        return max(fitting, key=len, default=None)

    def allowed(self, room):
        """What `room` may include: itself, its row, and the rows of those."""
        if self.rooms[room] is None:
            return set(self.rooms)
        seen, waiting = set(), [room]
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting.extend(self.rooms[name] or [])
        return seen


def rows_of(text, first_column):
    """The rows of the Markdown table whose first heading is `first_column`."""
    rows, inside = [], False
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            inside = False
        elif cells[0] == first_column:
            inside = True
        elif inside and not set(cells[0]) <= set("-: "):
            rows.append(cells)
    return rows


def read_rules(text):
    """Parses the tables. Raises ValueError on a row that names a folder without a row of its own."""
    rooms = {}
    for folder, _, may in rows_of(text, "folder"):
        rooms[CELL_NAMES.findall(folder)[0]] = None if may == "everything" else CELL_NAMES.findall(may)
    for room, may in rooms.items():
        for name in may or []:
            if name not in rooms:
                raise ValueError(f"{TABLES}: the row of {room} names {name}, which has no row")
    libraries = []
    for prefix, only, more in rows_of(text, "include"):
        libraries.append((CELL_NAMES.findall(prefix)[0], CELL_NAMES.findall(only), "not in headers" in more))
    if not rooms or not libraries:
        raise ValueError(f"{TABLES}: expected a table of folders and a table of includes")
    return Rules(rooms, libraries)


def target_room(rules, included):
    """The room that an include in quotes or of <fmesh/...> means; None: not ours."""
    for base in ("src/", "include/", ""):
        room = rules.room_of(base + included)
        if room is not None and room.startswith(base):
            return room
    return None


def check_file(rules, path, text):
    """Every include of the file that breaks a rule, as lines to print."""
    room = rules.room_of(path)
    if room is None:
        return [f"{path}:1: lies in no folder of {TABLES}"]
    allowed = rules.allowed(room)
    if TEST_FILE.search(path):
        allowed.add(TEST_TOOLS)
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        match = INCLUDE.match(line)
        if not match:
            continue
        quote, included = match.groups()
        target = target_room(rules, included) if quote == '"' or included.startswith("fmesh/") else None
        if target is not None and target not in allowed:
            found.append(f"{path}:{number}: {room} may not include {target} ({included}); allowed: {', '.join(sorted(allowed))}")
        if included.endswith(PRIVATE_HEADER) and Path(path).parent != Path("src") / Path(included).parent:
            found.append(f"{path}:{number}: {included} is private to its folder")
        for prefix, only, no_headers in rules.libraries:
            if quote == "<" and included.startswith(prefix) and rules.rooms[room] is not None:
                if not any(path.startswith(folder) for folder in only):
                    found.append(f"{path}:{number}: {included} belongs to {', '.join(only)} only")
                elif no_headers and path.endswith(".h") and not path.endswith(PRIVATE_HEADER):
                    found.append(f"{path}:{number}: {included} is kept out of headers, as it slows every file that includes this one")
    return found


def main(root):
    rules = read_rules((root / TABLES).read_text())
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=root, check=True, capture_output=True, text=True).stdout.split("\n")
    files = [name for name in names if name.endswith(SOURCES) and (root / name).exists()]
    found = [line for name in files for line in check_file(rules, name, (root / name).read_text())]
    print("\n".join(found), file=sys.stderr, end="\n" if found else "")
    print(f"include rule: {len(files)} files, {len(found)} breaches")
    return 1 if found or not files else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent))
