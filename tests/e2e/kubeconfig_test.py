"""kubeconfig files as kubectl reads them: the same file goes to the real kubectl and to fmesh, and what a server sees of both is compared.
Then on the real API server: plugins whose tokens expire or are refused, certificates that change on disk, proxies, impersonation."""

import datetime
import http.server
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
import unittest

import kube_case
import pki
from kube_case import FMESH, KubeCase
from operator_test import function

PLUGIN = "client.authentication.k8s.io/v1"
# What differs from client to client and is nobody's identity.
COMPARED = ("authorization", "impersonate-")


class Recorder:
    """An HTTPS server (or HTTP, without an authority) that answers 404 and notes who asked: headers, client certificate, SNI."""

    def __init__(self, authority=None):
        recorder = self
        self.seen = []
        self.name = None

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                headers = sorted((name.lower(), value) for name, value in self.headers.items() if name.lower().startswith(COMPARED))
                certificate = self.connection.getpeercert() if authority else None
                subject = [value for part in (certificate or {}).get("subject", ()) for _, value in part]
                recorder.seen.append({"headers": headers, "certificate": subject, "name": recorder.name})
                body = json.dumps({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}).encode()
                self.send_response(404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        if authority:
            certificate, key = authority.issue("recorder", "recorder", addresses=["127.0.0.1"], hosts=["localhost", "recorder.test"])
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            context.load_verify_locations(authority.certificate)
            context.verify_mode = ssl.CERT_OPTIONAL
            context.sni_callback = lambda _socket, name, _context: setattr(self, "name", name)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self):
        seen, self.seen = self.seen, []
        return seen

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class TunnelProxy:
    """An HTTP proxy that notes what it is asked for and goes to one port of this machine, whatever the name."""

    def __init__(self, port):
        self.target = port
        self.asked = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            piece = client.recv(4096)
            if not piece:
                return client.close()
            head += piece
        self.asked.append(head.split(b"\r\n")[0].decode())
        server = socket.create_connection(("127.0.0.1", self.target))
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        threading.Thread(target=self._pump, args=(server, client), daemon=True).start()
        self._pump(client, server)
        return None

    @staticmethod
    def _pump(source, target):
        try:
            while piece := source.recv(65536):
                target.sendall(piece)
        except OSError:
            pass
        for one in (source, target):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def take(self):
        asked, self.asked = self.asked, []
        return asked

    def close(self):
        self.listener.close()


class ConfigCase(KubeCase):
    """Writes kubeconfigs, plugins and certificates into the test's folder, and runs kubectl and fmesh on them."""

    def setUp(self):
        super().setUp()
        shutil.copy(self.cluster.pki / "ca.crt", self.folder / "ca.crt")
        shutil.copy(self.cluster.pki / "ca.key", self.folder / "ca.key")
        self.authority = pki.Authority(self.folder, "ca")

    def config(self, user, name="config", server=None, **cluster):
        """A kubeconfig of one context. Paths in it are relative to the test's folder."""
        cluster = {"server": server or self.cluster.server, **cluster}
        if cluster["server"].startswith("https") and "insecure-skip-tls-verify" not in cluster:
            cluster.setdefault("certificate-authority", "ca.crt")
        path = self.folder / name
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "c", "clusters": [{"name": "k", "cluster": cluster}],
                                    "users": [{"name": "u", "user": user}],
                                    "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": self.namespace}}]}))
        return path

    def plugin(self, script, **more):
        """An exec plugin of this shell script; `give TOKEN [EXPIRES]` prints what a plugin prints."""
        path = self.folder / "plugin"
        path.write_text(f"""#!/bin/sh
cd {self.folder}
echo run >> runs
printf '%s' "$KUBERNETES_EXEC_INFO" > info
give() {{
  printf '{{"apiVersion":"{PLUGIN}","kind":"ExecCredential","status":{{"token":"%s"' "$1"
  [ -z "$2" ] || printf ',"expirationTimestamp":"%s"' "$2"
  printf '}}}}'
}}
{script}
""")
        path.chmod(0o755)
        return {"exec": {"apiVersion": PLUGIN, "command": "./plugin", "interactiveMode": "Never", **more}}

    def runs(self):
        path = self.folder / "runs"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def run_program(self, command, kubeconfig, environment):
        everything = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        everything |= {"KUBECONFIG": str(kubeconfig), "KUBECACHEDIR": str(self.folder / "cache")} | (environment or {})
        return subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, env=everything)

    def kubectl_on(self, kubeconfig, *arguments, environment=None):
        return self.run_program([self.cluster.kubectl, *arguments], kubeconfig, environment)

    def fmesh_on(self, kubeconfig, *arguments, environment=None):
        return self.run_program([FMESH, *arguments], kubeconfig, environment)


class SeenByAServerTest(ConfigCase):
    """kubectl and fmesh are the same person to a server."""

    def setUp(self):
        super().setUp()
        self.recorder = Recorder(self.authority)
        self.addCleanup(self.recorder.close)

    @property
    def server(self):
        return f"https://127.0.0.1:{self.recorder.port}"

    def seen(self, kubeconfig, environment=None):
        """What the server sees of both, which must be the same; None if both send nothing."""
        theirs = self.kubectl_on(kubeconfig, "get", "--raw", "/api", environment=environment)
        of_kubectl = self.recorder.take()
        ours = self.fmesh_on(kubeconfig, "why", "function/x", environment=environment)
        of_fmesh = self.recorder.take()
        words = f"kubectl: {theirs.stderr}\nfmesh: {ours.stdout}{ours.stderr}"
        self.assertEqual(bool(of_kubectl), bool(of_fmesh), words)
        if not of_kubectl:
            return None
        self.assertEqual(of_kubectl[0], of_fmesh[0], words)
        return of_fmesh[0]

    def seen_as(self, user, **cluster):
        return self.seen(self.config(user, server=cluster.pop("server", self.server), **cluster))

    def test_tokens_passwords_and_certificates(self):
        self.assertEqual(self.seen_as({"token": "t"})["headers"], [("authorization", "Bearer t")])
        (self.folder / "token").write_text("of-file\n")
        self.assertEqual(self.seen_as({"tokenFile": "token"})["headers"], [("authorization", "Bearer of-file")])
        self.assertEqual(self.seen_as({"token": "t", "tokenFile": "token"})["headers"], [("authorization", "Bearer of-file")])
        self.assertTrue(self.seen_as({"username": "me", "password": "open sesame"})["headers"][0][1].startswith("Basic "))
        self.authority.issue("jane", "jane", "dev")
        self.assertEqual(self.seen_as({"client-certificate": "jane.crt", "client-key": "./jane.key"})["certificate"], ["dev", "jane"])
        # Plain connections get no credentials.
        plain = Recorder()
        self.addCleanup(plain.close)
        self.recorder = plain
        self.assertEqual(self.seen_as({"token": "t", "as": "jane"}, server=f"http://127.0.0.1:{plain.port}")["headers"], [("impersonate-user", "jane")])

    def test_impersonation(self):
        seen = self.seen_as({"token": "t", "as": "jane", "as-uid": "7", "as-groups": ["ops", "dev"], "as-user-extra": {"a/b": ["1", "2"], "c%": ["3"]}})
        self.assertIn(("impersonate-extra-a%2fb", "2"), seen["headers"])
        self.assertEqual(len(seen["headers"]), 8)

    def test_plugins(self):
        give = "give of-plugin"
        self.assertEqual(self.seen_as(self.plugin(give))["headers"], [("authorization", "Bearer of-plugin")])
        self.assertEqual(self.runs(), 2)
        self.assertEqual(self.seen_as({**self.plugin(give), "token": "t"})["headers"], [("authorization", "Bearer t")])
        self.assertEqual(self.runs(), 2, "nobody runs a plugin beside a token")
        variables = self.plugin('give "$1-$X"', args=["of"], env=[{"name": "X", "value": "env"}])
        self.assertEqual(self.seen_as(variables)["headers"], [("authorization", "Bearer of-env")])
        self.authority.issue("jane", "jane", "dev")
        pem = {name: json.dumps((self.folder / f"jane.{name}").read_text())[1:-1].replace("\\n", "\\\\n") for name in ("crt", "key")}
        certificate = self.plugin(f"""printf '{{"apiVersion":"{PLUGIN}","kind":"ExecCredential","status":{{"clientCertificateData":"{pem['crt']}",'
printf '"clientKeyData":"{pem['key']}"}}}}'""")
        self.assertEqual(self.seen_as(certificate)["certificate"], ["dev", "jane"])

    def test_plugins_are_told_the_same(self):
        infos = []
        extension = [{"name": "client.authentication.k8s.io/exec", "extension": {"audience": "me"}}]
        for more in ({}, {"provideClusterInfo": True}):
            config = self.config(self.plugin("give t", **more), server=self.server, extensions=extension, **{"tls-server-name": "recorder.test"})
            self.kubectl_on(config, "get", "--raw", "/api")
            theirs = json.loads((self.folder / "info").read_text())
            (self.folder / "info").unlink()
            self.fmesh_on(config, "why", "function/x")
            infos.append(json.loads((self.folder / "info").read_text()))
            self.assertEqual(infos[-1], theirs)
        self.assertNotIn("cluster", infos[0]["spec"])
        self.assertEqual(infos[1]["spec"]["cluster"]["config"], {"audience": "me"})

    def test_servers_names_and_trust(self):
        self.assertEqual(self.seen_as({"token": "t"}, **{"tls-server-name": "recorder.test"})["name"], "recorder.test")
        self.assertIsNone(self.seen_as({"token": "t"}, **{"tls-server-name": "other.test"}))
        stranger = pki.Authority(self.folder / "stranger", "ca")
        self.assertIsNone(self.seen_as({"token": "t"}, **{"certificate-authority": str(stranger.certificate)}))
        self.assertIsNotNone(self.seen_as({"token": "t"}, **{"insecure-skip-tls-verify": True}))
        # What contradicts itself is not sent at all.
        (self.folder / "jane.crt").write_text("")
        for user in ({"token": "t", "username": "me"}, {"as-groups": ["dev"], "token": "t"}, {"client-certificate": "jane.crt"}, {"tokenFile": "gone"},
                     {"auth-provider": {"name": "gcp"}}, self.plugin("give t", apiVersion="client.authentication.k8s.io/v1alpha1"),
                     self.plugin("give t", interactiveMode="Always"), self.plugin("exit 3"), self.plugin("echo nonsense"), self.plugin("give ''")):  # fmt: skip
            with self.subTest(user=user):
                self.assertIsNone(self.seen_as(user))

    def test_several_files(self):
        (self.folder / "other").mkdir()
        (self.folder / "other" / "token").write_text("of-second")
        first = self.config({}, name="first", server=self.server)
        text = json.loads(first.read_text())
        del text["users"]
        text["current-context"] = ""
        first.write_text(json.dumps(text))
        second = self.config({"tokenFile": "token"}, name="other/second", server="https://nowhere.test")
        both = f"{first}:{self.folder}/missing:{second}"
        self.assertEqual(self.seen(both)["headers"], [("authorization", "Bearer of-second")])
        self.assertEqual(self.kubectl_on(both, "config", "view", "--minify", "-o", "jsonpath={..server}").stdout, self.server)

    def test_proxies_of_the_file_and_of_the_environment(self):
        proxy = TunnelProxy(self.recorder.port)
        self.addCleanup(proxy.close)
        config = self.config({"token": "t"}, server="https://recorder.test:6443")
        cases = (({"HTTPS_PROXY": proxy.url}, True), ({"https_proxy": proxy.url.removeprefix("http://")}, True),
                 ({"HTTPS_PROXY": proxy.url, "NO_PROXY": "other,.test"}, False), ({"HTTP_PROXY": proxy.url}, False))  # fmt: skip
        for environment, through in cases:
            with self.subTest(environment=environment):
                self.assertEqual(self.seen(config, environment) is not None, through)
                self.assertEqual(proxy.take(), ["CONNECT recorder.test:6443 HTTP/1.1"] * (2 if through else 0))
        self.assertIsNotNone(self.seen_as({"token": "t"}, server="https://recorder.test", **{"proxy-url": proxy.url}))
        self.assertEqual(len(proxy.take()), 2)
        self.assertIsNone(self.seen_as({"token": "t"}, **{"proxy-url": "ftp://127.0.0.1"}))


class RealServerTest(ConfigCase):
    def operator_on(self, kubeconfig):
        self.create_pulsar_config("blue")
        return self.start_operator(wait=False, kubeconfig=kubeconfig)

    def works(self, name):
        self.apply(function(name))
        self.wait_until(lambda: self.get("StatefulSet", f"{name}-function"), f"the operator makes {name}")

    def test_a_plugin_whose_tokens_expire_is_asked_again(self):
        token = self.cluster.token("operator")
        config = self.config(self.plugin(f"give {token} $(date -u -d '+2 seconds' +%FT%TZ)"))
        operator = self.operator_on(config)
        self.wait_until(operator.ready, "the operator is ready")
        self.works("first")
        for name in ("second", "third"):
            before = self.runs()
            time.sleep(2.1)
            self.works(name)
            self.assertGreater(self.runs(), before)
        self.assertLess(self.runs(), 60)

    def test_a_plugin_whose_token_is_refused_is_asked_again(self):
        config = self.config(self.plugin(f"if [ -f used ]; then give {self.cluster.token()}; else touch used; give wrong; fi"))
        said = self.fmesh_on(config, "why", "function/x")
        self.assertIn(f"there is no Function x in namespace {self.namespace}", said.stdout + said.stderr)
        self.assertEqual(self.runs(), 2)

    def test_errors_of_plugins_say_what_to_do(self):
        missing = self.plugin("give t", command="no-such-plugin", installHint="get it at https://example.com")
        said = self.fmesh_on(self.config(missing), "why", "function/x")
        self.assertIn("exec plugin no-such-plugin: No such file or directory", said.stderr)
        self.assertIn("get it at https://example.com", said.stderr)
        theirs = self.kubectl_on(self.config(missing), "auth", "whoami")
        self.assertIn("get it at https://example.com", theirs.stderr)
        said = self.fmesh_on(self.config(self.plugin("echo 'log in first' >&2; exit 3")), "why", "function/x")
        self.assertIn("ended with code 3: log in first", said.stderr)

    def test_a_certificate_that_changes_on_disk(self):
        """At first it is a stranger's, so that the server says 401 to everything; nobody restarts anything."""
        stranger = pki.Authority(self.folder / "stranger", "ca")
        for path in stranger.issue("operator", "operator"):
            shutil.copy(path, self.folder / path.name)
        config = self.config({"client-certificate": "operator.crt", "client-key": "operator.key"})
        self.assertIn("Unauthorized", self.fmesh_on(config, "why", "function/x").stderr)
        operator = self.operator_on(config)
        self.wait_until(lambda: "Unauthorized" in operator.log(), "it is told that the server refuses")
        for path in (self.cluster.pki / "operator.crt", self.cluster.pki / "operator.key"):
            shutil.copy(path, self.folder / path.name)
        self.wait_until(operator.ready, "the operator is ready", seconds=90)
        self.works("first")

    def test_a_proxy_on_the_way_to_the_real_server(self):
        proxy = TunnelProxy(self.cluster.state["ports"]["server"])
        self.addCleanup(proxy.close)
        # The name is in the server's certificate, and nobody here can look it up.
        config = self.config({"token": self.cluster.token("operator")}, server="https://kubernetes.default.svc", **{"proxy-url": proxy.url})
        self.assertEqual(self.kubectl_on(config, "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}").stdout, "operator")
        proxy.take()
        operator = self.operator_on(config)
        self.wait_until(operator.ready, "the operator is ready")
        self.works("first")
        self.assertEqual(set(proxy.take()), {"CONNECT kubernetes.default.svc:443 HTTP/1.1"})

    def test_impersonation_has_the_rights_of_whom_it_names(self):
        admin = {"token": self.cluster.token()}
        self.client.create({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "look", "namespace": self.namespace},
                            "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"]}]})
        self.client.create({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "look", "namespace": self.namespace},
                            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "look"},
                            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "dev"}]})
        for groups, allowed in (([], False), (["ops"], False), (["ops", "dev"], True)):
            config = self.config({**admin, "as": "jane", "as-groups": groups})
            theirs = self.kubectl_on(config, "get", "functions.compute.functionmesh.io", "x")
            ours = self.fmesh_on(config, "why", "function/x")
            words = f"kubectl: {theirs.stderr}\nfmesh: {ours.stdout}{ours.stderr}"
            for said in (theirs.stderr, ours.stdout + ours.stderr):
                self.assertEqual('User "jane" cannot get resource "functions"' not in said, allowed, words)

    def test_the_time_of_a_plugin_is_of_any_zone(self):
        soon = datetime.datetime.now(datetime.timezone(datetime.timedelta(hours=5))) + datetime.timedelta(hours=1)
        config = self.config(self.plugin(f"give {self.cluster.token()} {soon.isoformat(timespec='seconds')}"))
        said = self.fmesh_on(config, "why", "function/x")
        self.assertIn("there is no Function x", said.stdout + said.stderr)
        self.assertEqual(self.runs(), 1)


if __name__ == "__main__":
    unittest.main()
