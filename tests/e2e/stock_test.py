"""Pulsar's own instances under `fmesh run`: functions in Java, Python and Go and NAR connectors on the embedded log. Killed ones come back and
nothing is lost, what they listen on is this machine's only, and what is missing is said with how to get it."""

import base64
import http.server
import json
import os
import shutil
import signal
import subprocess
import threading
import unittest
from pathlib import Path

import pulsar_broker
from mesh_case import FMESH, MeshCase

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
SLOW_S = 120  # a JVM takes 5 s on a quiet machine, half a minute on a busy one
RECORDS = 3000

MESH = """apiVersion: compute.functionmesh.io/v1alpha1
kind: FunctionMesh
metadata: {name: stock}
spec:
  sources:
    - name: orders
      sourceType: generator
      sourceConfig: {count: %d, rate: %d, template: "{{seq}};pen;2;350"}
      output: {topic: orders}
  functions:
    - name: total
      className: org.example.orders.Total
      java: {jar: total.jar}
      input: {topics: [orders], typeClassName: java.lang.String}
      output: {topic: totals, typeClassName: java.lang.String}
      funcConfig: {currency: CHF}
      resources: {limits: {cpu: 1, memory: 256Mi}}
    - name: vat
      className: vat.AddTax
      python: {py: vat.py}
      input: {topics: [totals]}
      output: {topic: gross}
      funcConfig: {percent: 8}
    - name: loud
      golang: {go: loud}
      input: {topics: [gross]}
      output: {topic: loud}
      funcConfig: {end: "!"}
  sinks:
    - name: keep
      sinkType: file
      sinkConfig: {path: kept.txt}
      input: {topics: [loud]}
"""

PEOPLE = """apiVersion: compute.functionmesh.io/v1alpha1
kind: FunctionMesh
metadata: {name: people}
spec:
  sources:
    - name: people
      className: org.apache.pulsar.io.datagenerator.DataGeneratorSource
      java: {jar: %s}
      sourceConfig: {sleepBetweenMessages: 20}
      output: {topic: people, typeClassName: org.apache.pulsar.io.datagenerator.Person}
      resources: {limits: {cpu: 1, memory: 256Mi}}
  functions:
    - name: greet
      className: org.example.people.Greet
      java: {jar: greet.jar}
      input: {topics: [people], typeClassName: org.apache.pulsar.client.api.schema.GenericRecord}
      output: {topic: greetings, typeClassName: java.lang.String}
      resources: {limits: {cpu: 1, memory: 256Mi}}
    - name: older
      className: map
      genericRuntime: {language: builtin}
      funcConfig: {expression: ".age += 1"}
      input: {topics: [greetings]}
      output: {topic: older}
  sinks:
    - name: post
      className: org.apache.pulsar.io.http.HttpSink
      java: {jar: %s}
      sinkConfig: {url: "http://127.0.0.1:%d/people"}
      input: {topics: [older], typeClassName: org.apache.pulsar.client.api.schema.GenericObject}
      resources: {limits: {cpu: 1, memory: 256Mi}}
"""


def children(pid):
    """{pid: command line} of the processes that `pid` started."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) == pid:
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (OSError, IndexError):
            pass
    return found


def listening(pid):
    """The addresses at which a process listens, as /proc has them: hexadecimal, without ports."""
    sockets = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(file)
        except OSError:
            continue
        if target.startswith("socket:["):
            sockets.add(target[8:-1])
    addresses = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in sockets:
                addresses.append(fields[1].split(":")[0])
    return addresses


LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}


class Stock(MeshCase):
    @classmethod
    def setUpClass(cls):
        cls.home = pulsar_broker.run("fetch", timeout=pulsar_broker.UP_TIMEOUT_S).strip()
        cls.python = pulsar_broker.python()

    def build_java(self, name, source):
        if not shutil.which("javac"):
            self.skipTest("no javac: the functions in Java were neither built nor run")
        classes = self.path / f"{name}-classes"
        subprocess.run(["javac", "-cp", f"{self.home}/lib/*", "-d", classes, source], check=True, timeout=SLOW_S)
        subprocess.run(["jar", "cf", self.path / f"{name}.jar", "-C", classes, "."], check=True, timeout=SLOW_S)

    def build_go(self, name):
        if not shutil.which("go"):
            self.skipTest("no Go: the functions in Go were neither built nor run")
        subprocess.run(["go", "build", "-o", self.path / name, "."], cwd=HERE / "go", check=True, timeout=600)

    def run_stock(self, mesh, *arguments):
        (self.path / "mesh.yaml").write_text(mesh)
        return self.start("mesh.yaml", "--pulsar-home", self.home, *arguments)

    def instances(self):
        return {one["component"]: one for one in self.mesh()["instances"]}

    def wait_running(self, *names, restarts=0):
        def all_run():
            now = self.instances()
            return all(now[name]["state"] == "running" and now[name]["restartsTotal"] >= restarts for name in names)

        self.wait_for(all_run, f"{names} running", SLOW_S)

    def children_named(self):
        """{component: pid}, by what is on their command lines."""
        host = self.mesh()["processId"]
        marks = {"total": "/stock/total-0/", "vat": "/stock/vat-0/", "loud": "/loud -instance-conf"}
        return {name: pid for pid, line in children(host).items() for name, mark in marks.items() if mark in line}

    def test_java_python_and_go_lose_nothing_when_they_are_killed(self):
        self.build_java("total", ROOT / "examples/stock-java/src/org/example/orders/Total.java")
        self.build_go("loud")
        shutil.copy(ROOT / "examples/stock-python/vat.py", self.path)
        run = self.run_stock(MESH % (RECORDS, RECORDS // 20), "--until-drained", "--stock-python", self.python)
        self.wait_running("total", "vat", "loud")
        kept = self.path / "kept.txt"
        self.wait_for(lambda: kept.exists() and kept.read_text().count("\n") > 50, "the first records", SLOW_S)
        first = self.children_named()
        self.assertEqual(sorted(first), ["loud", "total", "vat"])
        for name, pid in first.items():
            addresses = listening(pid)
            self.assertTrue(addresses, f"{name} listens nowhere: this test looks at the wrong process")
            self.assertLessEqual(set(addresses), LOOPBACK, name)
        for pid in first.values():
            os.kill(pid, signal.SIGKILL)
        self.wait_running("total", "vat", "loud", restarts=1)
        self.assertFalse(set(self.children_named().values()) & set(first.values()))
        self.assertIn("the process was ended by SIGKILL", self.log())
        self.assertEqual(run.wait(SLOW_S), 0, self.log())
        self.assertEqual({line.split(";")[0] for line in kept.read_text().splitlines()}, {str(i) for i in range(RECORDS)})
        for line in kept.read_text().splitlines():
            self.assertEqual(line.split(";", 1)[1], "PEN;700;CHF;756!")

    def test_connectors_and_functions_of_every_kind_in_one_mesh(self):
        posts, enough = [], threading.Event()

        class Receiver(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                posts.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
                if len(posts) >= 50:
                    enough.set()
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.build_java("greet", HERE / "java/org/example/people/Greet.java")
        nars = pulsar_broker.run("nar", "data-generator", "http", timeout=pulsar_broker.UP_TIMEOUT_S).split()
        run = self.run_stock(PEOPLE % (nars[0], nars[1], server.server_port))
        if not enough.wait(SLOW_S):
            self.fail(f"only {len(posts)} records came out; log:\n{self.log()}")
        for path, body in posts:
            value = json.loads(body)  # bytes without a schema are posted as text in base64
            person = json.loads(base64.b64decode(value)) if isinstance(value, str) else value
            self.assertEqual(path, "/people")
            self.assertRegex(person["hello"], r"^\w")
            self.assertGreater(person["age"], 0)
        shown = {one["name"]: one for one in self.mesh()["components"]}
        self.assertEqual(shown["people"]["runs"], "java org.apache.pulsar.io.datagenerator.DataGeneratorSource")
        started = children(self.mesh()["processId"])
        self.assertEqual(len(started), 3)
        self.assertIn("DataGeneratorSource", self.fmesh("logs", "people").stdout)
        run.send_signal(signal.SIGTERM)
        self.assertEqual(run.wait(30), 0, self.log())
        self.assertFalse([pid for pid in started if Path(f"/proc/{pid}").exists()])

    def test_a_log_with_a_token_and_tls_lets_its_instances_in(self):
        shutil.copytree(ROOT / "examples/stock-python", self.path, dirs_exist_ok=True)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2", "-subj",
                        "/CN=another.name"], cwd=self.path, check=True, capture_output=True, timeout=60)  # fmt: skip
        (self.path / "token").write_text("only-for-friends\n")
        shared = ("--until-drained", "--pulsar-home", self.home, "--stock-python", self.python)
        mesh = self.path / "mesh.yaml"
        mesh.write_text(mesh.read_text().replace("rate: 4", "rate: 0"))
        done = self.fmesh("run", "mesh.yaml", *shared, "--listen", "127.0.0.1:0", "--token-file", "token", "--tls-cert", "cert.pem",
                          "--tls-key", "key.pem", "--partitions", "2", "--replicas", "vat=2")  # fmt: skip
        lines = [line for line in done.stdout.splitlines() if line.count(";") == 4]
        self.assertEqual(len(lines), 12, done.stderr)
        self.assertTrue(all(line.endswith(";700;CHF;756") for line in lines), lines)

    def refused(self, mesh, *arguments, environment=None):
        (self.path / "bad.yaml").write_text(mesh)
        done = subprocess.run([FMESH, "run", "bad.yaml", "--until-drained", *arguments], cwd=self.path, capture_output=True, text=True,
                              timeout=60, env=os.environ | (environment or {}))  # fmt: skip
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        return done.stderr

    def test_what_is_missing_is_said_with_how_to_get_it(self):
        java = """apiVersion: compute.functionmesh.io/v1alpha1
kind: Function
metadata: {name: f}
spec:
  className: org.example.F
  java: {jar: f.jar}
  input: {topics: [a]}
"""
        bare = {"PULSAR_HOME": "", "JAVA_HOME": ""}
        self.assertIn("--pulsar-home DIR", self.refused(java, environment=bare))
        self.assertIn("is no distribution of Pulsar", self.refused(java, "--pulsar-home", str(self.path), environment=bare))
        self.assertIn("apt-get install openjdk", self.refused(java, "--pulsar-home", self.home, environment=bare | {"PATH": "/nowhere"}))
        self.assertIn("there is no file", self.refused(java, "--pulsar-home", self.home))
        stateful = java + "  statefulConfig: {pulsar: {serviceUrl: bk://state:4181}}\n"
        self.assertIn("BookKeeper's state service", self.refused(stateful, "--pulsar-home", self.home))
        once = java + "  output: {topic: b}\n  processingGuarantee: effectively_once\n"
        self.assertIn("would be dropped as duplicates", self.refused(once, "--pulsar-home", self.home))
        python = java.replace("java: {jar: f.jar}", "python: {py: f.py}").replace("org.example.F", "f")
        (self.path / "f.py").write_text("def process(input):\n    return input\n")
        (self.path / "bare.sh").write_text("#!/bin/sh\necho \"ModuleNotFoundError: No module named 'pulsar'\" >&2\nexit 1\n")
        (self.path / "bare.sh").chmod(0o700)
        said = self.refused(python, "--pulsar-home", self.home, "--stock-python", str(self.path / "bare.sh"))
        self.assertIn("pulsar-client[functions]", said)


class GoModule(MeshCase):
    def test_the_example_runs_where_pulsars_module_can_be_had(self):
        if not shutil.which("go"):
            self.skipTest("no Go: examples/stock-go was neither built nor run")
        shutil.copytree(ROOT / "examples/stock-go", self.path, dirs_exist_ok=True)
        get = subprocess.run(["go", "get", "github.com/apache/pulsar/pulsar-function-go/pf"], cwd=self.path, capture_output=True, text=True, timeout=300)
        if get.returncode != 0:
            self.skipTest(f"Pulsar's module for functions in Go can't be had here: examples/stock-go was not built: {get.stderr.strip()[-200:]}")
        subprocess.run(["go", "build", "-o", "spell", "."], cwd=self.path, check=True, timeout=600)
        done = self.fmesh("run", "mesh.yaml", "--until-drained")
        self.assertEqual(len([line for line in done.stdout.splitlines() if line.split(";")[-1] in ("PEN", "BOOK", "LAMP")]), 12)


if __name__ == "__main__":
    unittest.main()
