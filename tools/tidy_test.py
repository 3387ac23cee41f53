"""Tests of tidy.py; run by ctest."""

import unittest

import tidy

HEADER = "// A thing, owned by its caller.\n// From any thread.\n#pragma once\n"


def rules_hit(path, text, exceptions=None):
    return [rule for _, _, rule, _ in tidy.findings_of([tidy.File(path, text)], exceptions or {})]


class Tidy(unittest.TestCase):
    def test_a_tidy_file_has_no_findings(self):
        self.assertEqual(rules_hit("src/base/a.h", HEADER + "int a();\n"), [])

    def test_a_header_without_a_comment_or_a_guard_is_found(self):
        self.assertEqual(rules_hit("src/base/a.h", "#pragma once\nint a();\n"), ["header_comment"])
        self.assertEqual(rules_hit("src/base/a.h", "// One.\nint a();\n"), ["header_comment"])
        self.assertEqual(rules_hit("src/base/a.h", HEADER + "using namespace std;\n"), ["header_comment"])

    def test_white_space_is_found(self):
        for text in ("int a;", "int a;\n\n", "int\ta;\n", "int a; \n", "int a;\r\n"):
            self.assertEqual(rules_hit("src/base/a.cc", text), ["white_space"], repr(text))

    def test_notes_to_come_back_are_found(self):
        self.assertEqual(rules_hit("docs/a.md", "TO" "DO: more\n"), ["unfinished"])
        self.assertEqual(rules_hit("docs/a.md", "a mastodon\n"), [])

    def test_paths_of_a_machine_are_found(self):
        self.assertEqual(rules_hit("docs/a.md", "see /ro" "ot/x\n"), ["machine_path"])
        self.assertEqual(rules_hit("docs/a.md", "docs/work/x and example.com/root/x\n"), [])

    def test_time_and_chance_are_found_in_product_code_only(self):
        for call in ("std::random_device d;", "auto n = std::chrono::steady_clock::now();", "int r = rand();", "auto t = time(nullptr);"):
            self.assertEqual(rules_hit("src/plan/a.cc", call + "\n"), ["ambient"], call)
            self.assertEqual(rules_hit("src/plan/a_test.cc", call + "\n"), [], call)
        self.assertEqual(rules_hit("src/plan/a.cc", "event_time(0);\nclock.time(nullptr);\n"), [])

    def test_calls_that_share_hidden_memory_are_found(self):
        self.assertEqual(rules_hit("src/plan/a.cc", "std::tm* t = std::localtime(&now);\n"), ["thread_unsafe"])
        self.assertEqual(rules_hit("src/plan/a.cc", "::localtime_r(&now, &t);\n"), [])

    def test_standard_output_belongs_to_the_cli(self):
        self.assertEqual(rules_hit("src/plan/a.cc", "std::cout << 1;\n"), ["standard_output"])
        self.assertEqual(rules_hit("src/plan/a.cc", 'std::printf("x");\n'), ["standard_output"])
        self.assertEqual(rules_hit("src/plan/a.cc", 'std::fprintf(stderr, "x");\nsnprintf(b, 3, "x");\n'), [])
        self.assertEqual(rules_hit("src/cli/a.cc", "std::cout << 1;\n"), [])

    def test_a_long_file_is_found(self):
        self.assertEqual(rules_hit("src/plan/a.cc", "int a;\n" * 500), [])
        self.assertEqual(rules_hit("src/plan/a.cc", "int a;\n" * 501), ["file_length"])

    def test_a_long_function_is_found_wherever_it_stands(self):
        body = "  step();\n" * 70
        self.assertEqual(rules_hit("src/plan/a.cc", "void f() {\n" + body + "}\n"), ["function_length"])
        self.assertEqual(rules_hit("src/plan/a.cc", "namespace n {\nclass C {\n  void f() const {\n" + body + "  }\n};\n}\n"), ["function_length"])
        self.assertEqual(rules_hit("src/plan/a.cc", "C::C(int a) : a_{a}, b_(2) {\n" + body + "}\n"), ["function_length"])

    def test_short_functions_in_a_long_class_are_fine(self):
        self.assertEqual(rules_hit("src/plan/a.cc", "class C {\n" + "  int f() {\n    return 1;\n  }\n" * 40 + "};\n"), [])

    def test_braces_in_text_do_not_count(self):
        self.assertEqual([length for _, length, _ in tidy.functions_of('void f() {\n  g("{", \'{\', R"({)");  // {\n}\nvoid h() {\n}\n')], [3, 2])

    def test_an_exception_silences_one_rule_of_one_file(self):
        text = "int r = rand(); \n"
        self.assertEqual(rules_hit("src/plan/a.cc", text, {("src/plan/a.cc", "ambient"): "why"}), ["white_space"])

    def test_an_exception_that_nothing_needs_is_found(self):
        self.assertEqual(rules_hit("src/plan/a.cc", "int a;\n", {("src/plan/a.cc", "ambient"): "why"}), ["exceptions"])

    def test_an_exception_without_a_reason_is_an_error(self):
        with self.assertRaises(ValueError):
            tidy.read_exceptions("src/plan/a.cc | ambient |\n")

    def test_a_big_room_needs_a_readme(self):
        files = [tidy.File(f"src/plan/f{n}.cc", "int a;\n") for n in range(tidy.ROOM_FILES_WITHOUT_README_MAX + 1)]
        self.assertEqual([rule for _, _, rule, _ in tidy.findings_of(files, {})], ["room_readme"])
        self.assertEqual(tidy.findings_of(files + [tidy.File("src/plan/README.md", "x\n")], {}), [])


if __name__ == "__main__":
    unittest.main()
