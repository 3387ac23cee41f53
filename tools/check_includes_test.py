"""Tests of check_includes.py; run by ctest."""

import unittest
from pathlib import Path

import check_includes

TEXT = """
| folder | what | may include |
|---|---|---|
| `include/fmesh/` | x | nothing |
| `src/base/` | x | nothing |
| `src/stream/` | x | `src/base/` |
| `src/stream/log/` | x | `src/stream/` |
| `src/runtime/` | x | `src/stream/`, `include/fmesh/` |
| `src/cli/` | x | everything |
| `sim/` | x | everything |

| include | only in | and |
|---|---|---|
| `sqlite3.h` | `src/stream/log/` | not in headers |
"""


def check(path, text):
    return check_includes.check_file(check_includes.read_rules(TEXT), path, text)


class IncludeRule(unittest.TestCase):
    def test_a_room_includes_itself_its_row_and_what_that_row_includes(self):
        self.assertEqual(check("src/stream/log/a.cc", '#include "stream/log/b.h"\n#include "stream/c.h"\n#include "base/d.h"\n'), [])

    def test_a_room_may_not_include_a_room_above_it(self):
        found = check("src/base/a.h", '#include <string>\n#include "stream/c.h"\n')
        self.assertEqual(len(found), 1)
        self.assertIn("src/base/a.h:2: src/base/ may not include src/stream/", found[0])

    def test_a_folder_below_a_room_with_a_row_of_its_own_is_another_room(self):
        self.assertEqual(len(check("src/runtime/a.cc", '#include "stream/log/log.h"\n')), 1)

    def test_a_folder_below_a_room_without_a_row_belongs_to_the_room(self):
        self.assertEqual(check("src/runtime/native/a.cc", '#include "runtime/b.h"\n'), [])

    def test_public_headers_are_reached_by_the_rooms_that_name_them_only(self):
        self.assertEqual(check("src/runtime/a.cc", "#include <fmesh/abi.h>\n"), [])
        self.assertEqual(len(check("src/stream/a.cc", '#include "fmesh/abi.h"\n')), 1)

    def test_public_headers_include_no_other_header_of_ours(self):
        self.assertEqual(check("include/fmesh/function.h", '#include "fmesh/abi.h"\n'), [])
        self.assertEqual(len(check("include/fmesh/function.h", '#include "base/result.h"\n')), 1)

    def test_cli_includes_everything(self):
        self.assertEqual(check("src/cli/a.cc", '#include "stream/log/log.h"\n#include "runtime/b.h"\n'), [])

    def test_a_test_beside_the_code_may_use_the_simulated_machine(self):
        self.assertEqual(check("src/stream/a_test.cc", '#include "sim/disk.h"\n'), [])
        self.assertEqual(check("src/stream/a_testing.h", '#include "sim/disk.h"\n'), [])
        self.assertEqual(len(check("src/stream/a.cc", '#include "sim/disk.h"\n')), 1)

    def test_a_private_header_may_hold_a_library_and_is_included_in_its_folder_only(self):
        self.assertEqual(check("src/stream/log/a_private.h", "#include <sqlite3.h>\n"), [])
        self.assertEqual(check("src/stream/log/a.cc", '#include "stream/log/a_private.h"\n'), [])
        self.assertEqual(len(check("src/cli/a.cc", '#include "stream/log/a_private.h"\n')), 1)

    def test_a_library_stays_in_its_room_and_out_of_headers(self):
        self.assertEqual(check("src/stream/log/a.cc", "#include <sqlite3.h>\n"), [])
        self.assertEqual(len(check("src/stream/log/a.h", "#include <sqlite3.h>\n")), 1)
        self.assertEqual(len(check("src/stream/a.cc", "#include <sqlite3.h>\n")), 1)

    def test_a_file_outside_every_room_is_reported(self):
        self.assertEqual(len(check("src/attic/a.cc", "")), 1)

    def test_a_row_that_names_an_unknown_folder_is_an_error(self):
        with self.assertRaises(ValueError):
            check_includes.read_rules(TEXT.replace("`src/stream/` |\n| `src/runtime/`", "`src/stram/` |\n| `src/runtime/`"))

    def test_the_table_of_this_repository_is_readable(self):
        root = Path(__file__).resolve().parent.parent
        rules = check_includes.read_rules((root / check_includes.TABLES).read_text())
        self.assertIn("src/base/", rules.allowed("src/local/"))
        self.assertNotIn("src/local/", rules.allowed("src/runtime/"))


if __name__ == "__main__":
    unittest.main()
