"""What tests of whole meshes share: a folder of their own, the real program, and waiting for what it should do."""

import json
import os
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

BUILD = Path(os.environ.get("FMESH_BUILD", "build")).resolve()
FMESH = str(BUILD / "fmesh")
FUNCTIONS = str(BUILD / "functions" / "functions.so")


class MeshCase(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="fmesh-run-")
        self.path = Path(self.folder.name)
        self.processes = []

    def tearDown(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        self.wait_for(self.remove_folder, "removing the folder", seconds=10)

    def remove_folder(self):
        """False as long as the host of a killed parent, which the kernel ends a moment later, still writes there."""
        try:
            self.folder.cleanup()
        except OSError:
            return False
        return True

    def fmesh(self, *arguments, code=0):
        done = subprocess.run([FMESH, *arguments], cwd=self.path, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, code, f"{arguments[:9]}: {done.stdout}{done.stderr}")
        return done

    def start(self, *arguments):
        log = open(self.path / "run.log", "w", encoding="utf-8")
        process = subprocess.Popen([FMESH, "run", *arguments], cwd=self.path, stdout=log, stderr=log)
        log.close()
        self.processes.append(process)
        return process

    def log(self):
        return (self.path / "run.log").read_text(encoding="utf-8")

    def wait_for(self, condition, what, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                found = condition()
            except (subprocess.SubprocessError, AssertionError, OSError, ValueError):
                found = None
            if found:
                return found
            time.sleep(0.05)
        self.fail(f"{what} did not happen within {seconds} s; log:\n{self.log()}")

    def mesh(self):
        return json.loads(self.fmesh("status", "--json").stdout)

    def streams(self):
        return json.loads(self.fmesh("stream", "ls", "--json").stdout)["streams"]

    def records(self, stream):
        """The values of a stream: JSON where it is JSON, else text."""
        lines = self.fmesh("stream", "peek", stream, "-n", "10000", "--json").stdout.splitlines()
        return [record.get("value", record.get("text")) for record in map(json.loads, lines)]
