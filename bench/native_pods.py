#!/usr/bin/env python3
"""Pods of fmesh's own image beside a pod of Pulsar's Java instance, in one cluster on one broker: from creating a Function until its first
record is at the other end, and the memory of its container. Needs root and what testbed/kube --pods and testbed/pulsar need.

bench/native_pods.py [ROUNDS]     prints the rows of bench/results.md; each figure is the median of ROUNDS (3)
"""

import json
import os
import statistics
import subprocess
import sys
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("FMESH_BUILD", str(ROOT / "build"))
sys.path[:0] = [str(ROOT / "tests" / "e2e"), str(ROOT / "testbed" / "kube")]

from kube_case import BUILD, GROUP
from pod_case import make_image
from pod_mesh_test import JAR, RUNNER, TENANT, PodMeshTest, pulsar

FUNCTIONS = "fmesh.test/functions:1"
READY_S, QUIET_S = 90, 10
READ = """
import sys, pulsar
client = pulsar.Client(sys.argv[1], logger=pulsar.ConsoleLogger(pulsar.LoggerLevel.Error))
reader = client.create_reader(sys.argv[2], pulsar.MessageId.earliest)
print("ready", flush=True)
print(reader.read_next(timeout_millis=120000).publish_timestamp(), flush=True)
"""


def functions_image(cls):
    """fmesh's image with the functions of tests in it, as a person would build one."""
    make_image("fmesh", cls.path / "functions.tar", "--build", BUILD)
    root, name = cls.path / "functions", FUNCTIONS
    root.mkdir()
    with subprocess.Popen(["tar", "-xOf", cls.path / "functions.tar", "layer.tar"], stdout=subprocess.PIPE) as layer:
        subprocess.run(["tar", "-x", "-C", root], stdin=layer.stdout, check=True)
    # Apart, as Python would take functions.so for its module of that name.
    for folder, file in (("native", BUILD / "functions" / "functions.so"), ("python", ROOT / "bench" / "functions.py")):
        (root / folder).mkdir()
        (root / folder / file.name).write_bytes(file.read_bytes())
    make_image("archive", root, name, cls.path / "functions.tar")
    return cls.path / "functions.tar"


def memory_of(namespace):
    """Resident and proportional memory, in bytes, of the processes of a network namespace's pod, without its pause container; each process's
    resident memory counts in full, shared pages too."""
    total = {"Rss": 0, "Pss": 0}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/ns/net") == namespace and "sleep" not in Path(f"/proc/{pid}/cmdline").read_text():
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    name = line.partition(":")[0]
                    if name in total:
                        total[name] += int(line.split()[1]) * 1024
        except OSError:
            continue
    return total["Rss"], total["Pss"]


def network_of(text):
    """The network namespace of a pod, by what is in a command line of it."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if text in Path(f"/proc/{pid}/cmdline").read_text():
                return os.readlink(f"/proc/{pid}/ns/net")
        except OSError:
            continue
    raise AssertionError(f"no process with {text}")


class Measure(PodMeshTest):
    rounds = 3

    @classmethod
    def runner_image(cls):
        cls.cluster.import_image(functions_image(cls))
        return super().runner_image()

    def kinds(self):
        native = {"genericRuntime": {"language": "cpp", "functionFile": "/native/functions.so"}, "className": "identity", "image": FUNCTIONS}
        python = {"genericRuntime": {"language": "fmesh-python", "functionFile": "/python/functions.py"}, "className": "functions.Identity", "image": FUNCTIONS}
        builtin = {"genericRuntime": {"language": "builtin"}, "className": "identity"}
        java = {"java": {"jar": JAR}, "className": "fmesh.test.Mark", "funcConfig": {"mark": "x"}}
        return {"native (C++)": native, "built-in": builtin, "Python on fmesh's host": python, "Java, Pulsar's instance": java}

    def test_measure(self):
        found = {}
        for number in range(self.rounds):
            for kind, runtime in self.kinds().items():
                found.setdefault(kind, []).append(self.once(f"f{number}{len(kind)}", runtime))
        print("\n| pod | created to first record, median (all) | to ready | resident, idle after it | proportional |\n|---|---|---|---|---|")
        for kind, figures in found.items():
            first, ready, resident, shared = zip(*figures)
            each = ", ".join(f"{one:.2f}" for one in first)
            print(f"| {kind} | {statistics.median(first):.2f} s ({each}) | {statistics.median(ready):.2f} s | "
                  f"{statistics.median(resident) / 1e6:.1f} MB | {statistics.median(shared) / 1e6:.1f} MB |")

    def once(self, name, runtime):
        source, target = (f"{TENANT}{self.namespace}-{name}-{end}" for end in ("in", "out"))
        write = subprocess.run([BUILD / "fmesh", "stream", "publish", source, "--pulsar", self.service], input="hello\n", capture_output=True, text=True)
        self.assertEqual(write.returncode, 0, write.stderr)
        reader = subprocess.Popen([self.python, "-c", READ, self.service, target], stdout=subprocess.PIPE, text=True)
        self.clients.append(reader)
        self.assertEqual(reader.stdout.readline(), "ready\n")
        spec = self.part(name, autoAck=True, subscriptionPosition="earliest", input={"topics": [source], "typeClassName": "[B"},
                         output={"topic": target, "typeClassName": "[B"}, **runtime)
        begin = time.time()
        self.client.create({"apiVersion": GROUP, "kind": "Function", "metadata": {"name": name, "namespace": self.namespace}, "spec": spec})
        ready = None
        self.until(lambda: self.get("Function", name)["status"].get("ready") == "1/1", f"{name} is ready", READY_S)
        ready = time.time() - begin
        first = int(reader.stdout.readline()) / 1000 - begin
        reader.stdout.close()
        time.sleep(QUIET_S)
        resident, shared = memory_of(network_of(f'"name":"{name}"'))
        self.kubectl("delete", "function", name)
        self.wait_until(lambda: not self.objects("Pod"), "its pod is gone", 60)
        print(json.dumps({"pod": name, "first_s": first, "ready_s": ready, "rss": resident, "pss": shared}), file=sys.stderr, flush=True)
        return first, ready, resident, shared


def load_tests(loader, _tests, _pattern):
    return unittest.TestSuite([Measure("test_measure")])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Measure.rounds = int(sys.argv.pop(1))
    unittest.main()
