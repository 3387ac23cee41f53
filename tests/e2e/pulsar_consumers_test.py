"""fmesh's Pulsar client as a consumer on a real broker: the four kinds of subscription, ack timeouts, seeking, partitions that are added, streams
that a pattern finds, and what the admin API does for `fmesh stream`."""

import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(Path(__file__).resolve().parent))

import pulsar_broker  # noqa: E402

BUILD = Path(os.environ.get("FMESH_BUILD", ROOT / "build"))
LIMIT_S = 60


class PulsarConsumersTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.broker = pulsar_broker.Broker()
        cls.addClassCleanup(cls.broker.stop)
        cls.broker.wait()

    def setUp(self):
        self.name = f"t-{uuid.uuid4().hex[:8]}"
        self.topic = f"persistent://public/default/{self.name}"

    def start(self, verb, topic, *arguments):
        command = [BUILD / "pulsar_traffic", verb, self.broker.service_url, topic, "--token-file", self.broker.files["admin_token"], *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()

    def result(self, process, code=0):
        out, said = process.communicate(timeout=LIMIT_S)
        self.assertEqual(process.returncode, code, out + said[-2000:])
        return json.loads(out) if code != 2 else said

    def run_traffic(self, *arguments, code=0):
        return self.result(self.start(*arguments), code)

    def flags(self):
        return ["--pulsar", self.broker.service_url, "--pulsar-web", self.broker.url, "--auth-plugin", "token",
                "--auth-params", f"file://{self.broker.files['admin_token']}"]  # fmt: skip

    def fmesh(self, *arguments, code=0):
        done = subprocess.run([BUILD / "fmesh", "stream", *arguments, *self.flags()], capture_output=True, text=True, timeout=LIMIT_S)
        self.assertEqual(done.returncode, code, done.stdout[-2000:] + done.stderr[-2000:])
        return done.stdout if code == 0 else done.stderr

    def seen(self, path):
        return {int(line) for line in Path(path).read_text().split()}

    # --- tests ---

    def test_an_exclusive_subscription_has_one_consumer(self):
        first = self.start("consume", self.topic, "--type", "exclusive", "--count", 1, "--seconds", 30)
        deadline = time.monotonic() + 20
        while not self.broker.subscriptions(self.topic) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(0.5)
        begin = time.monotonic()
        said = self.run_traffic("consume", self.topic, "--type", "exclusive", "--count", 1, "--seconds", 30, code=2)
        self.assertIn("ConsumerBusy", said)
        self.assertLess(time.monotonic() - begin, 1.5)
        self.run_traffic("produce", self.topic, "--count", 1)
        self.assertEqual(self.result(first)["missing"], 0)

    def shared_out(self, kind, consumers, count=6_000, keys=0, kill=None):
        self.broker.subscribe(self.topic, "traffic")
        with tempfile.TemporaryDirectory() as folder:
            running = [self.start("consume", self.topic, "--type", kind, "--name", f"c{i}", "--count", count, "--keys", keys, "--seconds", 12,
                                  "--seen-file", f"{folder}/{i}") for i in range(consumers)]  # fmt: skip
            time.sleep(1.5)
            producer = self.start("produce", self.topic, "--count", count, "--rate", 2_000, "--keys", keys)
            if kill is not None:
                time.sleep(1.5)
                running[kill].kill()
            self.result(producer)
            for i, process in enumerate(running):
                process.wait(LIMIT_S)
                if i == kill:
                    Path(f"{folder}/{i}").touch()
            results = [json.loads(process.stdout.read() or "{}") for process in running]
            return [self.seen(f"{folder}/{i}") for i in range(consumers)], results

    def test_a_shared_subscription_spreads_its_records(self):
        seen, results = self.shared_out("shared", 3)
        self.assertEqual(set().union(*seen), set(range(6_000)))
        self.assertEqual(sum(len(part) for part in seen), 6_000)  # each went to one
        self.assertTrue(all(seen), [len(part) for part in seen])

    def test_a_failover_subscription_goes_to_the_next_when_the_first_is_killed(self):
        seen, results = self.shared_out("failover", 2, kill=0)
        self.assertTrue(seen[1])
        # What the first had acknowledged is not brought again; everything after its end is.
        self.assertEqual(max(seen[1]), 5_999)
        self.assertEqual(len(seen[1]), 5_999 - min(seen[1]) + 1)
        self.assertEqual(results[1]["out_of_order"], 0, results[1])

    def test_a_key_shared_subscription_is_spread_and_each_part_is_in_order(self):
        # By the key of an entry's first record: fmesh's producers do not batch by key.
        seen, results = self.shared_out("key_shared", 2, count=2_000, keys=40)
        self.assertEqual(set().union(*seen), set(range(2_000)))
        self.assertEqual(sum(len(part) for part in seen), 2_000)
        self.assertTrue(all(seen), [len(part) for part in seen])
        self.assertEqual([result["out_of_order"] for result in results], [0, 0], results)

    def test_what_is_not_acknowledged_in_time_comes_again(self):
        self.broker.subscribe(self.topic, "traffic")
        self.run_traffic("produce", self.topic, "--count", 3_000, "--rate", 3_000)
        consumed = self.run_traffic("consume", self.topic, "--count", 3_000, "--forget-every", 5, "--ack-timeout-ms", 1_000)
        self.assertEqual(consumed["missing"], 0, consumed)
        self.assertGreater(consumed["redelivered"], 0)
        # All of it is acknowledged now.
        again = self.run_traffic("consume", self.topic, "--seconds", 3)
        self.assertEqual(again["records"], 0, again)

    def test_partitions_that_are_added_are_read_and_written(self):
        self.broker.create_partitioned(self.topic, 1)
        consumer = self.start("consume", self.topic, "--count", 8_000, "--discovery-ms", 500, "--seconds", 40)
        producer = self.start("produce", self.topic, "--count", 8_000, "--rate", 1_000, "--discovery-ms", 500, "--keys", 100)
        time.sleep(2)
        self.broker.call("POST", self.broker.path(self.topic) + "/partitions", 3)
        self.assertEqual(self.result(producer)["failed"], 0)
        self.assertEqual(self.result(consumer)["missing"], 0)
        stats = self.broker.call("GET", self.broker.path(self.topic) + "-partition-2/stats")
        self.assertGreater(stats["msgInCounter"], 0)

    def test_streams_that_a_pattern_finds_later_are_read(self):
        pattern = f"public/default/{self.name}-.*"
        self.run_traffic("produce", f"{self.topic}-a", "--count", 500)
        consumer = self.start("consume", pattern, "--pattern", "--count", 1_500, "--discovery-ms", 500, "--seconds", 40)
        time.sleep(2)
        self.run_traffic("produce", f"{self.topic}-b", "--count", 500, "--first", 500)
        self.broker.create_partitioned(f"{self.topic}-c", 2)
        self.run_traffic("produce", f"{self.topic}-c", "--count", 500, "--first", 1_000, "--keys", 10)
        self.assertEqual(self.result(consumer)["missing"], 0)

    def test_a_subscription_is_moved(self):
        self.broker.subscribe(self.topic, "traffic")
        self.run_traffic("produce", self.topic, "--count", 100)
        self.assertEqual(self.run_traffic("consume", self.topic, "--count", 100)["missing"], 0)
        time.sleep(0.5)
        self.assertEqual(self.run_traffic("consume", self.topic, "--seconds", 2)["records"], 0)
        self.fmesh("seek", self.name, "--subscription", "traffic", "--id", "earliest")
        self.assertEqual(self.run_traffic("consume", self.topic, "--count", 100)["missing"], 0)
        self.fmesh("seek", self.name, "--subscription", "traffic", "--time", str(int(time.time() * 1000) - 3_600_000))
        self.assertEqual(self.run_traffic("consume", self.topic, "--count", 100)["missing"], 0)

    def test_streams_are_made_listed_and_deleted(self):
        self.fmesh("create", self.name, "--partitions", "3")
        self.fmesh("create", self.name, "--partitions", "3")
        self.assertIn("3 partitions", self.fmesh("create", self.name, "--partitions", "4", code=2))
        self.broker.subscribe(self.topic, "a/b")
        self.fmesh("publish", self.name, "hello", "world", "--key", "k")
        listed = {stream["topic"]: stream for stream in json.loads(self.fmesh("ls", "--json"))["streams"]}
        self.assertEqual(listed[self.topic]["partitions"], 3)
        self.assertEqual(listed[self.topic]["subscriptions"][0]["name"], "a/b")
        reader = self.start("consume", self.topic, "--subscription", "a/b", "--seconds", 30)
        deadline = time.monotonic() + 20
        while not any(one["consumers"] for stream in json.loads(self.fmesh("ls", "--json"))["streams"] for one in stream["subscriptions"]):
            self.assertLess(time.monotonic(), deadline)
        self.fmesh("rm", self.name, code=2)  # somebody reads it
        self.end(reader)
        while subprocess.run([BUILD / "fmesh", "stream", "rm", self.name, *self.flags()], capture_output=True).returncode != 0:
            self.assertLess(time.monotonic(), deadline + LIMIT_S)  # until the broker has noticed
            time.sleep(0.2)
        self.assertNotIn(self.topic, self.fmesh("ls", "--json"))


if __name__ == "__main__":
    unittest.main(verbosity=2 if "-v" in sys.argv else 1)
