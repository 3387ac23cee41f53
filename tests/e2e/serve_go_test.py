"""`fmesh serve` and Pulsar's Go client: tests/go_client drives it, all cases at once, and says of each whether it held."""

import os
import shutil
import subprocess
import unittest
from pathlib import Path

from serve_case import BUILD, ServeCase

SOURCE = Path(__file__).resolve().parent.parent / "go_client"
BUILD_TIMEOUT_S = 600  # the first time the modules are fetched
RUN_TIMEOUT_S = 120


class GoClient(ServeCase):
    def test_does_what_the_go_client_expects(self):
        go = shutil.which("go")
        if go is None:
            self.skipTest("no Go here: install Go 1.24 or newer to try Pulsar's Go client")
        program = BUILD / "go_client"
        built = subprocess.run([go, "build", "-o", program, "."], cwd=SOURCE, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S,
                               env={**os.environ, "GOFLAGS": "-mod=readonly -buildvcs=false"})  # fmt: skip
        self.assertEqual(built.returncode, 0, built.stderr)
        self.serve()
        done = subprocess.run([program, self.url, self.http], capture_output=True, text=True, timeout=RUN_TIMEOUT_S)
        print(done.stdout)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertGreater(done.stdout.count("ok "), 15)


if __name__ == "__main__":
    unittest.main()
