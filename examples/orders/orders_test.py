"""Runs the orders mesh on its data until it is drained and compares all it wrote with expected/. Some orders, and a product
that an earlier order waits for, come over HTTP while it runs."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = Path(os.environ["FMESH_BUILD"])
LATE_PRODUCT = '{"sku":"P-2001","name":"Sampler of the Month","category":"gifts","price_cents":3400}\n'
LIMIT_S = 60


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def post(port, path, body):
    """Sends a body once the server answers; raises after 10 s."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=body.encode(), method="POST")
    for attempt in range(200):
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status
        except ConnectionError:
            pass
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionError):
                raise
        time.sleep(0.05)
    raise TimeoutError(f"nobody listens on port {port}")


def rows(path):
    """The JSON lines of a file, sorted: order between windows, keys and retries is not promised."""
    return sorted((json.loads(line) for line in path.read_text().splitlines()), key=lambda row: json.dumps(row, sort_keys=True))


class Orders(unittest.TestCase):
    def test_every_order_is_counted_rejected_or_invalid_exactly_once(self):
        with tempfile.TemporaryDirectory() as temporary:
            directory = Path(temporary)
            shutil.copytree(BUILD / "examples/orders/data", directory / "data")
            shutil.copy(BUILD / "examples/orders/orders.so", directory)
            orders_port, products_port = free_port(), free_port()
            mesh = (HERE / "mesh.yaml").read_text().replace(":18080", f":{orders_port}").replace(":18081", f":{products_port}")
            (directory / "mesh.yaml").write_text(mesh)
            command = [str(BUILD / "fmesh"), "run", "mesh.yaml", "--until-drained", "--data-dir", "streams"]
            with open(directory / "log.txt", "wb") as log:
                process = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            try:
                post(orders_port, "/orders", (directory / "data/orders-http.jsonl").read_text())
                time.sleep(0.3)  # the order of the product to come is in the loop by now
                post(products_port, "/products", LATE_PRODUCT)
                code = process.wait(LIMIT_S)
            except Exception:
                sys.stderr.write((directory / "log.txt").read_text(errors="replace"))
                raise
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
            self.assertEqual(code, 0, (directory / "log.txt").read_text(errors="replace"))
            for name in ("totals.jsonl", "rejected.jsonl", "invalid.jsonl"):
                self.assertEqual(rows(directory / "out" / name), rows(HERE / "expected" / name), name)


if __name__ == "__main__":
    unittest.main()
