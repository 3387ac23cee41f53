"""A mesh that is killed again and again still writes every record once and in order.

Reruns of a failure: the seed is printed; set FMESH_SEED to it.
"""

import json
import os
import random
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

BUILD = Path(os.environ["FMESH_BUILD"])
RECORDS = 400_000
KILLS = 8
LIMIT_S = 120


def mesh(out, guarantee):
    runtime = {"language": "builtin", "functionFile": "builtin"}
    return {
        "apiVersion": "compute.functionmesh.io/v1alpha1",
        "kind": "FunctionMesh",
        "metadata": {"name": "kill"},
        "spec": {
            "sources": [
                {
                    "name": "numbers",
                    "sourceType": "generator",
                    "sourceConfig": {"count": RECORDS, "rate": 0, "template": '{"n":{{seq}}}'},
                    "output": {"topic": "numbers"},
                    "processingGuarantee": guarantee,
                }
            ],
            "functions": [
                {
                    "name": "same",
                    "className": "identity",
                    "genericRuntime": runtime,
                    "input": {"topics": ["numbers"]},
                    "output": {"topic": "same"},
                    "processingGuarantee": guarantee,
                }
            ],
            "sinks": [
                {
                    "name": "write",
                    "sinkType": "file",
                    "sinkConfig": {"path": str(out)},
                    "input": {"topics": ["same"]},
                    "processingGuarantee": guarantee,
                }
            ],
        },
    }


class Kill(unittest.TestCase):
    def setUp(self):
        self.seed = int(os.environ.get("FMESH_SEED", time.time_ns() % 1_000_000))
        self.random = random.Random(self.seed)
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.directory = Path(temporary.name)
        self.out = self.directory / "out.jsonl"

    def start(self, *more):
        command = [str(BUILD / "fmesh"), "run", "mesh.json", "--data-dir", "streams", *more]
        log = open(self.directory / "log.txt", "ab")
        with log:
            return subprocess.Popen(command, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def kill_and_finish(self, guarantee):
        """Runs the mesh with KILLS kills of all its processes, then to its end. Answers the numbers written, in order."""
        (self.directory / "mesh.json").write_text(json.dumps(mesh(self.out, guarantee)))
        for _ in range(KILLS):
            process = self.start()
            time.sleep(self.random.uniform(0.02, 0.4))
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        process = self.start("--until-drained")
        try:
            code = process.wait(LIMIT_S)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.assertEqual(code, 0, self.why())
        files = sorted(self.directory.glob("out*.jsonl*"))
        return [json.loads(line)["n"] for path in files for line in path.read_text().splitlines()]

    def why(self):
        return f"replay: FMESH_SEED={self.seed}\n" + (self.directory / "log.txt").read_text(errors="replace")[-3000:]

    def test_effectively_once_writes_every_record_once_and_in_order(self):
        numbers = self.kill_and_finish("effectively_once")
        self.assertEqual(len(numbers), RECORDS, self.why())
        self.assertEqual(numbers, list(range(numbers[0], numbers[0] + RECORDS)), self.why())

    def test_at_least_once_loses_nothing(self):
        numbers = self.kill_and_finish("atleast_once")
        self.assertEqual(len(set(numbers)), RECORDS, self.why())


if __name__ == "__main__":
    unittest.main()
