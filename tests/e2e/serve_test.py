"""`fmesh serve` and the Python client that nobody here wrote: it produces, consumes, acknowledges, seeks, reads and registers schemas against the
embedded log, and loses nothing when the server is killed."""

import json
import os
import signal
import subprocess
import threading
import time
import unittest

import serve_case
from serve_case import ADMIN, ServeCase

pulsar = serve_case.import_client()
from pulsar.schema import Integer, JsonSchema, Record, String  # noqa: E402

TIMEOUT_MS = 10_000


class Shop(Record):
    name = String()
    count = Integer()


class PythonClient(ServeCase):
    def setUp(self):
        super().setUp()
        self.serve()

    def client(self, **options):
        log = pulsar.FileLogger(pulsar.LoggerLevel.Error, os.devnull)
        client = pulsar.Client(self.url, logger=log, operation_timeout_seconds=20, **options)
        self.clients.append(client)
        return client

    def take(self, consumer, count):
        messages = [consumer.receive(TIMEOUT_MS) for _ in range(count)]
        return [message.data().decode() for message in messages], messages

    def empty(self, consumer, wait_ms=300):
        with self.assertRaises(pulsar.Timeout):
            consumer.receive(wait_ms)

    def test_produces_and_consumes(self):
        client = self.client()
        consumer = client.subscribe("orders", "s")
        producer = client.create_producer("orders", batching_enabled=True, batching_max_publish_delay_ms=5, block_if_queue_full=True)
        for i in range(1000):
            producer.send_async(f"m{i}".encode(), lambda *_: None, properties={"n": str(i)}, partition_key=f"k{i % 7}")
        producer.flush()
        texts, messages = self.take(consumer, 1000)
        self.assertEqual(texts, [f"m{i}" for i in range(1000)])
        self.assertEqual(messages[5].properties(), {"n": "5"})
        self.assertEqual(messages[5].partition_key(), "k5")
        for message in messages:
            consumer.acknowledge(message)
        consumer.close()
        again = client.subscribe("orders", "s")
        self.empty(again)

    def test_compressed_and_large_messages_come_as_they_went(self):
        client = self.client()
        consumer = client.subscribe("big", "s")
        kinds = [pulsar.CompressionType.NONE, pulsar.CompressionType.LZ4, pulsar.CompressionType.ZLib, pulsar.CompressionType.ZSTD, pulsar.CompressionType.SNAPPY]
        body = os.urandom(1024) * 2048
        for kind in kinds:
            producer = client.create_producer("big", compression_type=kind)
            producer.send(body)
            self.assertEqual(consumer.receive(TIMEOUT_MS).data(), body)
        chunked = client.create_producer("big", chunking_enabled=True, batching_enabled=False)
        large = os.urandom(1024 * 1024) * 12
        chunked.send(large)
        self.assertEqual(consumer.receive(TIMEOUT_MS).data(), large)

    def test_partitions_are_found_and_spread(self):
        self.assertEqual(self.call("PUT", ADMIN + "parted/partitions", b"4")[0], 204)
        client = self.client()
        consumer = client.subscribe("parted", "s", consumer_type=pulsar.ConsumerType.Failover)
        producer = client.create_producer("parted")
        for i in range(100):
            producer.send(str(i).encode(), partition_key=str(i))
        texts, messages = self.take(consumer, 100)
        self.assertEqual(sorted(map(int, texts)), list(range(100)))
        self.assertEqual(len({message.message_id().partition() for message in messages}), 4)
        self.assertEqual(client.get_topic_partitions("parted"), [f"persistent://public/default/parted-partition-{i}" for i in range(4)])
        consumer.unsubscribe()
        self.assertEqual(json.loads(self.call("GET", ADMIN + "parted/subscriptions")[1]), [])

    def test_shared_consumers_share_and_refused_messages_come_again(self):
        client = self.client()
        consumers = [client.subscribe("work", "s", consumer_type=pulsar.ConsumerType.Shared, receiver_queue_size=10, negative_ack_redelivery_delay_ms=100)
                     for _ in range(2)]  # fmt: skip
        producer = client.create_producer("work")
        for i in range(100):
            producer.send(str(i).encode())
        seen, refused = [], set()
        deadline = time.monotonic() + 20
        while len(seen) < 100 and time.monotonic() < deadline:
            for consumer in consumers:
                try:
                    message = consumer.receive(50)
                except pulsar.Timeout:
                    continue
                text = message.data().decode()
                if int(text) % 10 == 0 and text not in refused:
                    refused.add(text)
                    consumer.negative_acknowledge(message)
                    continue
                if text in refused:
                    self.assertGreater(message.redelivery_count(), 0)
                seen.append(int(text))
                consumer.acknowledge(message)
        self.assertEqual(sorted(seen), list(range(100)))

    def test_key_shared_keeps_the_order_of_a_key(self):
        client = self.client()
        consumers = [client.subscribe("keys", "s", consumer_type=pulsar.ConsumerType.KeyShared) for _ in range(3)]
        producer = client.create_producer("keys", batching_enabled=True, batching_type=pulsar.BatchingType.KeyBased)
        for i in range(300):
            producer.send_async(str(i).encode(), lambda *_: None, partition_key=f"k{i % 20}")
        producer.flush()
        by_key, owner = {}, {}
        for number, consumer in enumerate(consumers):
            while True:
                try:
                    message = consumer.receive(500)
                except pulsar.Timeout:
                    break
                key = message.partition_key()
                by_key.setdefault(key, []).append(int(message.data()))
                owner.setdefault(key, set()).add(number)
                consumer.acknowledge(message)
        self.assertEqual(sum(map(len, by_key.values())), 300)
        for key, numbers in by_key.items():
            self.assertEqual(numbers, sorted(numbers), key)
            self.assertEqual(len(owner[key]), 1, key)

    def test_seeks_by_id_and_by_time(self):
        client = self.client()
        consumer = client.subscribe("moves", "s")
        producer = client.create_producer("moves")
        for i in range(5):
            producer.send(str(i).encode())
        between_ms = int(time.time() * 1000) + 1
        time.sleep(0.02)
        for i in range(5, 10):
            producer.send(str(i).encode())
        _, messages = self.take(consumer, 10)
        consumer.acknowledge_cumulative(messages[-1])
        consumer.seek(messages[3].message_id())
        # The official client seeks to behind the message of an id.
        first = self.take(consumer, 1)[0][0]
        self.assertIn(first, ("3", "4"))
        consumer.seek(between_ms)
        self.assertEqual(self.take(consumer, 1)[0], ["5"])
        consumer.seek(pulsar.MessageId.earliest)
        self.assertEqual(self.take(consumer, 1)[0], ["0"])
        consumer.seek(pulsar.MessageId.latest)
        self.empty(consumer)

    def test_reads_without_a_subscription(self):
        client = self.client()
        producer = client.create_producer("log")
        ids = [producer.send(str(i).encode()) for i in range(5)]
        reader = client.create_reader("log", pulsar.MessageId.earliest)
        self.assertTrue(reader.has_message_available())
        self.assertEqual([reader.read_next(TIMEOUT_MS).data().decode() for _ in range(5)], list("01234"))
        self.assertFalse(reader.has_message_available())
        later = client.create_reader("log", ids[2])
        self.assertEqual(later.read_next(TIMEOUT_MS).data().decode(), "3")
        latest = client.create_reader("log", pulsar.MessageId.latest)
        producer.send(b"new")
        self.assertEqual(latest.read_next(TIMEOUT_MS).data().decode(), "new")

    def test_acknowledges_records_of_a_batch(self):
        client = self.client()
        options = {"consumer_type": pulsar.ConsumerType.Shared, "batch_index_ack_enabled": True}
        consumer = client.subscribe("batch", "s", **options)
        producer = client.create_producer("batch", batching_enabled=True, batching_max_publish_delay_ms=1000)
        for i in range(10):
            producer.send_async(str(i).encode(), lambda *_: None)
        producer.flush()
        _, messages = self.take(consumer, 10)
        for message in messages[::2]:
            consumer.acknowledge(message)
        time.sleep(0.5)  # acknowledgements are gathered for 100 ms
        consumer.close()
        again = client.subscribe("batch", "s", **options)
        self.assertEqual(self.take(again, 5)[0], list("13579"))
        self.empty(again)

    def test_delivers_later_where_order_is_not_promised(self):
        client = self.client()
        consumer = client.subscribe("later", "s", consumer_type=pulsar.ConsumerType.Shared)
        producer = client.create_producer("later")
        begin = time.monotonic()
        producer.send(b"late", deliver_at=int(time.time() * 1000) + 1500)
        producer.send(b"now")
        self.assertEqual(self.take(consumer, 1)[0], ["now"])
        self.assertEqual(self.take(consumer, 1)[0], ["late"])
        self.assertGreater(time.monotonic() - begin, 1.3)

    def test_finds_topics_by_pattern(self):
        client = self.client()
        for name in ("fruit-apple", "fruit-pear", "stone"):
            client.create_producer(name).send(name.encode())
        consumer = client.subscribe(__import__("re").compile("persistent://public/default/fruit-.*"), "s", initial_position=pulsar.InitialPosition.Earliest)
        self.assertEqual(sorted(self.take(consumer, 2)[0]), ["fruit-apple", "fruit-pear"])
        self.empty(consumer)

    def test_keeps_schemas_and_refuses_what_does_not_fit(self):
        client = self.client()
        producer = client.create_producer("shop", schema=JsonSchema(Shop))
        consumer = client.subscribe("shop", "s", schema=JsonSchema(Shop))
        producer.send(Shop(name="tea", count=3))
        self.assertEqual(consumer.receive(TIMEOUT_MS).value().name, "tea")
        with self.assertRaises(pulsar.IncompatibleSchema):
            client.create_producer("shop", schema=pulsar.schema.StringSchema())
        status, text = self.call("GET", "/admin/v2/schemas/public/default/shop/schema")
        self.assertEqual((status, json.loads(text)["type"]), (200, "JSON"))

    def test_drops_what_a_named_producer_sends_twice(self):
        self.stop()
        self.serve("--deduplicate")
        client = self.client()
        consumer = client.subscribe("once", "s")
        for _ in range(2):
            producer = client.create_producer("once", producer_name="p")
            for i in range(5):
                producer.send(str(i).encode(), sequence_id=i + 1)
            producer.close()
        self.assertEqual(self.take(consumer, 5)[0], list("01234"))
        self.empty(consumer)

    def test_unload_loses_nothing(self):
        client = self.client()
        consumer = client.subscribe("moved", "s", consumer_type=pulsar.ConsumerType.Shared)
        producer = client.create_producer("moved")
        seen = set()
        for i in range(300):
            producer.send(str(i).encode())
            if i % 100 == 50:
                self.assertEqual(self.call("PUT", ADMIN + "moved/unload")[0], 204)
            message = consumer.receive(TIMEOUT_MS)
            seen.add(int(message.data()))
            consumer.acknowledge(message)
        while len(seen) < 300:
            message = consumer.receive(TIMEOUT_MS)
            seen.add(int(message.data()))
            consumer.acknowledge(message)
        self.assertEqual(seen, set(range(300)))

    def test_asks_for_the_token_and_speaks_tls(self):
        self.stop()
        token = self.path / "token"
        token.write_text("secret\n", encoding="utf-8")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", self.path / "key.pem", "-out", self.path / "cert.pem"],
                       check=True, capture_output=True)  # fmt: skip
        self.ports = None
        self.serve("--token-file", str(token), "--tls-cert", str(self.path / "cert.pem"), "--tls-key", str(self.path / "key.pem"))
        self.assertTrue(self.url.startswith("pulsar+ssl://"))
        trust = {"tls_trust_certs_file_path": str(self.path / "cert.pem"), "tls_validate_hostname": True}
        client = self.client(authentication=pulsar.AuthenticationToken("secret"), **trust)
        consumer = client.subscribe("safe", "s")
        client.create_producer("safe").send(b"x" * 1_000_000)
        self.assertEqual(len(consumer.receive(TIMEOUT_MS).data()), 1_000_000)
        for wrong in (pulsar.AuthenticationToken("other"), None):
            log = pulsar.FileLogger(pulsar.LoggerLevel.Error, os.devnull)
            other = pulsar.Client(self.url, authentication=wrong, logger=log, operation_timeout_seconds=2, **trust)
            with self.assertRaises(pulsar.PulsarException):
                other.create_producer("safe")
            other.close()

    def test_loses_nothing_that_was_confirmed_when_it_is_killed_in_mid_load(self):
        """Three kills while producers send without batching and consumers acknowledge: every confirmed number arrives."""
        client = self.client()
        producer = client.create_producer("ledger", block_if_queue_full=True, batching_enabled=True, batching_max_publish_delay_ms=1, send_timeout_millis=0)
        consumer = client.subscribe("ledger", "s", consumer_type=pulsar.ConsumerType.Shared, initial_position=pulsar.InitialPosition.Earliest)
        confirmed, stopping, number = set(), threading.Event(), 0
        lock = threading.Lock()

        def note(value):
            def done(result, _):
                if result == pulsar.Result.Ok:
                    with lock:
                        confirmed.add(value)

            return done

        def kill():
            for _ in range(3):
                time.sleep(1.5)
                self.stop(signal.SIGKILL)
                self.serve()
            time.sleep(1)
            stopping.set()

        killer = threading.Thread(target=kill)
        killer.start()
        got = set()
        while not stopping.is_set():
            for _ in range(20):
                producer.send_async(str(number).encode(), note(number))
                number += 1
            for _ in range(20):
                try:
                    message = consumer.receive(5)
                except pulsar.Timeout:
                    break
                got.add(int(message.data()))
                consumer.acknowledge(message)
        killer.join()
        producer.flush()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with lock:
                if confirmed <= got:
                    break
            try:
                message = consumer.receive(200)
            except pulsar.Timeout:
                continue
            got.add(int(message.data()))
            consumer.acknowledge(message)
        self.assertGreater(len(confirmed), 500)
        self.assertEqual(confirmed - got, set())


MESH = """
apiVersion: compute.functionmesh.io/v1alpha1
kind: FunctionMesh
metadata: {name: doubling}
spec:
  functions:
    - name: double
      className: map
      genericRuntime: {language: builtin}
      funcConfig: {expression: '{twice: (.n * 2)}'}
      input: {topics: [numbers]}
      output: {topic: doubled}
"""


class MeshBesideClients(ServeCase):
    def test_a_client_feeds_a_mesh_and_reads_what_it_makes(self):
        (self.path / "mesh.yaml").write_text(MESH, encoding="utf-8")
        log = open(self.path / "run.log", "w", encoding="utf-8")
        self.process = subprocess.Popen([serve_case.FMESH, "run", "mesh.yaml", "--data-dir", "data", "--listen", "127.0.0.1:0"], cwd=self.path, stdout=log, stderr=log)
        log.close()
        deadline = time.monotonic() + 20
        while "runs; data in" not in (text := (self.path / "run.log").read_text(encoding="utf-8")) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertIn("runs; data in", text)
        client = pulsar.Client(text.split("connect to ")[1].split()[0], logger=pulsar.FileLogger(pulsar.LoggerLevel.Error, os.devnull))
        self.clients.append(client)
        consumer = client.subscribe("doubled", "s")
        producer = client.create_producer("numbers")
        for i in range(20):
            producer.send(json.dumps({"n": i}).encode())
        self.assertEqual([json.loads(consumer.receive(TIMEOUT_MS).data())["twice"] for _ in range(20)], [2 * i for i in range(20)])

    def test_refuses_an_address_that_others_reach(self):
        done = subprocess.run([serve_case.FMESH, "serve", "--data-dir", str(self.path / "data"), "--listen", "0.0.0.0:0"], capture_output=True, text=True, timeout=20)
        self.assertEqual(done.returncode, 2)
        self.assertIn("--token-file, --tls-cert and --tls-key; or listen on 127.0.0.1", done.stderr)


if __name__ == "__main__":
    result = unittest.main(exit=False).result
    os._exit(0 if result.wasSuccessful() else 1)  # the client may abort while the interpreter ends
