#!/usr/bin/env python3
"""A function from topic to topic on one broker: `fmesh instance` with a native function beside Pulsar's stock Java instance.

  bench/pulsar_functions.py [--build DIR] [--count N] [--sizes 100,1024]

Both append "!" to each record (tests/functions "exclaim"; ExclamationFunction of Pulsar's examples) of a topic that holds N of them. The first
record is counted from the start of the process, the rate from the first record to the last, both as the broker's counter of the output topic
tells; memory is the resident set at the end, of the process that runs the function. Prints rows of bench/results.md. The broker does not sync.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from pulsar import ROOT, Bench, testbed

LIMIT_S = 60
LOOK_S = 0.005


class Functions(Bench):
    def __init__(self, build):
        super().__init__(build, 1)
        self.build = Path(build).resolve()
        settings = dict(line.split("=", 1) for line in testbed("env", "--folder", self.folder.name).splitlines())
        self.web = settings["PULSAR_WEB_URL"]

    def written(self, topic):
        try:
            with urllib.request.urlopen(f"{self.web}/admin/v2/{topic.replace('://', '/')}/stats", timeout=10) as answer:
                return json.load(answer)["msgInCounter"]
        except urllib.error.HTTPError:
            return 0  # not made yet

    def declare_string(self, topic):
        """The Java function reads strings, and a schema can't be added to a topic that is in use."""
        body = json.dumps({"type": "STRING", "schema": "", "properties": {}}).encode()
        path = topic.replace("persistent://", "")
        request = urllib.request.Request(f"{self.web}/admin/v2/schemas/{path}/schema", body, {"Content-Type": "application/json"}, method="POST")
        urllib.request.urlopen(request, timeout=10).close()

    @staticmethod
    def resident_mib(pid, name):
        """Of the process `name` among `pid` and what it started."""
        listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid=,rss=,comm="], capture_output=True, text=True, check=True).stdout
        rows = [line.split(None, 3) for line in listed.splitlines()]
        family, found = {pid}, 0
        for _ in range(4):
            family |= {int(row[0]) for row in rows if int(row[1]) in family}
        for row in rows:
            if int(row[0]) in family and row[3].startswith(name):
                found = max(found, int(row[2]) / 1024)
        return found

    def run(self, command, name, target, count, folder):
        with open(Path(folder) / "log", "w+b") as log:
            begin = time.monotonic()
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder, start_new_session=True)
            try:
                first = None
                while time.monotonic() - begin < LIMIT_S:
                    written = self.written(target)
                    if written > 0 and first is None:
                        first, had = time.monotonic(), written
                    if written >= count:
                        end = time.monotonic()
                        return {"rate": (written - had) / max(end - first, LOOK_S), "first_s": first - begin, "mib": self.resident_mib(process.pid, name)}
                    time.sleep(LOOK_S)
                log.seek(0)
                raise RuntimeError(f"{self.written(target)} of {count} records after {LIMIT_S} s: {log.read()[-1500:]}")
            finally:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(60)

    def measure(self, size, count):
        load = os.getloadavg()[0]
        found = {}
        for who in ("fmesh", "java"):
            source = f"persistent://public/default/bench-{who}-{size}-{int(time.time())}"
            self.declare_string(source)
            self.ours("consume", source, subscription=f"public/default/{who}", seconds=0.1)
            self.ours("produce", source, size=size, count=count)
            with tempfile.TemporaryDirectory() as folder:
                if who == "fmesh":
                    details = {"tenant": "public", "namespace": "default", "name": who, "className": "exclaim", "autoAck": True, "parallelism": 1,
                               "source": {"inputSpecs": {source: {}}, "subscriptionPosition": "EARLIEST"}, "sink": {"topic": source + "-out"}}  # fmt: skip
                    command = [self.build / "fmesh", "instance", "--function_details", json.dumps(details), "--instance_id", "0", "--no-restart",
                               "--library", self.build / "functions" / "functions.so", "--pulsar", self.url, "--cache-dir", "cache"]  # fmt: skip
                else:
                    mesh = {"apiVersion": "compute.functionmesh.io/v1alpha1", "kind": "Function", "metadata": {"name": who},
                            "spec": {"className": "org.apache.pulsar.functions.api.examples.ExclamationFunction", "java": {"jar": "api-examples.jar"},
                                     "input": {"topics": [source], "typeClassName": "java.lang.String"}, "subscriptionPosition": "earliest",
                                     "output": {"topic": source + "-out", "typeClassName": "java.lang.String"}}}  # fmt: skip
                    (Path(folder) / "mesh.json").write_text(json.dumps(mesh))
                    os.symlink(f"{self.home}/examples/api-examples.jar", Path(folder) / "api-examples.jar")
                    command = [self.build / "fmesh", "run", "mesh.json", "--pulsar", self.url, "--pulsar-web", self.web, "--pulsar-home", self.home]
                found[who] = self.run(list(map(str, command)), who, source + "-out", count, folder)
        ours, java = found["fmesh"], found["java"]
        print(f"| exclamation, {size} B | {ours['rate']:,.0f} | {ours['first_s'] * 1000:.0f} ms | {ours['mib']:.0f} MiB | {java['rate']:,.0f} | "
              f"{java['first_s'] * 1000:,.0f} ms | {java['mib']:.0f} MiB | {ours['rate'] / java['rate']:.1f} | {load:.1f} |", flush=True)  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=ROOT / "build")
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--sizes", default="100,1024")
    options = parser.parse_args()
    bench = Functions(options.build)
    try:
        print("| work | ours, records per second | to the first record | resident | stock Java | to the first record | resident | rate, ours to Java's | load before |")
        print("|---|---|---|---|---|---|---|---|---|")
        for size in map(int, options.sizes.split(",")):
            bench.measure(size, options.count if size <= 200 else options.count // 4)
    finally:
        bench.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
