"""fmesh's instances on a real broker: `fmesh instance` as a pod runs it and `fmesh run --pulsar`. Functions of every host, a source and a sink
hand records on and lose none when they are stopped; a mesh gives what it gives on the log; what makes no sense there is refused."""

import json
import shutil
import sys
import time
import unittest
import urllib.request

from pulsar_case import BUILD, FUNCTIONS, ROOT, Process, PulsarCase, free_port


class PulsarInstanceTest(PulsarCase):
    # --- instances ---

    def test_functions_of_every_host_in_a_chain_with_a_source_and_a_sink(self):
        """source -> native -> built-in -> Python -> sink, each a process of its own, all of them stopped and started meanwhile."""
        count = 3_000
        topics = [self.topic(name) for name in ("numbers", "natively", "mapped", "pythonic")]
        (self.folder / "code.py").write_text(
            "from pulsar import Function\n\n\nclass More(Function):\n    def process(self, input, context):\n        return input.replace('}', ',\"python\":1}')\n")  # fmt: skip

        def reads(topic):
            return {"source": {"inputSpecs": {topic: {}}, "subscriptionPosition": "EARLIEST"}}

        chain = [
            ({"name": "sink", "componentType": "SINK", "source": reads(topics[3])["source"],
              "sink": {"builtin": "file", "configs": json.dumps({"path": str(self.folder / "out.jsonl")})}}, []),
            ({"name": "python", "className": "code.More", **reads(topics[2]), "sink": {"topic": topics[3]}}, ["--py", self.folder / "code.py"]),
            ({"name": "builtin", "className": "map", "userConfig": json.dumps({"expression": ".double=.n*2"}), **reads(topics[1]),
              "sink": {"topic": topics[2]}}, []),
            ({"name": "native", "className": "identity", **reads(topics[0]), "sink": {"topic": topics[1]}},
             ["--library", FUNCTIONS]),
            ({"name": "source", "componentType": "SOURCE", "sink": {"topic": topics[0]},
              "source": {"builtin": "generator", "configs": json.dumps({"count": count, "rate": 1_000, "template": '{"n":{{seq}}}'})}}, []),
        ]  # fmt: skip
        running = [self.instance(details, *arguments) for details, arguments in chain]
        time.sleep(0.5)
        for at, (details, arguments) in enumerate(chain):
            running[at].stop()
            running[at] = self.instance(details, *arguments)
        out = self.folder / "out.jsonl"
        said = lambda: "\n".join(process.said()[-500:] for process in running)  # noqa: E731
        self.wait_for("every record in the file", lambda: out.exists() and len(set(out.read_text().splitlines())) >= count, said=said)
        for process in running:
            if process.process.poll() is None:
                process.stop()
        rows = [json.loads(line) for line in out.read_text().splitlines()]
        first = rows[0]["n"]
        self.assertEqual([row["n"] for row in rows], list(range(first, first + count)), "lost, twice or out of order")
        self.assertTrue(all(row == {"n": row["n"], "double": 2 * row["n"], "python": 1} for row in rows), rows[:3])

    def test_a_stop_while_records_flow_loses_none_and_repeats_none(self):
        source, target = self.topic("in"), self.topic("out")
        details = {"name": "same", "className": "identity", "source": {"inputSpecs": {source: {}}, "subscriptionPosition": "EARLIEST"},
                   "sink": {"topic": target}}  # fmt: skip
        lines = [f"record {i}" for i in range(9_000)]
        self.publish(source, lines)
        for _ in range(3):
            process = self.instance(details)
            time.sleep(0.05)
            process.stop()
        self.instance(details)
        found = self.records(target, len(lines))
        self.assertEqual(sorted(found), sorted(lines))

    # --- meshes ---

    def test_a_mesh_is_looked_at_and_changed_as_on_the_log(self):
        source, target = self.topic("in"), self.topic("out")
        process = self.run_mesh(f"""
apiVersion: compute.functionmesh.io/v1alpha1
kind: Function
metadata: {{name: same-{self.id}}}
spec:
  className: identity
  genericRuntime: {{language: builtin, functionFile: builtin}}
  input: {{topics: ["{source}"]}}
  output: {{topic: "{target}"}}
""")
        self.wait_for("the start", lambda: "component runs" in process.said(), said=process.said)
        self.assertIn(self.broker.service_url, process.said())
        here = ["--data-dir", "data"]
        tap = Process(self, "tap", target, "-n", "1", "--json", *here)
        time.sleep(0.5)
        self.fmesh("stream", "publish", source, "hello", *here)
        tap.wait()
        self.assertIn("hello", tap.said())
        self.assertEqual(json.loads(self.fmesh("status", "--json", *here))["components"][0]["receivedTotal"], 1)
        self.assertIn("hello", self.fmesh("stream", "peek", target, *here))
        self.assertIn(f"{self.id}-out", self.fmesh("stream", "ls", *here))
        self.fmesh("stream", "create", f"{self.id}-new", *here)
        self.fmesh("stream", "rm", f"{self.id}-new", *here)
        again = Process(self, "run", "mesh.yaml", "--data-dir", "data", *self.cluster)
        again.wait(code=2)
        self.assertRegex(again.said(), r"data/lock.*process \d+|process \d+.*data/lock")
        process.stop()

    def test_what_is_about_the_log_is_refused(self):
        (self.folder / "mesh.yaml").write_text("apiVersion: compute.functionmesh.io/v1alpha1\n")
        for flag in (["--listen", ":6650"], ["--sync", "interval"], ["--retention-size", "1G"], ["--partitions", "3"], ["--deduplicate"]):
            said = self.fmesh("run", "mesh.yaml", *self.cluster, *flag, code=2)
            self.assertIn(flag[0] + " is about the embedded log", said)

    def test_the_orders_mesh_gives_what_it_gives_on_the_log(self):
        orders = BUILD / "examples" / "orders"
        shutil.copytree(orders / "data", self.folder / "data-in")
        shutil.copy(orders / "orders.so", self.folder)
        mesh = (ROOT / "examples" / "orders" / "mesh.yaml").read_text().replace("data/", "data-in/")
        ports = free_port(), free_port()
        mesh = mesh.replace(":18080", f":{ports[0]}").replace(":18081", f":{ports[1]}")
        process = self.run_mesh(mesh, "--until-drained")
        orders_http = (ROOT / "examples" / "orders" / "data" / "orders-http.jsonl").read_text()
        self.post(ports[0], "/orders", orders_http, process)
        time.sleep(0.3)
        self.post(ports[1], "/products", '{"sku":"P-2001","name":"Sampler of the Month","category":"gifts","price_cents":3400}\n', process)
        process.wait()
        for name in ("totals.jsonl", "rejected.jsonl", "invalid.jsonl"):
            found, wanted = (sorted((json.loads(line) for line in path.read_text().splitlines()), key=lambda row: json.dumps(row, sort_keys=True))
                             for path in (self.folder / "out" / name, ROOT / "examples" / "orders" / "expected" / name))  # fmt: skip
            self.assertEqual(found, wanted, name)

    def post(self, port, path, body, process):
        def sent():
            try:
                request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=body.encode(), method="POST")
                with urllib.request.urlopen(request, timeout=10) as answer:
                    return answer.status == 200
            except OSError:
                return False

        self.wait_for(f"an answer on port {port}", sent, said=process.said)


if __name__ == "__main__":
    unittest.main(verbosity=2 if "-v" in sys.argv else 1)
