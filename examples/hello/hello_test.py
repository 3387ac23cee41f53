"""Runs the hello mesh until it is drained and compares what the console showed."""

import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

BUILD = Path(os.environ["FMESH_BUILD"])


class Hello(unittest.TestCase):
    def test_every_number_is_doubled_once_and_in_order(self):
        with tempfile.TemporaryDirectory() as directory:
            # As fast as it can: the pace is for people who watch.
            mesh = Path(directory) / "mesh.yaml"
            mesh.write_text((BUILD / "examples/hello/mesh.yaml").read_text().replace("rate: 3", "rate: 0"))
            command = [str(BUILD / "fmesh"), "run", str(mesh), "--until-drained", "--data-dir", str(Path(directory) / "streams")]
            run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        self.assertEqual(run.returncode, 0, run.stderr)
        shown = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
        self.assertEqual(shown, [{"n": row["n"], "doubled": 2 * row["n"]} for row in shown])
        self.assertEqual(len(shown), 10)
        self.assertEqual([row["n"] for row in shown], sorted(row["n"] for row in shown))


if __name__ == "__main__":
    unittest.main()
