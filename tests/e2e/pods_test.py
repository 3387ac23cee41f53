"""The pod tier: fmesh from its image, installed by the chart, on a node with a kubelet. Functions run a stand-in for Java that prints
what it was told and sleeps, so that everything but Pulsar is real."""

import json
import os
import subprocess
import time
import unittest
from pathlib import Path

from kube_case import FMESH, GROUP
from pod_case import HOME, LEASE, PodCase, is_operator, make_image, processes

RUNNER = "fmesh.test/runner:1"
JAVA = """#!/bin/sh
for word in "$@"; do echo "argument: $word"; done
case "$*" in *crash.Now*) echo "java.net.UnknownHostException: pulsar"; exit 3;; esac
exec sleep 2147483647
"""
BASH = '#!/bin/sh\nexec /bin/sh "$@"\n'


def make_runner_image(folder):
    """busybox with a `java` that prints its arguments."""
    root = folder / "runner"
    (root / "bin").mkdir(parents=True)
    busybox = subprocess.run(["sh", "-c", "command -v busybox"], capture_output=True, text=True, check=True).stdout.strip()
    (root / "bin" / "busybox").write_bytes(Path(busybox).read_bytes())
    for name in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
        if name != "busybox":
            (root / "bin" / name).symlink_to("busybox")
    for name, text in (("java", JAVA), ("bash", BASH)):
        (root / "bin" / name).write_text(text)
    for path in (root / "bin").iterdir():
        if not path.is_symlink():
            path.chmod(0o755)
    for name in ("pulsar", "pulsar/conf", "pulsar/lib", "tmp"):  # the runner's user is nobody's
        (root / name).mkdir()
        (root / name).chmod(0o777)
    archive = folder / "runner.tar"
    make_image("archive", root, RUNNER, archive)
    return archive


class PodsTest(PodCase):
    """Two replicas of the operator; every function's image is the stand-in."""

    values = {"controllerManager": {"replicas": 2, "runnerImages": {"java": RUNNER}}, "admissionWebhook": {"enabled": False}}

    @classmethod
    def runner_image(cls):
        return make_runner_image(cls.path)

    def setUp(self):
        super().setUp()
        self.create_pulsar_config()

    def function(self, name="f", **spec):
        body = {"name": name, "className": "a.B", "tenant": "public", "namespace": "default", "replicas": 1, "autoAck": True,
                "input": {"topics": ["persistent://public/default/in"], "typeClassName": "[B"},
                "output": {"topic": "persistent://public/default/out", "typeClassName": "[B"}, "java": {"jar": "/pulsar/a.jar"}, "clusterName": "c",
                "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"}},
                "pulsar": {"pulsarConfig": "pulsar"}, "forwardSourceMessageProperty": True}
        return {"apiVersion": GROUP, "kind": "Function", "metadata": {"name": name}, "spec": body | spec}

    def test_a_function_runs_scales_and_goes_without_a_trace(self):
        self.apply(self.function(runtimeFlags="", funcConfig={"greeting": "it's $HOME & \"more\""}))
        self.wait_ready("Function", "f", "1/1")
        self.assertIn("1/1", self.kubectl("get", "fn", "f").stdout)
        self.kubectl("wait", "fn/f", "--for=jsonpath={.status.ready}=1/1", "--timeout=10s")
        said = self.kubectl("logs", "f-function-0").stdout
        self.assertIn("shardId=0", said)
        details = json.loads(said.split("argument: --function_details\nargument: ", 1)[1].split("\n", 1)[0])
        # What the process gets after the shell, character by character.
        self.assertEqual(json.loads(details["userConfig"]), {"greeting": "it's $HOME & \"more\""})
        self.assertEqual(details["className"], "a.B")
        self.kubectl("scale", "function", "f", "--replicas=3")
        self.wait_ready("Function", "f", "3/3")
        self.assertEqual(len(self.objects("Pod")), 3)
        self.kubectl("delete", "function", "f")
        self.wait_until(lambda: not (self.objects("StatefulSet") or self.objects("Service") or self.objects("Pod")), "all of it is gone", 60)

    def why(self, name):
        done = subprocess.run([FMESH, "why", f"function/{name}", "--kubeconfig", str(self.cluster.kubeconfig()), "-n", self.namespace],
                              capture_output=True, text=True, timeout=30)
        return done.stdout + done.stderr

    def test_why_says_what_a_pod_waits_for(self):
        large = {"requests": {"cpu": "900", "memory": "16Mi"}, "limits": {"cpu": "900", "memory": "16Mi"}}
        secret = {"TOKEN": {"path": "blue", "key": "absent"}}
        self.kubectl("create", "secret", "generic", "blue", "--from-literal=present=1")
        cases = [
            (self.function("noimage", image="127.0.0.1:1/none:1", imagePullPolicy="Always"), ["can't get its image 127.0.0.1:1/none:1"]),
            (self.function("noconfig", pulsar={"pulsarConfig": "absent"}), ['configmap "absent" not found']),
            (self.function("nokey", secretsMap=secret), ["couldn't find key absent in Secret"]),
            (self.function("nonode", resources=large), ["fits on no node", "Insufficient cpu"]),
            (self.function("crash", className="crash.Now"), ["ended with exit code 3", "its last log line: java.net.UnknownHostException: pulsar",
                                                             "does not reach the broker"]),
        ]
        self.apply([resource for resource, _ in cases])
        for resource, words in cases:
            name = resource["metadata"]["name"]
            for word in words:
                self.wait_until(lambda n=name, w=word: w in self.why(n), f"{name}: {word}", 60)

    def test_readiness_reaches_the_status_within_a_second(self):
        self.apply(self.function(replicas=2))
        self.wait_ready("Function", "f", "2/2")
        self.kubectl("delete", "pod", "f-function-1", "--grace-period=0", "--force")
        behind, counted = 0.0, 0
        end = time.monotonic() + 40
        while time.monotonic() < end and counted < 2:
            ready = self.get("StatefulSet", "f-function")["status"].get("readyReplicas", 0)
            since = time.monotonic()
            while self.get("Function", "f")["status"].get("readyReplicas", 0) != ready and time.monotonic() - since < 5:
                if self.get("StatefulSet", "f-function")["status"].get("readyReplicas", 0) != ready:
                    break
                time.sleep(0.01)
            behind = max(behind, time.monotonic() - since)
            counted += ready == 2
            time.sleep(0.02)
        self.assertLess(behind, 1.0)
        self.wait_ready("Function", "f", "2/2")

    def test_a_mesh_runs_and_its_deletion_leaves_nothing(self):
        items = [self.function(f"f{number}")["spec"] for number in range(3)]
        self.apply({"apiVersion": GROUP, "kind": "FunctionMesh", "metadata": {"name": "m"}, "spec": {"functions": items}})
        self.wait_ready("FunctionMesh", "m", "3/3")
        self.kubectl("delete", "functionmesh", "m")
        kinds = ("Function", "StatefulSet", "Service", "Pod")
        self.wait_until(lambda: not any(self.objects(kind) for kind in kinds), "nothing is left", 60)

    def test_a_killed_operator_and_a_restarted_kubelet_disturb_no_pod(self):
        self.apply(self.function())
        self.wait_ready("Function", "f", "1/1")
        before = self.objects("Pod")[0]["metadata"]["uid"]
        holder = self.client.get("Lease", LEASE, HOME)["spec"]["holderIdentity"]
        leader = next(pod["metadata"]["name"] for pod in self.managers() if holder.startswith(pod["metadata"]["name"]))
        self.kubectl("delete", "pod", leader, "--grace-period=0", "--force", namespace=HOME)
        self.cluster.restart_kubelet()
        self.kubectl("patch", "function", "f", "--type=merge", "-p", '{"metadata":{"labels":{"a":"b"}}}')
        self.apply(self.function("g"))
        self.wait_ready("Function", "g", "1/1", 90)
        pod = next(pod for pod in self.objects("Pod") if pod["metadata"]["name"] == "f-function-0")
        self.assertEqual((pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]), (before, 0))

    def test_the_operator_runs_without_rights_on_its_machine(self):
        for pod in self.managers():
            self.assertEqual(pod["status"]["containerStatuses"][0]["restartCount"], 0, pod["metadata"]["name"])
        # Nobody is root in it: the process of fmesh, as the machine sees it.
        owners = {os.stat(f"/proc/{pid}").st_uid for pid in processes(is_operator)}
        self.assertEqual(owners, {65532})


if __name__ == "__main__":
    unittest.main()
