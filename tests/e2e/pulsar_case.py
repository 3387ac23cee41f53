"""What tests of fmesh's instances on a real broker share: the broker, the programs, and what topics hold."""

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import pulsar_broker

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = Path(os.environ.get("FMESH_BUILD", ROOT / "build")).resolve()
FMESH = BUILD / "fmesh"
FUNCTIONS = BUILD / "functions" / "functions.so"
LIMIT_S = 60


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


class Process:
    """A command of fmesh that runs on; its messages are in said()."""

    def __init__(self, test, *arguments):
        self.test = test
        self.log = tempfile.NamedTemporaryFile("w+", dir=test.folder, suffix=".log")
        test.addCleanup(self.log.close)
        self.process = subprocess.Popen([FMESH, *map(str, arguments)], cwd=test.folder, stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log, start_new_session=True)  # fmt: skip
        test.addCleanup(self.kill)

    def kill(self):
        """All of its processes, at once."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    def said(self):
        return Path(self.log.name).read_text(errors="replace")

    def wait(self, code=0, limit_s=LIMIT_S):
        try:
            self.test.assertEqual(self.process.wait(limit_s), code, self.said()[-3000:])
        except subprocess.TimeoutExpired:
            self.test.fail(f"it did not end within {limit_s} s:\n{self.said()[-3000:]}")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.wait()


class PulsarCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.broker = pulsar_broker.Broker()
        cls.addClassCleanup(cls.broker.stop)
        cls.broker.wait()
        cls.cluster = ["--pulsar", cls.broker.service_url, "--auth-plugin", "token", "--auth-params", f"file://{cls.broker.files['admin_token']}"]
        cls.web = ["--pulsar-web", cls.broker.url]

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="fmesh-", ignore_cleanup_errors=True)
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.id = uuid.uuid4().hex[:8]

    # --- helpers ---

    def fmesh(self, *arguments, code=0, stdin=""):
        done = subprocess.run([FMESH, *map(str, arguments)], cwd=self.folder, input=stdin, capture_output=True, text=True, timeout=LIMIT_S)
        self.assertEqual(done.returncode, code, done.stdout[-2000:] + done.stderr[-2000:])
        return done.stdout if code == 0 else done.stderr

    def publish(self, topic, lines):
        self.fmesh("stream", "publish", topic, *self.cluster, stdin="".join(line + "\n" for line in lines))

    def peek(self, topic, count=10_000):
        """The payloads of a topic that is there, as text."""
        lines = self.fmesh("stream", "peek", topic, "--json", "-n", count, *self.cluster).splitlines()
        return [json.dumps(line["value"], separators=(",", ":")) if "value" in line else line["text"] for line in map(json.loads, lines)]

    def wait_for(self, what, condition, limit_s=LIMIT_S, said=lambda: ""):
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            found = condition()
            if found:
                return found
            time.sleep(0.1)
        self.fail(f"{what} did not come about within {limit_s} s; {said()[-3000:]}")

    def records(self, topic, count, **how):
        """Waits until so many are there; answers all."""
        return self.wait_for(f"{count} records in {topic}", lambda: (lambda found: len(found) >= count and found)(self.peek(topic)), **how)

    def topic(self, name):
        """One of this test, kept whether it is read or not."""
        full = f"persistent://public/default/{self.id}-{name}"
        self.broker.subscribe(full, "keeps-it")
        return full

    def instance(self, details, *arguments, number=0):
        """`fmesh instance` once it is ready; its name gets this test's id."""
        port = free_port()
        details = {"tenant": "public", "namespace": "default", "autoAck": True, "parallelism": 1, **details, "name": f"{self.id}-{details['name']}"}
        process = Process(self, "instance", "--function_details", json.dumps(details), "--instance_id", number, "--cache-dir", self.folder / "cache",
                          "--metrics_port", port, *self.cluster, *arguments)  # fmt: skip
        process.port = port
        self.wait_for("readiness", lambda: self.get(process, "/readyz")[0] == 200, said=process.said)
        return process

    @staticmethod
    def get(process, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{process.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def run_mesh(self, mesh, *arguments):
        (self.folder / "mesh.yaml").write_text(mesh)
        return Process(self, "run", "mesh.yaml", "--data-dir", "data", *self.cluster, *self.web, *arguments)
