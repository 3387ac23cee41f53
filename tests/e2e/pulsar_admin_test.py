"""What a deleted Function, Source or Sink left in Pulsar is removed by the operator: on a real API server and a real broker, with each way to
say who one is. Both are on loopback, which the operator refuses for cleanups unless its list of hosts has it; that is tested, too."""

import base64
import contextlib
import http.server
import json
import subprocess
import threading
import time
import unittest

import kube_case
import pulsar_broker
from kube_case import KubeCase

AUTH = "org.apache.pulsar.client.impl.auth.Authentication"
FINALIZER = "cleanup.subscription.finalizer"
LOOPBACK = "--cleanup-hosts=127.0.0.0/8"
DEADLINE_S = 5
CONSUMER = """
import os, sys, pulsar
client = pulsar.Client(sys.argv[1], pulsar.AuthenticationToken(sys.argv[2]), logger=pulsar.FileLogger(pulsar.LoggerLevel.Error, os.devnull))
client.subscribe(sys.argv[3], sys.argv[4])
print("attached", flush=True)
sys.stdin.read()
os._exit(0)
"""


def text64(text):
    return base64.b64encode(text.encode()).decode()


def topic(name):
    return f"persistent://public/default/{name}"


def component(kind, name, pulsar=None, **spec):
    usual = {"name": name, "className": "shop.Any", "tenant": "public", "namespace": "default", "clusterName": "c", "replicas": 1,
             "java": {"jar": "/pulsar/f.jar"}, "resources": {"requests": {"cpu": "0.1", "memory": "1G"}, "limits": {"cpu": "0.2", "memory": "1.1G"}},
             "pulsar": {"pulsarConfig": "pulsar", "authSecret": "admin", **(pulsar or {})}}  # fmt: skip
    if kind != "Source":
        usual |= {"cleanupSubscription": True, "input": {"topics": [topic(name)]}}
    return {"apiVersion": kube_case.GROUP, "kind": kind, "metadata": {"name": name}, "spec": usual | spec}


def function(name, pulsar=None, **spec):
    return component("Function", name, pulsar, **({"output": {"topic": topic("out")}} | spec))


class Server:
    """An HTTP server on loopback whose requests are answered by `answer(handler)`, and kept as (method, path, authorization, body)."""

    def __init__(self, answer):
        self.asked = asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                asked.append((self.command, self.path, self.headers.get("Authorization"), body))
                code, headers, text = answer(self)
                self.send_response(code)
                for name, value in (headers | {"Content-Length": str(len(text))}).items():
                    self.send_header(name, value)
                with contextlib.suppress(ConnectionError):  # who asked may have been stopped
                    self.end_headers()
                    self.wfile.write(text.encode())

            do_GET = do_POST = do_DELETE = do

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class PulsarAdminTest(KubeCase):
    @classmethod
    def setUpClass(cls):
        cls.broker = pulsar_broker.Broker()
        cls.addClassCleanup(cls.broker.stop)
        super().setUpClass()
        cls.broker.wait()

    def setUp(self):
        super().setUp()
        self.config("pulsar", self.broker.url)
        self.secret("admin", clientAuthenticationPlugin=AUTH + "Token", clientAuthenticationParameters="token:" + self.broker.admin_token)

    def config(self, name, url):
        self.client.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": self.namespace},
                            "data": {"webServiceURL": url, "brokerServiceURL": self.broker.service_url}})  # fmt: skip

    def secret(self, name, **data):
        self.client.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": self.namespace}, "stringData": data})

    def serve(self, answer):
        server = Server(answer)
        self.addCleanup(server.stop)
        return server

    def subscribe(self, name, of):
        self.broker.subscribe(topic(of), name)

    def start(self, *flags):
        return self.start_operator(f"--watched-namespace={self.namespace}", *flags)

    def apply_all(self, resources, but=()):
        """Applies them and waits until those to be cleaned up have the finalizer."""
        self.apply(resources)
        for one in resources:
            kind, name = one["kind"], one["metadata"]["name"]
            if name not in but and kind != "FunctionMesh":
                self.wait_until(lambda k=kind, n=name: FINALIZER in self.get(k, n)["metadata"]["finalizers"], f"{kind} {name} has the finalizer")

    def delete(self, resources, wait=True):
        what = [f"{one['kind']}/{one['metadata']['name']}" for one in resources]
        self.kubectl("delete", *what, "--wait=false")
        for one in resources if wait else []:
            self.wait_until(lambda one=one: not self.get(one["kind"], one["metadata"]["name"]), f"{one['metadata']['name']} is gone", seconds=60)

    def events(self, name):
        """reason -> message of the newest."""
        return {event["reason"]: event["message"] for event in self.objects("Event") if event["involvedObject"]["name"] == name}

    def wait_cleaned(self, *names):
        for name in names:
            self.wait_until(lambda n=name: "CleanedUp" in self.events(n), f"{name} is cleaned up: {self.events(name)}")

    # --- what goes, and what stays ---

    def test_what_a_resource_left_goes_and_all_else_stays(self):
        self.start(LOOPBACK)
        window = {"windowLengthCount": 10, "actualWindowFunctionClassName": "shop.Any"}
        batch = {"discoveryTriggererClassName": "shop.Trigger", "discoveryTriggererConfig": {}}
        output = {"output": {"topic": topic("out")}}
        resources = [
            function("plain", input={"topics": [topic("plain"), topic("wide")]}),
            function("windowed", windowConfig=window),
            function("pattern", subscriptionName="mine", input={"topicPattern": topic("re-.*")}),
            component("Sink", "drain", input={"sourceSpecs": {topic("drain"): {"schemaType": "string"}}}),
            component("Source", "batch", batchSourceConfig=batch, **output),
            component("Source", "batch-wide", batchSourceConfig=batch, **output),
            function("packaged", java={"jar": "/pulsar/f.jar", "jarLocation": "function://public/default/kept@v1"}),
            function("packaged-gone", cleanupSubscription=False, java={"jar": "/pulsar/f.jar", "jarLocation": "function://public/default/gone@v1"}),
            {"apiVersion": kube_case.GROUP, "kind": "FunctionMesh", "metadata": {"name": "mesh"}, "spec": {"functions": [function("meshed")["spec"]]}},
            # Nothing to clean up.
            function("keeps", cleanupSubscription=False),
            component("Source", "stream", **output),
        ]  # fmt: skip
        next(one for one in resources if one["metadata"]["name"] == "packaged-gone")["metadata"]["annotations"] = {
            "compute.functionmesh.io/cleanup-package": "true"}  # fmt: skip
        self.broker.create_partitioned(topic("wide"), 3)
        self.broker.create_partitioned(topic("batch-wide-intermediate"), 2)
        for name in ("plain", "windowed", "drain", "packaged", "meshed", "keeps", "packaged-gone"):
            self.subscribe(f"public/default/{name}", of=name)
            self.subscribe("another", of=name)
        self.subscribe("public/default/plain", of="wide")
        self.subscribe("another", of="wide")
        for name in ("re-1", "re-2", "not-re-1"):
            self.subscribe("mine", of=name)
        for name in ("batch", "batch-wide"):
            self.subscribe(f"BatchSourceExecutor-public/default/{name}", of=f"{name}-intermediate")
        self.subscribe("reader", of="out")
        for name in ("kept", "gone"):
            self.broker.upload_package(name)

        self.apply_all(resources, but=("keeps", "stream"))
        self.wait_until(lambda: FINALIZER in self.get("Function", "mesh-meshed")["metadata"]["finalizers"], "the child has the finalizer")
        for kind, name in (("Function", "keeps"), ("Source", "stream")):
            self.wait_until(lambda k=kind, n=name: self.get(k, n)["status"]["observedGeneration"], f"{name} is seen")
            self.assertNotIn("finalizers", self.get(kind, name)["metadata"])
        self.assertEqual(self.objects("Job"), [], "a pod that waits for the cleanup")
        self.delete(resources)
        self.wait_until(lambda: not self.objects("Function"), "the mesh's function is gone")
        self.wait_cleaned("plain", "windowed", "pattern", "drain", "batch", "batch-wide", "packaged", "packaged-gone", "mesh-meshed")

        left = {name: self.broker.subscriptions(topic(name)) for name in ("plain", "wide", "windowed", "drain", "packaged", "meshed", "keeps", "packaged-gone",
                                                                          "re-1", "re-2", "not-re-1", "out")}  # fmt: skip
        self.assertEqual(left, {"plain": ["another"], "wide": ["another"], "windowed": ["another"], "drain": ["another"], "packaged": ["another"],
                                "meshed": ["another"], "keeps": ["another", "public/default/keeps"],
                                "packaged-gone": ["another", "public/default/packaged-gone"], "re-1": [], "re-2": [], "not-re-1": ["mine"],
                                "out": ["reader"]})  # fmt: skip
        for partition in range(3):
            self.assertEqual(self.broker.subscriptions(topic(f"wide-partition-{partition}")), ["another"])
        self.assertEqual([name for name in self.broker.topics("public/default") if "intermediate" in name], [])
        self.assertTrue(self.broker.has_package("kept"), "a package may be another's, too")
        self.assertFalse(self.broker.has_package("gone"), "it was asked for")

    def test_consumers_that_are_still_there_are_waited_for(self):
        self.start(LOOPBACK)
        self.apply_all([function("busy")])
        consumer = subprocess.Popen([pulsar_broker.python(), "-c", CONSUMER, self.broker.service_url, self.broker.admin_token, topic("busy"),
                                     "public/default/busy"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # fmt: skip
        self.addCleanup(consumer.stdout.close)
        self.addCleanup(consumer.wait)
        self.addCleanup(consumer.kill)
        self.assertEqual(consumer.stdout.readline(), "attached\n")
        self.delete([function("busy")], wait=False)
        self.wait_until(lambda: "Subscription has active connected consumers" in self.events("busy")["CleanupRetried"], "it is told what it waits for")
        said = subprocess.run([kube_case.FMESH, "why", "function/busy", "--kubeconfig", str(self.cluster.kubeconfig("admin")), "-n", self.namespace],
                              capture_output=True, text=True, timeout=30)  # fmt: skip
        self.assertIn("its cleanup in Pulsar does not go through: subscription public/default/busy", said.stdout, said.stderr)
        self.assertEqual(self.broker.subscriptions(topic("busy")), ["public/default/busy"])
        self.assertIsNotNone(self.get("Function", "busy"))
        consumer.stdin.close()
        self.wait_until(lambda: not self.get("Function", "busy"), "it goes once they are gone")
        self.assertEqual(self.broker.subscriptions(topic("busy")), [])

    def test_a_broker_that_does_not_answer_holds_nobody_up(self):
        awake = threading.Event()
        self.addCleanup(awake.set)
        server = self.serve(lambda _: (awake.wait(60), (204, {}, ""))[1])
        self.config("silent", server.url)
        operator = self.start(LOOPBACK)
        self.apply_all([function("silenced", {"pulsarConfig": "silent"})])
        self.delete([function("silenced")], wait=False)
        self.wait_until(lambda: server.asked, "the broker is asked")
        self.apply(function("other", cleanupSubscription=False))
        self.wait_until(lambda: self.get("StatefulSet", "other-function"), "another function is looked after")
        before = time.monotonic()
        self.assertEqual(operator.stop(), 0)
        self.assertLess(time.monotonic() - before, 5)
        self.assertIn(FINALIZER, self.get("Function", "silenced")["metadata"]["finalizers"])
        awake.set()
        self.start(LOOPBACK)
        self.wait_cleaned("silenced")
        self.wait_until(lambda: not self.get("Function", "silenced"), "the next operator goes on")

    # --- who asks ---

    def issuer(self):
        """An OAuth2 issuer that knows one client. Its tokens are the broker's own."""

        def answer(request):
            if request.path == "/shop/.well-known/openid-configuration":
                return 200, {}, json.dumps({"token_endpoint": self.issuer_url + "/token"})
            known = request.command == "POST" and request.path == "/token"
            return (200, {}, json.dumps({"access_token": self.broker.token("admin")})) if known else (404, {}, "")

        server = self.serve(answer)
        self.issuer_url = server.url
        return server

    def test_each_way_to_say_who_one_is(self):
        issuer = self.issuer()
        self.config("tls", self.broker.url_tls)
        self.secret("files", **{"token": self.broker.admin_token + "\n", "key.json": json.dumps({"client_id": "shop", "client_secret": "s&cret"}),
                                "ca.pem": self.broker.ca, "tls.crt": self.broker.admin_certificate, "tls.key": self.broker.admin_key})  # fmt: skip
        self.secret("old-tls", tlsAllowInsecureConnection="false", tlsHostnameVerificationEnable="true", tlsTrustCertsFilePath="/etc/shop/tls/ca.pem")
        self.secret("insecure-tls", tlsAllowInsecureConnection="true")

        def plugin(name, parameters):
            return {"genericAuth": {"clientAuthenticationPlugin": AUTH + name, "clientAuthenticationParameters": parameters}}

        def tls(**more):
            return {"enabled": True, **more}

        mounted = {"volumeMounts": [{"name": "files", "mountPath": "/etc/shop"}],
                   "pod": {"volumes": [{"name": "files", "secret": {"secretName": "files", "items": [
                       {"key": "token", "path": "token"}, {"key": "key.json", "path": "oauth2/key"}, {"key": "ca.pem", "path": "tls/ca.pem"},
                       {"key": "tls.crt", "path": "tls/tls.crt"}, {"key": "tls.key", "path": "tls/tls.key"}]}}]}}  # fmt: skip
        nobody = plugin("Token", "token:" + self.broker.nobody_token)
        certificate = plugin("Tls", "tlsCertFile:/etc/shop/tls/tls.crt,tlsKeyFile:/etc/shop/tls/tls.key")
        oauth2 = {"issuerUrl": issuer.url + "/shop/", "audience": "urn:pulsar", "scope": "admin", "keySecretName": "files", "keySecretKey": "key.json"}
        oauth2_plugin = {"genericAuth": {"clientAuthenticationPlugin": "org.apache.pulsar.client.impl.auth.oauth2.AuthenticationOAuth2",
                                         "clientAuthenticationParameters": json.dumps({"issuerUrl": issuer.url + "/shop", "audience": "urn:pulsar",
                                                                                       "privateKey": "file:///etc/shop/oauth2/key"})}}  # fmt: skip
        ca = {"certSecretName": "files", "certSecretKey": "ca.pem"}
        resources = [
            function("by-secret"),
            function("by-token", {"authConfig": plugin("Token", self.broker.admin_token)}),
            function("by-token-file", {"authConfig": plugin("Token", "file:///etc/shop/token")}, **mounted),
            function("by-password", {"authConfig": plugin("Basic", json.dumps({"userId": "admin", "password": self.broker.admin_password}))}),
            function("by-oauth2", {"authConfig": {"oauth2Config": oauth2}}),
            function("by-oauth2-plugin", {"authConfig": oauth2_plugin}, **mounted),
            function("by-its-own", {"authConfig": nobody, "cleanupAuthConfig": plugin("Token", "token:" + self.broker.admin_token)}),
            function("over-tls", {"pulsarConfig": "tls", "tlsConfig": tls(hostnameVerification=True, **ca)}),
            function("by-certificate", {"pulsarConfig": "tls", "tlsConfig": tls(**ca), "authConfig": certificate}, **mounted),
            function("over-tls-oauth2", {"pulsarConfig": "tls", "tlsConfig": tls(**ca), "authConfig": {"oauth2Config": oauth2}}),
            function("over-insecure-tls", {"pulsarConfig": "tls", "tlsConfig": tls(allowInsecure=True)}),
            function("over-old-tls", {"pulsarConfig": "tls", "tlsSecret": "old-tls"}, **mounted),
            function("over-old-insecure-tls", {"pulsarConfig": "tls", "tlsSecret": "insecure-tls"}),
        ]  # fmt: skip
        names = [one["metadata"]["name"] for one in resources]
        for name in names:
            self.subscribe(f"public/default/{name}", of=name)
        operator = self.start(LOOPBACK)
        self.apply_all(resources)
        self.delete(resources)
        self.wait_cleaned(*names)
        self.assertEqual({name: self.broker.subscriptions(topic(name)) for name in names}, {name: [] for name in names})
        forms = {body for method, path, _, body in issuer.asked if method == "POST"}
        form = "grant_type=client_credentials&client_id=shop&client_secret=s%26cret&audience=urn%3Apulsar"
        self.assertEqual(forms, {form, form + "&scope=admin"})
        told = operator.log() + json.dumps([event["message"] for event in self.objects("Event")])
        for secret in (self.broker.admin_token, self.broker.admin_password, "s&cret"):
            self.assertNotIn(secret, told)

    # --- where it may go ---

    def test_a_redirect_to_the_same_host_is_followed(self):
        def answer(request):
            if request.path.startswith("/owner/"):
                return 204, {}, ""
            return 307, {"Location": f"http://{request.headers['Host']}/owner{request.path}"}, ""

        server = self.serve(answer)
        self.config("behind", server.url)
        self.start(LOOPBACK)
        self.apply_all([function("moved", {"pulsarConfig": "behind"})])
        self.delete([function("moved")])
        self.wait_cleaned("moved")
        path = "/admin/v2/persistent/public/default/moved/subscription/public%2Fdefault%2Fmoved"
        self.assertEqual([(method, path, bool(token)) for method, path, token, _ in server.asked], [("DELETE", path, True), ("DELETE", "/owner" + path, True)])

    def test_what_can_not_be_cleaned_up_goes_after_the_deadline_with_a_warning(self):
        elsewhere = self.serve(lambda _: (204, {}, ""))
        redirecting = self.serve(lambda request: (307, {"Location": elsewhere.url + request.path}, ""))
        closed = Server(lambda _: (204, {}, ""))
        closed.stop()
        self.config("away", closed.url)
        self.config("redirecting", redirecting.url)
        self.config("tls", self.broker.url_tls)
        self.config("unlisted", elsewhere.url.replace("127.0.0.1", "127.0.0.2"))
        self.config("metadata", "http://169.254.169.254/latest/meta-data")
        self.config("file", "file:///etc/passwd")
        self.config("password", "http://shop:hunter2@127.0.0.1:1")
        self.secret("old-tls", tlsTrustCertsFilePath="/opt/in/the/image.pem")
        nobody = {"genericAuth": {"clientAuthenticationPlugin": AUTH + "Token", "clientAuthenticationParameters": self.broker.nobody_token}}
        why = {
            "away": ({"pulsarConfig": "away"}, "onnection refused"),
            "nobody": ({"authConfig": nobody}, "Pulsar answers 401"),
            "no-trust": ({"pulsarConfig": "tls", "tlsConfig": {"enabled": True}}, "is not trusted"),
            "no-file": ({"pulsarConfig": "tls", "tlsSecret": "old-tls"}, "/opt/in/the/image.pem is a file of the pod"),
            "redirected": ({"pulsarConfig": "redirecting"}, f"another host, {elsewhere.url}"),
            "unlisted": ({"pulsarConfig": "unlisted"}, "127.0.0.2 is a loopback address"),
            "metadata": ({"pulsarConfig": "metadata"}, "where clouds keep their metadata"),
            "file": ({"pulsarConfig": "file"}, "expected http://HOST[:PORT] or https://HOST[:PORT]"),
            "password": ({"pulsarConfig": "password"}, "a user name"),
            "no-config": ({"pulsarConfig": "absent"}, "ConfigMap absent"),
        }  # fmt: skip
        resources = [function(f"w-{name}", pulsar) for name, (pulsar, _) in why.items()]
        self.subscribe("public/default/w-nobody", of="w-nobody")
        operator = self.start("--cleanup-hosts=127.0.0.1,169.254.0.0/16", f"--cleanup-deadline={DEADLINE_S}")
        self.apply_all(resources)
        before = time.monotonic()
        self.delete(resources)
        took = time.monotonic() - before
        self.assertGreater(took, DEADLINE_S - 1)
        self.assertLess(took, DEADLINE_S + 10)
        for name, (_, text) in why.items():
            message = self.wait_until(lambda n=name: self.events(f"w-{n}")["CleanupFailed"], f"a warning for {name}")
            self.assertIn(f"gave up after {DEADLINE_S} s", message)
            self.assertIn(text, message)
        self.assertEqual({event["type"] for event in self.objects("Event") if event["reason"] == "CleanupFailed"}, {"Warning"})
        self.assertEqual(self.broker.subscriptions(topic("w-nobody")), ["public/default/w-nobody"])
        self.assertEqual(elsewhere.asked, [], "a request, with its token, went to another host")
        told = operator.log() + json.dumps([event["message"] for event in self.objects("Event")])
        for secret in (self.broker.nobody_token, self.broker.admin_token, "hunter2"):
            self.assertNotIn(secret, told)

    def test_loopback_is_refused_without_a_list(self):
        server = self.serve(lambda _: (204, {}, ""))
        self.config("by-address", server.url)
        self.config("by-name", server.url.replace("127.0.0.1", "localhost"))
        self.config("mapped", server.url.replace("127.0.0.1", "[::ffff:127.0.0.1]"))
        names = ("by-address", "by-name", "mapped")
        resources = [function(name, {"pulsarConfig": name}) for name in names]
        self.start("--cleanup-deadline=1")
        self.apply_all(resources)
        self.delete(resources)
        for name in names:
            self.wait_until(lambda n=name: "is a loopback address" in self.events(n)["CleanupFailed"], f"a warning for {name}")
        self.assertEqual(server.asked, [])


if __name__ == "__main__":
    unittest.main()
