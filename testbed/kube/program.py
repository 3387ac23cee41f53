"""The Kubernetes programs of the test bed: one Go program, compiled once per version of its sources and kept in the cache."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "program"
HELM = HERE.parent / "helm"
METRICS_SERVER = HERE.parent / "metrics-server"
KUBERNETES_VERSION = "v1.34.4"  # the last minor version whose kubelet accepts cgroup v1
NAMES = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl")


class Unavailable(Exception):
    """The test bed can't run on this machine, and why; tests are skipped with this text."""


def cache_folder():
    return Path(os.environ.get("FMESH_CACHE") or Path.home() / ".cache" / "fmesh")


def source_key(folder, names):
    content = hashlib.sha256()
    for name in names:
        content.update(name.encode() + b"\0" + (folder / name).read_bytes())
    return content.hexdigest()[:16]


def go_command(folder):
    """The go tool, if it is new enough for the module in `folder`. Raises Unavailable."""
    found = shutil.which(os.environ["FMESH_GO"]) if "FMESH_GO" in os.environ else shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    wanted = re.search(r"^go (\d+)\.(\d+)", (folder / "go.mod").read_text(), re.MULTILINE)
    wanted = (int(wanted[1]), int(wanted[2]))
    asked = f"expected Go {wanted[0]}.{wanted[1]} or newer (https://go.dev/dl), which compiles Kubernetes for the test bed"
    if not found:
        raise Unavailable(f"found no Go, {asked}")
    environment = dict(os.environ, GOTOOLCHAIN="local")
    said = subprocess.run([found, "env", "GOVERSION"], capture_output=True, text=True, env=environment, cwd="/").stdout.strip()
    version = re.match(r"go(\d+)\.(\d+)", said)
    if not version or (int(version[1]), int(version[2])) < wanted:
        raise Unavailable(f"found {said or 'a Go that does not run'} at {found}, {asked}")
    return found


def compile_once(folder, inputs, target, arguments, what, minutes):
    """Runs `go build arguments -o target` in `folder` unless the cache has the result; one process at a time does it."""
    place = cache_folder() / f"{what}-{source_key(folder, inputs)}"
    program = place / target
    if program.exists():
        return program
    go = go_command(folder)
    place.mkdir(parents=True, exist_ok=True)
    with open(place / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if program.exists():
            return program
        print(f"compiling {what} with {go}, once: {minutes} minutes on 2 cores without a warm Go cache", file=sys.stderr, flush=True)
        fresh = place / f"{target}.new"
        environment = dict(os.environ, CGO_ENABLED="0", GOTOOLCHAIN="local", GOFLAGS="-buildvcs=false -mod=readonly")
        done = subprocess.run(["nice", "-n", "5", go, "build", "-p", "2", "-trimpath", "-o", str(fresh), *arguments],
                              cwd=folder, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise Unavailable(f"{what} does not compile (is the Go module proxy reachable?): {done.stderr.strip()[-2000:]}")
        fresh.rename(program)
    return program


def programs():
    """The folder with one name per Kubernetes program. Compiles them if they never were. Raises Unavailable."""
    version = "k8s.io/component-base/version"
    major, minor = KUBERNETES_VERSION[1:].split(".")[:2]
    flags = f"-s -w -X {version}.gitVersion={KUBERNETES_VERSION} -X {version}.gitMajor={major} -X {version}.gitMinor={minor}"
    inputs = ("go.mod", "go.sum", "main.go")
    program = compile_once(SOURCE, inputs, "kubernetes", ["-ldflags", flags, "."], f"kubernetes-{KUBERNETES_VERSION}", 7)
    folder = program.parent / "bin"
    folder.mkdir(exist_ok=True)
    for name in NAMES:
        link = folder / name
        if not link.is_symlink():
            try:
                link.symlink_to(program)
            except FileExistsError:
                pass  # another process made it just now
    return folder


def helm():
    """The helm command, as the Go module of ../helm names it. Raises Unavailable."""
    major, minor = KUBERNETES_VERSION[1:].split(".")[:2]
    module = "helm.sh/helm/v3"
    version = re.search(rf"^\s*{module} (v\S+)", (HELM / "go.mod").read_text(), re.MULTILINE)[1]
    # Without these it takes every cluster that it does not ask for an old one.
    flags = [f"-X {module}/internal/version.version={version}"]
    flags += [f"-X {module}/pkg/{where}.k8sVersion{part}={value}" for where in ("chartutil", "lint/rules") for part, value in (("Major", major), ("Minor", minor))]
    return compile_once(HELM, ("go.mod", "go.sum"), "helm", ["-ldflags", "-s -w " + " ".join(flags), f"{module}/cmd/helm"], f"helm-{version}", 3)


def metrics_server():
    """The metrics-server command, as the Go module of ../metrics-server names it. Raises Unavailable."""
    module = "sigs.k8s.io/metrics-server"
    version = re.search(rf"^\s*{module} (v\S+)", (METRICS_SERVER / "go.mod").read_text(), re.MULTILINE)[1]
    return compile_once(METRICS_SERVER, ("go.mod", "go.sum"), "metrics-server", ["-ldflags", "-s -w", f"{module}/cmd/metrics-server"],
                        f"metrics-server-{version}", 3)
