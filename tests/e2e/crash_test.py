"""User code that crashes the process: fmesh run says which function and record did it and goes on from what is durable."""

import json
import os
import re
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

BUILD = Path(os.environ.get("FMESH_BUILD", "build")).resolve()
RECORDS = 3000
CRASH_AT = 1234
SIGNALS = {"segv": "SIGSEGV", "abort": "SIGABRT", "overflow": "SIGSEGV", "thread": "SIGABRT"}


class Crash(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="fmesh-crash-")
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name)

    def write_mesh(self, guarantee="effectively_once", more=None, **config):
        def component(name, rest):
            return {"name": name, "processingGuarantee": guarantee, **rest}

        mesh = {
            "apiVersion": "compute.functionmesh.io/v1alpha1",
            "kind": "FunctionMesh",
            "metadata": {"name": "m"},
            "spec": {
                "sources": [
                    component("count", {"sourceType": "generator", "sourceConfig": {"count": RECORDS, "rate": 0, "template": '{"n":{{seq}}}'}, "output": {"topic": "in"}})
                ],
                "functions": [
                    component(
                        "fragile",
                        {
                            "className": "crashes-at",
                            "genericRuntime": {"language": "cpp", "functionFile": str(BUILD / "functions/functions.so")},
                            "funcConfig": {"at": CRASH_AT, **config},
                            "input": {"topics": ["in"]},
                            "output": {"topic": "out"},
                            **(more or {}),
                        },
                    )
                ],
                "sinks": [component("write", {"sinkType": "file", "sinkConfig": {"path": "out.jsonl"}, "input": {"topics": ["out"]}})],
            },
        }
        (self.path / "mesh.json").write_text(json.dumps(mesh))

    def fmesh(self, *arguments, code=0):
        done = subprocess.run([BUILD / "fmesh", *arguments], cwd=self.path, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=120)
        self.assertEqual(done.returncode, code, f"{arguments}: {done.stdout}{done.stderr[-4000:]}")
        return done

    def numbers(self):
        return [json.loads(line)["n"] for line in (self.path / "out.jsonl").read_text().splitlines()]

    def test_a_mesh_survives_every_kind_of_crash_without_loss_or_doubling(self):
        for how, signal in SIGNALS.items():
            with self.subTest(how):
                self.setUp()
                self.write_mesh(how=how, marker="died")
                said = self.fmesh("run", "mesh.json", "--until-drained").stderr
                self.assertEqual(self.numbers(), list(range(RECORDS)))
                self.assertEqual(said.count("starts again from the durable state"), 1, said)
                self.assertRegex(said, rf"the host died: .* function fragile.*{signal}.*; it starts again")
                if how == "thread":
                    self.assertRegex(said, r"function fragile crashed on a thread that its library started .*, instance 0 was at record [0-9:-]+ of persistent://public/default/in;")
                    self.assertIn("nobody catches this", said)
                else:
                    self.assertRegex(said, r"function fragile, instance 0, crashed at record [0-9:-]+ of persistent://public/default/in ")

    def test_at_least_once_loses_nothing_by_a_crash(self):
        self.write_mesh(guarantee="atleast_once", how="segv", marker="died")
        self.fmesh("run", "mesh.json", "--until-drained")
        self.assertEqual(sorted(set(self.numbers())), list(range(RECORDS)))

    def poison(self):
        """Runs into a record that kills every host. Answers what was said."""
        self.write_mesh(how="segv")
        said = self.fmesh("run", "mesh.json", "--until-drained", code=3).stderr
        self.assertEqual(said.count("the host died: "), 5, said)
        self.assertRegex(said, r"the host died 5 times like this: function fragile, instance 0, crashed at record [0-9:-]+ of persistent://public/default/in\.\n")
        return said

    def test_a_record_that_kills_every_host_ends_the_run_which_goes_on_once_the_function_is_mended(self):
        self.assertIn("Correct the function", self.poison())
        self.write_mesh(how="")
        self.fmesh("run", "mesh.json", "--until-drained")
        self.assertEqual(self.numbers(), list(range(RECORDS)))

    def test_a_record_that_kills_every_host_can_be_passed_over_as_the_message_says(self):
        said = self.poison()
        # What came before it is durable: the record is all that is left out.
        self.assertEqual(self.numbers(), list(range(CRASH_AT)))
        look = re.search(r"Look at the record and the next: fmesh (stream peek .* -n 2)\n", said).group(1)
        records = [json.loads(line) for line in self.fmesh(*look.split(), "--json").stdout.splitlines()]
        self.assertEqual([record["value"]["n"] for record in records], [CRASH_AT, CRASH_AT + 1])
        seek = re.search(r"Pass over it: fmesh (stream seek .* --id) ID,", said).group(1)
        self.fmesh(*seek.replace("NAME", "public/default/fragile").split(), records[1]["id"])
        self.fmesh("run", "mesh.json", "--until-drained")
        self.assertEqual(self.numbers(), [n for n in range(RECORDS) if n != CRASH_AT])

    def test_a_record_that_kills_every_host_becomes_a_dead_letter_if_there_are_any(self):
        self.write_mesh(guarantee="atleast_once", how="segv", more={"retainOrdering": True, "maxMessageRetry": 2, "deadLetterTopic": "letters"})
        said = self.fmesh("run", "mesh.json", "--until-drained").stderr
        self.assertEqual(said.count("the host died: "), 3, said)
        self.assertEqual(sorted(set(self.numbers())), [n for n in range(RECORDS) if n != CRASH_AT])
        letters = [json.loads(line) for line in self.fmesh("stream", "peek", "letters", "--json").stdout.splitlines()]
        self.assertEqual([letter["value"]["n"] for letter in letters], [CRASH_AT])
        self.assertIn("the process died 3 times at this record", letters[0]["properties"]["fmesh.error"])

    def test_without_order_too_only_the_record_itself_goes_to_the_dead_letters(self):
        self.write_mesh(guarantee="atleast_once", how="abort", more={"maxMessageRetry": 1, "deadLetterTopic": "letters"})
        self.fmesh("run", "mesh.json", "--until-drained")
        self.assertEqual(sorted(set(self.numbers())), [n for n in range(RECORDS) if n != CRASH_AT])
        letters = [json.loads(line) for line in self.fmesh("stream", "peek", "letters", "--json").stdout.splitlines()]
        self.assertEqual([letter["value"]["n"] for letter in letters], [CRASH_AT])

    def test_a_mesh_without_an_end_goes_on_once_the_function_is_mended_while_it_runs(self):
        self.write_mesh(how="segv")
        with open(self.path / "log.txt", "wb") as log:
            process = subprocess.Popen([BUILD / "fmesh", "run", "mesh.json"], cwd=self.path, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self.wait_for(lambda: "the host died 5 times like this" in self.log(), "the fifth death")
            self.assertIsNone(process.poll(), self.log())
            self.write_mesh(how="")
            self.wait_for(lambda: len(self.numbers()) == RECORDS, "the rest")
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(20), 0, self.log())
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        self.assertEqual(self.numbers(), list(range(RECORDS)))

    def log(self):
        return (self.path / "log.txt").read_text(errors="replace")

    def wait_for(self, condition, what, seconds=30):
        end = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), end, f"{what} did not come: {self.log()[-3000:]}")
            time.sleep(0.05)


if __name__ == "__main__":
    unittest.main()
