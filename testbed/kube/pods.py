"""The pod tier: a control plane with one node, all of it inside a network namespace of its own.

A bridge in that namespace carries the node's address and the pods; nothing of it touches the machine's own network. containerd and the
kubelet keep their state in the cluster's folder. Needs root and the packages of the group [pods].
"""

import ctypes
import hashlib
import ipaddress
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pki
import program
from cluster import HERE, Cluster, Failed, free_ports

BRIDGE = "fmesh0"
NODE = "node1"
POD_NETWORK = ipaddress.ip_network("10.77.0.0/16")
NODE_ADDRESS = "10.77.0.1"
IMAGES = HERE.parent / "images" / "images"
PAUSE_IMAGE = "fmesh.test/busybox:1"
NODE_READY_S = 60
SHIM_WAIT_S = 10
CLONE_NEWNET = 0x40000000
PROGRAMS = {"containerd": "containerd", "ctr": "containerd", "runc": "runc", "iptables": "iptables", "ip": "iproute2", "nsenter": "util-linux",
            "busybox": "busybox-static"}
SYSCTLS = {"net.ipv4.ip_forward": "1", "net.bridge.bridge-nf-call-iptables": "1"}


def run(*command, check=True, inside=()):
    done = subprocess.run([*inside, *map(str, command)], capture_output=True, text=True, timeout=120)
    if check and done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def require_node_programs():
    if os.geteuid() != 0:
        raise program.Unavailable("a node needs root: network namespaces, mounts, containers")
    missing = sorted({package for name, package in PROGRAMS.items() if not shutil.which(name)})
    if not Path("/usr/lib/cni/bridge").exists():
        missing.append("containernetworking-plugins")
    if missing:
        raise program.Unavailable(f"packages are missing for a node: {' '.join(missing)}; ./do installs them")


class PodCluster(Cluster):
    """One cluster with one node, in the network namespace tb-<six digits of the folder's hash>. A process that speaks to it has to
    enter that namespace, and stays there: up(), client() and run_kubectl() do."""

    has_node = True

    def __init__(self, folder, **more):
        super().__init__(folder, **more)
        self.host = NODE_ADDRESS
        self.network = "tb-" + hashlib.sha256(str(self.folder).encode()).hexdigest()[:6]
        self.socket = self.folder / "containerd.sock"
        self.entered = False

    def enter(self):
        """Moves the calling thread, and the threads and processes that it starts from now on, into the cluster's network."""
        if self.entered:
            return
        with open(f"/var/run/netns/{self.network}", "rb") as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"setns {self.network}")
        self.entered = True

    def client(self, user="admin"):
        self.enter()
        return super().client(user)

    def run_kubectl(self, *arguments, **more):
        self.enter()
        return super().run_kubectl(*arguments, **more)

    def up(self):
        require_node_programs()
        if not any(self.running().values()):
            self._make_network()
        self.enter()
        super().up()
        try:
            self._start_node()
        except Failed:
            self.stop()
            raise
        return self

    def stop(self):
        """Ends everything: pods first, as their processes are nobody's children once containerd is gone."""
        for name in ("kubelet", "kube-proxy"):
            self.processes.stop(name)
        if self.processes.pid("containerd"):
            self._end_containers()
        self.processes.stop_all()
        self._unmount()
        subprocess.run(["ip", "netns", "del", self.network], capture_output=True)

    # The network.

    def _make_network(self):
        if not Path(f"/var/run/netns/{self.network}").exists():
            run("ip", "netns", "add", self.network)
        inside = ("nsenter", f"--net=/var/run/netns/{self.network}")
        run("ip", "link", "set", "lo", "up", inside=inside)
        if subprocess.run([*inside, "ip", "link", "show", BRIDGE], capture_output=True).returncode != 0:
            run("ip", "link", "add", BRIDGE, "type", "bridge", inside=inside)
            run("ip", "address", "add", f"{NODE_ADDRESS}/{POD_NETWORK.prefixlen}", "dev", BRIDGE, inside=inside)
            run("ip", "link", "set", BRIDGE, "up", inside=inside)
            run("ip", "route", "add", "default", "dev", BRIDGE, inside=inside)
        for name, value in SYSCTLS.items():
            path = Path("/proc/sys") / name.replace(".", "/")
            if path.exists():
                run("sh", "-c", f"echo {value} > {path}", inside=inside)

    def _cni(self):
        folder = self.folder / "cni"
        folder.mkdir(exist_ok=True)
        pods = {"subnet": str(POD_NETWORK), "rangeStart": "10.77.1.0", "rangeEnd": "10.77.254.254", "gateway": NODE_ADDRESS}
        bridge = {"type": "bridge", "bridge": BRIDGE, "isGateway": True, "hairpinMode": True,
                  "ipam": {"type": "host-local", "ranges": [[pods]], "routes": [{"dst": "0.0.0.0/0"}], "dataDir": str(self.folder / "cni-data")}}
        plugins = [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}]
        (folder / "10-pods.conflist").write_text(json.dumps({"cniVersion": "0.4.0", "name": "pods", "plugins": plugins}))
        return folder

    # The node.

    def _start_node(self):
        self._containerd()
        self.import_image(self._busybox())
        client = self.client()
        for name, arguments in (("kubelet", self._kubelet_arguments()), ("kube-proxy", self._proxy_arguments())):
            self._start(name, arguments)
        self._wait(lambda: node_is_ready(client), ["containerd", "kubelet"], "the node", NODE_READY_S)
        client.close()

    def _containerd(self):
        config = self.folder / "containerd.toml"
        # Without restrict_oom_score_adj runc fails where a negative oom_score_adj may not be set.
        config.write_text(f"""version = 2
root = "{self.folder / 'containerd'}"
state = "{self.folder / 'containerd-state'}"
[grpc]
  address = "{self.socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{self._cni()}"
""")
        self.processes.start("containerd", ["containerd", "--config", config], tied=self.tied)
        self._wait(lambda: self.ctr("version", check=False).returncode == 0, ["containerd"], "containerd")

    def ctr(self, *arguments, check=True):
        done = subprocess.run(["ctr", "--address", str(self.socket), "--namespace", "k8s.io", *map(str, arguments)],
                              capture_output=True, text=True, timeout=300)
        if check and done.returncode != 0:
            raise Failed(f"ctr {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return done

    def import_image(self, archive):
        """Makes the image of a docker archive known to the node."""
        self.ctr("images", "import", archive)

    def _busybox(self):
        archive = self.folder / "busybox.tar"
        if not archive.exists():
            run(sys.executable, IMAGES, "busybox", archive)
        return archive

    def _credentials(self):
        if (self.pki / "done").exists():
            return
        super()._credentials()
        authority = pki.Authority(self.pki, "ca")
        authority.issue("kubelet", f"system:node:{NODE}", "system:nodes", addresses=[NODE_ADDRESS], hosts=[NODE])
        authority.issue("kube-proxy", "system:kube-proxy")

    def _kubeconfigs(self):
        super()._kubeconfigs()
        for name in ("kubelet", "kube-proxy"):
            self._kubeconfig(name, {"client-certificate": str(self.pki / f"{name}.crt"), "client-key": str(self.pki / f"{name}.key")})

    def _kubelet_arguments(self):
        config = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", "address": NODE_ADDRESS, "readOnlyPort": 0,
                  "healthzBindAddress": "127.0.0.1", "containerRuntimeEndpoint": f"unix://{self.socket}", "cgroupDriver": "cgroupfs", "failCgroupV1": False,
                  "failSwapOn": False, "cgroupsPerQOS": False, "enforceNodeAllocatable": [], "resolvConf": "", "syncFrequency": "10s",
                  "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%", "nodefs.inodesFree": "1%"},
                  "imageGCHighThresholdPercent": 100, "tlsCertFile": str(self.pki / "kubelet.crt"), "tlsPrivateKeyFile": str(self.pki / "kubelet.key"),
                  "authentication": {"anonymous": {"enabled": False}, "x509": {"clientCAFile": str(self.pki / "ca.crt")}, "webhook": {"enabled": True}},
                  "authorization": {"mode": "Webhook"},
                  # With cgroupsPerQOS off the kubelet of 1.34 crashes when it takes a new pod for a resized one.
                  "featureGates": {"InPlacePodVerticalScaling": False}}
        path = self.folder / "kubelet.json"
        path.write_text(json.dumps(config, indent=1))
        return [f"--kubeconfig={self.kubeconfig('kubelet')}", f"--config={path}", f"--root-dir={self.folder / 'kubelet'}",
                f"--hostname-override={NODE}", f"--node-ip={NODE_ADDRESS}", f"--cert-dir={self.folder / 'kubelet-certificates'}"]

    def _proxy_arguments(self):
        return [f"--kubeconfig={self.kubeconfig('kube-proxy')}", "--proxy-mode=iptables", f"--hostname-override={NODE}", f"--cluster-cidr={POD_NETWORK}",
                "--bind-address=127.0.0.1", "--healthz-bind-address=", "--metrics-bind-address=127.0.0.1:10249", "--conntrack-max-per-core=0",
                "--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0"]

    def restart_kubelet(self):
        """Ends the kubelet and starts it again; pods go on."""
        self.processes.stop("kubelet")
        self._start("kubelet", self._kubelet_arguments())

    def start_metrics_server(self):
        """Autoscalers and `kubectl top` then know what CPU and memory pods take. It runs beside the node, not in a pod."""
        port, config = free_ports(1)[0], self.kubeconfig()
        self.processes.start("metrics-server", [
            program.metrics_server(), f"--kubeconfig={config}", f"--authentication-kubeconfig={config}", f"--authorization-kubeconfig={config}",
            f"--bind-address={NODE_ADDRESS}", f"--secure-port={port}", f"--cert-dir={self.folder / 'metrics-server'}",
            "--metric-resolution=10s", "--kubelet-request-timeout=5s", "--kubelet-preferred-address-types=InternalIP", f"--kubelet-certificate-authority={self.pki / 'ca.crt'}"], tied=self.tied)
        objects = metrics_api(port)
        done = self.run_kubectl("apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
        if done.returncode != 0:
            raise Failed(f"metrics-server: {done.stderr}")
        client = self.client()
        self._wait(lambda: node_is_measured(client), ["metrics-server"], "metrics-server")
        client.close()

    # The end of it.

    def _end_containers(self):
        tasks = self.ctr("tasks", "ls", "-q", check=False).stdout.split()
        for task in tasks:
            self.ctr("tasks", "kill", "--signal", "SIGKILL", task, check=False)
        for task in tasks:
            self.ctr("tasks", "delete", "--force", task, check=False)
            self.ctr("containers", "delete", task, check=False)
        self._end_shims()

    def _end_shims(self):
        """A shim ends with its container; one that did not is known by the socket of this cluster's containerd."""
        end = time.monotonic() + SHIM_WAIT_S
        while shims := [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if self._is_shim(pid)]:
            if time.monotonic() > end:
                for pid in shims:
                    os.kill(pid, signal.SIGKILL)
                return
            time.sleep(0.05)

    def _is_shim(self, pid):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            return False
        return words[0].endswith("containerd-shim-runc-v2") and str(self.socket) in words

    def _unmount(self):
        mounts = [line.split()[4].replace("\\040", " ") for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for mount in sorted((one for one in mounts if one.startswith(f"{self.folder}/")), reverse=True):
            subprocess.run(["umount", "--lazy", mount], capture_output=True)


def node_is_ready(client):
    node = client.get("Node", NODE)
    conditions = (node or {}).get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def node_is_measured(client):
    code, found = client.send("GET", "/apis/metrics.k8s.io/v1beta1/nodes")
    return code == 200 and bool(found["items"])


def metrics_api(port):
    """The API metrics.k8s.io, served at the node's address: a Service without selector leads there."""
    name = {"name": "metrics-server", "namespace": "kube-system"}
    slice_ = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
              "metadata": dict(name, labels={"kubernetes.io/service-name": "metrics-server"}),
              "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
              "endpoints": [{"addresses": [NODE_ADDRESS], "conditions": {"ready": True}}]}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": name, "spec": {"ports": [{"name": "https", "port": 443, "targetPort": port}]}}
    api = {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1beta1.metrics.k8s.io"},
           "spec": {"group": "metrics.k8s.io", "version": "v1beta1", "service": name, "insecureSkipTLSVerify": True,
                    "groupPriorityMinimum": 100, "versionPriority": 100}}
    return [service, slice_, api]
