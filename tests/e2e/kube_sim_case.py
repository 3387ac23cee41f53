"""Two API servers behind one face, the real one and the simulated one, and what of their answers is compared."""

import copy
import json
import re
import subprocess
import time

from kube_case import BUILD

FUNCTIONS = "/apis/compute.functionmesh.io/v1alpha1/namespaces/{ns}/functions"
STATEFUL_SETS = "/apis/apps/v1/namespaces/{ns}/statefulsets"
SERVICES = "/api/v1/namespaces/{ns}/services"
AUTOSCALERS = "/apis/autoscaling/v2/namespaces/{ns}/horizontalpodautoscalers"
CONFIG_MAPS = "/api/v1/namespaces/{ns}/configmaps"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/{ns}/leases"
EVENTS = "/apis/events.k8s.io/v1/namespaces/{ns}/events"
JSON, MERGE, PATCH, APPLY = ("application/json", "application/merge-patch+json", "application/json-patch+json", "application/apply-patch+yaml")
SETTLE_S = 2
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


class Simulated:
    name = "simulated"

    def __init__(self, namespace):
        self.namespace = namespace
        self.process = subprocess.Popen([str(BUILD / "kube_sim")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def _ask(self, question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def send(self, method, path, body=None, type=JSON):
        answer = self._ask({"method": method, "path": path.replace("{ns}", self.namespace), "body": body, "type": type})
        return answer["code"], answer["body"]

    def watch(self, path):
        """(code, events) of a watch that ends by its timeoutSeconds."""
        answer = self._ask({"watch": path.replace("{ns}", self.namespace)})
        return answer["code"], answer["body"]

    def settle(self):
        self._ask({"runMs": 60000})

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


class Real:
    name = "real"

    def __init__(self, namespace, client):
        self.namespace = namespace
        self.client = client

    def send(self, method, path, body=None, type=JSON):
        return self.client.send(method, path.replace("{ns}", self.namespace), body, type)

    def watch(self, path):
        code, body = self.client.send("GET", path.replace("{ns}", self.namespace))
        if isinstance(body, dict):
            return code, [body]
        return code, [json.loads(line) for line in body.splitlines() if line.startswith("{")]

    def settle(self):
        """Until nothing of ours changed for a while."""
        last, since = None, time.monotonic()
        while time.monotonic() - since < SETTLE_S:
            now = [self.client.send("GET", path.replace("{ns}", self.namespace))[1].get("items") for path in (FUNCTIONS, STATEFUL_SETS, SERVICES, CONFIG_MAPS)]
            if now != last:
                last, since = now, time.monotonic()
            time.sleep(0.1)

    def close(self):
        pass


def masked(value, versions, key=""):
    """Without what must differ. `versions` counts, so that "the same version as before" is compared. The real server's controller
    writes the status of StatefulSets whenever it likes."""
    if isinstance(value, dict):
        if value.get("kind") == "StatefulSet":
            by_others = [entry for entry in value["metadata"].get("managedFields", []) if entry.get("subresource") != "status"]
            value = dict(value, metadata={**value["metadata"], "resourceVersion": None, "managedFields": by_others}, status=None)
        if value.get("kind") == "Scale":
            value = dict(value, status=None)
        kept = {}
        for name, part in sorted(value.items()):
            if name in ("creationTimestamp", "selfLink", "time", "remainingItemCount") or part is None:
                continue
            if name in ("resourceVersion", "uid") and isinstance(part, str) and part:
                part = versions.setdefault((name, part), f"{name} {len(versions)}")
            elif name == "continue":
                part = "some" if part else ""
            elif name == "managedFields":
                part = owners(part)
                if not part:
                    continue
            else:
                part = masked(part, versions, name)
            kept[name] = part
        return kept
    if isinstance(value, list):
        return [masked(item, versions, key) for item in value]
    if isinstance(value, str):
        return TIME.sub("{time}", value)
    return value


def owners(entries):
    """manager/operation/subresource -> the fields, without the maps themselves."""

    def clean(fields):
        out = {}
        for name, below in fields.items():
            if name == "." and not out.get("."):
                continue
            # Keys of lists are written in another order.
            if name.startswith("k:"):
                name = "k:" + json.dumps(json.loads(name[2:]), sort_keys=True)
            out[name] = clean(below)
        return out

    return {f"{entry['manager']}/{entry['operation']}/{entry.get('subresource', '')}": json.loads(UUID.sub("{uid}", json.dumps(clean(entry["fieldsV1"]))))
            for entry in entries if entry["manager"] != "kube-controller-manager"}


def meaning(code, body, versions):
    """What of an answer is compared."""
    if not isinstance(body, dict):
        return code, "text"
    if body.get("kind") != "Status":
        return code, masked(body, versions)
    if code < 300:
        return code, "Success"
    causes = {(cause.get("reason"), cause.get("field")) for cause in body.get("details", {}).get("causes") or []}
    return code, body.get("reason"), sorted(causes, key=str)


def differences(expected, found, path=""):
    """Where two answers differ, a line each."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for name in sorted({*expected, *found}):
            yield from differences(expected.get(name, "(nothing)"), found.get(name, "(nothing)"), f"{path}.{name}")
    elif isinstance(expected, (list, tuple)) and isinstance(found, (list, tuple)) and len(expected) == len(found):
        for index, pair in enumerate(zip(expected, found)):
            yield from differences(*pair, f"{path}[{index}]")
    elif expected != found:
        yield f"  {path}: the real one {expected!r}, the simulated {found!r}"


class Story:
    """A sequence of requests to one server, and all that it answered."""

    def __init__(self, server):
        self.server = server
        self.answers = []
        self.versions = {}

    def send(self, method, path, body=None, type=JSON):
        code, answer = self.server.send(method, path, copy.deepcopy(body), type)
        self.answers.append((f"{method} {path}", meaning(code, answer, self.versions)))
        return answer if isinstance(answer, dict) else {}

    def watch(self, path, said=None):
        """`said` stands for the path where it has a version in it."""
        code, events = self.server.watch(path)
        told = []
        for event in events:
            thing = event.get("object", event)
            if event.get("type") == "ERROR" or thing.get("kind") == "Status":
                told.append((event.get("type"), thing.get("code"), thing.get("reason")))
            elif event["type"] == "BOOKMARK":
                metadata = thing["metadata"]
                told.append(("BOOKMARK", thing.get("kind"), sorted(thing), metadata.get("annotations"), bool(metadata.get("resourceVersion"))))
            else:
                told.append((event["type"], masked(thing, self.versions)))
        self.answers.append((said or f"watch {path}", code, told))

    def settle(self):
        self.server.settle()

    def fresh(self, path):
        """The object once its controller has nothing more to write."""
        self.server.settle()
        return self.server.send("GET", path)[1]
