"""What tests against a real Kubernetes share: one control plane per test program, a namespace per test, kubectl, waiting,
the operator as a process, and counting what it writes. Where the test bed can't run, tests are skipped and say why."""

import atexit
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = Path(os.environ.get("FMESH_BUILD", ROOT / "build")).resolve()
FMESH = str(BUILD / "fmesh")
GROUP = "compute.functionmesh.io/v1alpha1"
TESTBED = ROOT / "testbed" / "kube"
sys.path.insert(0, str(TESTBED))

import cluster as testbed  # noqa: E402
from client import Refused  # noqa: E402,F401
from program import Unavailable  # noqa: E402

WAIT_S = 30
OPERATOR_NAMESPACE = "function-mesh-system"
# What an operator writes that is not work on the objects of users.
UNCOUNTED = ("events", "leases")

_shared = None


def shared_cluster():
    """The control plane of this test program, with our CRDs. It ends with the program, also when that is killed."""
    global _shared
    if isinstance(_shared, Unavailable):
        raise unittest.SkipTest(f"no Kubernetes test bed here: {_shared}")
    if _shared is None:
        folder = tempfile.TemporaryDirectory(prefix="fmesh-kube-", ignore_cleanup_errors=True)
        try:
            cluster = testbed.Cluster(folder.name, tied=True)
            cluster.up()
        except Unavailable as reason:
            _shared = reason
            folder.cleanup()
            raise unittest.SkipTest(f"no Kubernetes test bed here: {reason}") from None
        atexit.register(folder.cleanup)
        atexit.register(cluster.processes.stop_all)
        install_crds(cluster)
        grant_operator(cluster)
        _shared = cluster
    return _shared


def crds():
    done = subprocess.run([FMESH, "crds"], capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise AssertionError(f"fmesh crds: {done.stderr}")
    return done.stdout


def install_crds(cluster):
    done = cluster.run_kubectl("apply", "-f", "-", "-f", str(TESTBED / "crds"), text=crds())
    if done.returncode != 0:
        raise AssertionError(f"kubectl apply of the CRDs: {done.stderr}")
    end = time.monotonic() + WAIT_S
    with cluster.client() as client:
        while not all(established(crd) for crd in client.list("CustomResourceDefinition")):
            if time.monotonic() > end:
                raise AssertionError(f"the CRDs are not served after {WAIT_S} s")
            time.sleep(0.05)


def grant_operator(cluster):
    """The operator user may what the chart's ServiceAccount may, and no more: what is missing there fails tests."""
    text = (ROOT / "deploy" / "kustomize" / "operator.yaml").read_text(encoding="utf-8")
    rights = "\n---\n".join(part for part in text.split("\n---\n") if re.search(r"^kind: (Cluster)?Role$", part, re.MULTILINE))
    user = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": testbed.OPERATOR}
    with cluster.client() as client:
        client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OPERATOR_NAMESPACE}})
        done = cluster.run_kubectl("create", "-f", "-", text=rights)
        if done.returncode != 0:
            raise AssertionError(f"the roles of deploy/kustomize: {done.stderr}")
        client.delete("ClusterRoleBinding", "testbed-operator")
        for kind, role in re.findall(r"^kind: (ClusterRole|Role)\n.*?^  name: (\S+)$", rights, re.MULTILINE | re.DOTALL):
            client.create({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": f"{kind}Binding",
                           "metadata": {"name": f"testbed-{role}", **({"namespace": OPERATOR_NAMESPACE} if kind == "Role" else {})},
                           "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role}, "subjects": [user]})


def established(crd):
    return any(one["type"] == "Established" and one["status"] == "True" for one in crd.get("status", {}).get("conditions") or [])


class AuditLog:
    """Writes of the operator to one namespace from here on, as "verb resource[/subresource]" -> count; events and leases are not counted.
    Namespaces of earlier tests may still be going away, and what the server deletes there first the operator may want back."""

    def __init__(self, path, namespace):
        self.path = Path(path)
        self.namespace = namespace
        self.offset = self.path.stat().st_size if self.path.exists() else 0
        self.by_kind = Counter()
        self.codes = Counter()
        self.entries = []

    def poll(self):
        """Reads what was added; returns the number of new writes."""
        before = self.total
        if not self.path.exists():
            return 0
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self.offset += len(line)
                entry = json.loads(line)
                target = entry.get("objectRef", {})
                if target.get("resource") in UNCOUNTED or target.get("namespace") != self.namespace:
                    continue
                more = f"/{target['subresource']}" if target.get("subresource") else ""
                self.by_kind[f"{entry['verb']} {target.get('resource')}{more}"] += 1
                self.codes[entry.get("responseStatus", {}).get("code", 0)] += 1
                self.entries.append(entry)
        return self.total - before

    @property
    def total(self):
        return sum(self.by_kind.values())


class Operator:
    """A running `fmesh operator`."""

    def __init__(self, command, environment, log, health, metrics):
        self.log_path = log
        with open(log, "ab") as out:
            self.process = subprocess.Popen(command, env=environment, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        self.health, self.metrics = health, metrics

    def log(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the operator ended with {self.process.returncode}:\n{self.log()[-4000:]}")
        try:
            with urllib.request.urlopen(f"http://{self.health}/readyz", timeout=2) as answer:
                return answer.status == 200
        except (OSError, urllib.error.URLError):
            return False

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """SIGTERM, as a kubelet does; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"the operator did not end within 30 s of SIGTERM:\n{self.log()[-4000:]}") from None
        return self.process.returncode


class KubeCase(unittest.TestCase):
    """self.namespace is the test's own; self.cluster, self.client (admin) and self.folder are there to use."""

    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.cluster = shared_cluster()
        cls.client = cls.cluster.client()
        cls.addClassCleanup(cls.client.close)

    def setUp(self):
        self._folder = tempfile.TemporaryDirectory(prefix="fmesh-case-")
        self.folder = Path(self._folder.name)
        self.operators = []
        name = re.sub(r"[^a-z0-9]+", "-", self._testMethodName.lower().removeprefix("test_"))[:40].strip("-")
        self.namespace = f"{name}-{os.urandom(2).hex()}"
        self.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})

    def tearDown(self):
        for operator in self.operators:
            if operator.process.poll() is None:
                operator.kill()
        self.client.delete("Namespace", self.namespace)
        self._folder.cleanup()

    def kubectl(self, *arguments, text=None, code=0, user="admin", namespace=None):
        """In the test's namespace, or the given; "": as the objects say."""
        where = self.namespace if namespace is None else namespace
        done = self.cluster.run_kubectl(*(["--namespace", where] if where else []), *arguments, text=text, user=user)
        self.assertEqual(done.returncode, code, f"kubectl {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done

    def apply(self, what, *flags, code=0):
        """`kubectl apply` of a text of YAML, an object, or a list of objects."""
        if isinstance(what, list):
            what = {"apiVersion": "v1", "kind": "List", "items": what}
        text = what if isinstance(what, str) else json.dumps(what)
        return self.kubectl("apply", "-f", "-", *flags, text=text, code=code)

    @classmethod
    def read_yaml(cls, path):
        """The documents of a file, as the API server would get them from kubectl."""
        # kubectl reads YAML 1.1, where y and n are truth values.
        text = re.sub(r"(^ *(?:- )?|: )([YyNn])(?=:(?: |$)|$)", r'\1"\2"', path.read_text(), flags=re.MULTILINE)
        done = cls.cluster.run_kubectl("create", "--dry-run=client", "--validate=false", "-o", "json", "-f", "-", text=text)
        if done.returncode != 0:
            raise AssertionError(f"{path}: {done.stderr}")
        bodies, at, decoder = [], 0, json.JSONDecoder()
        text = done.stdout.strip()
        while at < len(text):
            body, at = decoder.raw_decode(text, at)
            bodies += body.get("items", [body])
            at += len(text[at:]) - len(text[at:].lstrip())
        return bodies

    def get(self, kind, name):
        return self.client.get(kind, name, self.namespace)

    def objects(self, kind, selector=""):
        return self.client.list(kind, self.namespace, selector)

    def wait_until(self, condition, what, seconds=WAIT_S):
        """The first true value of `condition`. Errors of an unfinished state (None, a missing key) count as false."""
        end = time.monotonic() + seconds
        last = None
        while time.monotonic() < end:
            try:
                last = condition()
            except (KeyError, TypeError, IndexError) as error:
                last = repr(error)
                time.sleep(0.05)
                continue
            if last:
                return last
            time.sleep(0.05)
        logs = "".join(f"\noperator's log:\n{operator.log()[-4000:]}" for operator in self.operators)
        self.fail(f"{what}: not within {seconds} s; last: {last}{logs}")

    def start_operator(self, *flags, environment=None, user="operator", wait=True, kubeconfig=None):
        """`fmesh operator` as that user (who may what the chart grants) or by that file, webhooks off unless ENABLE_WEBHOOKS is given, its servers on loopback."""
        health, metrics = (f"127.0.0.1:{port}" for port in testbed.free_ports(2))
        given = " ".join(flags)
        command = [FMESH, "operator", "--kubeconfig", str(kubeconfig or self.cluster.kubeconfig(user)), "--health-probe-addr", health]
        if "--metrics-addr" not in given:
            command += ["--metrics-addr", metrics, "--metrics-secure=false"]
        command += flags
        everything = os.environ | {"ENABLE_WEBHOOKS": "false", "POD_NAMESPACE": OPERATOR_NAMESPACE} | (environment or {})
        operator = Operator(command, everything, self.folder / f"operator-{len(self.operators)}.log", health, metrics)
        self.operators.append(operator)
        if wait:
            self.wait_until(operator.ready, "the operator is ready")
        return operator

    def counted_writes(self):
        """An AuditLog that counts from now on."""
        return AuditLog(self.cluster.audit_log, self.namespace)

    def wait_quiet(self, audit, seconds=3, limit_s=60):
        """Waits until the operator wrote nothing for so long."""
        last = time.monotonic()
        end = last + limit_s
        while time.monotonic() - last < seconds:
            if audit.poll():
                last = time.monotonic()
            if time.monotonic() > end:
                self.fail(f"the operator writes without end: {dict(audit.by_kind)}")
            time.sleep(0.1)

    def create_pulsar_config(self, name="pulsar", web="http://pulsar:8080", broker="pulsar://pulsar:6650"):
        self.client.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": self.namespace},
                            "data": {"webServiceURL": web, "brokerServiceURL": broker}})
