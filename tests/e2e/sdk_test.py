"""A new user's way: install fmesh, begin a function, build it with the installed package, test it, run its mesh."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

BUILD = Path(os.environ.get("FMESH_BUILD", "build")).resolve()
SOURCE = Path(__file__).resolve().parents[2]
NAME_MAX = 36


class Sdk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="fmesh-sdk-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.path = Path(cls.folder.name)
        cls.prefix = cls.path / "prefix"
        subprocess.run(["cmake", "--install", BUILD, "--prefix", cls.prefix], check=True, capture_output=True, text=True)
        # As after an installation: the program is on the PATH, and CMake finds the package by it.
        cls.environment = dict(os.environ, PATH=f"{cls.prefix / 'bin'}:{os.environ['PATH']}", CXXFLAGS="-Wall -Wextra -Wpedantic -Werror")

    def run_in(self, directory, *command, code=0):
        done = subprocess.run(command, cwd=directory, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, code, f"{command}: {done.stdout}{done.stderr}")
        return done

    def work(self):
        return Path(tempfile.mkdtemp(dir=self.path))

    def build_and_test(self, project):
        self.run_in(project, "cmake", "-B", "build", "-G", "Ninja")
        cache = (project / "build/CMakeCache.txt").read_text()
        self.assertIn(f"fmesh_DIR:PATH={self.prefix}", cache, "another fmesh than the installed one was found")
        self.run_in(project, "cmake", "--build", "build")
        done = self.run_in(project, "ctest", "--test-dir", "build", "--output-on-failure", "--no-tests=error")
        self.assertIn("100% tests passed", done.stdout)

    def run_mesh(self, project):
        """Runs the mesh of a project at once, not at the pace that is for people. Answers what the console showed."""
        mesh = project / "mesh.yaml"
        paced = mesh.read_text()
        self.assertIn("rate: 2\n", paced)
        mesh.write_text(paced.replace("rate: 2\n", "rate: 0\n"))
        done = self.run_in(project, "fmesh", "run", "mesh.yaml", "--until-drained")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_a_new_function_builds_passes_its_test_and_runs_with_the_installed_package(self):
        work = self.work()
        said = self.run_in(work, "fmesh", "new", "function", "greet").stdout
        project = work / "greet"
        self.assertIn("cd greet && cmake -B build && cmake --build build && fmesh run mesh.yaml", said)
        self.assertEqual(
            sorted(path.name for path in project.iterdir()),
            [".gitignore", "CMakeLists.txt", "README.md", "greet.cc", "greet.h", "greet_test.cc", "mesh.yaml"],
        )
        # Before it is built, the run says so.
        self.assertIn("build/greet.so: no such file; build it", self.run_in(project, "fmesh", "run", "mesh.yaml", code=2).stderr)
        self.build_and_test(project)
        shown = self.run_mesh(project)
        self.assertEqual([row["id"] for row in shown], [str(n) for n in range(10)])
        self.assertEqual({row["total_cents"] for row in shown}, {750})
        # What was done is done: a second run has nothing to show.
        done = self.run_in(project, "fmesh", "run", "mesh.yaml", "--until-drained")
        self.assertEqual(done.stdout, "")

    def test_a_failing_test_of_a_project_fails(self):
        work = self.work()
        self.run_in(work, "fmesh", "new", "function", "broken")
        header = work / "broken/broken.h"
        header.write_text(header.read_text().replace("order.quantity * order.price_cents", "order.quantity"))
        with self.assertRaisesRegex(AssertionError, "the total is quantity times price"):
            self.build_and_test(work / "broken")

    def test_names_that_mean_something_to_cmake_or_the_project_build_all_the_same(self):
        for name in ("order", "test", "x-y2"):
            with self.subTest(name):
                work = self.work()
                self.run_in(work, "fmesh", "new", "function", name)
                self.build_and_test(work / name)
                self.assertEqual(len(self.run_mesh(work / name)), 10)

    def test_every_name_that_is_taken_gives_a_mesh_without_findings(self):
        work = self.work()
        for name in ("orders", "show", "class", "all", "fmesh", "a" * NAME_MAX, "b" * 21, "c" * 22):
            with self.subTest(name):
                self.run_in(work, "fmesh", "new", "function", name)
                self.run_in(work / name, "cmake", "-B", "build", "-G", "Ninja")
                found = self.run_in(work / name, "fmesh", "validate", "mesh.yaml")
                self.assertIn("0 errors, 0 warnings", found.stdout + found.stderr)

    def test_a_name_that_will_not_do_is_refused_with_one_that_does(self):
        work = self.work()
        for kind in ("function", "mesh"):
            for bad, good in (("PriceOrders", "price-orders"), ("2x", "x"), ("a_b", "a-b"), ("", "my-function"), ("../x", "x"), ("a" * (NAME_MAX + 1), "a" * NAME_MAX)):
                with self.subTest((kind, bad)):
                    done = self.run_in(work, "fmesh", "new", kind, bad, code=2)
                    self.assertTrue(done.stderr.rstrip().endswith(f"e.g. {good}"), done.stderr)
        self.assertEqual(list(work.iterdir()), [])

    def test_an_existing_folder_is_never_written_to(self):
        work = self.work()
        (work / "mine").mkdir()
        (work / "mine/notes.txt").write_text("keep")
        (work / "file").write_text("keep")
        for kind in ("function", "mesh"):
            for name in ("mine", "file"):
                done = self.run_in(work, "fmesh", "new", kind, name, code=2)
                self.assertIn(f"{name} exists already", done.stderr)
        self.assertEqual([path.name for path in (work / "mine").iterdir()], ["notes.txt"])
        (work / "empty").mkdir()
        self.run_in(work, "fmesh", "new", "mesh", "empty")
        self.assertTrue((work / "empty/mesh.yaml").exists())

    def test_a_new_mesh_runs_as_it_is(self):
        work = self.work()
        self.assertIn("fmesh run shop/mesh.yaml", self.run_in(work, "fmesh", "new", "mesh", "shop").stdout)
        found = self.run_in(work / "shop", "fmesh", "validate", "mesh.yaml")
        self.assertIn("0 errors, 0 warnings", found.stdout + found.stderr)
        shown = self.run_mesh(work / "shop")
        self.assertEqual([row["order"] for row in shown], list(range(20)))
        self.assertEqual({row["total"] for row in shown}, {15})
        self.run_in(work, "fmesh", "new", "mesh", "m" * NAME_MAX)
        found = self.run_in(work, "fmesh", "validate", "m" * NAME_MAX + "/mesh.yaml")
        self.assertIn("0 errors, 0 warnings", found.stdout + found.stderr)

    def test_every_header_compiles_by_itself_in_c_and_cpp(self):
        work = self.work()
        for header in sorted((self.prefix / "include/fmesh").iterdir()):
            standards = [("g++", "-std=c++17"), ("g++", "-std=c++20")]
            if header.name == "abi.h":
                standards.append(("gcc", "-std=c99"))
            for compiler, standard in standards:
                with self.subTest((header.name, standard)):
                    source = work / ("one.c" if compiler == "gcc" else "one.cc")
                    source.write_text(f"#include <fmesh/{header.name}>\n#include <fmesh/{header.name}>\n")
                    self.run_in(work, compiler, standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", f"-I{self.prefix}/include", source.name)

    def test_the_orders_example_builds_by_itself_against_the_installed_package(self):
        work = self.work()
        shutil.copytree(SOURCE / "examples/orders", work / "orders")
        self.run_in(work / "orders", "cmake", "-B", "build", "-G", "Ninja")
        self.run_in(work / "orders", "cmake", "--build", "build")
        self.run_in(work / "orders", "fmesh", "validate", "build/mesh.yaml")


    @unittest.skipUnless(shutil.which("dpkg-deb") and shutil.which("dpkg-shlibdeps"), "no Debian tools here: the package was not built")
    def test_the_debian_packages_hold_what_is_installed_and_name_their_libraries(self):
        work = self.work()
        self.run_in(work, "cpack", "-G", "DEB", "--config", str(BUILD / "CPackConfig.cmake"), "-B", str(work))
        packages = {path.name.split("_")[0]: path for path in work.glob("*.deb")}
        self.assertEqual(sorted(packages), ["fmesh", "fmesh-python"])
        for path in packages.values():
            self.run_in(work, "dpkg-deb", "-x", path, "root")
        package = packages["fmesh"]
        files = lambda top: sorted(str(path.relative_to(top)) for path in top.rglob("*") if path.is_file())
        self.assertEqual(files(work / "root/usr"), files(self.prefix))
        self.assertIn("fmesh", self.run_in(work, work / "root/usr/bin/fmesh", "version").stdout)
        depends = self.run_in(work, "dpkg-deb", "-f", package, "Depends").stdout
        for library in ("libc6", "libstdc++6", "libjq1", "libsqlite3-0", "libssl3", "libyaml-0-2"):
            self.assertIn(library, depends)
        self.assertNotIn("libpython", depends, "whoever has no functions in Python needs none")
        self.assertIn("libpython3.11", self.run_in(work, "dpkg-deb", "-f", packages["fmesh-python"], "Depends").stdout)
        self.assertLess(package.stat().st_size, 10_000_000, "was the program not stripped?")


class OtherLanguages(unittest.TestCase):
    """Functions through the plain C ABI, as other languages have it."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="fmesh-languages-")
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name)

    def run_function(self, class_name, library, records):
        """Sends payloads through the function with `fmesh run`. Answers the lines of the streams out and letters."""
        (self.path / "in.jsonl").write_text("".join(record + "\n" for record in records))
        mesh = {
            "apiVersion": "compute.functionmesh.io/v1alpha1",
            "kind": "FunctionMesh",
            "metadata": {"name": "m"},
            "spec": {
                "sources": [{"name": "read", "sourceType": "file", "sourceConfig": {"path": "in.jsonl"}, "output": {"topic": "in"}}],
                "functions": [
                    {
                        "name": "work",
                        "className": class_name,
                        "genericRuntime": {"language": "cpp", "functionFile": str(library)},
                        "input": {"topics": ["in"]},
                        "output": {"topic": "out"},
                        "maxMessageRetry": 1,
                        "deadLetterTopic": "letters",
                    }
                ],
                "sinks": [
                    {"name": f"write-{topic}", "sinkType": "file", "sinkConfig": {"path": f"{topic}.jsonl"}, "input": {"topics": [topic]}}
                    for topic in ("out", "letters")
                ],
            },
        }
        (self.path / "mesh.json").write_text(json.dumps(mesh))
        done = subprocess.run(
            [BUILD / "fmesh", "run", "mesh.json", "--until-drained"], cwd=self.path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        read = lambda topic: (self.path / f"{topic}.jsonl").read_text().splitlines() if (self.path / f"{topic}.jsonl").exists() else []
        return read("out"), read("letters"), done.stderr

    def test_a_plain_c_function_runs(self):
        out, letters, _ = self.run_function("route", BUILD / "functions/plain_c.so", ['{"to":"out","n":1}', '{"n":2}', '{"to":"out", "n":3.0}'])
        self.assertEqual(out, ['{"to":"out","n":1,"routed":true}', '{"to":"out", "n":3.0,"routed":true}'])
        self.assertEqual(letters, ['{"n":2}'])

    def test_a_rust_function_runs_and_its_panic_fails_one_record_only(self):
        if not shutil.which("cargo"):
            self.skipTest("cargo is not installed: the function in Rust (examples/rust) was neither built nor run")
        target = self.path / "target"
        built = subprocess.run(
            ["cargo", "build", "--release", "--offline", "--locked", "--target-dir", target], cwd=SOURCE / "examples/rust", capture_output=True, text=True, timeout=240
        )
        self.assertEqual(built.returncode, 0, built.stderr)
        self.assertNotIn("warning", built.stderr)
        out, letters, log = self.run_function(
            "count-words", target / "release/libwords.so", ['{"word":"sun"}', '{"word":"\\u006doon"}', '{"word":""}', '{"word":7}', '{"word":"sun"}']
        )
        self.assertEqual(sorted(out), ['{"word":"\\u006doon","seen":1}', '{"word":"sun","seen":1}', '{"word":"sun","seen":2}'])
        self.assertEqual(sorted(letters), ['{"word":""}', '{"word":7}'])
        self.assertIn("the function panicked", log)
        self.assertIn('expected a string in "word"', log)


if __name__ == "__main__":
    unittest.main()
