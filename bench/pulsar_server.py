#!/usr/bin/env python3
"""`fmesh serve` beside a real broker under the same pulsar-perf runs, one after the other on this machine: pairs at equal durability.

  bench/pulsar_server.py [--seconds N] [--rounds N] [--sizes 100,1024] [--build DIR]

Prints rows of the table in results.md: throughput is the median of the steady seconds of each run (pulsar-perf's own interval lines, the
first three left out), then the median of the rounds; CPU is of the server, per million messages. Needs the test bed of testbed/pulsar.
"""

import argparse
import os
import re
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTBED = ROOT / "testbed" / "pulsar" / "pulsar"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
WARM_LINES = 3


def call(*command):
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout


def cpu_s(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def resident_mb(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


class Fmesh:
    name = "fmesh serve"

    def __init__(self, build, synced, folder):
        begin = time.monotonic()
        log = open(folder / "serve.log", "w")
        self.process = subprocess.Popen([build / "fmesh", "serve", "--data-dir", folder / "data", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0",
                                         "--sync", "group" if synced else "interval"], stdout=log, stderr=log)  # fmt: skip
        while "--admin-url" not in (text := (folder / "serve.log").read_text()):
            time.sleep(0.001)
        self.ready_s = time.monotonic() - begin
        self.pid, self.url = self.process.pid, re.search(r"connect to (\S+);", text)[1]

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


class Broker:
    name = "Pulsar 4.0.8"

    def __init__(self, _, synced, folder):
        self.folder = folder
        begin = time.monotonic()
        call(TESTBED, "up", "--folder", folder, *(["--sync"] if synced else []))
        self.ready_s = time.monotonic() - begin
        settings = dict(line.split("=", 1) for line in call(TESTBED, "env", "--folder", folder).splitlines())
        self.pid, self.url = int(settings["PULSAR_PID"]), settings["PULSAR_SERVICE_URL"]

    def stop(self):
        call(TESTBED, "down", "--folder", self.folder, "--wipe")


def perf(home, folder, *arguments, limit_s):
    """The rates of the interval lines, and how many messages went over."""
    environment = os.environ | {"PULSAR_MEM": "-Xms256m -Xmx1g -XX:MaxDirectMemorySize=512m", "PULSAR_LOG_DIR": str(folder / "perf-logs")}
    done = subprocess.run([home / "bin" / "pulsar-perf", *map(str, arguments)], capture_output=True, text=True, timeout=limit_s, env=environment)
    # The clients' own lines, one a second; the tool's come every ten.
    rates = [float(rate) for rate in re.findall(r"(?:Publish throughput|throughput received): ([\d.]+) msgs?/s", done.stdout)]
    total = re.search(r"Aggregated throughput stats --- (\d+) records", done.stdout)
    if not rates or not total:
        raise AssertionError(f"pulsar-perf {arguments}: {done.stdout[-1500:]}{done.stderr[-500:]}")
    return rates, int(total[1])


def steady(rates):
    busy = [rate for rate in rates if rate > 0]
    return statistics.median(busy[WARM_LINES:] or busy)


def measure(make, options, home, synced, size):
    with tempfile.TemporaryDirectory(prefix="fmesh-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        server = make(Path(options.build), synced, folder)
        try:
            begin_cpu = cpu_s(server.pid)
            produced, count = perf(home, folder, "produce", "-u", server.url, "-r", 3_000_000, "-s", size, "-i", 1, "-time", options.seconds, "bench",
                                   limit_s=options.seconds + 60)  # fmt: skip
            middle_cpu = cpu_s(server.pid)
            consumed, taken = perf(home, folder, "consume", "-u", server.url, "-sp", "Earliest", "-i", 1, "-m", count, "-time", 3 * options.seconds, "bench",
                                   limit_s=3 * options.seconds + 60)  # fmt: skip
            end_cpu = cpu_s(server.pid)
            return {"ready_s": server.ready_s, "produce": steady(produced), "consume": steady(consumed), "rss_mb": resident_mb(server.pid),
                    "produce_cpu": (middle_cpu - begin_cpu) / count * 1e6, "consume_cpu": (end_cpu - middle_cpu) / max(taken, 1) * 1e6}  # fmt: skip
        finally:
            server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--sizes", default="100,1024")
    parser.add_argument("--build", default=ROOT / "build")
    options = parser.parse_args()
    home = Path(call(TESTBED, "fetch").strip())
    print("| durability, size | server | produce msg/s | consume msg/s | CPU s per million: produce, consume | resident MB | ready |\n|---|---|---|---|---|---|---|")
    for synced in (True, False):
        for size in map(int, options.sizes.split(",")):
            for make in (Fmesh, Broker):
                rounds = [measure(make, options, home, synced, size) for _ in range(options.rounds)]
                middle = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
                print(f"| {'synced' if synced else 'not synced'}, {size} B | {make.name} | {middle['produce']:,.0f} | {middle['consume']:,.0f} "
                      f"| {middle['produce_cpu']:.2f}, {middle['consume_cpu']:.2f} | {middle['rss_mb']:.0f} | {middle['ready_s'] * 1000:,.0f} ms |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
