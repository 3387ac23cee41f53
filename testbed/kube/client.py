"""A small client of the API server for tests: JSON over one kept connection per thread, paths found by discovery."""

import http.client
import json
import ssl
import threading
import urllib.parse

TIMEOUT_S = 60


class Refused(Exception):
    """An answer of 400 or more: `code`, `reason` and the server's message."""

    def __init__(self, method, path, code, body):
        self.code = code
        self.body = body if isinstance(body, dict) else {}
        self.reason = self.body.get("reason", "")
        super().__init__(f"{method} {path}: {code} {self.body.get('message') or body}")


class Client:
    def __init__(self, server, ca_file, token=None, certificate=None):
        address = urllib.parse.urlparse(server)
        self.host, self.port = address.hostname, address.port
        self.context = ssl.create_default_context(cafile=str(ca_file))
        if certificate:
            self.context.load_cert_chain(*map(str, certificate))
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.local = threading.local()
        self.known = {}

    def send(self, method, path, body=None, content_type="application/json"):
        """(code, parsed answer). A connection that the server closed while idle is opened again once."""
        data = None if body is None else body if isinstance(body, (str, bytes)) else json.dumps(body)
        for attempt in (0, 1):
            connection = getattr(self.local, "connection", None)
            if connection is None:
                connection = http.client.HTTPSConnection(self.host, self.port, context=self.context, timeout=TIMEOUT_S)
                self.local.connection = connection
            try:
                connection.request(method, path, data, dict(self.headers, **{"Content-Type": content_type, "Accept": "application/json"}))
                answer = connection.getresponse()
                text = answer.read()
                break
            except (OSError, http.client.HTTPException):
                self.close()
                if attempt or method == "POST":
                    raise
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text.decode(errors="replace")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Closes this thread's connection."""
        connection = getattr(self.local, "connection", None)
        if connection is not None:
            connection.close()
            self.local.connection = None

    def call(self, method, path, body=None, content_type="application/json"):
        code, answer = self.send(method, path, body, content_type)
        if code >= 400:
            raise Refused(method, path, code, answer)
        return answer

    def ready(self):
        """Whether the server says that it is ready and has made its own roles."""
        try:
            return self.send("GET", "/readyz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def resource(self, kind, api_version=None):
        """(folder of the API, plural, namespaced) of a kind, plural or singular name."""
        key = (kind.lower(), api_version)
        if key not in self.known:
            self._discover(api_version)
        if key not in self.known:
            raise KeyError(f"the API server serves no {kind}{f' in {api_version}' if api_version else ''}")
        return self.known[key]

    def _discover(self, api_version):
        versions = [api_version] if api_version else ["v1"] + [
            group["preferredVersion"]["groupVersion"] for group in self.call("GET", "/apis")["groups"]]
        for version in versions:
            folder = f"/api/{version}" if version == "v1" else f"/apis/{version}"
            code, found = self.send("GET", folder)
            if code != 200:
                continue
            for entry in found["resources"]:
                if "/" in entry["name"]:
                    continue
                for name in (entry["kind"].lower(), entry["name"]):
                    self.known.setdefault((name, api_version), (folder, entry["name"], entry["namespaced"]))

    def path(self, kind, name="", namespace="default", api_version=None):
        folder, plural, namespaced = self.resource(kind, api_version)
        return folder + (f"/namespaces/{namespace}" if namespaced and namespace else "") + f"/{plural}" + (f"/{name}" if name else "")

    def get(self, kind, name, namespace="default"):
        """The object, or None if there is none."""
        path = self.path(kind, name, namespace)
        code, answer = self.send("GET", path)
        if code == 404:
            return None
        if code >= 400:
            raise Refused("GET", path, code, answer)
        return answer

    def list(self, kind, namespace="default", selector=""):
        """The items; namespace "" means all."""
        query = "?" + urllib.parse.urlencode({"labelSelector": selector}) if selector else ""
        return self.call("GET", self.path(kind, "", namespace) + query).get("items", [])

    def create(self, body, namespace=None):
        namespace = body["metadata"].get("namespace") or namespace or "default"
        return self.call("POST", self.path(body["kind"], "", namespace, body["apiVersion"]), body)

    def patch(self, kind, name, body, namespace="default", subresource=""):
        path = self.path(kind, name, namespace) + (f"/{subresource}" if subresource else "")
        return self.call("PATCH", path, body, "application/merge-patch+json")

    def delete(self, kind, name, namespace="default", propagation="Background"):
        code, answer = self.send("DELETE", self.path(kind, name, namespace) + f"?propagationPolicy={propagation}")
        if code >= 400 and code != 404:
            raise Refused("DELETE", name, code, answer)
