"""fmesh status, top, tap and logs when things are not as they should be."""

import fcntl
import json
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import tempfile
import termios
import time
import unittest
from pathlib import Path

FMESH = str(Path(os.environ.get("FMESH_BUILD", "build")).resolve() / "fmesh")

MESH = """apiVersion: compute.functionmesh.io/v1alpha1
kind: FunctionMesh
metadata:
  name: look
spec:
  sources:
    - name: numbers
      sourceType: generator
      sourceConfig:
        rate: 200
        template: '{"id":{{seq}}}'
      output:
        topic: numbers
  functions:
    - name: a-function-with-a-rather-long-name
      className: map
      genericRuntime:
        language: builtin
      funcConfig:
        expression: '.twice = .id * 2'
      input:
        topics: [numbers]
      output:
        topic: doubled
"""


class LookTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="fmesh-look-")
        self.path = Path(self.folder.name)
        self.processes = []

    def tearDown(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream:
                    stream.close()
        self.folder.cleanup()

    def start_mesh(self):
        (self.path / "mesh.yaml").write_text(MESH)
        with open(self.path / "run.log", "w", encoding="utf-8") as log:
            mesh = subprocess.Popen([FMESH, "run", "mesh.yaml", "--no-restart"], cwd=self.path, stdout=log, stderr=log)
        self.processes.append(mesh)
        for _ in range(200):
            if '"state":"running"' in self.fmesh("status", "--json").stdout:
                return mesh
            time.sleep(0.05)
        raise AssertionError((self.path / "run.log").read_text())

    def fmesh(self, *arguments):
        return subprocess.run([FMESH, *arguments], cwd=self.path, capture_output=True, text=True, timeout=30)

    def begin(self, *arguments, **streams):
        process = subprocess.Popen([FMESH, *arguments], cwd=self.path, **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **streams})
        self.processes.append(process)
        return process

    def screen_of(self, columns, rows, *arguments, until, keys=b""):
        """What a terminal of this size is sent, until it was sent `until`; then `keys` are typed. Returns text and code."""
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(self.path)
            os.environ["TERM"] = "xterm"
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.execv(FMESH, [FMESH, *arguments])
        text, deadline, typed = b"", time.monotonic() + 15, False
        while time.monotonic() < deadline:
            if select.select([terminal], [], [], 0.1)[0]:
                try:
                    more = os.read(terminal, 65536)
                except OSError:
                    break
                text += more
            if not typed and until in text:
                typed = True
                os.write(terminal, keys)
        else:
            os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.close(terminal)
        return text.decode(), code

    def test_without_a_mesh_every_command_says_so(self):
        for arguments in (["top"], ["tap", "x"], ["logs", "x"]):
            done = self.fmesh(*arguments)
            self.assertEqual(done.returncode, 2)
            self.assertIn("no mesh runs on .fmesh; start one with fmesh run", done.stderr)
            self.assertEqual(self.fmesh(*arguments, "--json").stdout.count("no mesh runs on"), 1)
        self.assertIn("no data directory .fmesh", json.loads(self.fmesh("status", "--json").stdout)["error"])

    def test_a_socket_that_a_dead_process_left_is_no_mesh(self):
        mesh = self.start_mesh()
        mesh.kill()
        mesh.wait()
        self.assertTrue((self.path / ".fmesh/fmesh.sock").is_socket())
        done = self.fmesh("status", "--json")
        self.assertEqual((done.returncode, json.loads(done.stdout)["state"]), (1, "stopped"))
        self.assertIn("no mesh runs", self.fmesh("tap", "numbers").stderr)
        self.start_mesh()

    def test_a_process_that_does_not_answer_is_not_taken_for_none(self):
        mesh = self.start_mesh()
        mesh.send_signal(signal.SIGSTOP)
        done = self.fmesh("tap", "numbers")
        mesh.send_signal(signal.SIGCONT)
        self.assertEqual(done.returncode, 1)
        self.assertIn("does not answer", done.stderr)

    def test_commands_that_follow_say_that_the_mesh_was_killed(self):
        mesh = self.start_mesh()
        following = [self.begin("tap", "doubled"), self.begin("logs", "-f", "numbers")]
        following[0].stdout.readline()
        time.sleep(0.3)
        mesh.kill()
        for process in following:
            _, errors = process.communicate(timeout=20)
            self.assertEqual(process.returncode, 1)
            self.assertIn("the mesh that ran here has ended", errors)

    def test_tap_ends_well_when_the_mesh_does(self):
        mesh = self.start_mesh()
        tap, counted = self.begin("tap", "doubled"), self.begin("tap", "doubled", "-n", "1000000")
        tap.stdout.readline()
        counted.stdout.readline()
        mesh.send_signal(signal.SIGTERM)
        self.assertEqual(tap.communicate(timeout=20)[1], "")
        self.assertEqual(tap.returncode, 0)
        self.assertIn("the mesh ended before 1000000 records came", counted.communicate(timeout=20)[1])
        self.assertEqual(counted.returncode, 1)

    def test_a_stream_or_component_that_is_not_there_is_named(self):
        self.start_mesh()
        self.assertIn("no such stream: nosuch", self.fmesh("tap", "nosuch").stderr)
        self.assertIn("no such component: number; did you mean numbers?", self.fmesh("logs", "number").stderr)

    def test_output_that_nobody_reads_ends_the_command(self):
        self.start_mesh()
        for arguments in (["tap", "doubled"], ["logs", "-f", "numbers"]):
            process = self.begin(*arguments)
            time.sleep(0.3)
            process.stdout.close()
            self.assertEqual(process.wait(timeout=10), -signal.SIGPIPE, arguments)
        with open("/dev/full", "w", encoding="utf-8") as full:
            process = self.begin("status", stdout=full)
            self.assertIn("write to standard output: No space left", process.communicate(timeout=10)[1])
            self.assertEqual(process.returncode, 1)

    def test_top_fits_small_terminals_and_says_when_the_mesh_is_gone(self):
        mesh = self.start_mesh()
        for columns, rows in ((80, 24), (40, 10), (20, 5)):
            text, code = self.screen_of(columns, rows, "top", until=b"look", keys=b"q")
            self.assertEqual(code, 0, text)
            picture = text.split("\x1b[H\x1b[J")[-1].split("\x1b[?25h")[0]
            lines = picture.replace("\r", "").split("\n")
            self.assertLessEqual(len(lines), rows)
            for line in lines:
                plain = "".join(part if i == 0 else part.partition("m")[2] for i, part in enumerate(line.split("\x1b[")))
                self.assertLessEqual(len(plain), columns, repr(line))
            if columns >= 40:
                self.assertIn("ERRORS", picture)
        mesh.kill()
        mesh.wait()
        text, code = self.screen_of(80, 24, "top", until=b"never")
        self.assertEqual(code, 2)


if __name__ == "__main__":
    unittest.main()
