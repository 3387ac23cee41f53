"""Functions that are slow, or hang: more instances, quick ends, and others that go on."""

import signal
import unittest

from mesh_case import FUNCTIONS, MeshCase

# The function sleeps for as many milliseconds as its input says, then writes it.
MESH = f"""apiVersion: compute.functionmesh.io/v1alpha1
kind: Function
metadata: {{name: slow}}
spec:
  className: sleeps
  genericRuntime: {{language: cpp, functionFile: {FUNCTIONS}}}
  input: {{topics: [in]}}
  output: {{topic: out}}
"""


class SlowFunctionTest(MeshCase):
    def write(self, **fields):
        (self.path / "mesh.yaml").write_text(MESH + "".join(f"  {name}: {value}\n" for name, value in fields.items()))

    def publish(self, payloads):
        self.fmesh("stream", "create", "in")
        self.fmesh("stream", "publish", "in", *payloads)

    def component(self):
        return self.mesh()["components"][0]

    def out(self):
        return self.records("out")

    def test_gets_more_instances_by_its_backlog_and_ends_at_once_when_told(self):
        self.write(replicas=1, maxReplicas=4)
        self.publish(["10"] * 4000)
        process = self.start("mesh.yaml")
        self.wait_for(lambda: self.component()["replicas"] >= 3, "scaling out")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=5), 0, self.log())
        self.assertNotIn("did not", self.log())
        done = self.out()
        self.assertGreater(len(done), 0)
        backlog = sum(
            subscription["backlogRecords"]
            for stream in self.streams()
            for subscription in stream["subscriptions"]
            if stream["topic"].endswith("/in")
        )
        # What was written is acknowledged, what was not is still there.
        self.assertEqual(len(done) + backlog, 4000)

    def test_a_record_that_hangs_holds_up_no_other_instance(self):
        self.write(replicas=2, timeout=1000)
        self.publish(["6000"] + ["1"] * 200)
        self.start("mesh.yaml")
        self.wait_for(lambda: self.out().count(1) >= 200, "the records behind it", seconds=5)
        self.assertNotIn(6000, self.out())
        self.assertIn("is stuck: its code has not returned; it was given record", self.log())
        self.wait_for(lambda: 6000 in self.out(), "the end of the long one")

    def test_what_was_not_reached_is_delivered_again_at_the_next_start(self):
        self.write(replicas=1)
        self.publish(["5"] * 600)
        process = self.start("mesh.yaml")
        self.wait_for(lambda: len(self.out()) > 20, "the first records")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=5), 0, self.log())
        self.assertLess(len(self.out()), 600)
        self.fmesh("run", "mesh.yaml", "--until-drained")
        self.assertEqual(self.out(), [5] * 600)


if __name__ == "__main__":
    unittest.main()
