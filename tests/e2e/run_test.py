"""fmesh run as people use it: small meshes through the real program."""

import json
import os
import signal
import subprocess
import unittest

from mesh_case import FMESH, MeshCase

CHAIN = """apiVersion: compute.functionmesh.io/v1alpha1
kind: FunctionMesh
metadata:
  name: chain
spec:
  sources:
    - name: numbers
      sourceType: generator
      sourceConfig:
        count: {count}
        rate: {rate}
        template: '{{"id":{{{{seq}}}}}}'
      output:
        topic: numbers
  functions:
    - name: double
      className: map
      processingGuarantee: effectively_once
      genericRuntime:
        language: builtin
      funcConfig:
        expression: '.twice = .id * {factor}'
      input:
        topics: [numbers]
      output:
        topic: doubled
  sinks:
    - name: lines
      sinkType: file
      processingGuarantee: effectively_once
      sinkConfig:
        path: out.jsonl
      input:
        topics: [doubled]
"""


class RunTest(MeshCase):
    def write_chain(self, count=1000, rate=0, factor=2):
        (self.path / "mesh.yaml").write_text(CHAIN.format(count=count, rate=rate, factor=factor))

    def ids(self):
        return [json.loads(line)["id"] for line in (self.path / "out.jsonl").read_text().splitlines()]

    def test_a_chain_runs_until_drained_and_loses_nothing(self):
        self.write_chain(count=5000)
        self.fmesh("run", "mesh.yaml", "--until-drained")
        self.assertEqual(sorted(self.ids()), sorted(set(self.ids())))
        self.assertEqual(len(self.ids()), 5000)
        # A second run finds nothing to do and writes nothing twice.
        self.fmesh("run", "mesh.yaml", "--until-drained")
        self.assertEqual(len(self.ids()), 5000)

    def test_a_killed_host_is_started_again_and_the_output_is_whole(self):
        self.write_chain(count=3000, rate=400)
        process = self.start("mesh.yaml", "--until-drained")
        for kill in range(1, 3):
            state = self.wait_for(lambda wanted=kill - 1: (s := self.mesh())["hostRestarts"] == wanted and s, "a host")
            self.assertNotEqual(state["processId"], process.pid)
            os.kill(state["processId"], signal.SIGKILL)
            self.wait_for(lambda wanted=kill: self.mesh()["hostRestarts"] == wanted, "the restart")
        self.assertEqual(process.wait(timeout=60), 0, self.log())
        self.assertEqual(sorted(self.ids()), list(range(min(self.ids()), min(self.ids()) + 3000)))
        self.assertEqual(self.log().count("starts again from the durable state"), 2)

    def test_a_changed_file_replaces_only_what_changed(self):
        self.write_chain(count=-1, rate=200)
        self.start("mesh.yaml")
        self.wait_for(lambda: self.mesh()["state"] == "running", "the start")
        self.write_chain(count=-1, rate=200, factor=3)
        self.wait_for(lambda: "files read again: 1 replaced (double)" in self.log(), "the reload")
        self.wait_for(lambda: json.loads((self.path / "out.jsonl").read_text().splitlines()[-1])["twice"] % 3 == 0, "new output")
        (self.path / "mesh.yaml").write_text("kind: FunctionMesh\nspec: [")
        self.wait_for(lambda: "the mesh runs on as it was" in self.log(), "the refusal")
        before = len(self.ids())
        self.wait_for(lambda: len(self.ids()) > before, "more output")
        self.assertTrue(self.mesh()["reloadError"])

    def test_a_damaged_entry_is_named_with_its_place_and_the_rest_is_read(self):
        self.fmesh("stream", "create", "s")
        for _ in range(3):
            self.fmesh("stream", "publish", "s", *[os.urandom(200).hex() for _ in range(20)])
        segment = next((self.path / ".fmesh").glob("segment-*.log"))
        content = bytearray(segment.read_bytes())
        content[len(content) // 2] ^= 0xFF  # in the middle of the second entry
        segment.write_bytes(content)
        lines = [json.loads(line) for line in self.fmesh("stream", "peek", "s", "-n", "100", "--json").stdout.splitlines()]
        damaged = [line["damage"] for line in lines if "damage" in line]
        self.assertEqual(len(damaged), 1)
        self.assertRegex(damaged[0], rf"{segment.name} at offset \d+")
        self.assertEqual(len(lines), 41)

    def test_ctrl_c_drains_and_ends_with_code_0(self):
        self.write_chain(count=-1, rate=1000)
        process = self.start("mesh.yaml")
        self.wait_for(lambda: self.mesh()["state"] == "running", "the start")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=15), 0, self.log())
        self.assertEqual(len(self.ids()), len(set(self.ids())))

    def test_a_second_process_is_told_who_holds_the_data_directory(self):
        self.write_chain(count=-1, rate=10)
        self.start("mesh.yaml")
        holder = self.wait_for(lambda: self.mesh()["processId"], "the start")
        second = self.fmesh("run", "mesh.yaml", code=2)
        self.assertIn(str(holder), second.stderr)

    def test_wrong_names_are_refused_with_the_closest(self):
        self.write_chain()
        self.assertIn("did you mean double?", self.fmesh("run", "mesh.yaml", "--only", "doubel", code=2).stderr)
        self.assertIn("did you mean lines?", self.fmesh("run", "mesh.yaml", "--replicas", "line=2", code=2).stderr)
        self.assertIn("nothing.yaml", self.fmesh("run", "nothing.yaml", code=2).stderr)

    def test_every_verb_answers_in_json(self):
        self.write_chain(count=-1, rate=500)
        self.start("mesh.yaml", "--http", "127.0.0.1:0")
        self.wait_for(lambda: self.mesh()["components"][1]["receivedTotal"] > 0, "records")
        for arguments in (["status"], ["top"], ["stream", "ls"], ["version"], ["tap", "doubled", "-n", "1"],
                          ["stream", "peek", "numbers", "-n", "1"], ["stream", "publish", "other", "x"],
                          ["stream", "create", "made", "--partitions", "2"], ["stream", "rm", "made"],
                          ["stream", "seek", "numbers", "--subscription", "public/default/double", "--id", "latest"]):
            value = json.loads(self.fmesh(*arguments, "--json").stdout)
            self.assertIsInstance(value, dict, arguments)
        self.fmesh("logs", "double", "--json")
        self.assertIn("error", json.loads(self.fmesh("logs", "doubl", "--json", code=2).stdout))

    def test_streams_are_reached_when_nothing_runs(self):
        self.fmesh("stream", "create", "a", "--partitions", "2", "--retention-size", "1M", "--retention-time", "1h")
        self.fmesh("stream", "publish", "a", '{"n": 1}', "--key", "k")
        record = json.loads(self.fmesh("stream", "peek", "a", "--json").stdout)
        self.assertEqual((record["key"], record["value"]), ("k", {"n": 1}))
        self.assertIn("no such stream: b", self.fmesh("stream", "peek", "b", code=2).stderr)
        self.fmesh("stream", "rm", "a")
        self.assertEqual(json.loads(self.fmesh("stream", "ls", "--json").stdout), {"streams": []})
        self.fmesh("status", code=1)

    def test_verify_finds_nothing_wrong_while_the_host_is_killed(self):
        report = json.loads(self.fmesh("verify", "--records", "20000", "--kills", "1", "--json").stdout)
        self.assertEqual((report["lost"], report["duplicated"], report["reordered"]), (0, 0, 0))

    def test_tests_of_a_mesh_pass_and_fail_as_written(self):
        self.write_chain()
        (self.path / "t.yaml").write_text("""mesh: mesh.yaml
tests:
  - name: doubles
    given:
      - {stream: numbers, records: [{value: {"id": 2}}]}
    expect:
      - {stream: doubled, records: [{value: {"id": 2, "twice": WANTED}}]}
""".replace("WANTED", "4"))
        self.assertIn("1 passed, 0 failed", self.fmesh("test", "t.yaml").stdout)
        text = (self.path / "t.yaml").read_text().replace('"twice": 4', '"twice": 5')
        (self.path / "t.yaml").write_text(text)
        self.assertIn("record 0", self.fmesh("test", "t.yaml", code=1).stdout)


if __name__ == "__main__":
    unittest.main()
