"""fmesh why and fmesh diff against a real API server. No kubelet runs; what it would say, the test says in its place."""

import json
import subprocess
import unittest

import kube_case
from kube_case import KubeCase
from operator_test import function, item, mesh


class AskCase(KubeCase):
    def fmesh(self, verb, *arguments, text=None, code=0, flags=()):
        done = subprocess.run([kube_case.FMESH, verb, *arguments, "--kubeconfig", str(self.cluster.kubeconfig("admin")), "-n", self.namespace, *flags],
                              input=text, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, code, f"{verb} {arguments}: {done.stdout}{done.stderr}")
        return done.stdout

    def why(self, what, code=1):
        return self.fmesh("why", what, code=code)

    def diff(self, what, code, *flags):
        """The lines that have a sign."""
        text = what if isinstance(what, str) else json.dumps(what)
        path = self.folder / "files.json"
        path.write_text(text, encoding="utf-8")
        out = self.fmesh("diff", str(path), code=code, flags=flags)
        return [line.replace(self.namespace + "/", "") for line in out.splitlines() if not line.startswith(" ")]

    def seen(self, kind, name):
        live = self.get(kind, name)
        return live["status"]["observedGeneration"] == live["metadata"]["generation"]


class DiffTest(AskCase):
    def test_what_an_operator_would_make_change_and_remove(self):
        files = mesh("line", item("a", maxReplicas=3), item("b"))
        self.assertEqual(self.diff(files, 1), [f"+ {name}" for name in (
            "Function line-a", "StatefulSet line-a-function", "Service line-a-function-headless", "HorizontalPodAutoscaler line-a-function",
            "Function line-b", "StatefulSet line-b-function", "Service line-b-function-headless")])
        self.start_operator()
        self.apply(files)
        self.wait_until(lambda: self.seen("FunctionMesh", "line") and self.seen("Function", "line-b") and self.seen("Function", "line-a"), "it is made")
        self.assertEqual(self.diff(files, 0), [])
        changed = mesh("line", item("a", image="mine:2"))
        self.assertEqual(self.diff(changed, 1), [
            "~ Function line-a: Function line-a updated: spec.image, spec.maxReplicas",
            "~ StatefulSet line-a-function: StatefulSet line-a-function updated: spec.template.spec.containers[pulsar-function].image",
            "- HorizontalPodAutoscaler line-a-function", "- Function line-b"])
        self.apply(changed)
        self.wait_until(lambda: not self.get("Function", "line-b") and not self.objects("HorizontalPodAutoscaler"), "the change is made")
        self.wait_until(lambda: self.diff(changed, 0) == [], "nothing differs")

    def test_a_size_that_the_files_leave_open_is_no_difference(self):
        files = function("sized", maxReplicas=5)
        del files["spec"]["replicas"]
        self.start_operator()
        self.apply(files)
        self.wait_until(lambda: self.seen("Function", "sized"), "it is made")
        self.kubectl("scale", "function", "sized", "--replicas=3")
        self.wait_until(lambda: self.get("StatefulSet", "sized-function")["spec"]["replicas"] == 3, "it is scaled")
        self.assertEqual(self.diff(files, 0), [])
        files["spec"]["replicas"] = 2
        self.assertEqual(self.diff(files, 1), ["~ StatefulSet sized-function: StatefulSet sized-function updated: spec.replicas"])

    def test_backend_configs_of_the_cluster_count(self):
        self.apply({"apiVersion": kube_case.GROUP, "kind": "BackendConfig", "metadata": {"name": "backend-config"},
                    "spec": {"env": {"REGION": "north"}, "autoUpdate": True}})
        self.start_operator()
        self.apply(function("far"))
        self.wait_until(lambda: self.seen("Function", "far"), "it is made")
        self.assertEqual(self.diff(function("far"), 0), [])
        changed = self.diff(function("far"), 1, "--namespaced-backend-config=another")
        self.assertEqual(len(changed), 1)
        self.assertIn("env", changed[0])

    def test_what_was_taken_over_stays_until_its_resource_changes(self):
        self.apply(function("old"))
        operator = self.start_operator()
        self.wait_until(lambda: self.seen("Function", "old"), "it is made")
        operator.stop()
        # As upstream leaves it: without the mark, and with a form of its own.
        patch = [{"op": "remove", "path": "/metadata/annotations"},
                 {"op": "add", "path": "/spec/template/spec/containers/0/env/-", "value": {"name": "OLD", "value": "1"}}]
        self.kubectl("patch", "statefulset", "old-function", "--type=json", "-p", json.dumps(patch))
        self.assertEqual([line[:27] for line in self.diff(function("old"), 0)], ["= StatefulSet old-function:"])
        self.assertEqual([line[:27] for line in self.diff(function("old", image="mine:2"), 1)], ["~ StatefulSet old-function:"])

    def test_what_stands_in_the_way_is_told(self):
        self.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner"}})
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": self.get("ConfigMap", "owner")["metadata"]["uid"], "controller": True}
        self.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "taken-function-headless", "ownerReferences": [reference]},
                    "spec": {"ports": [{"port": 1}]}})
        lines = self.diff(function("taken"), 1)
        self.assertEqual(lines[0], "+ StatefulSet taken-function")
        self.assertTrue(lines[1].startswith("! Service taken-function-headless: "), lines)
        self.assertIn("belongs to ConfigMap owner", lines[1])

    def test_unmanaged_resources_and_bad_files_change_nothing(self):
        unmanaged = function("alone")
        unmanaged["metadata"]["annotations"] = {"compute.functionmesh.io/managed": "false"}
        self.assertEqual(self.diff(unmanaged, 0), [])
        self.assertEqual(self.diff(function("bad", replicas="many"), 2), [])


class WhyTest(AskCase):
    def test_what_is_in_the_way_before_there_are_pods(self):
        self.apply([function("early"), mesh("line", item("a"))])
        self.assertIn("no operator has looked at Function early yet", self.why("function/early"))
        self.assertIn("no operator has looked at FunctionMesh line yet", self.why("fm/line"))
        self.start_operator()
        self.wait_until(lambda: self.seen("Function", "early") and self.seen("FunctionMesh", "line") and self.seen("Function", "line-a"), "all is made")
        said = self.why("functionmesh/line")
        self.assertIn("FunctionMesh line: 0/1 components ready\n  ", said)
        self.apply(function("bad", pod={"volumes": [{"name": "Bad_Name", "emptyDir": {}}]}))
        self.wait_until(lambda: "Bad_Name" in self.get("Function", "bad")["status"]["message"], "it is refused")
        self.assertIn("Bad_Name", self.why("fn/bad"))

    def test_what_pods_say(self):
        self.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "1"}}})
        self.start_operator()
        self.apply(function("f", replicas=2))
        self.wait_until(lambda: len(self.objects("Pod")) == 1, "one pod is made")
        self.wait_until(lambda: "exceeded quota" in self.why("function/f"), "the quota is told")
        self.kubectl("delete", "resourcequota", "none")
        self.kubectl("scale", "function", "f", "--replicas=1")
        self.wait_until(lambda: self.get("StatefulSet", "f-function")["spec"]["replicas"] == 1, "it is scaled")
        name = self.wait_until(lambda: [pod["metadata"]["name"] for pod in self.objects("Pod")], "a pod")[0]
        self.wait_until(lambda: f"pod {name} fits on no node: no nodes available" in self.why("function/f"), "no node is there")
        for phase, container, words in (
            ("Pending", {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}}, "can't get its image mine:1: ImagePullBackOff: not found"),
            ("Pending", {"state": {"waiting": {"reason": "CreateContainerConfigError", "message": 'configmap "blue" not found'}}}, 'configmap "blue" not found'),
            ("Running", {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": 3, "reason": "Error"}}}, "ended with exit code 3"),
        ):
            status = {"phase": phase, "conditions": [{"type": "PodScheduled", "status": "True"}],
                      "containerStatuses": [{"name": "pulsar-function", "image": "mine:1", "imageID": "", "ready": False, "restartCount": 0, **container}]}
            self.kubectl("patch", "pod", name, "--type=merge", "--subresource=status", "-p", json.dumps({"status": status}))
            self.assertIn(words, self.why("function/f"))

    def test_the_command_line_is_checked(self):
        for what, words in (("f", "expected KIND/NAME"), ("pod/f", "expected function, source, sink or functionmesh"), ("function/", "expected KIND/NAME"),
                            ("function/none", "there is no Function none")):
            done = subprocess.run([kube_case.FMESH, "why", what, "--kubeconfig", str(self.cluster.kubeconfig("admin")), "-n", self.namespace],
                                  capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(words, done.stderr)


if __name__ == "__main__":
    unittest.main()
