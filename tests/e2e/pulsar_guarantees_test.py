"""What each guarantee promises on a real broker, proved with ledgers of numbered records while instances are killed (kill -9) and the broker is
started anew; what can't be promised is refused.

Reruns of a failure: the seed is printed; set FMESH_SEED to it.
"""

import collections
import json
import os
import random
import subprocess
import sys
import time
import unittest

import pulsar_broker
from pulsar_case import FUNCTIONS, ROOT, Process, PulsarCase

KEYS, PER_KEY = 6, 400
LIMIT_S = 90


class PulsarGuaranteesTest(PulsarCase):
    def setUp(self):
        super().setUp()
        self.seed = int(os.environ.get("FMESH_SEED", time.time_ns() % 1_000_000))
        self.random = random.Random(self.seed)

    # --- ledgers ---

    def send(self, topic, ids, key):
        self.fmesh("stream", "publish", topic, "--key", f"k{key}", *self.cluster, stdin="".join(json.dumps({"key": key, "id": i}) + "\n" for i in ids))

    def ledger(self, topic):
        """The ids that came out, by key, in order."""
        found = collections.defaultdict(list)
        for text in self.peek(topic):
            row = json.loads(text)
            found[row["key"]].append(row["id"])
        return found

    def identity(self, guarantee, source, target, **more):
        kind = "FAILOVER" if guarantee == "EFFECTIVELY_ONCE" else "SHARED"
        return {"name": "same", "className": "identity", "processingGuarantees": guarantee, "parallelism": 2, "sink": {"topic": target},
                "source": {"inputSpecs": {source: {}}, "subscriptionPosition": "EARLIEST", "subscriptionType": kind}, **more}  # fmt: skip

    def carry_through_kills(self, guarantee, kills, restarts=0):
        """The ledger of what two instances wrote that are killed again and again while they have work: a record takes them 2 ms."""
        source, target = (f"persistent://public/default/{self.id}-{name}" for name in ("in", "out"))
        self.broker.create_partitioned(source, 3)
        self.broker.create_partitioned(target, 2)
        self.broker.subscribe(source, "keeps-it")
        self.broker.subscribe(target, "keeps-it")
        for begin in range(0, PER_KEY, 50):  # entries of 50 records
            for key in range(KEYS):
                self.send(source, range(begin, begin + 50), key)
        (self.folder / "slow.py").write_text("import time\n\n\ndef process(input):\n    time.sleep(0.002)\n    return input\n")
        details = self.identity(guarantee, source, target, className="slow")
        start = lambda number: self.instance(details, "--py", self.folder / "slow.py", *self.web, number=number)  # noqa: E731
        running = [start(number) for number in range(2)]
        for kill in range(kills):
            time.sleep(self.random.uniform(0.05, 0.3))
            running[kill % 2].kill()
            if restarts > 0 and kill == kills // 2:
                self.broker.restart()
            running[kill % 2] = start(kill % 2)
        said = lambda: f"FMESH_SEED={self.seed}\n" + "\n".join(process.said()[-1500:] for process in running)  # noqa: E731
        self.drain(source, details, said)
        for process in running:
            process.stop()
        return self.ledger(target), said

    def drain(self, topic, details, said):
        name = f"{details.get('tenant', 'public')}/default/{self.id}-{details['name']}"

        def backlog():
            stats = self.broker.call("GET", self.broker.path(topic) + "/partitioned-stats?getPreciseBacklog=true")
            return stats["subscriptions"][name]["msgBacklog"]

        self.wait_for("an empty backlog", lambda: backlog() == 0, limit_s=LIMIT_S, said=said)

    def test_effectively_once_writes_each_record_once_and_in_order(self):
        found, said = self.carry_through_kills("EFFECTIVELY_ONCE", kills=6, restarts=1)
        for key in range(KEYS):
            self.assertEqual(found[key], list(range(PER_KEY)), f"key {key}\n{said()}")

    def test_at_least_once_loses_nothing(self):
        found, said = self.carry_through_kills("ATLEAST_ONCE", kills=2, restarts=1)
        for key in range(KEYS):
            self.assertEqual(sorted(set(found[key])), list(range(PER_KEY)), f"key {key}\n{said()}")

    def test_at_most_once_repeats_nothing(self):
        found, said = self.carry_through_kills("ATMOST_ONCE", kills=4)
        for key in range(KEYS):
            self.assertEqual(len(found[key]), len(set(found[key])), f"key {key}\n{said()}")
            self.assertGreater(len(found[key]), PER_KEY // 4, "most came through")

    # --- keys ---

    def test_keys_of_outputs_stay_together_for_key_shared_consumers(self):
        """Entries of mixed keys would go to one consumer as a whole, by the key of their first record."""
        source, target = self.topic("in"), self.topic("out")
        count, keys = 8_000, 40
        self.publish(source, [json.dumps({"key": f"k{i % keys}", "id": i}) for i in range(count)])
        details = {"name": "keyed", "className": "map", "userConfig": json.dumps({"expression": ".", "key": ".key"}), "sink": {"topic": target},
                   "source": {"inputSpecs": {source: {}}, "subscriptionPosition": "EARLIEST", "subscriptionType": "FAILOVER"}}  # fmt: skip
        peer = [pulsar_broker.python(), ROOT / "tests" / "e2e" / "pulsar_peer.py", "deal", self.broker.service_url, self.broker.files["admin_token"]]
        dealt = subprocess.Popen([*peer, target, str(count)], stdout=subprocess.PIPE, text=True)
        self.addCleanup(dealt.wait)
        self.addCleanup(dealt.kill)
        self.assertEqual(dealt.stdout.readline(), "ready\n")
        self.instance(details)
        rows = [json.loads(line) for line in dealt.communicate(timeout=LIMIT_S)[0].splitlines()]
        self.assertEqual(len(rows), count)
        owners, seen = collections.defaultdict(set), collections.defaultdict(list)
        for row in rows:
            value = json.loads(row["payload"])
            self.assertEqual(row["key"], value["key"])
            owners[row["key"]].add(row["consumer"])
            seen[row["key"]].append(value["id"])
        self.assertEqual({len(found) for found in owners.values()}, {1}, "a key came to several consumers")
        self.assertGreater(len(set.union(*owners.values())), 1, "one consumer got every key")
        for key, ids in seen.items():
            self.assertEqual(ids, sorted(ids), key)

    # --- state ---

    def test_counters_count_each_record_once(self):
        """Effectively once with state: killed again and again, a counter shows each of its values once, in order."""
        source, target = self.topic("in"), self.topic("out")
        words, rounds = 20, 300
        details = {"name": "count", "className": "count", "processingGuarantees": "EFFECTIVELY_ONCE", "sink": {"topic": target},
                   "source": {"inputSpecs": {source: {}}, "subscriptionPosition": "EARLIEST", "subscriptionType": "FAILOVER"}}  # fmt: skip
        start = lambda: self.instance(details, "--library", FUNCTIONS, *self.web)  # noqa: E731
        process = start()
        for begin in range(0, rounds, 25):
            self.publish(source, [f"word{word}" for _ in range(25) for word in range(words)])
            if begin % 50 == 0:
                time.sleep(self.random.uniform(0, 0.2))
                process.kill()
                process = start()
        said = lambda: f"FMESH_SEED={self.seed}\n" + process.said()[-3000:]  # noqa: E731
        found = self.records(target, words * rounds, said=said)
        by_word = collections.defaultdict(list)
        for text in found:
            word, _, count = text.partition("=")
            by_word[word].append(int(count))
        for word in range(words):
            self.assertEqual(by_word[f"word{word}"], list(range(1, rounds + 1)), f"word{word}\n{said()}")

    def test_a_changelog_of_many_changes_stays_short(self):
        source, target = self.topic("in"), self.topic("out")
        words, rounds = 10, 11_000
        details = {"name": "count", "className": "count", "sink": {"topic": target}, "source": {"inputSpecs": {source: {}}, "subscriptionPosition": "EARLIEST"}}
        self.publish(source, [f"word{word}" for _ in range(rounds) for word in range(words)])
        process = self.instance(details, "--library", FUNCTIONS, *self.web)
        changelog = f"persistent://public/default/{self.id}-count-fmesh-state"

        def compacted():
            inside = self.broker.call("GET", self.broker.path(changelog) + "/internalStats") or {}
            stats = self.broker.call("GET", self.broker.path(changelog) + "/stats") or {}
            backlog = stats.get("subscriptions", {}).get("fmesh-state", {}).get("msgBacklog", 1_000)
            return inside.get("compactedLedger", {}).get("ledgerId", -1) >= 0 and backlog < 1_000

        self.wait_for("a compacted changelog", compacted, said=process.said)
        self.wait_for("all counts", lambda: self.broker.call("GET", self.broker.path(target) + "/stats")["msgInCounter"] >= words * rounds, said=process.said)
        process.stop()
        process = self.instance(details, "--library", FUNCTIONS, *self.web)
        self.fmesh("stream", "publish", source, "word3", *self.cluster)
        wanted = f"word3={rounds + 1}"
        last = ["stream", "peek", target, "--from", "latest", "-n", "10", "--json", *self.cluster]
        self.wait_for(wanted, lambda: wanted in self.fmesh(*last), said=process.said)

    def test_windows_hold_all_of_their_records_whatever_is_killed(self):
        source, target = self.topic("in"), self.topic("out")
        windows, per_window = 20, 100
        rows = [{"payload": "x", "event_time": 1_700_000_000_000 + 5 + i * 1_000 // per_window} for i in range(windows * per_window)]
        peer = [pulsar_broker.python(), ROOT / "tests" / "e2e" / "pulsar_peer.py", "write", self.broker.service_url, self.broker.files["admin_token"]]
        subprocess.run([*peer, source, json.dumps({"batching_max_messages": 30})], input="".join(json.dumps(row) + "\n" for row in rows), text=True, check=True)
        window = {"windowLengthDurationMs": 1000, "maxLagMs": 0, "watermarkEmitIntervalMs": 50, "timestampExtractorClassName": "event-time",
                  "actualWindowFunctionClassName": "window-size"}  # fmt: skip
        details = {"name": "windows", "className": "window-size", "userConfig": json.dumps({"__WINDOWCONFIGS__": window}), "sink": {"topic": target},
                   "source": {"inputSpecs": {source: {}}, "subscriptionPosition": "EARLIEST", "subscriptionType": "FAILOVER"}}  # fmt: skip
        for _ in range(4):
            self.instance(details, "--library", FUNCTIONS).kill()
        process = self.instance(details, "--library", FUNCTIONS)
        found = self.records(target, windows - 1, said=process.said)  # the last one stays open
        self.assertEqual(set(found), {str(per_window)}, "a window without all of its records")

    # --- a mesh as a whole ---

    def test_a_mesh_that_is_killed_writes_its_file_exactly_once(self):
        count = 30_000
        runtime = "{language: builtin, functionFile: builtin}"
        mesh = f"""
apiVersion: compute.functionmesh.io/v1alpha1
kind: FunctionMesh
metadata: {{name: kill-{self.id}}}
spec:
  sources:
    - {{name: numbers-{self.id}, sourceType: generator, sourceConfig: {{count: {count}, rate: 0, template: '{{"n":{{{{seq}}}}}}'}},
       output: {{topic: {self.id}-numbers}}, processingGuarantee: effectively_once}}
  functions:
    - {{name: same-{self.id}, className: identity, genericRuntime: {runtime}, input: {{topics: [{self.id}-numbers]}},
       output: {{topic: {self.id}-same}}, processingGuarantee: effectively_once}}
  sinks:
    - {{name: write-{self.id}, sinkType: file, sinkConfig: {{path: out.jsonl}}, input: {{topics: [{self.id}-same]}}, processingGuarantee: effectively_once}}
"""
        for _ in range(6):
            process = self.run_mesh(mesh)
            time.sleep(self.random.uniform(0.2, 1.2))
            process.kill()
        process = self.run_mesh(mesh, "--until-drained")
        process.wait(limit_s=LIMIT_S)
        rows = [json.loads(line)["n"] for path in sorted(self.folder.glob("out*.jsonl*")) for line in path.read_text().splitlines()]
        said = f"FMESH_SEED={self.seed}\n{process.said()[-2000:]}"
        self.assertEqual(len(rows), count, said)
        self.assertEqual(rows, list(range(rows[0], rows[0] + count)), said)

    # --- what is refused ---

    def test_what_can_not_be_promised_is_refused(self):
        source, target = self.topic("in"), self.topic("out")
        shared = self.identity("EFFECTIVELY_ONCE", source, target)
        shared["source"]["subscriptionType"] = "SHARED"
        window = {"windowLengthDurationMs": 1000, "actualWindowFunctionClassName": "window-size"}
        windowed = self.identity("EFFECTIVELY_ONCE", source, target, className="window-size", userConfig=json.dumps({"__WINDOWCONFIGS__": window}))
        for details, flags, word in (
            (shared, self.web, "needs input in order"),
            (self.identity("EFFECTIVELY_ONCE", source, target), [], "give its address"),
            (windowed, [*self.web, "--library", FUNCTIONS], "a window is written at least once"),
        ):
            details = {"tenant": "public", "namespace": "default", **details, "name": f"{self.id}-same"}
            process = Process(self, "instance", "--function_details", json.dumps(details), "--instance_id", 0, *self.cluster, *flags)
            process.wait(code=2)
            self.assertIn(word, process.said())


if __name__ == "__main__":
    unittest.main(verbosity=2 if "-v" in sys.argv else 1)
