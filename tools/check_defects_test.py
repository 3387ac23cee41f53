"""Tests of check_defects.py, and the page it checks; run by ctest."""

import unittest
from pathlib import Path

import check_defects

TESTS = {"Suite.Name", "some_test.test_it"}


def check(text, numbers=("D1",)):
    return check_defects.check(text, TESTS, numbers)


class CheckDefects(unittest.TestCase):
    def test_a_row_with_tests_that_exist_is_fine(self):
        self.assertEqual(check("| D1 G2 | bad | good | `Suite.Name` `some_test.test_it` |", ("D1", "G2")), [])

    def test_a_test_that_is_gone_is_found_with_its_line(self):
        self.assertEqual(check("\n| D1 | bad | good | `Suite.Gone` |"),
                         [f"{check_defects.PAGE}:2: D1 names Suite.Gone, and there is no such test"])

    def test_a_defect_needs_one_row_and_that_a_test(self):
        self.assertIn("D2 has no row", check("| D1 | bad | good | `Suite.Name` |", ("D1", "D2"))[0])
        self.assertIn("D1 names no test", check("| D1 | bad | good | later |")[0])
        row = "| D1 | bad | good | `Suite.Name` |\n"
        self.assertIn("D1 has two rows", check(row + row)[0])
        self.assertIn("can't be read", check("| D1 bad | good | `Suite.Name` |")[0])

    def test_tests_of_both_languages_are_known(self):
        known = check_defects.known_tests(Path(check_defects.__file__).resolve().parent.parent)
        self.assertIn("Compare.HidesCommands", known)
        self.assertIn("take_over_test.test_the_annotation_applies_what_is_pending", known)

    def test_the_page_is_true(self):
        self.assertEqual(check_defects.main(Path(check_defects.__file__).resolve().parent.parent), 0)


if __name__ == "__main__":
    unittest.main()
