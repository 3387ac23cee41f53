"""examples/cdc-stock: rows of PostgreSQL become documents of OpenSearch, through Debezium's and Elasticsearch's connectors as they are and a
function in C++ between them. The connectors are killed, then everything is, while rows change: the index equals the table afterwards."""

import glob
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest
import urllib.request
from pathlib import Path

import pulsar_broker
from mesh_case import BUILD, MeshCase

ROOT = Path(__file__).resolve().parents[2]
OPENSEARCH = ROOT / "testbed/opensearch/opensearch"
SKIPPED = 77
SLOW_S = 180  # three JVMs and a database on a busy machine
TABLE = "CREATE TABLE orders (id bigint PRIMARY KEY, item text NOT NULL, quantity bigint NOT NULL, cents bigint NOT NULL);"
INSERT = "INSERT INTO orders SELECT i, 'item ' || i % 7, 1 + i % 9, 100 + i * 37 FROM generate_series({}, {}) AS i;"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


class Postgres:
    """A server of its own in a folder of its own, as user postgres where this runs as root."""

    def __init__(self, test):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if not found:
            raise unittest.SkipTest("no PostgreSQL: packages.txt, group cdc, lists the package")
        self.bin = Path(found[-1])
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="fmesh-postgres-"))
        test.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.user = pwd.getpwnam("postgres").pw_uid if os.getuid() == 0 else None
        if self.user is not None:
            os.chown(self.folder, self.user, -1)
        self.call("initdb", "-D", self.folder / "data", "-A", "trust", "-U", "shop", "--no-sync")
        log = open(self.folder / "log", "w", encoding="utf-8")
        self.process = subprocess.Popen(
            [self.bin / "postgres", "-D", self.folder / "data", "-p", str(self.port), "-k", self.folder, "-c", "listen_addresses=127.0.0.1",
             "-c", "wal_level=logical", "-c", "fsync=off"], stdout=log, stderr=log, user=self.user, cwd=self.folder)  # fmt: skip
        log.close()
        test.addCleanup(self.stop)
        test.wait_for(lambda: self.call("pg_isready", "-h", self.folder, "-p", str(self.port)), "PostgreSQL", SLOW_S)
        self.call("createdb", "-h", self.folder, "-p", str(self.port), "-U", "shop", "shop")

    def call(self, program, *arguments, text=None):
        done = subprocess.run([self.bin / program, *arguments], input=text, capture_output=True, text=True, user=self.user, cwd=self.folder, timeout=120)
        if done.returncode != 0:
            raise AssertionError(f"{program}: {done.stdout}{done.stderr}")
        return done.stdout or "done"

    def sql(self, text):
        return self.call("psql", "-h", self.folder, "-p", str(self.port), "-U", "shop", "-d", "shop", "-qAt", "-v", "ON_ERROR_STOP=1", text=text)

    def rows(self):
        return {row["id"]: row for row in map(json.loads, self.sql("SELECT row_to_json(orders) FROM orders;").splitlines()) if row}

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)


class OpenSearch:
    def __init__(self, test):
        fetched = subprocess.run([OPENSEARCH, "fetch"], capture_output=True, text=True, timeout=600)
        if fetched.returncode == SKIPPED:
            raise unittest.SkipTest(fetched.stderr.strip())
        if fetched.returncode != 0:
            raise AssertionError(fetched.stderr)
        self.url = f"http://127.0.0.1:{free_port()}"
        self.folder = tempfile.TemporaryDirectory(prefix="fmesh-opensearch-", ignore_cleanup_errors=True)
        log = open(Path(self.folder.name) / "log", "w", encoding="utf-8")
        self.process = subprocess.Popen(["java", "-Xms256m", "-Xmx512m", "-cp", fetched.stdout.strip(), "OneNode", self.folder.name,
                                         self.url.rsplit(":", 1)[1]], stdout=log, stderr=log)  # fmt: skip
        log.close()
        test.addCleanup(self.stop)
        test.wait_for(lambda: self.get("/"), "OpenSearch", SLOW_S)

    def get(self, path):
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(self.url + path, timeout=10) as answer:
            return json.load(answer)

    def documents(self):
        self.get("/orders/_refresh")
        return {int(hit["_id"]): hit["_source"] for hit in self.get("/orders/_search?size=10000")["hits"]["hits"]}

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


def document_of(row):
    total = row["quantity"] * row["cents"]
    return row | {"deleted": False, "total_cents": total, "size": "large" if total >= 100_000 else "small"}


class ChangeDataCapture(MeshCase):
    def setUp(self):
        super().setUp()
        self.home = pulsar_broker.run("fetch", timeout=pulsar_broker.UP_TIMEOUT_S).strip()
        nars = pulsar_broker.run("nar", "debezium-postgres", "elastic-search", timeout=pulsar_broker.UP_TIMEOUT_S).split()
        self.postgres = Postgres(self)
        self.index = OpenSearch(self)
        self.postgres.sql(TABLE + INSERT.format(1, 200))
        mesh = (BUILD / "examples/cdc-stock/mesh.yaml").read_text()
        mesh = mesh.replace('"5432"', f'"{self.postgres.port}"').replace("http://127.0.0.1:9200", self.index.url)
        (self.path / "mesh.yaml").write_text(mesh)
        shutil.copy(BUILD / "examples/cdc-stock/enrich.so", self.path)
        (self.path / "connectors").mkdir()
        for nar in nars:
            (self.path / "connectors" / Path(nar).name).symlink_to(nar)

    def equal(self):
        """True once the index says what the table says; documents of rows that are gone say so."""
        rows, documents = self.postgres.rows(), self.index.documents()
        gone = {key for key, document in documents.items() if document["deleted"]}
        return gone == set(documents) - set(rows) and all(documents.get(key) == document_of(row) for key, row in rows.items())

    def wait_equal(self, what):
        self.wait_for(self.equal, what, SLOW_S)

    def pids(self, mark):
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and mark in self.command_of(entry)]

    @staticmethod
    def command_of(entry):
        try:
            return (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""

    def check(self, *streams):
        run = self.start("mesh.yaml", "--pulsar-home", self.home, *streams)
        self.wait_equal("the rows that were there")
        self.postgres.sql(INSERT.format(201, 300) + "UPDATE orders SET quantity = quantity + 1 WHERE id <= 50; DELETE FROM orders WHERE id % 10 = 0;")
        self.wait_equal("inserts, updates and deletes")
        # The connectors, while rows change.
        connectors = {pid for mark in ("shop-0/log4j2.xml", "index-0/log4j2.xml") for pid in self.pids(f"{self.path}/data/stock/{mark}")}
        self.assertEqual(len(connectors), 2)
        for pid in connectors:
            os.kill(pid, signal.SIGKILL)
        self.postgres.sql(INSERT.format(301, 400) + "UPDATE orders SET cents = cents * 2 WHERE id % 3 = 0; DELETE FROM orders WHERE id % 7 = 0;")
        self.wait_equal("what changed while the connectors were killed")
        # All of it, and rows change while nothing runs.
        host = self.mesh()["processId"]
        run.kill()
        os.kill(host, signal.SIGKILL)
        run.wait()
        self.wait_for(lambda: not self.pids(f"{self.path}/data/stock/"), "the end of the connectors")
        self.postgres.sql(INSERT.format(401, 450) + "UPDATE orders SET item = 'new' WHERE id > 380; DELETE FROM orders WHERE id % 11 = 0;")
        run = self.start("mesh.yaml", "--pulsar-home", self.home, *streams)
        self.wait_equal("what changed while nothing ran")
        self.assertTrue([one for one in self.index.documents().values() if one["deleted"]])
        run.send_signal(signal.SIGTERM)
        self.assertEqual(run.wait(60), 0, self.log())

    def mesh(self):
        return json.loads(self.fmesh("status", "--json", "--data-dir", "data").stdout)

    def test_on_the_log(self):
        self.check("--data-dir", "data")

    def test_on_a_broker(self):
        broker = pulsar_broker.Broker().wait()
        self.addCleanup(broker.stop)
        self.check("--data-dir", "data", "--pulsar", broker.service_url, "--pulsar-web", broker.url, "--auth-plugin", "token",
                   "--auth-params", f"file://{broker.files['admin_token']}")  # fmt: skip


if __name__ == "__main__":
    unittest.main()
