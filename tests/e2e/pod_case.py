"""What tests of the pod tier share: a cluster with a node per test program, fmesh from its image, installed by the chart."""

import atexit
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from kube_case import BUILD, ROOT, KubeCase
from pods import PodCluster, require_node_programs
from program import Unavailable, helm

IMAGES = ROOT / "testbed" / "images" / "images"
CHART = ROOT / "deploy" / "chart" / "fmesh-operator"
MANAGER = "function-mesh-controller-manager"
HOME = "function-mesh-system"
LEASE = "a3f45fce.functionmesh.io"


def make_image(*words):
    subprocess.run([sys.executable, IMAGES, *words], check=True, capture_output=True, text=True)


def command_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def processes(matches):
    """The numbers of processes whose command line `matches`."""
    return [int(number) for number in filter(str.isdigit, os.listdir("/proc")) if matches(command_of(number))]


def is_operator(command):
    return command[:2] == ["/usr/bin/fmesh", "operator"]


class PodCase(KubeCase):
    """cls.path is a folder of the program; `values` are the chart's. Subclasses give `runner_image`."""

    values = {}

    @classmethod
    def setUpClass(cls):
        try:
            require_node_programs()
            cls.helm = helm()
            folder = tempfile.TemporaryDirectory(prefix="fmesh-pods-", ignore_cleanup_errors=True)
            cls.addClassCleanup(folder.cleanup)
            cls.path = Path(folder.name)
            cls.cluster = PodCluster(cls.path / "cluster", tied=True, **cls.cluster_options())
            cls.cluster.up()
        except Unavailable as reason:
            raise unittest.SkipTest(f"no node here: {reason}") from None
        cls.addClassCleanup(cls.cluster.stop)
        atexit.register(cls.cluster.stop)
        make_image("fmesh", cls.path / "fmesh.tar", "--build", BUILD)
        for archive in (cls.path / "fmesh.tar", cls.runner_image()):
            if archive:
                cls.cluster.import_image(archive)
                archive.unlink()
        cls.client = cls.cluster.client()
        cls.addClassCleanup(cls.client.close)
        cls.install()

    @classmethod
    def cluster_options(cls):
        return {}

    @classmethod
    def runner_image(cls):
        """Makes an archive of the image that `values` name for functions, and returns its path; None: there is none."""
        raise NotImplementedError

    @classmethod
    def install(cls):
        file = cls.path / "values.json"
        file.write_text(json.dumps(cls.values))
        done = subprocess.run([cls.helm, "install", "fmesh", CHART, "--namespace", HOME, "--create-namespace", "--values", file, "--wait", "--timeout", "90s",
                               "--kubeconfig", cls.cluster.kubeconfig()], capture_output=True, text=True, timeout=180)
        if done.returncode != 0:
            shown = cls.cluster.run_kubectl("-n", HOME, "describe", "pods").stdout + cls.cluster.run_kubectl("-n", HOME, "logs", f"deployment/{MANAGER}").stdout
            raise AssertionError(f"helm install: {done.stderr}\n{shown[-6000:]}")

    def wait_ready(self, kind, name, wanted, seconds=60):
        try:
            self.wait_until(lambda: self.get(kind, name)["status"].get("ready") == wanted, f"{kind} {name} says {wanted}", seconds)
        except AssertionError as error:
            told = self.kubectl("get", kind, name, "-o", "jsonpath={.status}").stdout + "\n" + self.kubectl("get", "statefulsets,pods").stdout
            raise AssertionError(f"{error}\n{told}\n{self.kubectl('describe', 'pods').stdout[-2500:]}") from None

    def managers(self):
        return self.client.list("Pod", HOME, "app.kubernetes.io/component=controller-manager")
