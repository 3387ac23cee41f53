"""The test bed's Kubernetes starts, answers both its users, ends completely, and several live side by side."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from kube_case import TESTBED, KubeCase

from processes import Processes, start_time

KUBE = str(TESTBED / "kube")


def kube(*arguments, **environment):
    return subprocess.run([KUBE, *arguments], capture_output=True, text=True, timeout=300, env=dict(os.environ, **environment))


class TestbedTest(KubeCase):
    def test_up_status_env_and_down_leave_nothing(self):
        with tempfile.TemporaryDirectory() as scratch:
            folder = f"{scratch}/cluster"
            self.assertEqual(kube("status", "--folder", folder).returncode, 3)
            up = kube("up", "--folder", folder)
            self.assertEqual(up.returncode, 0, up.stderr)
            self.addCleanup(kube, "down", "--folder", folder)
            self.assertEqual(kube("status", "--folder", folder).returncode, 0)
            again = kube("up", "--folder", folder)
            self.assertEqual((again.returncode, "runs in" in again.stderr), (1, True))
            script = f'eval "$({KUBE} env --folder {folder})" && kubectl version -o json && kubectl get namespaces -o name'
            shell = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
            self.assertEqual(shell.returncode, 0, shell.stderr)
            self.assertIn("namespace/default", shell.stdout)
            self.assertIn('"gitVersion": "v1.34.', shell.stdout)
            # It is another cluster than this test's own.
            self.assertNotIn(self.namespace, shell.stdout)
            processes = Processes(folder)
            pids = [processes.pid(name) for name in processes.names()]
            self.assertEqual(len(pids), 4)
            self.assertEqual(kube("down", "--folder", folder).returncode, 0)
            self.assertEqual([start_time(pid) for pid in pids], [None] * 4)
            self.assertFalse(Path(folder).exists())

    def test_users_come_in_by_token_and_by_certificate(self):
        for user in ("admin", "operator"):
            for config in (user, f"{user}-token"):
                done = self.kubectl("auth", "whoami", "-o", "json", user=config)
                self.assertEqual(json.loads(done.stdout)["status"]["userInfo"]["username"], user, config)

    def test_the_audit_log_has_the_operators_writes_and_no_others(self):
        audit = self.counted_writes()
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "one"}, "spec": {"clusterIP": "None"}}
        self.kubectl("create", "-f", "-", text=json.dumps(service), user="admin")
        self.kubectl("label", "service", "one", "a=b", user="operator")
        self.kubectl("get", "service", "one", user="operator")
        self.kubectl("delete", "service", "one", user="operator")
        audit.poll()
        self.assertEqual(dict(audit.by_kind), {"patch services": 1, "delete services": 1})

    def test_controllers_work(self):
        self.kubectl("create", "deployment", "d", "--image=none", "--replicas=2")
        self.wait_until(lambda: len(self.objects("Pod")) == 2, "the pods of a deployment")
        pod = self.objects("Pod")[0]["metadata"]["name"]
        self.wait_until(lambda: "no nodes available" in self.get("Pod", pod)["status"]["conditions"][0]["message"],
                        "the scheduler says that there is no node")
        self.kubectl("delete", "deployment", "d")
        self.wait_until(lambda: not self.objects("Pod"), "the pods are collected")

    def test_a_cluster_of_a_killed_test_dies_with_it(self):
        script = ("import sys, tempfile, time; sys.path.insert(0, sys.argv[1]); from cluster import Cluster\n"
                  "Cluster(sys.argv[2], tied=True).up(); print('up', flush=True); time.sleep(100)")
        with tempfile.TemporaryDirectory() as folder:
            test = subprocess.Popen([sys.executable, "-c", script, str(TESTBED), folder], stdout=subprocess.PIPE, text=True)
            self.assertEqual(test.stdout.readline(), "up\n")
            processes = Processes(folder)
            self.assertTrue(all(processes.pid(name) for name in processes.names()))
            test.kill()
            test.wait()
            test.stdout.close()
            self.wait_until(lambda: not any(processes.pid(name) for name in processes.names()), "its processes end")


class WithoutGoTest(unittest.TestCase):
    def test_it_says_what_is_missing_with_a_code_of_its_own(self):
        with tempfile.TemporaryDirectory() as cache:
            done = kube("up", "--folder", f"{cache}/cluster", FMESH_CACHE=cache, FMESH_GO="/nowhere/go")
            self.assertEqual(done.returncode, 77)
            self.assertIn("found no Go, expected Go 1.24 or newer", done.stderr)
            old = Path(cache) / "go"
            old.write_text("#!/bin/sh\necho go1.19.8\n")
            old.chmod(0o755)
            done = kube("up", "--folder", f"{cache}/cluster", FMESH_CACHE=cache, FMESH_GO=str(old))
            self.assertEqual(done.returncode, 77)
            self.assertIn("found go1.19.8", done.stderr)


if __name__ == "__main__":
    unittest.main()
