"""A Kubernetes control plane on loopback: etcd, API server, controller manager and scheduler, all state in one folder.

Nothing is shared between two clusters but the compiled program, so that several run at once. Ports are chosen when it starts.
"""

import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pki
import program
from client import Client
from processes import Processes

HERE = Path(__file__).resolve().parent
READY_WAIT_S = 90
PORT_TRIES = 3
# Requests a second that the controller manager allows itself. Kubernetes' own is 20, which costs 5 s of every start.
CONTROLLERS_QPS = 200
SERVICE_RANGE = "10.96.0.0/16"
SERVICE_ADDRESS = "10.96.0.1"
# name of the process -> (user, group) that it is to the API server
COMPONENT_USERS = {"controller-manager": "system:kube-controller-manager", "scheduler": "system:kube-scheduler"}
# Of the people: admin may all; operator is the user that the audit log counts. What it may is a ClusterRoleBinding.
OPERATOR = "operator"


class Failed(Exception):
    """The cluster did not start, with the last words of what failed."""


def free_ports(count):
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


def write_private(path, text):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


class Cluster:
    """One cluster in one folder. tied: its processes die with this one (for tests). controllers_flags: more of the controller manager's."""

    has_node = False

    def __init__(self, folder, tied=False, controllers_qps=CONTROLLERS_QPS, controllers_flags=()):
        self.folder = Path(folder).resolve()
        self.tied = tied
        self.controllers_qps = controllers_qps
        self.controllers_flags = controllers_flags
        self.processes = Processes(self.folder)
        self.pki = self.folder / "pki"
        self.host = "127.0.0.1"

    # What users ask of it.

    @property
    def state(self):
        try:
            return json.loads((self.folder / "state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}

    @property
    def server(self):
        return f"https://{self.host}:{self.state['ports']['server']}"

    @property
    def audit_log(self):
        return self.folder / "audit.log"

    def kubeconfig(self, user="admin"):
        return self.folder / f"{user}.kubeconfig"

    def token(self, user="admin"):
        return (self.pki / f"{user}.token").read_text(encoding="utf-8").strip()

    def client(self, user="admin"):
        return Client(self.server, self.pki / "ca.crt", token=self.token(user))

    @property
    def kubectl(self):
        return program.programs() / "kubectl"

    def environment(self, user="admin"):
        """What a shell needs so that `kubectl` means this cluster."""
        return {"KUBECONFIG": str(self.kubeconfig(user)), "PATH": f"{program.programs()}:{os.environ.get('PATH', '')}",
                "KUBECACHEDIR": str(self.folder / "kubectl-cache")}

    def running(self):
        return {name: self.processes.pid(name) for name in self.processes.names()}

    # Starting.

    def up(self):
        if any(self.running().values()):
            raise Failed(f"a cluster runs in {self.folder} already; `kube down --folder {self.folder}` ends it")
        self.binaries = program.programs()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._credentials()
        for attempt in range(PORT_TRIES):
            ports = dict(zip(("etcd", "peer", "server", "controllers", "scheduler"), free_ports(5)))
            (self.folder / "state.json").write_text(json.dumps({"ports": ports, "node": self.has_node}), encoding="utf-8")
            self._kubeconfigs()
            try:
                self._start_all(ports)
                return self
            except Failed as failure:
                self.processes.stop_all()
                if attempt + 1 == PORT_TRIES or "address already in use" not in str(failure):
                    raise
        raise AssertionError("the last attempt returns or raises")

    def stop(self):
        self.processes.stop_all()

    def down(self, keep=False):
        self.stop()
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _credentials(self):
        if (self.pki / "done").exists():
            return
        authority = pki.Authority(self.pki, "ca")
        front = pki.Authority(self.pki, "front-proxy-ca")
        authority.issue("server", "kube-apiserver", addresses=self._server_addresses(),
                        hosts=["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"])
        authority.issue("kubelet-client", "kube-apiserver-kubelet-client", "system:masters")
        front.issue("front-proxy", "front-proxy-client")
        authority.issue("admin", "admin", "system:masters")
        authority.issue(OPERATOR, OPERATOR)
        for name, user in COMPONENT_USERS.items():
            authority.issue(name, user)
        pki.signing_key(self.pki / "accounts.key")
        lines = []
        for user, group in (("admin", "system:masters"), (OPERATOR, "")):
            token = secrets.token_urlsafe(24)
            write_private(self.pki / f"{user}.token", token + "\n")
            lines.append(f'{token},{user},{user},"{group}"\n' if group else f"{token},{user},{user}\n")
        write_private(self.pki / "tokens.csv", "".join(lines))
        (self.pki / "done").touch()

    def _server_addresses(self):
        return [self.host, "127.0.0.1", SERVICE_ADDRESS] if self.host != "127.0.0.1" else [self.host, SERVICE_ADDRESS]

    def _kubeconfigs(self):
        for user in ("admin", OPERATOR, *COMPONENT_USERS):
            self._kubeconfig(user, {"client-certificate": str(self.pki / f"{user}.crt"), "client-key": str(self.pki / f"{user}.key")})
        for user in ("admin", OPERATOR):
            self._kubeconfig(f"{user}-token", {"token": self.token(user)})

    def _kubeconfig(self, name, user):
        cluster = {"server": self.server, "certificate-authority": str(self.pki / "ca.crt")}
        config = {"apiVersion": "v1", "kind": "Config", "current-context": "testbed", "clusters": [{"name": "testbed", "cluster": cluster}],
                  "users": [{"name": name, "user": user}], "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": name}}]}
        write_private(self.kubeconfig(name), json.dumps(config, indent=1) + "\n")  # JSON is YAML

    def _start_all(self, ports):
        self._start("etcd", self.etcd_arguments(ports))
        self._start("kube-apiserver", self.server_arguments(ports))
        with self.client() as client:
            self._start_rest(ports, client)

    def _start_rest(self, ports, client):
        self._wait(client.ready, ["etcd", "kube-apiserver"], "the API server")
        self._start("kube-controller-manager", self.controllers_arguments(ports))
        self._start("kube-scheduler", self.scheduler_arguments(ports))
        self._bind_operator(client)
        # Without its default account a namespace takes no pods; that it exists says that the controllers work.
        self._wait(lambda: client.get("ServiceAccount", "default"), ["etcd", "kube-apiserver", "kube-controller-manager"], "the controller manager")

    def _start(self, name, arguments):
        self.processes.start(name, [self.binaries / name, *arguments], tied=self.tied)

    def _wait(self, condition, names, what, seconds=READY_WAIT_S):
        end = time.monotonic() + seconds
        while not condition():
            for name in names:
                if self.processes.pid(name) is None:
                    raise Failed(f"{name} ended; its last words:\n{self.processes.last_words(name)}")
            if time.monotonic() > end:
                raise Failed(f"{what} is not ready after {seconds} s; its last words:\n{self.processes.last_words(names[-1])}")
            time.sleep(0.05)

    def _bind_operator(self, client):
        """The operator user may all, until a test binds it to the roles of deploy/ instead."""
        binding = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "testbed-operator"},
                   "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
                   "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": OPERATOR}]}
        if client.get("ClusterRoleBinding", "testbed-operator") is None:
            client.create(binding)

    # The programs' flags.

    def etcd_arguments(self, ports):
        return ["--name=testbed", f"--data-dir={self.folder / 'etcd'}", f"--listen-client-urls=http://127.0.0.1:{ports['etcd']}",
                f"--advertise-client-urls=http://127.0.0.1:{ports['etcd']}", f"--listen-peer-urls=http://127.0.0.1:{ports['peer']}",
                f"--initial-advertise-peer-urls=http://127.0.0.1:{ports['peer']}", f"--initial-cluster=testbed=http://127.0.0.1:{ports['peer']}",
                "--unsafe-no-fsync", "--log-level=warn"]

    def server_arguments(self, ports):
        key = self.pki
        return [f"--etcd-servers=http://127.0.0.1:{ports['etcd']}", f"--bind-address={self.host}", f"--advertise-address={self.host}",
                f"--secure-port={ports['server']}", f"--cert-dir={self.folder / 'server'}",
                f"--tls-cert-file={key / 'server.crt'}", f"--tls-private-key-file={key / 'server.key'}",
                f"--client-ca-file={key / 'ca.crt'}", f"--token-auth-file={key / 'tokens.csv'}", "--authorization-mode=Node,RBAC",
                "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={key / 'accounts.key'}",
                f"--service-account-signing-key-file={key / 'accounts.key'}", f"--service-cluster-ip-range={SERVICE_RANGE}",
                "--allow-privileged=true", "--enable-aggregator-routing=" + ("true" if self.has_node else "false"),
                # A cluster that asks for update on .../finalizers of an owner, as OpenShift does, finds rights that are missing.
                "--enable-admission-plugins=OwnerReferencesPermissionEnforcement", "--profiling=false",
                f"--audit-policy-file={HERE / 'audit-policy.yaml'}", f"--audit-log-path={self.audit_log}",
                f"--kubelet-client-certificate={key / 'kubelet-client.crt'}", f"--kubelet-client-key={key / 'kubelet-client.key'}",
                "--kubelet-preferred-address-types=InternalIP",
                f"--requestheader-client-ca-file={key / 'front-proxy-ca.crt'}", "--requestheader-allowed-names=front-proxy-client",
                "--requestheader-extra-headers-prefix=X-Remote-Extra-", "--requestheader-group-headers=X-Remote-Group",
                "--requestheader-username-headers=X-Remote-User",
                f"--proxy-client-cert-file={key / 'front-proxy.crt'}", f"--proxy-client-key-file={key / 'front-proxy.key'}",
                *([] if self.has_node else ["--endpoint-reconciler-type=none"])]

    def controllers_arguments(self, ports):
        config = self.kubeconfig("controller-manager")
        return [f"--kubeconfig={config}", f"--authentication-kubeconfig={config}", f"--authorization-kubeconfig={config}",
                f"--service-account-private-key-file={self.pki / 'accounts.key'}", f"--root-ca-file={self.pki / 'ca.crt'}",
                "--use-service-account-credentials=true", "--leader-elect=false", "--bind-address=127.0.0.1",
                f"--secure-port={ports['controllers']}", f"--cert-dir={self.folder / 'controllers'}",
                f"--kube-api-qps={self.controllers_qps}", f"--kube-api-burst={self.controllers_qps * 3 // 2}",
                "--controllers=*,-nodeipam,-route,-service,-cloud-node-lifecycle", *self.controllers_flags]

    def scheduler_arguments(self, ports):
        config = self.kubeconfig("scheduler")
        return [f"--kubeconfig={config}", f"--authentication-kubeconfig={config}", f"--authorization-kubeconfig={config}",
                "--leader-elect=false", "--bind-address=127.0.0.1", f"--secure-port={ports['scheduler']}",
                f"--cert-dir={self.folder / 'scheduler'}"]

    def run_kubectl(self, *arguments, user="admin", text=None, timeout_s=120):
        environment = dict(os.environ, **self.environment(user))
        return subprocess.run([self.kubectl, *arguments], input=text, capture_output=True, text=True, timeout=timeout_s, env=environment)
