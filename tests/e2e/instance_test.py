"""fmesh instance: one instance as a pod runs it, on the embedded log and on one that speaks Pulsar."""

import json
import os
import re
import signal
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

FMESH = Path(os.environ["FMESH_BUILD"]) / "fmesh"
DOUBLE = {
    "tenant": "public",
    "namespace": "default",
    "name": "double",
    "className": "map",
    "userConfig": json.dumps({"expression": ".n*2"}),
    "autoAck": True,
    "parallelism": 1,
    "source": {"inputSpecs": {"in": {}}, "subscriptionPosition": "EARLIEST"},
    "sink": {"topic": "out"},
    "componentType": "FUNCTION",
    "a field of a newer Pulsar": 1,
}


class InstanceTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        (self.folder / "data").mkdir()
        self.port = None

    def fmesh(self, *arguments, text=""):
        return subprocess.run([FMESH, *arguments], input=text, capture_output=True, text=True, timeout=30)

    def stream(self, *arguments, text=""):
        done = self.fmesh("stream", *arguments, "--data-dir", self.folder / "data", text=text)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def start(self, details, *arguments, variables=None, streams=None):
        self.port = 20000 + os.getpid() % 10000
        process = subprocess.Popen(
            [FMESH, "instance", "--function_details", json.dumps(details), *(streams or ["--data-dir", self.folder / "data"])]
            + ["--cache-dir", self.folder / "cache", "--metrics_port", str(self.port), *arguments],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(variables or {})},
        )
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def get(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def wait_ready(self):
        for _ in range(200):
            if self.get("/readyz") == (200, "running\n"):
                return
            time.sleep(0.05)
        self.fail(f"not ready: {self.get('/readyz')}")

    def test_processes_and_stops_in_order(self):
        self.stream("publish", "in", text='{"n":1}\n{"n":2}\n')
        process = self.start(DOUBLE, "--instance_id", "0", "--cluster_name", "east")
        self.wait_ready()
        wanted = 'pulsar_function_received_total{tenant="public",namespace="public/default",name="double",'
        wanted += 'instance_id="0",cluster="east",fqfn="public/default/double"} 2'
        for _ in range(200):
            if wanted in self.get("/metrics")[1]:
                break
            time.sleep(0.05)
        self.assertIn(wanted, self.get("/")[1], "any path has the metrics, as Pulsar's instances answer")
        self.assertEqual(self.get("/healthz")[0], 200)
        status = json.loads(self.get("/status")[1])
        self.assertEqual(status["instances"][0]["state"], "running")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(timeout=20), 0)
        self.assertEqual([line.split()[-1] for line in self.stream("peek", "out").splitlines()], ["2", "4"])

    def test_the_pods_name_says_which_instance_it_is(self):
        process = self.start(DOUBLE, variables={"POD_NAME": "mesh-double-function-7"})
        self.wait_ready()
        self.assertIn('instance_id="7"', self.get("/metrics")[1])
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(timeout=20), 0)

    def serve(self):
        """The URL at which the log speaks Pulsar."""
        process = subprocess.Popen(
            [FMESH, "serve", "--data-dir", self.folder / "data", "--listen", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True
        )
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        return re.search(r"pulsar://[0-9.:]+", process.stderr.readline()).group()

    def test_processes_topics_of_a_cluster_when_started_as_pulsars_instances(self):
        url = self.serve()
        stock = ["--function_id", "x", "--function_version", "0", "--port", "9093", "--max_buffered_tuples", "100", "--use_tls", "false",
                 "--expected_healthcheck_interval", "-1", "--cluster_name", "east"]
        process = self.start(DOUBLE, "--instance_id", "1", *stock, streams=["--pulsar_serviceurl", url])
        self.wait_ready()
        sent = [json.dumps({"n": n}) for n in range(1000)]
        done = self.fmesh("stream", "publish", "in", "--pulsar", url, text="\n".join(sent))
        self.assertEqual(done.returncode, 0, done.stderr)
        for _ in range(200):
            out = self.fmesh("stream", "peek", "out", "--pulsar", url, "--limit", "2000").stdout.splitlines()
            if len(out) == len(sent):
                break
            time.sleep(0.05)
        self.assertEqual([int(line.split()[-1]) for line in out], [2 * n for n in range(1000)])
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(timeout=20), 0)

    def test_a_cluster_that_is_away_keeps_it_unready_and_is_told(self):
        process = self.start(DOUBLE, "--instance_id", "0", streams=["--pulsar", "pulsar://127.0.0.1:1"])
        for _ in range(200):
            code, text = self.get("/readyz")
            if "refused" in text and code == 503:
                break
            time.sleep(0.05)
        self.assertEqual(code, 503)
        self.assertIn("127.0.0.1:1", text)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(timeout=30), 0)

    def test_what_can_not_run_is_told_and_ends_it(self):
        broken = {**DOUBLE, "userConfig": json.dumps({"expression": ".n*"})}
        process = self.start(broken, "--instance_id", "0")
        self.assertEqual(process.wait(timeout=20), 2)
        self.assertIn("double can't run", process.stderr.read())

    def test_bad_input_is_explained(self):
        for arguments, text in [
            (["--function_details", '{"name":"x"'], "expected , or }"),
            (["--function_details", "@/no/such/file"], "/no/such/file: No such file"),
            (["--function_details", json.dumps({"tenant": "a", "namespace": "b", "name": "c"})], "nothing says what runs a/b/c"),
            (["--function_details", json.dumps(DOUBLE), "--runs", "magic"], "--runs"),
            (["--function_details", json.dumps(DOUBLE)], "where are the streams?"),
            # Both spellings are in use (pitfall 78).
            (["--function_details", json.dumps(DOUBLE), "--tls_allow_insecure", "true"], "where are the streams?"),
            (["--function_details", json.dumps(DOUBLE), "--tls_allow_insecure_connection", "true"], "where are the streams?"),
        ]:
            done = self.fmesh("instance", "--instance_id", "0", *arguments)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertIn(text, done.stderr)
        done = self.fmesh("instance", "--function_details", json.dumps(DOUBLE), "--data-dir", self.folder / "data")
        self.assertEqual(done.returncode, 2)
        self.assertIn("which instance is this?", done.stderr)


if __name__ == "__main__":
    unittest.main()
