"""Pods of fmesh's own image on a real broker with TLS, tokens and authorization: a built-in source, a native function, one in Python and a
built-in sink; faults, and that no record is lost and keys keep their order."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
import unittest
from pathlib import Path

import pulsar_broker
from kube_case import BUILD, FMESH, GROUP
from pod_case import PodCase, processes
from pod_mesh_test import Collector as JsonCollector
from pods import NODE_ADDRESS

RECORDS = Path(__file__).resolve().parent / "pulsar_records.py"
TENANT = "persistent://public/default/"
ROLE = "mesh"
PACKAGE = "function://public/default/mark@v1"
RECORDS_COUNT, RECORDS_PER_SECOND, KEYS = 2000, 50, 20
READY_S = 90
SHOUT = '''
def process(input):
    return input.upper() + "#"
'''


class Collector(JsonCollector):
    """Takes "g<number>..." of the generator and "<number>..." of the test's writer."""

    def __init__(self):
        super().__init__()
        self.made = set()

    def take(self, body):
        found = re.match(r"(G?)(\d+)!#$", body.decode())
        with self.lock:
            if not found:
                self.others += 1
            else:
                (self.made if found[1] else self.numbers).add(int(found[2]))


class NativePodsTest(PodCase):
    @classmethod
    def runner_image(cls):
        return None

    @classmethod
    def install(cls):
        cls.cluster.enter()
        cls.broker = pulsar_broker.Broker(bind=NODE_ADDRESS)
        cls.addClassCleanup(lambda: cls.broker.stop())
        cls.python = pulsar_broker.python()
        super().install()
        cls.broker.wait()
        # No more than a mesh needs.
        cls.broker.call("POST", f"/admin/v2/namespaces/public/default/permissions/{ROLE}", ["produce", "consume", "packages"])
        cls.token = cls.broker.token(ROLE, seconds=3600)
        cls.package = cls.upload()

    @classmethod
    def upload(cls):
        """The library in a tar.gz in Pulsar's package management; its address with its SHA-256."""
        archive = cls.path / "mark.tar.gz"
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(BUILD / "functions" / "functions.so", "lib/functions.so")
        subprocess.run(["curl", "-fsS", "--noproxy", "*", "-H", f"Authorization: Bearer {cls.broker.admin_token}", "-F",
                        'metadata={"description":"mark"};type=application/json', "-F", f"file=@{archive}",
                        f"{cls.broker.url}/admin/v3/packages/{PACKAGE.replace('://', '/').replace('@', '/')}"], check=True)
        return f"{PACKAGE}#sha256={hashlib.sha256(archive.read_bytes()).hexdigest()}"

    def setUp(self):
        super().setUp()
        self.clients = []
        self.create_pulsar_config(web=self.broker.url_tls, broker=self.broker.service_url_tls)
        # Once as variables, once as a file.
        self.create("Secret", "who", {"clientAuthenticationPlugin": "org.apache.pulsar.client.impl.auth.AuthenticationToken",
                                      "clientAuthenticationParameters": f"token:{self.token}"})
        self.create("Secret", "file", {"token": self.token})
        self.create("Secret", "trust", {"ca.pem": self.broker.ca})
        self.create("ConfigMap", "code", {"shout.py": SHOUT})

    def create(self, kind, name, data):
        body = {"data": data} if kind == "ConfigMap" else {"stringData": data}
        self.client.create({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": self.namespace}, **body})

    def tearDown(self):
        for process in self.clients:
            process.kill()
            process.wait()
        super().tearDown()

    # Resources.

    def topic(self, name):
        return f"{TENANT}{self.namespace}-{name}"

    def part(self, name, **spec):
        tls = {"enabled": True, "hostnameVerification": True, "certSecretName": "trust", "certSecretKey": "ca.pem"}
        common = {"name": name, "tenant": "public", "namespace": "default", "clusterName": "standalone", "replicas": 1,
                  "pulsar": {"pulsarConfig": "pulsar", "authSecret": "who", "tlsConfig": tls},
                  "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}}}
        return common | spec

    def line(self, collector):
        source = self.part("make", sourceType="generator", sourceConfig={"rate": 20, "template": "g{{seq}}"}, output={"topic": self.topic("first")})
        mark = self.part("mark", className="exclaim", retainKeyOrdering=True,
                         genericRuntime={"language": "cpp", "functionFile": "lib/functions.so", "functionFileLocation": self.package},
                         maxReplicas=3, cleanupSubscription=True, input={"topics": [self.topic("first")]}, output={"topic": self.topic("middle")},
                         pod={"volumes": [{"name": "who", "secret": {"secretName": "file"}}]}, volumeMounts=[{"name": "who", "mountPath": "/run/who"}])
        mark["pulsar"] = {key: value for key, value in mark["pulsar"].items() if key != "authSecret"} | {"authConfig": {"genericAuth": {
            "clientAuthenticationPlugin": "token", "clientAuthenticationParameters": "file:///run/who/token"}}}
        shout = self.part("shout", className="shout", genericRuntime={"language": "fmesh-python", "functionFile": "/code/shout.py"}, retainKeyOrdering=True, maxReplicas=2,
                          cleanupSubscription=True, input={"topics": [self.topic("middle")], "typeClassName": "java.lang.String"},
                          output={"topic": self.topic("last"), "typeClassName": "java.lang.String"},
                          pod={"volumes": [{"name": "code", "configMap": {"name": "code"}}]}, volumeMounts=[{"name": "code", "mountPath": "/code"}])
        sink = self.part("post", sinkType="http", sinkConfig={"url": collector.url}, cleanupSubscription=True, input={"topics": [self.topic("last")]})
        return {"apiVersion": GROUP, "kind": "FunctionMesh", "metadata": {"name": "line"},
                "spec": {"sources": [source], "functions": [mark, shout], "sinks": [sink]}}

    # What a client that no one here wrote sees.

    def records(self, *words):
        log = open(self.folder / f"{words[0]}-{len(self.clients)}.log", "w+", encoding="utf-8")
        environment = os.environ | {"PULSAR_TOKEN": self.broker.admin_token, "PULSAR_CA_FILE": self.broker.files["ca"]}
        process = subprocess.Popen([self.python, RECORDS, words[0], self.broker.service_url_tls, *map(str, words[1:])], stdout=log, stderr=subprocess.STDOUT,
                                   env=environment)
        process.log = Path(log.name)
        log.close()
        self.clients.append(process)
        return process

    @staticmethod
    def last_line(process):
        lines = [line for line in process.log.read_text(encoding="utf-8").splitlines() if line.startswith("{")]
        return json.loads(lines[-1]) if lines else {}

    def told(self):
        said = self.kubectl("get", "functionmeshes,functions,sources,sinks,pods").stdout
        for pod in self.objects("Pod"):
            name = pod["metadata"]["name"]
            said += f"\n== {name}\n" + self.cluster.run_kubectl("-n", self.namespace, "logs", name, "--tail=12").stdout[-1500:]
        return said

    def until(self, condition, what, seconds=60):
        try:
            return self.wait_until(condition, what, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.told()}") from None

    def fmesh(self, *words):
        done = subprocess.run([FMESH, *words, "--kubeconfig", str(self.cluster.kubeconfig()), "-n", self.namespace], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    def why(self, name):
        return self.fmesh("why", name)[1]

    # The tests.

    def test_who_may_not_read_and_what_is_not_what_was_pinned_is_told(self):
        plugin = "org.apache.pulsar.client.impl.auth.AuthenticationToken"
        self.create("Secret", "nobody", {"clientAuthenticationPlugin": plugin, "clientAuthenticationParameters": f"token:{self.broker.nobody_token}"})
        drop = self.part("drop", sinkType="drop", sinkConfig={}, input={"topics": [self.topic("in")]})
        drop["pulsar"]["authSecret"] = "nobody"
        other = self.part("other", className="exclaim", input={"topics": [self.topic("in")]}, output={"topic": self.topic("out")},
                          genericRuntime={"language": "cpp", "functionFile": "lib/functions.so", "functionFileLocation": f"{PACKAGE}#sha256={'0' * 64}"})
        self.apply([{"apiVersion": GROUP, "kind": kind, "metadata": {"name": spec["name"]}, "spec": spec} for kind, spec in (("Sink", drop), ("Function", other))])
        self.until(lambda: "the broker refuses it" in self.why("sink/drop"), "fmesh why says who may not")
        self.until(lambda: "it is not used" in self.why("function/other"), "fmesh why says that the package is another")
        self.assertEqual([self.get(*one)["status"]["ready"] for one in (("Sink", "drop"), ("Function", "other"))], ["0/1", "0/1"])

    def test_a_mesh_of_native_pods_loses_nothing_through_faults(self):
        collector = Collector()
        self.addCleanup(collector.close)
        mesh = self.line(collector)
        self.apply(mesh)
        self.wait_ready("FunctionMesh", "line", "4/4", READY_S)
        (self.folder / "mesh.json").write_text(json.dumps(mesh))
        code, said = self.fmesh("diff", str(self.folder / "mesh.json"))
        self.assertEqual(code, 0, said)
        self.until(lambda: len(collector.made) > 20, "records of the source at the sink's server")
        reader = self.records("read", self.topic("last"), RECORDS_COUNT)
        self.records("write", self.topic("first"), RECORDS_COUNT, RECORDS_PER_SECOND, KEYS)
        self.until(lambda: self.last_line(reader)["found"] > 50, "the first numbers at the other end")
        self.assertRegex(self.last_line(reader)["example"], r"^\d+!#$")
        for fault in (self.force_delete_a_pod, self.kill_a_container, self.kill_a_child, self.scale_up, self.restart_broker, self.scale_down):
            fault()
            before = self.last_line(reader)["found"]
            # On a slow machine the last number may come before the last fault.
            wanted = min(before + 1, RECORDS_COUNT)
            self.until(lambda n=wanted: self.last_line(reader)["found"] >= n, f"records go on after {fault.__name__}, number {wanted}", 120)
        self.until(lambda: self.last_line(reader)["found"] == RECORDS_COUNT, "every number at the other end", 180)
        self.until(lambda: len(collector.numbers) == RECORDS_COUNT, "every number at the sink's server")
        self.assertEqual(self.last_line(reader)["early"], 0, "keys keep their order")
        self.kubectl("scale", "source", "line-make", "--replicas=0")
        self.assertEqual(collector.others, 0)
        print(json.dumps(self.last_line(reader)), f"generated: {len(collector.made)}", file=sys.stderr)
        self.kubectl("delete", "functionmesh", "line")
        kinds = ("Function", "Source", "Sink", "StatefulSet", "Service", "Pod", "HorizontalPodAutoscaler")
        self.until(lambda: not any(self.objects(kind) for kind in kinds), "nothing is left", 120)
        for name in ("first", "middle", "last"):
            names = [one for one in self.broker.subscriptions(self.topic(name)) if not one.startswith("reader-")]
            self.assertEqual(names, [], name)

    def instances(self, component, parent):
        """Processes of the containers of a component: the first of each, or their children."""
        found = processes(lambda command: command[:2] == ["/usr/bin/fmesh", "instance"] and any(f'"name":"{component}"' in word for word in command))
        parents = {pid: int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in found}
        return [pid for pid in found if (parents[pid] in found) != parent]

    def force_delete_a_pod(self):
        self.kubectl("delete", "pod", "line-mark-function-0", "--grace-period=0", "--force")

    def kill_a_container(self):
        found = self.instances("shout", parent=True)
        self.assertEqual(len(found), 1)
        os.kill(found[0], signal.SIGKILL)
        self.until(lambda: self.get("Pod", "line-shout-function-0")["status"]["containerStatuses"][0]["restartCount"] == 1, "the kubelet starts it again")

    def kill_a_child(self):
        found = self.instances("post", parent=False)
        self.assertEqual(len(found), 1)
        os.kill(found[0], signal.SIGKILL)

    def scale_up(self):
        for name, size in (("line-mark", 3), ("line-shout", 2)):
            self.kubectl("scale", "function", name, f"--replicas={size}")
        self.wait_ready("Function", "line-mark", "3/3")
        self.wait_ready("Function", "line-shout", "2/2")

    def scale_down(self):
        for name in ("line-mark", "line-shout"):
            self.kubectl("scale", "function", name, "--replicas=1")
            self.until(lambda n=name: len(self.objects("Pod", f"compute.functionmesh.io/name={n}")) == 1, f"one {name} is left")

    def restart_broker(self):
        """A pod that is made meanwhile runs, and is not ready before it reads."""
        self.broker.down()
        self.kubectl("delete", "pod", "line-post-sink-0", "--grace-period=0", "--force")
        container = self.until(lambda: self.running("line-post-sink-0"), "the container runs")
        time.sleep(3)
        self.assertFalse(self.running("line-post-sink-0")["ready"], container)
        self.until(lambda: "does not reach the broker" in self.why("sink/line-post"), "fmesh why says that the broker is away")
        self.broker.up_again()
        self.wait_ready("Sink", "line-post", "1/1", READY_S)

    def running(self, pod):
        status = self.get("Pod", pod)["status"]["containerStatuses"][0]
        return status if status["state"].get("running") else None


if __name__ == "__main__":
    unittest.main()
