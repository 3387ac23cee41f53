"""Rows of the operator on a real control plane (testbed/kube), measured by the scale.py of the golden cases."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "testbed" / "kube"))

from cluster import Cluster, Failed, free_ports  # noqa: E402
from program import Unavailable  # noqa: E402

KUBERNETES_QPS = 20  # of the controller manager, as Kubernetes comes; upstream was measured so
LIMIT_S = 1800


def scale_script():
    given = os.environ.get("FMESH_GOLDEN")
    folder = Path(given) if given else ROOT.parent / "shared" / "golden"
    script = folder / "scale.py"
    if not script.exists():
        raise RuntimeError("no scale.py: set FMESH_GOLDEN to the folder of the golden cases")
    return script


def measure(bench, mode, count, *more, controllers_flags=()):
    """One run of scale.py on a fresh control plane: what it printed, as a value, with the load of the machine."""
    script = scale_script()
    with tempfile.TemporaryDirectory(prefix="fmesh-bench-") as folder:
        cluster = Cluster(folder, tied=True, controllers_qps=KUBERNETES_QPS, controllers_flags=controllers_flags)
        try:
            cluster.up()
            return {**run(bench, cluster, script, mode, count, more), "load": round(os.getloadavg()[1], 1)}
        except (Unavailable, Failed) as reason:
            raise RuntimeError(str(reason)) from None
        finally:
            cluster.processes.stop_all()


def run(bench, cluster, script, mode, count, more):
    crds = subprocess.run([bench.program, "crds"], capture_output=True, text=True, check=True).stdout
    for arguments, text in ((["-f", "-"], crds), (["-f", str(ROOT / "testbed" / "kube" / "crds")], None)):
        done = cluster.run_kubectl("apply", *arguments, text=text)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
    time.sleep(2)  # the controllers learn of the new kinds
    health, metrics = free_ports(2)
    operator = (f"{bench.program} operator --kubeconfig {cluster.kubeconfig('operator')} --health-probe-addr 127.0.0.1:{health}"
                f" --metrics-addr 127.0.0.1:{metrics} --metrics-secure=false --log-level warn")
    command = [sys.executable, script, "--operator", operator, "--env", "ENABLE_WEBHOOKS=false", "--mode", mode, "--n", str(count),
               "--audit-log", cluster.audit_log, "--server", cluster.server, "--token", cluster.token(), "--log", cluster.folder / "operator.log",
               "--ready-url", f"http://127.0.0.1:{health}/readyz", "--metrics-url", f"http://127.0.0.1:{metrics}/metrics", *more]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=LIMIT_S)
    if done.returncode != 0:
        raise RuntimeError(f"scale.py: {done.stderr[-300:]}")
    return json.loads(done.stdout)


def kube(bench):
    """The operator with 1,000 Functions, and with one mesh of 100, on a real control plane."""
    count = max(20, int(1000 * bench.scale))
    return {"functions": measure(bench, "functions", count, "--steady", "30"),
            "mesh": measure(bench, "mesh", max(5, int(100 * bench.scale)), "--steady", "10", "--no-restart")}


def kube_large(bench):
    """The operator with 10,000 Functions: memory, and a start that finds nothing to do.

    Without the controller that makes pods of StatefulSets: 10,000 pods that no node takes keep it, the scheduler and this machine
    busy for half an hour, and the operator is never at rest meanwhile.
    """
    return measure(bench, "functions", max(50, int(10_000 * bench.scale)), "--steady", "10", "--keep",
                   controllers_flags=("--controllers=-statefulset-controller",))


def rows(results):
    """Lines of a table: what, upstream's figure from a like machine, ours, the goal."""
    lines = ["| what | upstream | ours | goal |", "|---|---|---|---|"]
    small, large = results.get("kube", {"failed": "not measured"}), results.get("kube_large", {"failed": "not measured"})

    def add(what, upstream, unit, goal, found, key):
        try:
            value = found
            for name in key.split("."):
                value = value[name]
            value = 0 if value is None else value  # scale.py's word for: none was written
            met = "met" if value <= goal else "**missed**"
            shown = f"{value:,} {unit}".rstrip()
        except (KeyError, TypeError):
            met, shown = "**missed**", (found.get("failed") or "not measured").splitlines()[0]
        lines.append(f"| {what} | {upstream} | {shown} | at most {goal:,} {unit}".rstrip() + f": {met} |")

    written = (small.get("functions") or {}).get("writers_done_s")
    lines.append(f"| 1,000 Functions: writing the resources alone | 12 s | {written or 'not measured'} s | how busy the machine was |")
    add("… all StatefulSets and Services exist", "128 s", "s", 20, small, "functions.all_exist_s")
    add("… last write (converged)", "325 s", "s", 25, small, "functions.converged.last_write_s")
    add("… writes", "8,000", "", 3000, small, "functions.converged.writes")
    add("… resident memory", "117 MiB", "MiB", 40, small, "functions.converged.rss_mib")
    add("… CPU", "21 s", "s", 4, small, "functions.converged.cpu_s")
    add("… writes while nothing changes", "0", "", 0, small, "functions.steady.writes")
    add("restart to the last write", "100 s", "s", 3, small, "functions.restart.last_write_s")
    add("… writes", "2,000", "", 0, small, "functions.restart.writes")
    add("one mesh of 100: exist", "29 s", "s", 3, small, "mesh.all_exist_s")
    add("… writes", "1,010", "", 420, small, "mesh.converged.writes")
    add("10,000 Functions: resident memory", "–", "MiB", 150, large, "converged.rss_mib")
    add("… restart to the last activity", "–", "s", 10, large, "restart.last_activity_s")
    add("… writes of that restart", "–", "", 0, large, "restart.writes")
    lines.append(f"| … CPU of that restart | – | {(large.get('restart') or {}).get('cpu_s', 'not measured')} s | |")
    loads = [str(found["load"]) for found in (small.get("functions"), small.get("mesh"), large) if found and "load" in found]
    lines.append(f"| load of the machine (5 minutes' average) in these runs | – | {', '.join(loads) or 'not measured'} | how busy it was |")
    return lines
