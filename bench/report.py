"""bench/results.md from the figures of bench/run.py: ours beside the goal and a named peer, what was missed included."""

import datetime
import platform
import re
import subprocess
from pathlib import Path

import kube

# Peers were measured on another machine of the same kind (2 virtual cores, same disk); the source of each is in its row.
PEERS = {
    "file_to_file": ("Redpanda Connect core (Go), no stream in between", 31_000, 33, 310_000, 30),
    "generate_to_drop": ("Redpanda Connect core (Go), no stream in between", 100_000, None, 1_000_000, None),
    "stream_to_stream": ("official C++ Pulsar client as pass-through, through a broker: 88,000 to 176,000", 176_000, None, 1_500_000, None),
    "python_identity": ("Pulsar's Python instance, through a broker", 7_000, 70, 70_000, 70),
    "python_json": ("Pulsar's Python instance with an identity function, through a broker", 7_000, 70, 70_000, 70),
}
WORK = {
    "file_to_file": "JSON lines file, change one field (native), JSON lines file, 100 B",
    "generate_to_drop": "generate JSON, change one field (native), drop, 100 B",
    "python_identity": "stream, identity function in Python, stream on disk, 100 B, group commit",
    "python_json": "the same, json.loads, one field changed, json.dumps",
    "stream_to_stream": "stream, native identity function, stream on disk, 100 B, group commit",
}
NOT_MEASURED = "not measured"


def number(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def micro_rows(text):
    """[(name, value, unit)] from the output of a micro benchmark."""
    rows = []
    for line in text.splitlines():
        match = re.match(r"^(\S+)\s+([\d.eE+]+)\s+(.+)$", line)
        if match:
            rows.append((match.group(1), float(match.group(2)), match.group(3)))
    return rows


def first_match(pattern, text, default="unknown"):
    match = re.search(pattern, text, re.M)
    return match.group(1).strip() if match else default


def environment(root):
    """What a reader needs to judge the figures. Names of machines and paths are left out."""
    cpu = Path("/proc/cpuinfo").read_text()
    memory_kb = int(first_match(r"^MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text(), "0"))
    file_system = subprocess.run(["stat", "-f", "-c", "%T", str(root)], capture_output=True, text=True).stdout.strip()
    device = subprocess.run(["findmnt", "-no", "SOURCE", "-T", str(root)], capture_output=True, text=True).stdout.strip()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, text=True).stdout.strip()
    changed = subprocess.run(["git", "status", "--porcelain", "--", "src", "include"], cwd=root, capture_output=True, text=True).stdout.strip()
    return {
        "processor": f"{first_match(r'^model name.*: (.*)$', cpu)}, {cpu.count('processor' + chr(9))} virtual cores",
        "memory": f"{memory_kb / 1e6:.0f} GB",
        "kernel": platform.release(),
        "disk": f"{file_system} on {device or 'unknown'}",
        "compiler": first_match(r"^(.*)$", subprocess.run(["g++", "--version"], capture_output=True, text=True).stdout),
        "date": datetime.date.today().isoformat(),
        "commit": commit + (" with changes" if changed else ""),
    }


def verdict(ours, goal, at_least=True):
    return "met" if (ours >= goal if at_least else ours <= goal) else "**missed**"


def throughput_rows(results):
    lines = [
        "| work | durable streams crossed | ours, records per CPU second | per wall second | anonymous memory | a peer | ratio | goal |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, (peer, peer_rate, peer_mb, goal, goal_mb) in PEERS.items():
        row = results.get(name, {"failed": NOT_MEASURED})
        if "failed" in row:
            lines.append(f"| {WORK[name]} | | {row['failed'].splitlines()[0]} | | | {peer} | | at least {number(goal)}: **missed** |")
            continue
        goals = f"at least {number(goal)}: {verdict(row['per_cpu_s'], goal)}"
        if goal_mb:
            goals += f"; under {goal_mb} MB: {verdict(row['anonymous_mb'], goal_mb, False)}"
        peer_text = f"{peer}: {number(peer_rate)}" if str(number(peer_rate)) not in peer else peer
        peer_text += f", {peer_mb} MB" if peer_mb else ""
        lines.append(
            f"| {WORK[name]} | {row['streams']} | {number(row['per_cpu_s'])} | {number(row['per_wall_s'])} | {number(row['anonymous_mb'])} MB "
            f"| {peer_text} | {row['per_cpu_s'] / peer_rate:.1f} | {goals} |"
        )
    return lines


def single_rows(results):
    lines = ["| what | ours | goal |", "|---|---|---|"]

    def add(name, what, show, goal, met):
        row = results.get(name, {"failed": NOT_MEASURED})
        if "failed" in row:
            lines.append(f"| {what} | {row['failed'].splitlines()[0]} | {goal}: **missed** |")
        else:
            lines.append(f"| {what} | {show(row)} | {goal}: {met(row)} |")

    add("idle_functions", "1,000 idle native functions, resident memory",
        lambda row: f"{number(row['resident_mb'])} MB ({number(row['anonymous_mb'])} MB anonymous)", "under 150 MB",
        lambda row: verdict(row["resident_mb"], 150, False))
    add("idle_functions", "the same, CPU over 30 s", lambda row: f"{row['cpu_percent']:.2f} % of a core", "under 1 %",
        lambda row: verdict(row["cpu_percent"], 1, False))
    add("first_record", "`fmesh run` to the first record in a file, median of 11", lambda row: f"{number(row['median_ms'])} ms (best {number(row['best_ms'])} ms)",
        "under 50 ms", lambda row: verdict(row["median_ms"], 50, False))
    add("idle_python", "20 idle functions in Python, memory of each beside what is shared", lambda row: f"{number(row['each_mb'])} MB", "under 10 MB",
        lambda row: verdict(row["each_mb"], 10, False))
    add("python_first_record", "`fmesh run` to the first record in a file through a function in Python, median of 11",
        lambda row: f"{number(row['median_ms'])} ms (best {number(row['best_ms'])} ms)", "under 150 ms", lambda row: verdict(row["median_ms"], 150, False))
    add("start_thousand", "a mesh of 1,000 components, start to all running, best of 3", lambda row: f"{row['start_s']:.2f} s", "under 2 s",
        lambda row: verdict(row["start_s"], 2, False))
    return lines


def growth_rows(results):
    lines = ["| what grows | from | to | CPU | anonymous memory |", "|---|---|---|---|---|"]
    for name, what in (("linear_streams", "streams"), ("linear_records", "records")):
        row = results.get(name, {"failed": NOT_MEASURED})
        if "failed" in row:
            lines.append(f"| {what} | | | {row['failed'].splitlines()[0]} | |")
            continue
        (small, before), (large, after) = sorted(row.items(), key=lambda item: int(item[0]))
        lines.append(
            f"| {what} | {int(small):,} | {int(large):,} | {before['cpu_s']:.1f} s to {after['cpu_s']:.1f} s: {after['cpu_s'] / before['cpu_s']:.2f} times "
            f"| {number(before['anonymous_mb'])} MB to {number(after['anonymous_mb'])} MB |"
        )
    return lines


def micro_table(results):
    rows = results.get("micro", {})
    if not rows or "failed" in rows:
        return [rows.get("failed", NOT_MEASURED)]
    lines = ["| program | what | value |", "|---|---|---|"]
    for program, values in rows.items():
        lines += [f"| {program} | {name} | {number(value)} {unit} |" for name, value, unit in values]
    return lines


def markdown(results, place):
    parts = ["# Benchmark results", ""]
    parts += ["Written by `./do bench`, which runs the real program. Rates are records per second of CPU time: user and system time of the whole",
              "process and its children. Memory is anonymous resident memory, the highest of samples every 50 ms. A goal that was missed says so.", ""]
    parts += ["| environment | |", "|---|---|", *[f"| {key} | {value} |" for key, value in place.items()], ""]
    parts += ["## Throughput", "", "The peers' figures were measured on another machine of this kind, not in this run.", "", *throughput_rows(results), ""]
    parts += ["## Footprint and start", "", *single_rows(results), ""]
    parts += ["## Growth", "", *growth_rows(results), ""]
    parts += ["## Operator", "", "On a real control plane on the same machine (`testbed/kube`; no node, so pods stay Pending), measured by the `scale.py` of the",
              "golden cases. Writes are those in the API server's audit log, without events and leases. Upstream's figures are from a like machine.", "",
              *kube.rows(results), ""]
    parts += ["## Parts alone", "", *micro_table(results)]
    return "\n".join(parts) + "\n"
