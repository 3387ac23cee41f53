"""A real broker of testbed/pulsar with TLS, tokens and authorization, one for a test program, and its admin API as tests use it."""

import base64
import hashlib
import hmac
import json
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

PROGRAM = Path(__file__).resolve().parent.parent.parent / "testbed" / "pulsar" / "pulsar"
SKIPPED = 77
UP_TIMEOUT_S = 600  # the first time it is fetched


def run(*arguments, timeout=60):
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=timeout)
    if done.returncode == SKIPPED:
        raise unittest.SkipTest(f"no Pulsar here: {done.stderr.strip()[-300:]}")
    if done.returncode != 0:
        raise AssertionError(f"testbed/pulsar/pulsar {' '.join(arguments)}: {done.stderr[-2000:]}")
    return done.stdout


def python():
    """An interpreter with the Pulsar client of PyPI."""
    return run("python", timeout=UP_TIMEOUT_S).strip()


class Broker:
    """Starts at once, is ready after wait()."""

    def __init__(self, proxied_port=None, bind=None):
        """With `proxied_port`, clients of the listener "proxied" are led there; `bind` is another address than loopback."""
        self.folder = tempfile.TemporaryDirectory(prefix="fmesh-pulsar-", ignore_cleanup_errors=True)
        self.up = ["up", "--auth", "--folder", self.folder.name] + (["--proxied-port", str(proxied_port)] if proxied_port else []) + (["--bind", bind] if bind else [])
        self.starting = subprocess.Popen([PROGRAM, *self.up], stderr=subprocess.PIPE, text=True)

    def wait(self):
        said = self.starting.communicate(timeout=UP_TIMEOUT_S)[1]
        if self.starting.returncode == SKIPPED:
            raise unittest.SkipTest(f"no Pulsar here: {said.strip()[-300:]}")
        if self.starting.returncode != 0:
            raise AssertionError(f"testbed/pulsar/pulsar up: {said[-2000:]}")
        settings = dict(line.split("=", 1) for line in run("env", "--folder", self.folder.name).splitlines())
        self.url, self.url_tls, self.service_url, self.service_url_tls = (
            settings[f"PULSAR_{name}"] for name in ("WEB_URL", "WEB_URL_TLS", "SERVICE_URL", "SERVICE_URL_TLS"))  # fmt: skip
        self.files = {name[7:-5].lower(): file for name, file in settings.items() if name.endswith("_FILE")}  # "ca", "admin_token", ...
        self.ca, self.admin_token, self.nobody_token, self.admin_password, self.admin_certificate, self.admin_key = (
            Path(settings[f"PULSAR_{name}_FILE"]).read_text()
            for name in ("CA", "ADMIN_TOKEN", "NOBODY_TOKEN", "ADMIN_PASSWORD", "ADMIN_CERTIFICATE", "ADMIN_KEY"))  # fmt: skip
        self.key = Path(settings["PULSAR_TOKEN_KEY_FILE"]).read_bytes()
        return self

    def down(self):
        run("down", "--folder", self.folder.name)

    def up_again(self):
        run(*self.up, timeout=UP_TIMEOUT_S)

    def restart(self):
        self.down()
        self.up_again()

    def stop(self):
        self.starting.wait(UP_TIMEOUT_S)
        subprocess.run([PROGRAM, "down", "--folder", self.folder.name], capture_output=True, timeout=60)
        self.folder.cleanup()

    def token(self, role, seconds=60):
        """One that ends, unlike those of the test bed."""

        def encode(data):
            return base64.urlsafe_b64encode(data).rstrip(b"=")

        text = encode(b'{"alg":"HS256"}') + b"." + encode(json.dumps({"sub": role, "exp": int(time.time()) + seconds}).encode())
        return (text + b"." + encode(hmac.new(self.key, text, hashlib.sha256).digest())).decode()

    # --- the admin API, as admin ---

    def call(self, method, path, body=None, content_type="application/json"):
        """The parsed answer; None for 404."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Authorization": f"Bearer {self.admin_token}", "Content-Type": content_type}, method=method)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise AssertionError(f"{method} {path}: {error.code} {error.read()[:300]}") from None
        return json.loads(text) if text else {}

    @staticmethod
    def path(topic):
        return "/admin/v2/" + topic.replace("://", "/")

    def create_partitioned(self, topic, partitions):
        self.call("PUT", self.path(topic) + "/partitions", partitions)

    def subscribe(self, topic, name):
        """Makes a durable subscription, and the topic if there is none."""
        self.call("PUT", f"{self.path(topic)}/subscription/{urllib.parse.quote(name, safe='')}")

    def subscriptions(self, topic):
        """None if there is no such topic."""
        found = self.call("GET", f"{self.path(topic)}/subscriptions")
        return None if found is None else sorted(found)

    def topics(self, name_space):
        return self.call("GET", f"/admin/v2/persistent/{name_space}") + self.call("GET", f"/admin/v2/persistent/{name_space}/partitioned")

    def upload_package(self, name):
        """function://public/default/<name>@v1"""
        edge = "fmesh-test-edge"
        parts = [('form-data; name="metadata"', "application/json", json.dumps({"description": "a test"})),
                 ('form-data; name="file"; filename="f.jar"', "application/octet-stream", "not a jar")]  # fmt: skip
        body = "".join(f"--{edge}\r\nContent-Disposition: {what}\r\nContent-Type: {kind}\r\n\r\n{text}\r\n" for what, kind, text in parts)
        self.call("POST", f"/admin/v3/packages/function/public/default/{name}/v1", f"{body}--{edge}--\r\n".encode(),
                  f"multipart/form-data; boundary={edge}")  # fmt: skip

    def has_package(self, name):
        # Its name and version stay listed when it is gone.
        return self.call("GET", f"/admin/v3/packages/function/public/default/{name}/v1/metadata") is not None
