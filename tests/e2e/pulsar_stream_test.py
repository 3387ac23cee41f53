"""fmesh's own Pulsar client on a real broker, cross-checked with Pulsar's: what either writes the other reads, with every compression, with
batches and without, with keys, properties and event times, on topics with partitions and without; and what a person is told when it fails."""

import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse
from pathlib import Path

import pulsar_broker

ROOT = Path(__file__).resolve().parent.parent.parent
FMESH = Path(os.environ.get("FMESH_BUILD", ROOT / "build")) / "fmesh"
PEER = Path(__file__).resolve().parent / "pulsar_peer.py"
COMPRESSIONS = ("NONE", "LZ4", "ZLib", "ZSTD", "SNAPPY")
LIMIT_S = 60


def records_of(count, key=None):
    return [{"payload": f"record {i} " + "x" * (i % 50), "key": None if key is None else f"{key}{i % 7}", "properties": {"number": str(i)},
             "event_time": 1_700_000_000_000 + i} for i in range(count)]  # fmt: skip


def without_partition(records):
    return [{name: record[name] for name in ("payload", "key", "properties", "event_time")} for record in records]


def in_order_of_numbers(records):
    return sorted(records, key=lambda record: int(record["properties"]["number"]))


def murmur3_32(text):
    """MurmurHash3 x86 32 bit, seed 0, without its sign bit, as Pulsar's Murmur3_32Hash."""

    def rotated(value, bits):
        return (value << bits | value >> (32 - bits)) & 0xFFFFFFFF

    def mixed(block):
        return rotated(block * 0xCC9E2D51 & 0xFFFFFFFF, 15) * 0x1B873593 & 0xFFFFFFFF

    value, whole = 0, len(text) // 4 * 4
    for at in range(0, whole, 4):
        value = rotated(value ^ mixed(int.from_bytes(text[at : at + 4], "little")), 13) * 5 + 0xE6546B64 & 0xFFFFFFFF
    if whole < len(text):
        value ^= mixed(int.from_bytes(text[whole:], "little"))
    value ^= len(text)
    for factor, bits in ((0x85EBCA6B, 16), (0xC2B2AE35, 13)):
        value = (value ^ value >> bits) * factor & 0xFFFFFFFF
    return (value ^ value >> 16) & 0x7FFFFFFF


class Issuer:
    """An OAuth2 issuer on loopback whose tokens are the broker's of admin."""

    def __init__(self, token):
        self.asked = asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                asked.append(urllib.parse.parse_qs(body))
                issuer = f"http://127.0.0.1:{self.server.server_port}"
                known = self.path == "/.well-known/openid-configuration"
                text = json.dumps({"token_endpoint": issuer + "/token"} if known else {"access_token": token, "expires_in": 60})
                self.send_response(200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_POST = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class PulsarStreamTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.broker = pulsar_broker.Broker()
        cls.addClassCleanup(cls.broker.stop)
        cls.python = pulsar_broker.python()
        cls.broker.wait()

    # --- fmesh's side ---

    def fmesh(self, *arguments, code=0, stdin="", url=None, auth=True, limit_s=LIMIT_S):
        flags = ["--pulsar", url or self.broker.service_url]
        if auth is True:
            auth = ("token", f"file://{self.broker.files['admin_token']}")
        if auth:
            flags += ["--auth-plugin", auth[0], "--auth-params", auth[1]]
        done = subprocess.run([FMESH, *arguments, *flags], capture_output=True, text=True, input=stdin, timeout=limit_s)
        self.assertEqual(done.returncode, code, done.stdout[-2000:] + done.stderr[-2000:])
        return done.stdout if code == 0 else done.stderr

    def peek(self, topic, count=10_000, **how):
        lines = self.fmesh("stream", "peek", topic, "--json", "-n", str(count), **how).splitlines()
        return [self.to_record(json.loads(line)) for line in lines]

    @staticmethod
    def to_record(line):
        return {"payload": line["text"] if "text" in line else line["payload"], "key": line.get("key"), "properties": line.get("properties", {}),
                "event_time": line.get("eventTimeMs", 0), "partition": int(line["id"].split(":")[2])}  # fmt: skip

    # --- the other side ---

    def peer(self, *arguments, stdin=""):
        verb, topic, *rest = arguments
        command = [self.python, PEER, verb, self.broker.service_url, self.broker.files["admin_token"], topic, *rest]
        done = subprocess.run(command, capture_output=True, text=True, input=stdin, timeout=LIMIT_S)
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        return [json.loads(line) for line in done.stdout.splitlines()]

    def others_write(self, topic, records, **how):
        self.peer("write", topic, json.dumps(how), stdin="".join(json.dumps(record) + "\n" for record in records))

    # --- tests ---

    def test_what_others_write_is_read(self):
        for compression in COMPRESSIONS:
            for batching in (True, False):
                with self.subTest(compression=compression, batching=batching):
                    topic = f"others-{compression.lower()}-{batching}".lower()
                    records = records_of(300 if batching else 30, key="k")
                    self.others_write(topic, records, compression=compression, batching_enabled=batching)
                    self.assertEqual(without_partition(self.peek(topic)), records)

    def test_what_is_written_others_read(self):
        topic = "written"
        lines = [f"line {i}" for i in range(2_500)]
        self.fmesh("stream", "publish", topic, "--key", "k", "--property", "a=1", "--property", "b=2", stdin="\n".join(lines) + "\n")
        found = self.peer("read", topic, str(len(lines)))
        self.assertEqual([record["payload"] for record in found], lines)
        self.assertEqual({(record["key"], json.dumps(record["properties"], sort_keys=True)) for record in found}, {("k", '{"a": "1", "b": "2"}')})

    def test_messages_that_came_in_chunks(self):
        records = records_of(3)
        records[1]["payload"] = "large " + "0123456789" * 600_000
        self.others_write("chunked", records, batching_enabled=False, chunking_enabled=True)
        found = without_partition(self.peek("chunked"))
        self.assertEqual([len(record["payload"]) for record in found], [len(record["payload"]) for record in records])
        self.assertEqual(found, records)

    def test_partitions(self):
        topic = "persistent://public/default/parted"
        self.broker.create_partitioned(topic, 5)
        records = records_of(200, key="key")
        self.others_write(topic, records, batching_enabled=False)
        found = self.peek(topic)
        self.assertEqual(without_partition(in_order_of_numbers(found)), records)
        self.assertGreater(len({record["partition"] for record in found}), 1)
        # A key goes where Pulsar's function producers put it.
        for key in ("key1", "k\u00e4y", "a longer one"):
            self.fmesh("stream", "publish", topic, f"of {key}", "--key", key)
        for record in self.peer("read", topic, "203"):
            if record["payload"].startswith("of "):
                self.assertEqual(record["partition"], murmur3_32((record["key"] or "").encode()) % 5, record)

    def test_tap_shows_what_comes(self):
        topic = "tapped"
        self.fmesh("stream", "publish", topic, "before")
        flags = ["--pulsar", self.broker.service_url, "--auth-plugin", "token", "--auth-params", f"file://{self.broker.files['admin_token']}"]
        tap = subprocess.Popen([FMESH, "tap", topic, "--json", "-n", "2", *flags], stdout=subprocess.PIPE, text=True)
        self.addCleanup(tap.stdout.close)
        self.addCleanup(tap.kill)
        number = 0
        while tap.poll() is None and number < 100:
            self.fmesh("stream", "publish", topic, f"after {number}")
            number += 1
        shown = [json.loads(line) for line in tap.communicate(timeout=LIMIT_S)[0].splitlines()]
        payloads = [self.to_record(line)["payload"] for line in shown]
        self.assertEqual(len(payloads), 2)
        self.assertTrue(all(payload.startswith("after ") for payload in payloads), payloads)

    def test_peek_from_an_id_and_of_nothing(self):
        topic = "persistent://public/default/looked-at"
        self.broker.subscribe(topic, "keeps-it")
        self.assertEqual(self.peek(topic), [])
        lines = self.fmesh("stream", "publish", topic, "--json", "a", "b", "c")
        ids = json.loads(lines)["ids"]
        self.assertEqual([record["payload"] for record in self.peek(topic)], ["a", "b", "c"])
        found = self.fmesh("stream", "peek", topic, "--json", "--from", ids[1]).splitlines()
        self.assertEqual([self.to_record(json.loads(line))["payload"] for line in found], ["b", "c"])

    def test_every_way_to_say_who_one_is(self):
        tls = self.broker.service_url_tls
        files = self.broker.files
        trust = ("--tls-trust", files["ca"])
        password = json.dumps({"userId": "admin", "password": self.broker.admin_password})
        ways = {"token": ("token", "token:" + self.broker.admin_token), "file": ("token", f"file://{files['admin_token']}"), "basic": ("basic", password),
                "tls": ("org.apache.pulsar.client.impl.auth.AuthenticationTls", f"tlsCertFile:{files['admin_certificate']},tlsKeyFile:{files['admin_key']}")}  # fmt: skip
        for name, auth in ways.items():
            with self.subTest(way=name):
                self.fmesh("stream", "publish", f"by-{name}", "hello", *trust, url=tls, auth=auth)
                self.assertEqual([record["payload"] for record in self.peek(f"by-{name}")], ["hello"])

    def test_a_token_of_an_issuer(self):
        issuer = Issuer(self.broker.admin_token)
        self.addCleanup(issuer.stop)
        with tempfile.NamedTemporaryFile("w", suffix=".json") as key:
            json.dump({"client_id": "me", "client_secret": "mine"}, key)
            key.flush()
            auth = ("oauth2", json.dumps({"issuerUrl": issuer.url, "privateKey": f"file://{key.name}", "audience": "urn:pulsar"}))
            self.fmesh("stream", "publish", "by-oauth2", "hello", auth=auth)
        self.assertEqual([record["payload"] for record in self.peek("by-oauth2")], ["hello"])
        said = issuer.asked[-1]
        self.assertEqual((said["client_id"], said["audience"], said["grant_type"]), (["me"], ["urn:pulsar"], ["client_credentials"]))

    def test_what_is_told_when_it_fails(self):
        begin = time.monotonic()
        said = self.fmesh("stream", "peek", "x", code=2, auth=("token", "token:wrong"))
        self.assertIn("AuthenticationError", said)
        said = self.fmesh("stream", "peek", "x", code=2, auth=None)
        self.assertIn("AuthenticationError", said)
        said = self.fmesh("stream", "publish", "persistent://public/default/x", "y", code=2, auth=("token", f"file://{self.broker.files['nobody_token']}"))
        self.assertIn("AuthorizationError", said)
        said = self.fmesh("stream", "peek", "persistent://public/default/missing", code=2)
        self.assertIn("TopicNotFound", said)
        said = self.fmesh("stream", "peek", "x", code=2, url=self.broker.service_url_tls)
        self.assertIn("TLS", said)
        said = self.fmesh("stream", "peek", "x", code=2, auth=("token", "file:///nowhere/token"))
        self.assertIn("/nowhere/token", said)
        self.assertLess(time.monotonic() - begin, 6)  # six times less than a second
        said = self.fmesh("stream", "peek", "x", code=1, url="pulsar://127.0.0.1:1")
        self.assertIn("127.0.0.1:1", said)
        said = self.fmesh("stream", "ls", code=2)
        self.assertIn("admin API", said)


if __name__ == "__main__":
    unittest.main(verbosity=2 if "-v" in sys.argv else 1)
