#!/usr/bin/env python3
"""Runs the benchmarks through the real program and writes bench/results.md.

bench/run.py [--build DIR] [--scale F] [ROW...]; without rows all run that need no Kubernetes (kube, kube_large). --scale multiplies the number of records (1: the
figures of results.md; 0.01: a trial). Rows that were not run keep their figures of the last run (build/bench/results.json).
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import kube
import measure
import meshes
import report

ROOT = Path(__file__).resolve().parent.parent
LIMIT_S = 600  # of one run of the program


class Bench:
    """Where things are, and how large the runs are."""

    def __init__(self, build, scale):
        self.program = build / "fmesh"
        self.library = build / "bench" / "functions.so"
        self.build = build
        self.scale = scale
        self.scratch = build / "bench" / "scratch"

    def records(self, count):
        return max(1000, int(count * self.scale))

    def directory(self):
        """An empty directory on the disk of the build, not in memory."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=self.scratch))

    def command(self, mesh, *more, data="data"):
        return [str(self.program), "run", str(mesh), "--data-dir", str(mesh.parent / data), *more]

    def drain(self, mesh, *more, data="data"):
        """Runs a mesh until it is drained. Raises RuntimeError if it did not end well."""
        usage = measure.run(self.command(mesh, "--until-drained", *more, data=data), mesh.parent, LIMIT_S)
        if usage.code != 0:
            raise RuntimeError(f"exit code {usage.code}: {usage.output[-600:]}")
        return usage


def throughput(usage, records, streams):
    return {
        "records": records,
        "streams": streams,
        "per_cpu_s": records / usage.cpu_s,
        "per_wall_s": records / usage.wall_s,
        "anonymous_mb": usage.anonymous_mb_max,
        "resident_mb": usage.resident_mb_max,
    }


def count_lines(paths):
    total = 0
    for path in paths:
        with open(path, "rb") as lines:
            while block := lines.read(1 << 20):
                total += block.count(b"\n")
    return total


def file_to_file(bench):
    """JSON lines of 100 B from a file, one field changed by a native function, to a file."""
    directory, count = bench.directory(), bench.records(2_000_000)
    meshes.write_lines(directory / "in.jsonl", count)
    mesh = meshes.write_mesh(
        directory,
        [meshes.source("read", "file", {"path": str(directory / "in.jsonl")}, "lines")],
        [meshes.native("change", "change_field", bench.library, ["lines"], "changed")],
        [meshes.sink("write", "file", {"path": str(directory / "out.jsonl")}, ["changed"])],
    )
    usage = bench.drain(mesh)
    written = count_lines(directory.glob("out*.jsonl*"))
    if written != count:
        raise RuntimeError(f"wrote {written} lines, expected {count}")
    return throughput(usage, count, 2)


def generate_to_drop(bench):
    """JSON records of 100 B from the generator, one field changed by a native function, dropped."""
    directory, count = bench.directory(), bench.records(5_000_000)
    mesh = meshes.write_mesh(
        directory,
        [meshes.source("generate", "generator", meshes.generator(count), "generated")],
        [meshes.native("change", "change_field", bench.library, ["generated"], "changed")],
        [meshes.sink("drop", "drop", {}, ["changed"])],
    )
    return throughput(bench.drain(mesh), count, 2)


def pass_through(bench, function, count):
    """A full stream on disk through a function to another stream, group commit."""
    directory = bench.directory()
    fill = meshes.write_mesh(directory, [meshes.source("fill", "generator", meshes.generator(count), "before")], [function])
    bench.drain(fill, "--only", "fill", "--retention-size", "100GiB")
    mesh = meshes.write_mesh(directory, [], [function])
    usage = bench.drain(mesh, "--retention-size", "100GiB")
    command = [str(bench.program), "stream", "ls", "--json", "--data-dir", str(directory / "data")]
    streams = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["streams"]
    written = {stream["topic"].rsplit("/", 1)[1]: stream["records"] for stream in streams}.get("after", 0)
    if written != count:
        raise RuntimeError(f"wrote {written} records, expected {count}")
    return throughput(usage, count, 2)


def stream_to_stream(bench):
    """A full stream on disk through a native identity function to another stream, group commit."""
    return pass_through(bench, meshes.native("identity", "identity", bench.library, ["before"], "after"), bench.records(5_000_000))


def python_identity(bench):
    """The same through an identity function in Python, one instance."""
    return pass_through(bench, meshes.python("identity", "functions.Identity", ["before"], "after"), bench.records(2_000_000))


def python_json(bench):
    """The same through a function in Python that reads JSON, changes a field and writes JSON."""
    return pass_through(bench, meshes.python("change", "functions.change_field", ["before"], "after"), bench.records(1_000_000))


def linear_records(bench):
    """Generator, identity, drop: 10 million records, then 40 million; CPU grows fourfold, memory does not."""
    results = {}
    for count in (bench.records(10_000_000), bench.records(40_000_000)):
        directory = bench.directory()
        mesh = meshes.write_mesh(
            directory,
            [meshes.source("generate", "generator", meshes.generator(count), "generated")],
            [meshes.native("identity", "identity", bench.library, ["generated"], "same")],
            [meshes.sink("drop", "drop", {}, ["same"])],
        )
        usage = bench.drain(mesh)
        results[str(count)] = {"cpu_s": usage.cpu_s, "anonymous_mb": usage.anonymous_mb_max, "resident_mb": usage.resident_mb_max}
        shutil.rmtree(directory)
    return results


def linear_streams(bench):
    """Chains of identity functions: 1,000 streams, then 4,000; the same number of records in each."""
    results = {}
    for streams in (1000, 4000):
        directory = bench.directory()
        length, per_chain = 10, bench.records(1000)
        sources, functions, sinks = [], [], []
        for chain in range(streams // length):
            name = f"c{chain}"
            sources.append(meshes.source(f"{name}-in", "generator", meshes.generator(per_chain), f"{name}-0"))
            for step in range(length - 1):
                functions.append(meshes.native(f"{name}-f{step}", "identity", bench.library, [f"{name}-{step}"], f"{name}-{step + 1}"))
            sinks.append(meshes.sink(f"{name}-out", "drop", {}, [f"{name}-{length - 1}"]))
        usage = bench.drain(meshes.write_mesh(directory, sources, functions, sinks))
        results[str(streams)] = {
            "records": per_chain * streams,
            "cpu_s": usage.cpu_s,
            "wall_s": usage.wall_s,
            "anonymous_mb": usage.anonymous_mb_max,
            "resident_mb": usage.resident_mb_max,
        }
        shutil.rmtree(directory)
    return results


def thousand_functions(bench, directory):
    functions = [meshes.native(f"f{n}", "identity", bench.library, [f"in-{n}"], f"out-{n}") for n in range(1000)]
    return meshes.write_mesh(directory, [], functions)


def running_components(bench, directory):
    """How many components the program says are running, asked through its own command; 0 while it does not answer."""
    command = [str(bench.program), "status", "--data-dir", str(directory / "data"), "--json"]
    answer = subprocess.run(command, capture_output=True, text=True)
    return answer.stdout.count('"running"') if answer.returncode == 0 else 0


def idle_functions(bench):
    """1,000 native functions without input: memory, and CPU over 30 s."""
    directory = bench.directory()
    with measure.Running(bench.command(thousand_functions(bench, directory)), directory) as running:
        running.wait_for(lambda: running_components(bench, directory) >= 1000, 60, 0.2)
        time.sleep(3)
        before, started = measure.cpu_s(running.process.pid), time.monotonic()
        time.sleep(30)
        used = measure.cpu_s(running.process.pid) - before
        anonymous, resident = measure.memory_mb(running.process.pid)
        return {"resident_mb": resident, "anonymous_mb": anonymous, "cpu_percent": 100 * used / (time.monotonic() - started)}


def start_thousand(bench):
    """A mesh of 1,000 components: from the start of the program until it says that all are running."""
    best = None
    for _ in range(3):
        directory = bench.directory()
        with measure.Running(bench.command(thousand_functions(bench, directory)), directory) as running:
            took = running.wait_for(lambda: running_components(bench, directory) >= 1000, 60, 0.01)
        best = took if best is None else min(best, took)
    return {"start_s": best}


def first_record(bench):
    """Generator, native function, file: from the start of the program to the first record in the file. Median of 11 starts."""
    return first_record_through(bench, meshes.native("change", "change_field", bench.library, ["generated"], "changed"))


def python_first_record(bench):
    """The same with a function in Python."""
    return first_record_through(bench, meshes.python("change", "functions.change_field", ["generated"], "changed"))


def idle_python(bench):
    """20 idle functions in Python: memory that is not shared, for each."""
    directory = bench.directory()
    functions = [meshes.python(f"f{n}", "functions.Identity", [f"in-{n}"], f"out-{n}") for n in range(20)]
    with measure.Running(bench.command(meshes.write_mesh(directory, [], functions)), directory) as running:
        running.wait_for(lambda: running_components(bench, directory) >= 20, 60, 0.2)
        time.sleep(2)
        anonymous, resident = measure.memory_mb(running.process.pid)
        alone, _ = measure.memory_mb(measure.family(running.process.pid)[-1])
        return {"anonymous_mb": anonymous, "resident_mb": resident, "each_mb": alone}


def first_record_through(bench, function):
    times = []
    for _ in range(11):
        directory = bench.directory()
        out = directory / "out.jsonl"
        mesh = meshes.write_mesh(
            directory,
            [meshes.source("generate", "generator", meshes.generator(1), "generated")],
            [function],
            [meshes.sink("write", "file", {"path": str(out)}, ["changed"])],
        )
        with measure.Running(bench.command(mesh), directory) as running:
            times.append(running.wait_for(lambda: out.exists() and out.stat().st_size > 0, 20, 0.0005))
        shutil.rmtree(directory)
    return {"median_ms": 1000 * sorted(times)[len(times) // 2], "best_ms": 1000 * min(times)}


def micro(bench):
    """Every program of bench/*.cc; each prints lines `name value unit`."""
    results = {}
    for program in sorted((bench.build / "bench").iterdir()):
        if not program.is_file() or program.suffix or not program.stat().st_mode & 0o100:
            continue
        answer = subprocess.run([str(program)], cwd=bench.directory(), capture_output=True, text=True, timeout=LIMIT_S)
        if answer.returncode != 0:
            raise RuntimeError(f"{program.name}: {answer.stderr[-300:]}")
        results[program.name] = report.micro_rows(answer.stdout)
    return results


ROWS = [
    file_to_file,
    generate_to_drop,
    stream_to_stream,
    python_identity,
    python_json,
    idle_functions,
    idle_python,
    first_record,
    python_first_record,
    start_thousand,
    linear_streams,
    linear_records,
    micro,
]
OPERATOR_ROWS = [kube.kube, kube.kube_large]  # minutes each, and a Kubernetes: only when asked for


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=str(ROOT / "build"))
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(row.__name__ for row in ROWS + OPERATOR_ROWS))
    arguments = parser.parse_args()
    known = {row.__name__: row for row in ROWS + OPERATOR_ROWS}
    unknown = [name for name in arguments.rows if name not in known]
    if unknown:
        parser.error(f"found row {unknown[0]}, expected one of {', '.join(known)}")
    bench = Bench(Path(arguments.build).resolve(), arguments.scale)
    shutil.rmtree(bench.scratch, ignore_errors=True)
    store = bench.build / "bench" / "results.json"
    results = json.loads(store.read_text()) if store.exists() else {}
    failed = False
    for name in arguments.rows or [row.__name__ for row in ROWS]:
        print(f"== {name}: {known[name].__doc__.strip()}", flush=True)
        try:
            results[name] = known[name](bench)
            print(json.dumps(results[name], indent=None), flush=True)
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            failed = True
            results[name] = {"failed": str(error)[-300:]}
            print(f"failed: {error}", file=sys.stderr, flush=True)
        shutil.rmtree(bench.scratch, ignore_errors=True)
    store.write_text(json.dumps(results, indent=1))
    if arguments.scale == 1.0:
        (ROOT / "bench" / "results.md").write_text(report.markdown(results, report.environment(ROOT)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
