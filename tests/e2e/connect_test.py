"""The built-in connectors against the real other side: files that rotate, HTTP clients and servers."""

import http.client
import http.server
import json
import os
import random
import signal
import socket
import threading
import time
import unittest

from mesh_case import FUNCTIONS, MeshCase


def source(name, kind, config, topic, **more):
    return {"name": name, "sourceType": kind, "sourceConfig": config, "output": {"topic": topic}, **more}


def sink(name, kind, config, topic, **more):
    return {"name": name, "sinkType": kind, "sinkConfig": config, "input": {"topics": [topic]}, **more}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class ConnectCase(MeshCase):
    def write_mesh(self, sources=(), sinks=(), functions=()):
        spec = {"sources": list(sources), "sinks": list(sinks), "functions": list(functions)}
        mesh = {"apiVersion": "compute.functionmesh.io/v1alpha1", "kind": "FunctionMesh", "metadata": {"name": "m"}, "spec": spec}
        (self.path / "mesh.json").write_text(json.dumps(mesh))

    def lines(self, name="out.jsonl"):
        path = self.path / name
        return path.read_text().splitlines() if path.exists() else []

    def ids(self, name="out.jsonl"):
        return [json.loads(line)["id"] for line in self.lines(name)]


class FileTest(ConnectCase):
    def append(self, ids, name="app.log"):
        with open(self.path / name, "a", encoding="utf-8") as out:
            for number in ids:
                out.write('{"id":%d}\n' % number)

    def follow(self, **config):
        self.write_mesh(
            [source("in", "file", {"path": "app.log", "format": "json", "follow": True, **config}, "lines")],
            [sink("out", "file", {"path": "out.jsonl"}, "lines", processingGuarantee="effectively_once")],
        )

    def test_every_line_comes_once_through_renames_truncations_and_kills(self):
        self.follow()
        self.append(range(100))
        self.start("mesh.json")
        written = 100
        draw = random.Random(7)
        for turn in range(12):
            self.wait_for(lambda: len(self.lines()) >= written, f"turn {turn}")
            step = draw.randrange(1, 200)
            if turn % 3 == 0:
                os.rename(self.path / "app.log", self.path / f"app.log.{turn}")
            elif turn % 3 == 1:
                open(self.path / "app.log", "w", encoding="utf-8").close()
                time.sleep(0.3)  # a copytruncate that is refilled at once can't be told from a file that grew
            self.append(range(written, written + step))
            written += step
            if turn % 4 == 3:
                os.kill(self.mesh()["processId"], signal.SIGKILL)
        self.wait_for(lambda: len(self.lines()) >= written, "the end")
        self.assertEqual(sorted(self.ids()), list(range(written)))

    def test_the_end_of_a_file_that_was_renamed_meanwhile_is_read(self):
        self.follow()
        self.append(range(50))
        process = self.start("mesh.json")
        self.wait_for(lambda: len(self.lines()) == 50, "the first lines")
        process.send_signal(signal.SIGINT)
        process.wait(timeout=15)
        self.append(range(50, 80))
        os.rename(self.path / "app.log", self.path / "app.log.1")
        self.append(range(80, 120))
        self.start("mesh.json")
        self.wait_for(lambda: len(self.lines()) >= 120, "the rest")
        self.assertEqual(sorted(self.ids()), list(range(120)))

    def test_a_line_is_taken_when_it_is_whole(self):
        self.follow()
        (self.path / "app.log").write_text('{"id":0}\n{"i')
        self.start("mesh.json")
        self.wait_for(lambda: self.ids() == [0], "the first line")
        time.sleep(0.3)
        self.assertEqual(self.ids(), [0])
        with open(self.path / "app.log", "a", encoding="utf-8") as out:
            out.write('d":1}\n')
        self.wait_for(lambda: self.ids() == [0, 1], "the second line")

    def test_csv_with_quotes_lines_in_cells_and_bad_rows(self):
        rows = 'id,text,price\n1,"a ""quoted"", b",2.5\n2,"two\nlines",\n3,too,many,cells\n4,last,7\n'
        (self.path / "in.csv").write_text(rows)
        self.write_mesh(
            [source("in", "file", {"path": "in.csv", "format": "csv", "errors": "stream:bad", "key": "id"}, "rows")],
            [sink("out", "file", {"path": "out.jsonl"}, "rows"), sink("bad", "file", {"path": "bad.txt"}, "bad")],
        )
        self.fmesh("run", "mesh.json", "--until-drained")
        self.assertEqual(
            [json.loads(line) for line in self.lines()],
            [
                {"id": 1, "text": 'a "quoted", b', "price": 2.5},
                {"id": 2, "text": "two\nlines", "price": None},
                {"id": 4, "text": "last", "price": 7},
            ],
        )
        self.assertEqual(self.lines("bad.txt"), ["3,too,many,cells"])

    def test_a_sink_that_rotates_keeps_all_lines_and_what_others_left(self):
        (self.path / "out.7.jsonl").write_text("not ours\n")
        self.write_mesh(
            [source("gen", "generator", {"count": 2000, "template": '{"id":{{seq}},"pad":"{{pad 100}}"}'}, "lines")],
            [sink("out", "file", {"path": "out.jsonl", "rotateSize": 50_000}, "lines")],
        )
        self.fmesh("run", "mesh.json", "--until-drained")
        files = sorted(self.path.glob("out.*.jsonl"))
        self.assertGreater(len(files), 3)
        lines = [line for file in files for line in file.read_text().splitlines()]
        self.assertIn("not ours", lines)
        self.assertEqual(sorted(json.loads(line)["id"] for line in lines if line != "not ours"), list(range(2000)))

    def test_equal_seeds_give_equal_records(self):
        texts = []
        for run in range(2):
            config = {"count": 50, "seed": 42, "template": '{"id":{{seq}},"n":{{int 1 1000}},"c":"{{choice a|b|c}}"}'}
            self.write_mesh([source("gen", "generator", config, "lines")], [sink("out", "file", {"path": f"out{run}"}, "lines")])
            self.fmesh("run", "mesh.json", "--until-drained", "--data-dir", f"data{run}")
            texts.append((self.path / f"out{run}").read_text())
        self.assertEqual(texts[0], texts[1])
        self.assertGreater(len(set(texts[0].splitlines())), 40)

    def test_every_mistake_in_a_configuration_is_reported_before_anything_runs(self):
        self.write_mesh(
            [source("in", "file", {"pth": "x", "format": "xml", "follow": 3}, "lines")],
            [sink("out", "http", {"url": "ftp://x", "batchRecords": 0}, "lines")],
        )
        text = self.fmesh("validate", "mesh.json", code=2)
        text = text.stdout + text.stderr
        for part in ("did you mean path?", "format", "follow", "url", "batchRecords"):
            self.assertIn(part, text)
        self.assertIn("Nothing was started", "".join(self.fmesh("run", "mesh.json", code=2).stderr))


class HttpSourceTest(ConnectCase):
    def setUp(self):
        super().setUp()
        self.port = free_port()

    def post(self, body, path="/in", method="POST", headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text

    def run_source(self, *arguments, functions=(), sinks=(), **config):
        config = {"address": f"127.0.0.1:{self.port}", "path": "/in", **config}
        self.write_mesh([source("in", "http", config, "posted")], sinks, functions)
        self.start("mesh.json", *arguments)
        self.wait_for(lambda: socket.create_connection(("127.0.0.1", self.port), 1).close() is None, "the listener")

    def test_an_answer_of_success_means_durable(self):
        self.run_source(batch="lines", key="k")
        self.assertEqual(self.post('{"k":"a","id":1}\n{"k":"b","id":2}\n')[0], 200)
        os.kill(self.mesh()["processId"], signal.SIGKILL)
        self.wait_for(lambda: self.post('{"k":"c","id":3}')[0] == 200, "the restart")
        self.assertEqual([record["id"] for record in self.records("posted")][:2], [1, 2])
        self.assertEqual(self.post('{"id":4}\nno JSON\n')[0], 400)
        self.assertNotIn(4, [record["id"] for record in self.records("posted")])

    def test_what_it_does_not_take_is_said_by_status(self):
        self.run_source(token="secret", pendingBytes=100_000)
        good = {"Authorization": "Bearer secret"}
        self.assertEqual(self.post("x", headers={})[0], 401)
        self.assertEqual(self.post("x", headers=good)[0], 200)
        self.assertEqual(self.post("x", path="/other", headers=good)[0], 404)
        status, headers, _ = self.post("x", method="PUT", headers=good)
        self.assertEqual(status, 405)
        self.assertIn("POST", headers["allow"])
        self.assertEqual(self.post("x" * 6_000_000, headers=good)[0], 413)
        self.assertEqual(self.records("posted"), ["x"])

    def test_it_says_429_while_the_stream_is_full_and_loses_nothing_it_took(self):
        slow = {
            "name": "slow",
            "className": "sleeps",
            "genericRuntime": {"language": "cpp", "functionFile": FUNCTIONS},
            "input": {"topics": ["posted"]},
            "output": {"topic": "done"},
        }
        self.run_source("--backlog-size", "20K", functions=[slow], pendingBytes=20_000)
        taken = refused = 0
        end = time.monotonic() + 20
        while refused == 0 and time.monotonic() < end:
            results = []
            threads = [threading.Thread(target=lambda: results.append(self.post("1" + " " * 5_000))) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            taken += sum(status == 200 for status, _, _ in results)
            for status, headers, _ in results:
                self.assertIn(status, (200, 429, 503))
                if status == 429:
                    refused += 1
                    self.assertIn("retry-after", headers)
        self.assertGreater(refused, 0)
        self.wait_for(lambda: len(self.records("done")) >= taken, "what it took")


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps what is posted; `behave(number, handler)` may answer in its own way and says True then."""

    def __init__(self, behave):
        receiver = self
        self.bodies = []
        self.count = 0
        lock = threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with lock:
                    receiver.count += 1
                    number = receiver.count
                if behave(number, self, body):
                    return
                with lock:
                    receiver.bodies.append(body)
                self.answer(200)

            def answer(self, status, headers=()):
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/out"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class HttpSinkTest(ConnectCase):
    def receive(self, behave):
        receiver = Receiver(behave)
        self.addCleanup(receiver.server_close)
        self.addCleanup(receiver.shutdown)
        return receiver

    def run_sink(self, receiver, count, config, **more):
        self.write_mesh(
            [source("gen", "generator", {"count": count, "template": '{"id":{{seq}}}'}, "lines")],
            [sink("out", "http", {"url": receiver.url, **config}, "lines", **more)],
        )
        self.fmesh("run", "mesh.json", "--until-drained")

    def test_nothing_is_lost_when_the_other_side_fails_cuts_and_waits(self):
        def behave(number, handler, _):
            if number % 5 == 1:
                handler.answer(500)
            elif number % 5 == 2:
                handler.connection.close()
                handler.close_connection = True
            elif number % 5 == 3:
                handler.answer(429, [("Retry-After", "1")])
            else:
                return False
            return True

        receiver = self.receive(behave)
        self.run_sink(receiver, 200, {"format": "json-array", "batchRecords": 50})
        batches = [json.loads(body) for body in receiver.bodies]
        self.assertEqual(sorted({record["id"] for batch in batches for record in batch}), list(range(200)))
        self.assertLessEqual(max(len(batch) for batch in batches), 50)
        self.assertGreater(max(len(batch) for batch in batches), 1)

    def test_a_record_that_is_refused_goes_to_the_dead_letters_alone(self):
        def behave(_, handler, body):
            if json.loads(body)["id"] != 3:
                return False
            handler.answer(422)
            return True

        receiver = self.receive(behave)
        self.run_sink(receiver, 6, {"format": "each"}, maxMessageRetry=1, deadLetterTopic="refused", negativeAckRedeliveryDelayMs=100)
        self.assertEqual(sorted(json.loads(body)["id"] for body in receiver.bodies), [0, 1, 2, 4, 5])
        self.assertEqual(self.records("refused"), [{"id": 3}])

    def test_a_wrong_token_holds_the_records_and_blames_none_of_them(self):
        allowed = threading.Event()

        def behave(_, handler, body):
            if allowed.is_set():
                return False
            handler.answer(401)
            return True

        receiver = self.receive(behave)
        threading.Timer(1.0, allowed.set).start()
        self.run_sink(receiver, 5, {"format": "lines"}, maxMessageRetry=1, deadLetterTopic="refused")
        ids = [json.loads(line)["id"] for body in receiver.bodies for line in body.decode().splitlines()]
        self.assertEqual(sorted(set(ids)), [0, 1, 2, 3, 4])
        self.assertNotIn("refused", [stream["topic"].rsplit("/", 1)[1] for stream in self.streams() if stream["records"]])


if __name__ == "__main__":
    unittest.main()
