"""Runs the mesh of Python functions until it is drained and compares what the console showed."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest
from collections import Counter
from pathlib import Path

BUILD = Path(os.environ["FMESH_BUILD"])


class Python(unittest.TestCase):
    def test_every_word_is_counted_in_capitals(self):
        with tempfile.TemporaryDirectory() as directory:
            folder = Path(directory) / "mesh"
            shutil.copytree(BUILD / "examples/python", folder, ignore=shutil.ignore_patterns("CMakeFiles", "*.cmake"))
            # As fast as it can: the pace is for people who watch.
            mesh = folder / "mesh.yaml"
            mesh.write_text(mesh.read_text().replace("rate: 4", "rate: 0").replace("count: 12", "count: 2000"))
            command = [str(BUILD / "fmesh"), "run", str(mesh), "--until-drained", "--data-dir", str(Path(directory) / "streams")]
            run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        self.assertEqual(run.returncode, 0, run.stderr)
        shown = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
        self.assertEqual(len(shown), 2000, run.stderr)
        seen = Counter()
        for row in shown:
            seen[row["word"]] += 1
            self.assertEqual(row["count"], seen[row["word"]])
        self.assertEqual(set(seen), {"SUN", "MOON", "SEA"})


if __name__ == "__main__":
    unittest.main()
