"""`fmesh serve` and what comes with Pulsar's distribution: pulsar-perf, pulsar-client and pulsar-admin, all on the Java client."""

import json
import os
import re
import subprocess
import unittest
from pathlib import Path

import pulsar_broker
from serve_case import ServeCase

PERF_MESSAGES = 50_000
TIMEOUT_S = 120


class JavaTools(ServeCase):
    @classmethod
    def setUpClass(cls):
        cls.home = Path(pulsar_broker.run("fetch", timeout=pulsar_broker.UP_TIMEOUT_S).strip())

    def setUp(self):
        super().setUp()
        self.serve()

    def tool(self, name, *arguments, code=0):
        environment = os.environ | {"PULSAR_MEM": "-Xms64m -Xmx512m", "PULSAR_LOG_DIR": str(self.path / "logs")}
        done = subprocess.run([self.home / "bin" / name, *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, env=environment)
        text = done.stdout + done.stderr
        self.assertEqual(done.returncode != 0, code != 0, text[-3000:])
        return text

    def admin(self, *arguments, code=0):
        return self.tool("pulsar-admin", "--admin-url", self.http, *arguments, code=code)

    def perf(self, *arguments):
        return self.tool("pulsar-perf", arguments[0], "-u", self.url, *arguments[1:])

    def test_pulsar_perf_produces_and_every_type_of_subscription_consumes(self):
        self.perf("produce", "-r", "50000", "-s", "100", "-m", str(PERF_MESSAGES), "perf")
        for kind in ("Exclusive", "Shared", "Failover", "Key_Shared"):
            said = self.perf("consume", "-sp", "Earliest", "-ss", f"s-{kind}", "-st", kind, "-m", str(PERF_MESSAGES), "perf")
            received = re.search(r"Aggregated throughput stats --- (\d+) records received", said)
            self.assertGreaterEqual(int(received[1]), PERF_MESSAGES, said[-2000:])
        stats = json.loads(self.call("GET", "/admin/v2/persistent/public/default/perf/stats")[1])
        self.assertGreaterEqual(stats["msgInCounter"], PERF_MESSAGES)  # it sends on until all are confirmed
        for name, subscription in stats["subscriptions"].items():
            self.assertGreaterEqual(subscription["msgOutCounter"], PERF_MESSAGES, name)

    def test_pulsar_perf_reads_without_a_subscription(self):
        self.perf("produce", "-r", "50000", "-s", "100", "-m", "5000", "perf")
        said = self.perf("read", "-n", "5000", "perf")
        self.assertIn("records received", said)

    def test_pulsar_client_talks_over_partitions(self):
        self.admin("topics", "create-partitioned-topic", "-p", "3", "parted")
        client = ("pulsar-client", "--url", self.url)
        self.tool(*client, "produce", "parted", "-m", "one,two,three,four,five,six", "-n", "1")
        said = self.tool(*client, "consume", "parted", "-s", "s", "-t", "Shared", "-p", "Earliest", "-n", "6")
        self.assertEqual(sorted(re.findall(r"content:(\w+)", said)), sorted(["one", "two", "three", "four", "five", "six"]))
        self.assertEqual(json.loads(self.admin("topics", "partitioned-stats", "parted"))["metadata"]["partitions"], 3)

    def test_pulsar_admin_looks_after_topics_and_subscriptions(self):
        self.tool("pulsar-client", "--url", self.url, "produce", "orders", "-m", "a,b,c", "-n", "1")
        self.assertIn("persistent://public/default/orders", self.admin("topics", "list", "public/default"))
        self.admin("topics", "create-subscription", "-s", "s", "-m", "earliest", "orders")
        self.assertEqual(self.admin("topics", "subscriptions", "orders").split(), ["s"])
        stats = json.loads(self.admin("topics", "stats", "orders"))
        self.assertEqual(stats["subscriptions"]["s"]["msgBacklog"], 3)
        peeked = self.admin("topics", "peek-messages", "-s", "s", "-n", "1", "orders")
        self.assertIn("61", peeked)  # "a", as a dump
        self.admin("topics", "skip", "-s", "s", "-n", "2", "orders")
        self.assertEqual(json.loads(self.admin("topics", "stats", "orders"))["subscriptions"]["s"]["msgBacklog"], 1)
        self.admin("topics", "reset-cursor", "-s", "s", "-t", "1h", "orders")
        self.admin("topics", "clear-backlog", "-s", "s", "orders")
        self.admin("topics", "unsubscribe", "-s", "s", "orders")
        self.assertIn("not offered by this server", self.admin("topics", "terminate", "orders", code=1))
        self.admin("topics", "delete", "orders")
        self.assertEqual(self.admin("brokers", "healthcheck").strip(), "ok")


if __name__ == "__main__":
    unittest.main()
