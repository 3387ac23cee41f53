#!/usr/bin/env python3
"""fmesh's Pulsar client beside pulsar-perf, one after the other on the same broker: produce alone, consume alone, pass-through.

  bench/pulsar.py [--build DIR] [--seconds N] [--sizes 100,1024]

Prints the rows of bench/results.md. Rates are records per second of wall time; CPU is that of the client's process (for pulsar-perf: of its
virtual machine, started and warmed up included, as that is what one pays). The broker does not sync.
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTBED = ROOT / "testbed" / "pulsar" / "pulsar"


def testbed(*arguments):
    return subprocess.run([TESTBED, *arguments], check=True, capture_output=True, text=True).stdout


class Bench:
    def __init__(self, build, seconds):
        self.traffic, self.seconds = Path(build) / "pulsar_traffic", seconds
        self.folder = tempfile.TemporaryDirectory(prefix="fmesh-bench-pulsar-")
        testbed("up", "--folder", self.folder.name)
        settings = dict(line.split("=", 1) for line in testbed("env", "--folder", self.folder.name).splitlines())
        self.url, self.home = settings["PULSAR_SERVICE_URL"], settings["PULSAR_HOME"]

    def stop(self):
        subprocess.run([TESTBED, "down", "--wipe", "--folder", self.folder.name], capture_output=True)
        self.folder.cleanup()

    def ours(self, verb, topic, **flags):
        arguments = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
        done = subprocess.run([self.traffic, verb, self.url, topic, *arguments], capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            raise RuntimeError(f"{verb}: {done.stdout}{done.stderr}")
        out = json.loads(done.stdout)
        return {"rate": out["records"] / out["seconds"], "cpu": out["cpu_seconds"] / max(out["records"], 1) * 1e6, "mib": out["rss_kib"] / 1024}

    def perf(self, verb, topic, *arguments, count):
        """The best interval of 2 s, and microseconds of CPU per record over the whole run."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        environment = dict(os.environ, PULSAR_GC_LOG=" ", PULSAR_MEM="-Xms256m -Xmx1g -XX:MaxDirectMemorySize=1g")
        command = [f"{self.home}/bin/pulsar-perf", verb, "-u", self.url, "-i", "2", "-m", str(count), *map(str, arguments), topic]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, cwd=self.folder.name)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        rates = [float((one or two).replace(",", "")) for one, two in re.findall(r"(?:Publish throughput|Consume throughput received): ([\d.,]+) msgs?/s|msg\s+---\s+([\d.,]+)\s+msg/s", done.stdout)]
        if not rates:
            raise RuntimeError(f"pulsar-perf {verb}: {done.stdout[-1500:]}{done.stderr[-1500:]}")
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return {"rate": max(rates), "cpu": cpu / count * 1e6, "mib": 0}

    def backlog(self, topic, size, count):
        """A topic whose subscription waits for `count` records."""
        for name in ("ours", "perf"):
            self.ours("consume", topic, subscription=name, seconds=0.1)
        return self.ours("produce", topic, size=size, count=count)

    def rows(self, size):
        count = int(self.seconds * (700_000 if size <= 200 else 110_000))
        load = os.getloadavg()[0]
        base = f"persistent://public/default/bench-{size}-{int(time.time())}"
        perf_produce = self.perf("produce", base + "-perf", "-s", size, "-r", 5_000_000, "-o", 10_000, count=count)
        produce = self.backlog(base, size, count)
        perf_consume = self.perf("consume", base, "-ss", "perf", "-st", "Shared", "-q", 10_000, count=count)
        consume = self.ours("consume", base, subscription="ours", count=count)
        carried = base + "-in"
        self.ours("consume", carried, subscription="carry", seconds=0.1)
        self.ours("produce", carried, size=size, count=count)
        carry = self.ours("pass", carried, subscription="carry", to=base + "-out", count=count)
        for what, mine, theirs in (("produce", produce, perf_produce), ("consume", consume, perf_consume), ("consume and produce", carry, None)):
            peer = f"{theirs['rate']:,.0f} | {theirs['cpu']:.2f} µs | {mine['rate'] / theirs['rate']:.2f} | {theirs['cpu'] / mine['cpu']:.1f}" if theirs else "– | – | – | –"
            print(f"| {what}, {size} B | {mine['rate']:,.0f} | {mine['cpu']:.2f} µs | {mine['mib']:.0f} MiB | {peer} | {load:.1f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=ROOT / "build")
    parser.add_argument("--seconds", type=float, default=15, help="about as long as each part shall take")
    parser.add_argument("--sizes", default="100,1024")
    options = parser.parse_args()
    bench = Bench(options.build, options.seconds)
    try:
        print("| work | ours, records per second | CPU per record | resident | pulsar-perf | its CPU per record | rate, ours to its | CPU, its to ours | load before |")
        print("|---|---|---|---|---|---|---|---|---|")
        for size in options.sizes.split(","):
            bench.rows(int(size))
    finally:
        bench.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
