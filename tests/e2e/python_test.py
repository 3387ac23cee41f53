"""Python functions under `fmesh run`: processes that are killed lose and repeat nothing, what they say is found in the logs, bad code
is refused with its place, and a mesh without Python does not need it."""

import os
import shutil
import signal
import subprocess
import time
import unittest

from mesh_case import BUILD, FMESH, MeshCase

RECORDS = 30_000
MESH = """
apiVersion: compute.functionmesh.io/v1alpha1
kind: FunctionMesh
metadata: {{name: snakes}}
spec:
  sources:
    - name: numbers
      sourceType: generator
      sourceConfig: {{count: {count}, rate: {rate}, template: '{{{{seq}}}}'}}
      output: {{topic: numbers}}
  functions:
    - name: pass
      className: {class_name}
      {runtime}
      replicas: {replicas}
      processingGuarantee: {guarantee}
      {more}
      input: {{topics: [numbers]}}
      output: {{topic: passed}}
  sinks:
    - name: write
      sinkType: file
      sinkConfig: {{path: out.txt}}
      processingGuarantee: {guarantee}
      input: {{topics: [passed]}}
"""


def children(pid):
    """The Python processes of a host."""
    listed = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(pid)], capture_output=True, text=True, check=False).stdout
    return [int(line.split()[0]) for line in listed.splitlines() if "fmesh-python" in line]


class PythonTest(MeshCase):
    def write(self, code, **options):
        values = {
            "count": RECORDS,
            "rate": 0,
            "class_name": "code.Pass",
            "runtime": "python: {py: code.py}",
            "replicas": 1,
            "guarantee": "atleast_once",
            "more": "",
            **options,
        }
        (self.path / "code.py").write_text(code)
        (self.path / "mesh.yaml").write_text(MESH.format(**values))

    def run_to_the_end(self, code=0):
        done = subprocess.run(
            [FMESH, "run", "mesh.yaml", "--until-drained"], cwd=self.path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
        )
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stderr

    def passed(self):
        return [int(line) for line in (self.path / "out.txt").read_text().splitlines()]

    def kill_while_it_runs(self, code, **options):
        """Kills Python processes again and again until the mesh is drained. Returns how many."""
        self.write(code, **options)
        process = self.start("mesh.yaml", "--until-drained")
        killed, end = 0, time.monotonic() + 120
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.25)
            try:
                found = children(self.mesh()["processId"])
            except (AssertionError, subprocess.SubprocessError):
                continue  # it starts, or it has ended
            for pid in found[:1]:
                try:
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
                except ProcessLookupError:
                    pass
        self.assertEqual(process.wait(5), 0, self.log())
        return killed

    def test_processes_that_are_killed_lose_nothing(self):
        code = "class Pass:\n    def process(self, input, context):\n        return input\n"
        killed = self.kill_while_it_runs(code, replicas=2, count=RECORDS, rate=15_000)
        self.assertGreaterEqual(killed, 3, self.log())
        self.assertIn("was ended by SIGKILL", self.log())
        self.assertEqual(sorted(set(self.passed())), list(range(RECORDS)))

    def test_effectively_once_counts_every_record_once_in_order(self):
        code = """
class Pass:
    def process(self, input, context):
        context.incr_counter("n", 1)
        assert context.get_counter("n") == int(input) + 1
        return input
"""
        killed = self.kill_while_it_runs(code, guarantee="effectively_once", rate=15_000)
        self.assertGreaterEqual(killed, 3, self.log())
        self.assertEqual(self.passed(), list(range(RECORDS)))

    def test_a_record_that_kills_its_process_becomes_a_dead_letter(self):
        code = """
import ctypes

def process(input):
    if input == "7":
        ctypes.string_at(0)
    return input
"""
        self.write(code, class_name="code", count=50, more="maxMessageRetry: 2\n      deadLetterTopic: dead")
        said = self.run_to_the_end()
        self.assertIn("its Python process died of SIGSEGV at record", said)
        self.assertIn("code.py", said)
        self.assertEqual(sorted(self.passed()), [n for n in range(50) if n != 7])
        self.assertEqual(self.records("dead"), [7])

    def test_what_functions_say_is_in_the_logs(self):
        code = """
import logging

class Pass:
    def process(self, input, context):
        print("printed", input)
        context.get_logger().warning("warned %s", input)
        if input == "3":
            raise ValueError("three")
        return input
"""
        self.write(code, count=5, guarantee="atmost_once", runtime="genericRuntime: {language: fmesh-python, functionFile: code.py}")
        process = self.start("mesh.yaml")
        self.wait_for(lambda: "warned 4" in self.fmesh("logs", "pass", "-n", "100").stdout, "the last line")
        logs = self.fmesh("logs", "pass", "-n", "100").stdout
        self.assertIn("printed 0", logs)
        self.assertIn("ValueError: three; at code.py:9 in process", logs)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(20), 0, self.log())

    def test_bad_code_is_refused_with_its_place(self):
        self.write("def process(input):\n    return inptu\n\nraise OSError('no disk')\n", class_name="code", count=1)
        said = self.run_to_the_end(code=2)
        self.assertIn("pass[0]", said)
        self.assertIn("OSError: no disk; at code.py:4", said)
        self.assertIn("The mesh was not started", said)

    def test_an_endless_loop_does_not_hold_up_the_end(self):
        code = "def process(input):\n    while True:\n        pass\n"
        self.write(code, class_name="code", count=1)
        process = self.start("mesh.yaml", "--drain-limit", "1s")
        self.wait_for(lambda: children(self.mesh()["processId"]), "a Python process")
        pids = children(self.mesh()["processId"])
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        self.wait_for(lambda: not any(os.path.exists(f"/proc/{pid}/exe") and os.readlink(f"/proc/{pid}/exe").endswith("fmesh-python") for pid in pids), "the end of Python")

    def test_a_new_project_is_tested_and_runs(self):
        self.fmesh("new", "function", "price-orders", "--python")
        self.assertIn("1 passed", self.fmesh("test", "price-orders/mesh_test.yaml").stdout)
        shown = self.fmesh("run", "price-orders/mesh.yaml", "--until-drained").stdout
        self.assertEqual(shown.count('"total_cents": 750'), 10)

    def test_without_python_a_mesh_says_what_to_install(self):
        self.write("def process(input):\n    return input\n", class_name="code", count=1)
        shutil.copy(FMESH, self.path / "fmesh")
        alone = [str(self.path / "fmesh"), "run", "mesh.yaml", "--until-drained"]
        done = subprocess.run(alone, cwd=self.path, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("there is no program fmesh-python", done.stderr)
        # A library that the system's loader does not find, as where libpython is not installed.
        broken = (BUILD / "fmesh-python").read_bytes().replace(b"libpython3.11.so", b"libpython9.99.so")
        (self.path / "fmesh-python").write_bytes(broken)
        (self.path / "fmesh-python").chmod(0o755)
        done = subprocess.run(alone, cwd=self.path, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("apt-get install libpython3.11", done.stderr)
        linked = subprocess.run(["ldd", FMESH], capture_output=True, text=True, check=True).stdout
        self.assertNotIn("python", linked)


if __name__ == "__main__":
    unittest.main()
