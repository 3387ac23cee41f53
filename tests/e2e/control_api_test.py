"""The control API of a real `fmesh run --http`: every path of docs/reference/openapi.json, asked by clients that are not ours."""

import http.client
import http.server
import json
import os
import re
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

FMESH = str(Path(os.environ.get("FMESH_BUILD", "build")).resolve() / "fmesh")
REFERENCE = Path(__file__).resolve().parents[2] / "docs/reference/openapi.json"

MESH = """apiVersion: compute.functionmesh.io/v1alpha1
kind: FunctionMesh
metadata:
  name: shop
spec:
  sources:
    - name: posted
      sourceType: http
      sourceConfig:
        address: 127.0.0.1:{source_port}
      output:
        topic: numbers
  functions:
    - name: double
      className: map
      maxReplicas: 4
      genericRuntime:
        language: builtin
      funcConfig:
        expression: '.twice = .id * 2'
      input:
        topics: [numbers]
      output:
        topic: doubled
  sinks:
    - name: hook
      sinkType: http
      sinkConfig:
        url: http://127.0.0.1:{sink_port}/hook
      input:
        topics: [doubled]
"""

# What the walk sends where the example of the document does not fit the mesh above.
BODIES = {
    "/api/v1/streams/{name}/seek": {"subscription": "public/default/double", "id": "earliest"},
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Hook(http.server.BaseHTTPRequestHandler):
    """Takes what the http sink posts, with Python's own server."""

    protocol_version = "HTTP/1.1"
    bodies = []

    def do_POST(self):
        Hook.bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


class ControlApiTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="fmesh-api-")
        cls.path = Path(cls.folder.name)
        cls.hook = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
        threading.Thread(target=cls.hook.serve_forever, daemon=True).start()
        cls.port, cls.source_port = free_port(), free_port()
        (cls.path / "mesh.yaml").write_text(MESH.format(source_port=cls.source_port, sink_port=cls.hook.server_port))
        with open(cls.path / "run.log", "w", encoding="utf-8") as log:
            cls.process = subprocess.Popen(
                [FMESH, "run", "mesh.yaml", "--http", f"127.0.0.1:{cls.port}"], cwd=cls.path, stdout=log, stderr=log
            )
        for _ in range(200):
            try:
                if cls.ask("GET", "/readyz")[0] == 200:
                    break
            except OSError:
                pass
            time.sleep(0.05)
        else:
            raise AssertionError((cls.path / "run.log").read_text())
        cls.token = (cls.path / ".fmesh/http-token").read_text().strip()

    @classmethod
    def tearDownClass(cls):
        cls.process.send_signal(signal.SIGTERM)
        cls.process.wait(timeout=20)
        cls.hook.shutdown()
        cls.hook.server_close()
        cls.folder.cleanup()

    @classmethod
    def ask(cls, method, path, body=None, token=None, headers=None):
        """Status, headers and body of one answer, by Python's client."""
        connection = http.client.HTTPConnection("127.0.0.1", cls.port, timeout=20)
        headers = dict(headers or {})
        if token:
            headers["authorization"] = "Bearer " + token
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text

    def operations(self):
        document = json.loads(self.ask("GET", "/api/v1/openapi.json")[2])
        for path, methods in document["paths"].items():
            for method, operation in sorted(methods.items(), key=lambda item: item[0] == "delete"):
                yield path, method.upper(), operation

    def check(self, operation, answer, expected):
        """The answer has the status, and the document says so, with this type of content."""
        status, headers, text = answer
        self.assertEqual(status, expected, text)
        said = operation["responses"].get(str(status), operation["responses"]["default"])
        self.assertIn(headers["content-type"], said["content"])
        if headers["content-type"] == "application/json":
            value = json.loads(text)
            if status >= 400:
                self.assertEqual(list(value), ["error"])
                self.assertTrue(value["error"])

    def test_the_reference_is_what_is_served(self):
        self.assertEqual(json.loads(self.ask("GET", "/api/v1/openapi.json")[2]), json.loads(REFERENCE.read_text()))

    def test_every_operation_answers_as_the_document_says(self):
        self.ask("PUT", "/api/v1/streams/made", {}, self.token)
        walked = 0
        for path, method, operation in self.operations():
            with self.subTest(path=path, method=method):
                walked += 1
                name = "double" if "components" in path or "logs" in path else "numbers"
                if method in ("PUT", "DELETE"):
                    name = "walked"
                real = path.replace("{name}", name)
                body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
                body = BODIES.get(path, body)
                if method == "DELETE":
                    self.ask("PUT", real, {}, self.token)
                writes = "security" in operation
                if writes:
                    self.check(operation, self.ask(method, real, body), 401)
                    self.check(operation, self.ask(method, real, body, "wrong"), 401)
                self.check(operation, self.ask(method, real, body, headers={"host": "evil.example"}), 403)
                self.check(
                    operation, self.ask(method, real, body, self.token, {"origin": "http://evil.example"}), 403
                )
                if "{name}" in path and method != "PUT" and not (method == "POST" and path.endswith("/records")):
                    self.check(operation, self.ask(method, path.replace("{name}", "nobody"), body, self.token), 404)
                if body is not None:
                    self.check(operation, self.ask(method, real, [1], self.token), 400)
                if "query" in [parameter["in"] for parameter in operation.get("parameters", [])]:
                    number = next(p["name"] for p in operation["parameters"] if p["schema"]["type"] == "integer")
                    self.check(operation, self.ask(method, f"{real}?{number}=x", None, self.token), 400)
                self.check(operation, self.ask(method, real, body, self.token if writes else None), 200)
        self.assertGreaterEqual(walked, 15)

    def test_what_no_operation_is_for_is_refused_in_json(self):
        status, headers, text = self.ask("PATCH", "/api/v1/mesh")
        self.assertEqual((status, headers["allow"]), (405, "GET, HEAD"))
        self.assertIn("error", json.loads(text))
        status, _, text = self.ask("GET", "/api/v2/mesh")
        self.assertEqual(status, 404)
        self.assertIn("openapi.json", json.loads(text)["error"])
        with socket.create_connection(("127.0.0.1", self.port)) as raw:
            raw.sendall(b"nonsense\r\n\r\n")
            answer = raw.makefile("rb").read().decode()
        self.assertTrue(answer.startswith("HTTP/1.1 400 "), answer)
        self.assertIn("error", json.loads(answer.split("\r\n\r\n")[1]))

    def test_the_socket_and_the_token_are_their_owners_only(self):
        for name in ("fmesh.sock", "http-token"):
            self.assertEqual(stat.S_IMODE((self.path / ".fmesh" / name).stat().st_mode), 0o600, name)

    def test_metrics_are_valid_exposition_and_have_every_instance(self):
        self.ask("POST", "/api/v1/streams/numbers/records", {"records": [{"value": {"id": 1}}]}, self.token)
        wanted = r'pulsar_function_received_total\{[^}]*name="double"[^}]*\} [1-9]'
        for _ in range(100):
            status, headers, text = self.ask("GET", "/metrics")
            if re.search(wanted, text.decode()):
                break
            time.sleep(0.05)
        self.assertEqual((status, headers["content-type"]), (200, "text/plain; version=0.0.4; charset=utf-8"))
        series, types = {}, {}
        for line in text.decode().splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                self.assertNotIn(name, types)
                types[name] = kind
            elif not line.startswith("# HELP "):
                match = re.fullmatch(r'([a-z_]+)(\{(?:[a-z_]+="[^"\n]*",?)*\})? (-?[0-9.e+-]+)', line)
                self.assertTrue(match, line)
                key = match[1] + (match[2] or "")
                self.assertNotIn(key, series)
                series[key] = float(match[3])
        self.assertEqual(types["pulsar_function_process_latency_ms"], "histogram")
        for name in ("pulsar_source_received_total", "pulsar_sink_received_total", "pulsar_source_source_exceptions_total",
                     "pulsar_sink_sink_exceptions_total", "pulsar_function_processed_successfully_total",
                     "pulsar_function_user_exceptions_total", "pulsar_function_system_exceptions_total"):
            self.assertEqual(types[name], "counter", name)
        buckets = [v for k, v in series.items() if k.startswith("pulsar_function_process_latency_ms_bucket") and 'instance_id="0"' in k]
        self.assertEqual(buckets, sorted(buckets))
        self.assertGreater(len(buckets), 10)
        counts = [v for k, v in series.items() if k.startswith("pulsar_function_process_latency_ms_count")]
        self.assertGreater(sum(counts), 0)
        last_ms = max(v for k, v in series.items() if k.startswith("pulsar_function_last_invocation"))
        self.assertLess(abs(last_ms / 1000 - time.time()), 120)

    def test_records_pass_from_a_client_of_python_to_a_server_of_python(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.source_port, timeout=20)
        for number in range(1000, 1020):  # one connection
            connection.request("POST", "/", json.dumps({"id": number}))
            answer = connection.getresponse()
            self.assertEqual(answer.status, 200, answer.read())
            answer.read()
        connection.request("POST", "/", (part for part in [b'{"id":', b"1020}"]), encode_chunked=True,
                           headers={"transfer-encoding": "chunked"})
        answer = connection.getresponse()
        self.assertEqual(answer.status, 200, answer.read())
        connection.close()
        wanted = set(range(2000, 2042, 2))
        for _ in range(200):
            if wanted <= {body.get("twice") for body in Hook.bodies}:
                break
            time.sleep(0.05)
        self.assertLessEqual(wanted, {body.get("twice") for body in Hook.bodies})

    def test_curl_is_understood(self):
        def curl(*arguments):
            return subprocess.run(["curl", "-sS", "-m", "20", *arguments], capture_output=True, text=True, timeout=30)

        url = f"http://localhost:{self.port}"
        self.assertEqual(curl(url + "/healthz").stdout, "ok\n")
        self.assertEqual(curl("--unix-socket", str(self.path / ".fmesh/fmesh.sock"), "http://any/healthz").stdout, "ok\n")
        self.assertEqual(curl("--http1.0", url + "/healthz").stdout, "ok\n")
        self.assertIn("200 OK", curl("-I", url + "/api/v1/mesh").stdout)
        large = self.path / "large"  # curl asks with Expect: 100-continue
        large.write_text(json.dumps({"id": 1, "pad": "x" * 2_000_000}))
        done = curl("-d", f"@{large}", "-w", "%{http_code} %{time_total}", f"http://127.0.0.1:{self.source_port}/")
        self.assertIn(" 200 ", " " + done.stdout.replace("\n", " "))
        large.write_text("x" * 20_000_000)
        done = curl("-d", f"@{large}", "-w", "%{http_code}", f"http://127.0.0.1:{self.source_port}/")
        self.assertTrue(done.stdout.endswith("413"), done.stdout + done.stderr)

    def test_a_port_in_use_and_an_open_address_are_explained(self):
        for address, said in (
            (f"127.0.0.1:{self.port}", "Address already in use; stop the program that listens there or choose another port"),
            ("somewhere", "is not an address; expected HOST:PORT"),
        ):
            done = subprocess.run(
                [FMESH, "run", "mesh.yaml", "--no-restart", "--data-dir", "other", "--http", address, "--only", "double"],
                cwd=self.path, capture_output=True, text=True, timeout=30,
            )
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(said, done.stderr)


if __name__ == "__main__":
    unittest.main()
