"""What tests of `fmesh serve` share: a server on a folder of its own, and the Python client of PyPI to speak to it."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path

import pulsar_broker

BUILD = Path(os.environ.get("FMESH_BUILD", "build")).resolve()
FMESH = str(BUILD / "fmesh")
ADMIN = "/admin/v2/persistent/public/default/"


def import_client():
    """The module pulsar; where this interpreter has none, the test goes on in one that has it."""
    try:
        import pulsar  # noqa: PLC0415

        return pulsar
    except ImportError:
        if os.environ.get("FMESH_PULSAR_PYTHON"):
            raise
        try:
            python = pulsar_broker.python()
        except unittest.SkipTest as skip:
            print(f"skipped: {skip}", file=sys.stderr)
            sys.exit(0)
        os.environ["FMESH_PULSAR_PYTHON"] = "1"
        os.execv(python, [python, *sys.argv])


class ServeCase(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="fmesh-serve-")
        self.path = Path(self.folder.name)
        self.process = None
        self.clients = []

    def tearDown(self):
        for client in self.clients:
            with contextlib.suppress(Exception):
                client.close()
        self.stop(signal.SIGKILL)
        self.folder.cleanup()

    def serve(self, *arguments):
        """Starts the server, or starts it again on the same folder and ports; returns how long it took to be ready."""
        known = getattr(self, "ports", None) or ("0", "0")
        begin = time.monotonic()
        log = open(self.path / "serve.log", "w", encoding="utf-8")
        self.process = subprocess.Popen(
            [FMESH, "serve", "--data-dir", str(self.path / "data"), "--listen", f"127.0.0.1:{known[0]}", "--http", f"127.0.0.1:{known[1]}", *arguments],
            stdout=log, stderr=log)  # fmt: skip
        log.close()
        while not (text := (self.path / "serve.log").read_text(encoding="utf-8")).count("\n") >= 2:
            if self.process.poll() is not None or time.monotonic() - begin > 10:
                self.fail(f"fmesh serve did not start: {text}")
            time.sleep(0.002)
        took_s = time.monotonic() - begin
        self.url = text.split("connect to ")[1].split(";")[0]
        self.http = text.split("--admin-url ")[1].strip()
        self.ports = (self.url.rsplit(":", 1)[1], self.http.rsplit(":", 1)[1])
        return took_s

    def stop(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(20)

    def memory_kib(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(status.split("VmRSS:")[1].split()[0])

    def call(self, method, path, body=None, headers=None):
        """(status, text) of the admin API."""
        request = urllib.request.Request(self.http + path, body, {"Content-Type": "application/json", **(headers or {})}, method=method)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
