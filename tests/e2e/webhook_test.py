"""Admission on a real API server: it asks the operator's webhooks on create and update, trusts the certificate that the operator
keeps in its Secret, and goes on while that is renewed. The API server reaches the webhooks by a Service of type ExternalName."""

import base64
import json
import socket
import ssl
import subprocess
import threading
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

from kube_case import FMESH, GROUP, KubeCase, Refused, testbed

CONFIGURATIONS = {"mutate": "function-mesh-mutating-webhook-configuration",
                  "validate": "function-mesh-validating-webhook-configuration"}
SECRET = "function-mesh-admission-webhook-server-cert"
SERVICE = "function-mesh-admission-webhook-service"
KINDS = {"function": "functions", "source": "sources", "sink": "sinks", "functionmesh": "functionmeshes"}


def component(kind, name, **more):
    spec = {"className": "C", "java": {"jar": "a.jar"}, "pulsar": {"pulsarConfig": "pulsar"}}
    if kind in ("Function", "Sink"):
        spec["input"] = {"topics": ["in"]}
    if kind in ("Function", "Source"):
        spec["output"] = {"topic": "out"}
    if kind == "Source":
        spec["sourceConfig"] = {}
    if kind == "Sink":
        spec["sinkConfig"] = {}
    return {"apiVersion": GROUP, "kind": kind, "metadata": {"name": name}, "spec": dict(spec, **more)}


def mesh(name, *items):
    return {"apiVersion": GROUP, "kind": "FunctionMesh", "metadata": {"name": name}, "spec": {"functions": list(items)}}


def item(name, **more):
    return dict(component("Function", name, **more)["spec"], name=name)


def served_certificate(port):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain, context.wrap_socket(plain) as tls:
        return tls.getpeercert(binary_form=True)


class WebhookTest(KubeCase):
    def setUp(self):
        super().setUp()
        self.addCleanup(self.remove_configurations)
        self.port, self.second_port = testbed.free_ports(2)
        self.client.create({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
                            "metadata": {"name": SECRET, "namespace": self.namespace}})
        self.client.create({"apiVersion": "v1", "kind": "Service", "metadata": {"name": SERVICE, "namespace": self.namespace},
                            "spec": {"type": "ExternalName", "externalName": "localhost"}})
        for verb, name in CONFIGURATIONS.items():
            self.kubectl("apply", "-f", "-", text=json.dumps(self.configuration(verb, name)), namespace="")

    def remove_configurations(self):
        for verb, name in CONFIGURATIONS.items():
            self.kubectl("delete", "--ignore-not-found", self.kind_of(verb), name, namespace="")

    def kind_of(self, verb):
        return ("Mutating" if verb == "mutate" else "Validating") + "WebhookConfiguration"

    def configuration(self, verb, name):
        webhooks = [{
            "name": f"{verb[0]}{singular}.kb.io", "admissionReviewVersions": ["v1", "v1beta1"], "sideEffects": "None",
            "failurePolicy": "Fail", "timeoutSeconds": 10,
            "clientConfig": {"service": {"name": SERVICE, "namespace": self.namespace, "port": self.port,
                                         "path": f"/{verb}-compute-functionmesh-io-v1alpha1-{singular}"}},
            "rules": [{"apiGroups": ["compute.functionmesh.io"], "apiVersions": ["v1alpha1"],
                       "operations": ["CREATE", "UPDATE"], "resources": [plural], "scope": "Namespaced"}],
        } for singular, plural in KINDS.items()]
        return {"apiVersion": "admissionregistration.k8s.io/v1", "kind": self.kind_of(verb), "metadata": {"name": name},
                "webhooks": webhooks}

    def start(self, port=None):
        return self.start_operator(f"--webhook-addr=127.0.0.1:{port or self.port}", "--webhooks=true", user="admin",
                                   environment={"POD_NAMESPACE": self.namespace})

    def secret(self):
        data = self.client.get("Secret", SECRET, self.namespace).get("data") or {}
        return {key: base64.b64decode(value) for key, value in data.items()}

    def bundles(self):
        return {base64.b64decode(webhook["clientConfig"].get("caBundle", "")) for verb, name in CONFIGURATIONS.items()
                for webhook in self.client.get(self.kind_of(verb), name, "")["webhooks"]}

    def admission_answers(self):
        done = self.cluster.run_kubectl("--namespace", self.namespace, "create", "--dry-run=server", "-o", "json", "-f", "-",
                                        text=json.dumps(component("Function", "asked")))
        return done.returncode == 0 and "tenant" in json.loads(done.stdout)["spec"]

    def start_and_wait(self):
        operator = self.start()
        self.wait_until(lambda: self.bundles() == {self.secret()["ca.crt"]}, "the API server knows the authority")
        # It learns of changed webhook configurations by a watch of its own.
        self.wait_until(self.admission_answers, "the API server asks the webhooks")
        return operator

    def test_create_and_update_of_all_kinds_pass_through_admission(self):
        self.start_and_wait()
        for kind in ("Function", "Source", "Sink"):
            name = kind.lower()
            self.apply(component(kind, name))
            spec = self.get(kind, name)["spec"]
            self.assertEqual(spec["resources"]["limits"], {"cpu": "1", "memory": "1Gi"}, kind)
            self.assertEqual(spec["tenant"], "public")
            changed = component(kind, name, replicas=2, pulsar={"pulsarConfig": ""})
            done = self.apply(changed, code=1)
            self.assertIn("spec.pulsar", done.stderr)
            self.apply(component(kind, name, replicas=2))
            self.assertEqual(self.get(kind, name)["spec"]["replicas"], 2)
        self.apply(mesh("m", item("a")))
        done = self.apply(mesh("m", item("a"), item("b", logTopic="q://")), code=1)
        self.assertIn("spec.functions[1].logTopic", done.stderr)

    def test_diff_fills_in_what_admission_does(self):
        self.start_and_wait()
        resources = [component("Function", "plain"), mesh("m", item("a"))]
        text = "\n---\n".join(json.dumps(resource) for resource in resources)
        self.apply(resources)

        def differences():
            done = subprocess.run([FMESH, "diff", "-", "--kubeconfig", str(self.cluster.kubeconfig("admin")), "-n", self.namespace],
                                  input=text, capture_output=True, text=True, timeout=60)
            return [line for line in done.stdout.splitlines() if not line.startswith(" ")]

        self.wait_until(lambda: self.get("StatefulSet", "m-a-function") and self.get("Service", "m-a-function-headless"), "all is made")
        self.wait_until(lambda: differences() == [], "nothing differs")
        limits = self.get("StatefulSet", "plain-function")["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
        self.assertEqual(limits["memory"], "1Gi")

    def test_a_refused_resource_shows_all_errors(self):
        self.start_and_wait()
        bad = component("Function", "bad", replicas=3, maxReplicas=1, logTopic="q://", className="")
        done = self.apply(bad, code=1)
        for path in ("spec.className", "spec.maxReplicas", "spec.logTopic"):
            self.assertIn(path, done.stderr)
        self.assertIn("bad", done.stderr)
        with self.assertRaises(Refused):
            self.client.create(dict(bad, metadata={"name": "bad", "namespace": self.namespace}))

    def test_an_unknown_field_is_not_stored(self):
        self.start_and_wait()
        self.apply(component("Function", "odd", clasName="D"), "--validate=ignore")
        spec = self.get("Function", "odd")["spec"]
        self.assertNotIn("clasName", spec)
        self.assertEqual(spec["tenant"], "public")

    def test_two_operators_serve_the_same_certificate(self):
        self.start_and_wait()
        before = self.secret()
        self.start(self.second_port)
        self.assertEqual(self.secret(), before)
        self.assertEqual(served_certificate(self.port), served_certificate(self.second_port))

    def test_requests_go_on_while_the_certificate_is_renewed(self):
        operator = self.start_and_wait()
        first = served_certificate(self.port)
        failures, stopped = [], threading.Event()

        def write():
            number = 0
            while not stopped.is_set():
                number += 1
                try:
                    client = self.cluster.client()
                    client.create(dict(component("Function", f"w{number}"),
                                       metadata={"name": f"w{number}", "namespace": self.namespace}))
                    client.close()
                except Refused as refused:
                    failures.append(str(refused))

        writer = threading.Thread(target=write)
        writer.start()
        try:
            # The serving certificate is lost; the operator makes another, under the authority that is trusted.
            self.kubectl("patch", "secret", SECRET, "--type=json", "-p", json.dumps([{"op": "remove", "path": "/data/tls.crt"}]))
            self.wait_until(lambda: served_certificate(self.port) != first, "a new certificate is served", 60)
            time.sleep(1)
        finally:
            stopped.set()
            writer.join()
        self.assertEqual(failures, [])
        self.assertIsNone(operator.process.poll())
        self.assertEqual(self.bundles(), {self.secret()["ca.crt"]})

    def test_a_given_certificate_is_served_and_read_anew(self):
        folder = Path(self.folder)

        def make(name):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
                            "-subj", f"/CN={name}", "-keyout", str(folder / "tls.key"), "-out", str(folder / "tls.crt")],
                           check=True, capture_output=True)

        make("one")
        self.start_operator(f"--webhook-addr=127.0.0.1:{self.port}", "--webhooks=true", f"--cert-dir={folder}", user="admin")
        first = served_certificate(self.port)
        self.assertEqual(first, ssl.PEM_cert_to_DER_cert((folder / "tls.crt").read_text(encoding="ascii")))
        make("two")
        self.wait_until(lambda: served_certificate(self.port) != first, "the new certificate is served")


class SecureMetricsTest(KubeCase):
    def read_metrics(self, port, token=None):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        request = urllib.request.Request(f"https://127.0.0.1:{port}/metrics")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, context=context, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    def test_metrics_are_for_whom_the_api_server_allows(self):
        port = testbed.free_ports(1)[0]
        self.start_operator(f"--metrics-addr=127.0.0.1:{port}", "--metrics-secure=true", user="admin")
        for name in ("reader", "stranger"):
            self.kubectl("create", "serviceaccount", name)
        role = f"metrics-{self.namespace}"
        self.addCleanup(lambda: self.kubectl("delete", "clusterrole,clusterrolebinding", role, namespace=""))
        self.kubectl("create", "clusterrole", role, "--verb=get", "--non-resource-url=/metrics", namespace="")
        self.kubectl("create", "clusterrolebinding", role, f"--clusterrole={role}",
                     f"--serviceaccount={self.namespace}:reader", namespace="")
        tokens = {name: self.kubectl("create", "token", name).stdout.strip() for name in ("reader", "stranger")}
        self.wait_until(lambda: self.read_metrics(port, tokens["reader"]) == 200, "the reader may read", 90)
        self.assertEqual(self.read_metrics(port, tokens["stranger"]), 403)
        self.assertEqual(self.read_metrics(port, "nonsense"), 401)
        self.assertEqual(self.read_metrics(port), 401)


if __name__ == "__main__":
    unittest.main()
