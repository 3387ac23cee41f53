"""What happens to fmesh's Pulsar client when the broker restarts, topics are unloaded, connections are cut, half-closed or fall silent, tokens
expire, and consumers lag behind: a ledger of numbered records shows that nothing is lost and nothing is stuck, on a real broker behind a proxy
that makes the faults."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "testbed" / "fault-proxy"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import pulsar_broker  # noqa: E402
from fault_proxy import FaultProxy  # noqa: E402

TRAFFIC = Path(os.environ.get("FMESH_BUILD", ROOT / "build")) / "pulsar_traffic"
LIMIT_S = 120


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


class Traffic:
    """A run of pulsar_traffic. result() waits for it."""

    def __init__(self, test, verb, topic, *arguments, token=None, url=None, listener="proxied"):
        command = [TRAFFIC, verb, url or f"pulsar://127.0.0.1:{test.proxy.port}", topic, "--listener", listener,
                   "--token-file", token or test.broker.files["admin_token"], *map(str, arguments)]  # fmt: skip
        self.test = test
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        test.addCleanup(self.end)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def result(self, code=0):
        out, said = self.process.communicate(timeout=LIMIT_S)
        self.test.assertEqual(self.process.returncode, code, out + said[-2000:])
        return json.loads(out)

    def running(self):
        return self.process.poll() is None


class PulsarFaultsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        port = free_port()
        cls.broker = pulsar_broker.Broker(proxied_port=port)
        cls.addClassCleanup(cls.broker.stop)
        cls.broker.wait()
        cls.proxy = FaultProxy(int(cls.broker.service_url.rpartition(":")[2]), port)
        cls.addClassCleanup(cls.proxy.stop)

    def setUp(self):
        self.topic = f"persistent://public/default/t-{uuid.uuid4().hex[:8]}"
        self.proxy.delay_s, self.proxy.silent, self.proxy.refusing = 0.0, False, False

    def unload(self, topic=None):
        self.broker.call("PUT", self.broker.path(topic or self.topic) + "/unload")

    def carry(self, disturb, count=20_000, rate=4_000, **how):
        """Produces and consumes `count` records while `disturb(still_running)` makes faults. Returns both results."""
        self.broker.subscribe(self.topic, "traffic")
        consumer = Traffic(self, "consume", self.topic, "--count", count, "--seconds", LIMIT_S - 10, *how.get("consume", ()))
        producer = Traffic(self, "produce", self.topic, "--count", count, "--rate", rate, *how.get("produce", ()))
        disturb(producer.running)
        produced, consumed = producer.result(), consumer.result()
        self.assertEqual((produced["records"], produced["failed"]), (count, 0), produced)
        self.assertEqual(consumed["missing"], 0, consumed)
        return produced, consumed

    # --- tests ---

    def test_nothing_is_lost_without_faults_and_nothing_comes_twice(self):
        _, consumed = self.carry(lambda _: None)
        self.assertEqual((consumed["again"], consumed["out_of_order"]), (0, 0), consumed)

    def test_unloads(self):
        def disturb(running):
            while running():
                time.sleep(0.8)
                self.unload()

        self.carry(disturb)

    def test_cut_connections(self):
        def disturb(running):
            while running():
                time.sleep(0.7)
                self.proxy.cut()

        self.carry(disturb)
        self.assertGreater(self.proxy.accepted, 4)

    def test_half_closed_connections(self):
        def disturb(running):
            while running():
                time.sleep(1)
                self.proxy.half_close()

        self.carry(disturb)

    def test_a_slow_network(self):
        self.proxy.delay_s = 0.02
        self.carry(lambda _: None)

    def test_a_partitioned_topic_with_cuts_and_unloads(self):
        self.broker.create_partitioned(self.topic, 4)

        def disturb(running):
            turn = 0
            while running():
                time.sleep(0.5)
                turn += 1
                self.proxy.cut() if turn % 2 else self.unload(f"{self.topic}-partition-{turn % 4}")

        consumer = Traffic(self, "consume", self.topic, "--count", 20_000, "--seconds", LIMIT_S - 10)
        producer = Traffic(self, "produce", self.topic, "--count", 20_000, "--rate", 4_000, "--keys", 50)
        disturb(producer.running)
        self.assertEqual(producer.result()["failed"], 0)
        self.assertEqual(consumer.result()["missing"], 0)

    def test_deduplication_leaves_nothing_twice_despite_cuts(self):
        self.broker.call("POST", "/admin/v2/namespaces/public/default/deduplication", True)
        self.addCleanup(self.broker.call, "POST", "/admin/v2/namespaces/public/default/deduplication", False)

        def disturb(running):
            while running():
                time.sleep(0.7)
                self.proxy.cut()

        self.broker.subscribe(self.topic, "traffic")
        producer = Traffic(self, "produce", self.topic, "--count", 20_000, "--rate", 4_000, "--web", self.broker.url, "--deduplicate", "--name", "dedup", "--first", 0)
        disturb(producer.running)
        self.assertEqual(producer.result()["failed"], 0)
        # All of it again, as after a crash: none of it is stored.
        again = Traffic(self, "produce", self.topic, "--count", 20_000, "--web", self.broker.url, "--deduplicate", "--name", "dedup").result()
        self.assertEqual((again["records"], again["duplicates"]), (20_000, 20_000), again)
        consumed = Traffic(self, "consume", self.topic, "--count", 20_000).result()
        self.assertEqual((consumed["missing"], consumed["again"]), (0, 0), consumed)

    def test_negative_acknowledgements_come_again(self):
        _, consumed = self.carry(lambda _: None, count=5_000, rate=2_000, consume=("--nack-every", 7))
        self.assertGreater(consumed["redelivered"], 0)

    def test_a_pass_through_loses_nothing(self):
        out = self.topic + "-out"
        self.broker.subscribe(self.topic, "traffic")
        self.broker.subscribe(out, "traffic")
        carrier = Traffic(self, "pass", self.topic, "--to", out, "--count", 20_000, "--seconds", LIMIT_S - 10)
        producer = Traffic(self, "produce", self.topic, "--count", 20_000, "--rate", 4_000)
        while producer.running():
            time.sleep(0.9)
            self.proxy.cut()
        self.assertEqual(producer.result()["failed"], 0)
        self.assertEqual(carrier.result()["records"] >= 20_000, True)
        self.assertEqual(Traffic(self, "consume", out, "--count", 20_000).result()["missing"], 0)

    def test_an_expired_token_is_read_anew(self):
        with tempfile.NamedTemporaryFile("w", suffix=".token") as file:
            stop = threading.Event()

            def renew():
                while not stop.is_set():
                    Path(file.name).write_text(self.broker.token("admin", seconds=4))
                    stop.wait(2)

            Path(file.name).write_text(self.broker.token("admin", seconds=4))
            renewing = threading.Thread(target=renew)
            renewing.start()
            try:

                def disturb(running):
                    while running():
                        time.sleep(3)
                        self.proxy.cut()

                self.broker.subscribe(self.topic, "traffic")
                consumer = Traffic(self, "consume", self.topic, "--count", 40_000, token=file.name)
                producer = Traffic(self, "produce", self.topic, "--count", 40_000, "--rate", 4_000, token=file.name)
                disturb(producer.running)
                self.assertEqual(producer.result()["failed"], 0)
                self.assertEqual(consumer.result()["missing"], 0)
            finally:
                stop.set()
                renewing.join()

    def test_a_reached_backlog_quota_holds_producers_back_until_consumers_have_caught_up(self):
        name_space = "public/quota"
        self.broker.call("PUT", f"/admin/v2/namespaces/{name_space}", {})
        self.broker.call("POST", f"/admin/v2/namespaces/{name_space}/backlogQuota?backlogQuotaType=destination_storage",
                         {"limitSize": 200_000, "policy": "producer_request_hold"})  # fmt: skip
        topic = f"persistent://{name_space}/t-{uuid.uuid4().hex[:8]}"
        self.broker.subscribe(topic, "traffic")
        producer = Traffic(self, "produce", topic, "--count", 10_000, "--rate", 2_000, "--send-timeout-ms", 5_000)
        time.sleep(15)  # three times as long as it would take, and as an append may wait
        self.assertTrue(producer.running())
        consumed = Traffic(self, "consume", topic, "--count", 10_000, "--seconds", 100).result()
        self.assertEqual(consumed["missing"], 0, consumed)
        self.assertEqual(producer.result()["failed"], 0)

    def test_z_a_restart_of_the_broker(self):
        """Last, as it takes long."""

        def disturb(running):
            time.sleep(2)
            self.broker.restart()

        self.carry(disturb, count=60_000)


if __name__ == "__main__":
    unittest.main(verbosity=2 if "-v" in sys.argv else 1)
