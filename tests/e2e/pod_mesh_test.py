"""Meshes of stock runners in pods on a real broker: NAR connectors, Java functions, a ring; faults, and that no record is lost."""

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
import unittest
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

from kube_case import GROUP, ROOT
from pod_case import PodCase, is_operator, make_image, processes
from pods import NODE_ADDRESS
from program import Unavailable

PULSAR = ROOT / "testbed" / "pulsar" / "pulsar"
RECORDS = Path(__file__).resolve().parent / "pulsar_records.py"
JAVA = Path(__file__).resolve().parent / "java"
RUNNER = "fmesh.test/pulsar:1"
JAR = "/pulsar/fmesh-test.jar"
PACKAGE = "function://public/default/hop@v1"
TENANT = "persistent://public/default/"
READY_S = 150  # four Java processes start on two processors
RECORDS_COUNT = 3000
RECORDS_PER_SECOND = 30


def pulsar(*words):
    """What testbed/pulsar says. Raises Unavailable where it can't run here."""
    done = subprocess.run([sys.executable, PULSAR, *map(str, words)], capture_output=True, text=True, timeout=900)
    if done.returncode == 77:
        raise Unavailable(done.stderr.strip())
    if done.returncode != 0:
        raise AssertionError(f"pulsar {words}: {done.stderr}")
    return done.stdout.strip()


def compile_functions(home, folder):
    """The jar of tests/e2e/java."""
    classes, jar = folder / "classes", folder / "fmesh-test.jar"
    path = [home / "instances" / "java-instance.jar", *home.glob("lib/org.apache.pulsar-pulsar-client-api-*.jar")]
    try:
        subprocess.run(["javac", "--release", "17", "-d", classes, "-cp", ":".join(map(str, path)), *JAVA.rglob("*.java")], check=True)
    except FileNotFoundError:
        raise Unavailable("no javac; packages.txt, group pods, lists the package") from None
    with zipfile.ZipFile(jar, "w") as archive:
        for one in classes.rglob("*.class"):
            archive.write(one, one.relative_to(classes))
    return jar


class Collector:
    """An HTTP server that takes what the sink posts. It listens where pods reach it, inside the cluster's network."""

    def __init__(self):
        collector = self
        self.numbers, self.others, self.lock = set(), 0, threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                collector.take(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer((NODE_ADDRESS, 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://{NODE_ADDRESS}:{self.server.server_address[1]}/"

    def take(self, body):
        text = str(json.loads(body)).partition("|")[0]
        with self.lock:
            if text.isdigit():
                self.numbers.add(int(text))
            else:
                self.others += 1

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class PodMeshTest(PodCase):
    values = {"controllerManager": {"runnerImages": {"java": RUNNER}}}

    @classmethod
    def cluster_options(cls):
        # An autoscaler that looks every 5 s, not every 15, and does not disregard young pods for minutes.
        return {"controllers_flags": ["--horizontal-pod-autoscaler-sync-period=5s", "--horizontal-pod-autoscaler-cpu-initialization-period=10s",
                                      "--horizontal-pod-autoscaler-initial-readiness-delay=5s"]}

    @classmethod
    def runner_image(cls):
        cls.home = Path(pulsar("fetch"))
        cls.python = pulsar("python")
        cls.jar = compile_functions(cls.home, cls.path)
        nars = pulsar("nar", "data-generator", "http").split()
        added = [f"{nar}=connectors/{Path(nar).name}" for nar in nars] + [f"{cls.jar}={Path(JAR).name}"]
        make_image("runner", cls.path / "runner.tar", "--pulsar", cls.home, *(word for one in added for word in ("--add", one)))
        cls.nars = {name: f"connectors/{Path(nar).name}" for name, nar in zip(("generator", "http"), nars)}
        return cls.path / "runner.tar"

    @classmethod
    def install(cls):
        cls.broker = cls.path / "broker"
        cls.start_broker()
        cls.addClassCleanup(lambda: pulsar("down", "--folder", cls.broker))
        super().install()

    @classmethod
    def start_broker(cls):
        cls.cluster.enter()
        pulsar("up", "--bind", NODE_ADDRESS, "--folder", cls.broker)
        addresses = dict(line.split("=", 1) for line in pulsar("env", "--folder", cls.broker).splitlines())
        cls.web, cls.service = addresses["PULSAR_WEB_URL"], addresses["PULSAR_SERVICE_URL"]

    def setUp(self):
        super().setUp()
        self.create_pulsar_config(web=self.web, broker=self.service)
        self.clients = []

    def tearDown(self):
        for process in self.clients:
            process.kill()
            process.wait()
        super().tearDown()

    # Resources.

    def topic(self, name):
        """Topics of a test are its own."""
        return f"{TENANT}{self.namespace}-{name}"

    def part(self, name, **spec):
        common = {"name": name, "tenant": "public", "namespace": "default", "clusterName": "standalone", "replicas": 1, "pulsar": {"pulsarConfig": "pulsar"},
                  "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "2", "memory": "512Mi"}}}
        return common | spec

    def function(self, name, java_class, source, target, **spec):
        return self.part(name, className=f"fmesh.test.{java_class}", autoAck=True, cleanupSubscription=True, java={"jar": JAR},
                         subscriptionPosition="earliest", input={"topics": [self.topic(source)], "typeClassName": "[B"},
                         output={"topic": self.topic(target), "typeClassName": "[B"}, **spec)

    def mesh(self, name, **members):
        return {"apiVersion": GROUP, "kind": "FunctionMesh", "metadata": {"name": name}, "spec": members}

    def line_mesh(self, collector):
        source = self.part("generator", image=RUNNER, className="org.apache.pulsar.io.datagenerator.DataGeneratorSource", java={"jar": self.nars["generator"]},
                           sourceConfig={"sleepBetweenMessages": 200},
                           output={"topic": self.topic("first"), "typeClassName": "org.apache.pulsar.io.datagenerator.Person"})
        mark = self.function("mark", "Mark", "first", "middle", funcConfig={"mark": "a 'quoted' $HOME"})
        mark["java"] = {"jar": "/pulsar/hop.jar", "jarLocation": PACKAGE}
        spell = self.function("spell", "Spell", "middle", "last")
        spell["output"]["typeClassName"] = "java.lang.String"
        sink = self.part("post", image=RUNNER, className="org.apache.pulsar.io.http.HttpSink", java={"jar": self.nars["http"]}, autoAck=True, cleanupSubscription=True,
                         subscriptionPosition="earliest", sinkConfig={"url": collector.url},
                         input={"topics": [self.topic("last")], "typeClassName": "org.apache.pulsar.client.api.schema.GenericObject"})
        return self.mesh("line", sources=[source], functions=[mark, spell], sinks=[sink])

    # What a client that no one here wrote sees.

    def records(self, *words):
        log = open(self.folder / f"{words[0]}-{len(self.clients)}.log", "w+", encoding="utf-8")
        process = subprocess.Popen([self.python, RECORDS, words[0], self.service, *map(str, words[1:])], stdout=log, stderr=subprocess.STDOUT)
        process.log = Path(log.name)
        log.close()
        self.clients.append(process)
        return process

    @staticmethod
    def last_line(process):
        lines = [line for line in process.log.read_text(encoding="utf-8").splitlines() if line.startswith("{")]
        return json.loads(lines[-1]) if lines else {}

    def admin(self, topic, what):
        """An answer of Pulsar's admin API; {} for a topic that nobody made yet."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{self.web}/admin/v2/{topic.replace('://', '/')}/{what}", timeout=20) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return {}

    def subscriptions(self, topic):
        """Those that functions and sinks made."""
        return {name: one for name, one in self.admin(topic, "stats").get("subscriptions", {}).items() if not name.startswith("reader-")}

    def upload(self):
        subprocess.run(["curl", "-fsS", "--noproxy", "*", "-F", 'metadata={"description":"hop"};type=application/json', "-F", f"file=@{self.jar}",
                        f"{self.web}/admin/v3/packages/{PACKAGE.replace('://', '/').replace('@', '/')}"], check=True)

    def told(self):
        """For a test that fails: what the pods say."""
        said = self.kubectl("get", "functionmeshes,functions,sources,sinks,pods").stdout
        for pod in self.objects("Pod"):
            name = pod["metadata"]["name"]
            said += f"\n== {name}\n" + self.cluster.run_kubectl("-n", self.namespace, "logs", name, "--tail=12").stdout[-1500:]
        return said

    def until(self, condition, what, seconds):
        try:
            return self.wait_until(condition, what, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.told()}") from None

    # The tests.

    def test_a_mesh_of_connectors_and_functions_loses_nothing_through_faults(self):
        collector = Collector()
        self.addCleanup(collector.close)
        self.upload()
        self.apply(self.line_mesh(collector))
        self.wait_ready("FunctionMesh", "line", "4/4", READY_S)
        # What the generator makes arrives at the other end.
        self.until(lambda: collector.others > 5, "records of the source at the sink's server", READY_S)
        self.assertEqual([list(self.subscriptions(self.topic(name))) for name in ("first", "middle", "last")],
                         [["public/default/mark"], ["public/default/spell"], ["public/default/post"]])
        reader = self.records("read", self.topic("last"), RECORDS_COUNT)
        self.records("write", self.topic("first"), RECORDS_COUNT, RECORDS_PER_SECOND)
        self.until(lambda: self.last_line(reader)["found"] > 50, "the first numbers at the other end", 60)
        self.assertRegex(self.last_line(reader)["example"], r"^\d+\|a 'quoted' \$HOME\|text$")
        made = self.made()
        for fault in (self.force_delete_a_pod, self.kill_a_java, self.restart_kubelet, self.kill_the_operator, self.restart_broker):
            fault()
            before = self.last_line(reader)["found"]
            self.until(lambda b=before: self.last_line(reader)["found"] > b, f"records go on after {fault.__name__}", 120)
        self.until(lambda: self.last_line(reader)["found"] == RECORDS_COUNT, "every number at the other end", 240)
        self.until(lambda: len(collector.numbers) == RECORDS_COUNT, "every number at the sink's server", 120)
        self.wait_ready("FunctionMesh", "line", "4/4", READY_S)
        now = self.made()
        self.assertEqual({key: spec for key, (_, spec) in now.items()}, {key: spec for key, (_, spec) in made.items()})
        self.assertEqual([key for key in now if now[key][0] != made[key][0]], [("StatefulSet", "line-post-sink")])
        print(json.dumps(self.last_line(reader)), f"generated: {collector.others}", file=sys.stderr)
        self.kubectl("delete", "functionmesh", "line")
        self.wait_nothing_left()
        for name in ("first", "middle", "last"):
            self.until(lambda n=name: not self.subscriptions(self.topic(n)), f"no subscription at {name}", 60)

    def made(self):
        """What the operator made: (kind, name) -> (uid, generation and spec)."""
        return {(kind, one["metadata"]["name"]): (one["metadata"]["uid"], (one["metadata"].get("generation"), one["spec"]))
                for kind in ("Function", "Source", "Sink", "StatefulSet", "Service") for one in self.objects(kind)}

    def wait_nothing_left(self):
        kinds = ("Function", "Source", "Sink", "StatefulSet", "Service", "Pod", "HorizontalPodAutoscaler", "ControllerRevision", "Job")
        self.until(lambda: not any(self.objects(kind) for kind in kinds), "nothing is left", 120)

    def force_delete_a_pod(self):
        self.kubectl("delete", "pod", "line-mark-function-0", "--grace-period=0", "--force")

    @staticmethod
    def javas(java_class):
        return processes(lambda command: command[0].endswith("java") and any(java_class in word for word in command))

    def kill_a_java(self):
        java = self.javas("fmesh.test.Spell")
        self.assertEqual(len(java), 1)
        os.kill(java[0], signal.SIGKILL)

    def restart_kubelet(self):
        self.cluster.restart_kubelet()

    def kill_the_operator(self):
        operators = processes(is_operator)
        self.assertEqual(len(operators), 1)
        os.kill(operators[0], signal.SIGKILL)
        self.kubectl("delete", "statefulset", "line-post-sink", "--cascade=foreground", "--wait=false")
        self.until(lambda: self.objects("StatefulSet") and self.get("StatefulSet", "line-post-sink")["status"].get("readyReplicas"), "the StatefulSet is back", 90)

    def restart_broker(self):
        pulsar("down", "--folder", self.broker)
        time.sleep(2)
        self.start_broker()

    def test_a_ring_loses_nothing_when_its_processes_are_killed(self):
        count, hops = 600, 6
        settings = {"hops": hops, "done": self.topic("done")}
        self.apply(self.mesh("ring", functions=[self.function("there", "Round", "go", "come", funcConfig=settings),
                                                self.function("back", "Round", "come", "go", funcConfig=settings)]))
        self.wait_ready("FunctionMesh", "ring", "2/2", READY_S)
        reader = self.records("read", self.topic("done"), count)
        self.records("write", self.topic("go"), count, RECORDS_PER_SECOND)
        self.until(lambda: self.last_line(reader)["found"] > 50, "the first records out of the ring", READY_S)
        self.assertTrue(self.last_line(reader)["example"].endswith(f":{hops}"), self.last_line(reader))
        for pid in self.javas("fmesh.test.Round"):
            os.kill(pid, signal.SIGKILL)
        self.until(lambda: self.last_line(reader)["found"] == count, "every number out of the ring", 180)
        print(json.dumps(self.last_line(reader)), file=sys.stderr)
        self.kubectl("delete", "functionmesh", "ring")
        self.wait_nothing_left()

    def test_a_function_is_scaled_by_hand_and_by_its_processor_time(self):
        try:
            self.cluster.start_metrics_server()
        except Unavailable as reason:
            self.skipTest(f"no metrics-server here: {reason}")
        burn = self.function("burn", "Burn", "in", "out", funcConfig={"milliseconds": 20})
        burn["resources"] = {"requests": {"cpu": "200m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}}
        resource = {"apiVersion": GROUP, "kind": "Function", "metadata": {"name": "burn"}, "spec": burn}
        self.apply(resource)
        self.wait_ready("Function", "burn", "1/1")
        self.kubectl("scale", "function", "burn", "--replicas=2")
        self.wait_ready("Function", "burn", "2/2")
        self.until(lambda: self.consumers(self.topic("in")) == 2, "both read", READY_S)
        first = self.pod_uids()["burn-function-0"]
        resource["spec"] = dict(burn, maxReplicas=3, pod={
            "builtinAutoscaler": ["AverageUtilizationCPUPercent50"], "autoScalingBehavior": {"scaleDown": {"stabilizationWindowSeconds": 10}}})
        self.apply(resource)
        self.until(lambda: self.objects("HorizontalPodAutoscaler")[0]["spec"]["maxReplicas"] == 3, "the autoscaler", 20)
        idle = self.get("Function", "burn")["spec"]["replicas"]
        self.until(lambda: self.get("StatefulSet", "burn-function")["spec"]["replicas"] == 1, f"one is enough when idle ({idle} before)", 180)
        writer = self.records("write", self.topic("in"), 6000, 60)
        self.until(lambda: self.get("StatefulSet", "burn-function")["spec"]["replicas"] == 3, "three are needed", 180)
        self.wait_ready("Function", "burn", "3/3", READY_S)
        writer.kill()
        self.until(lambda: self.get("StatefulSet", "burn-function")["spec"]["replicas"] == 1, "one is enough again", 180)
        self.wait_ready("Function", "burn", "1/1", 60)
        # Scaling restarts nobody.
        self.assertEqual(self.pod_uids(), {"burn-function-0": first})

    def pod_uids(self):
        return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in self.objects("Pod") if "deletionTimestamp" not in pod["metadata"]}

    def consumers(self, topic):
        return sum(len(one["consumers"]) for one in self.subscriptions(topic).values())


if __name__ == "__main__":
    unittest.main()
