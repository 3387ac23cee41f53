"""The Helm chart and the kustomize base on a real API server: every value set is accepted, rights are the least, CRDs outlive all."""

import base64
import json
import re
import subprocess
import tempfile
import unittest

from kube_case import BUILD, GROUP, ROOT, KubeCase, crds, testbed
from program import Unavailable, helm

CHART = ROOT / "deploy" / "chart" / "fmesh-operator"
MANAGER = "function-mesh-controller-manager"
SECRET = "function-mesh-admission-webhook-server-cert"
LEASE = "a3f45fce.functionmesh.io"

# What people who come from upstream have in their values file: every name that its chart knows.
UPSTREAM_VALUES = {
    "rbac": {"create": True}, "operatorImage": "registry.example/function-mesh:v1", "imagePullPolicy": "Always", "imagePullSecrets": [{"name": "pull"}],
    "controllerManager": {
        "create": True, "serviceAccount": "some-account", "replicas": 2, "resources": {"requests": {"cpu": "1"}},
        "priorityClassName": "system-cluster-critical", "autoFailover": True, "affinity": {"nodeAffinity": {}}, "nodeSelector": {"a": "b"},
        "tolerations": [{"key": "k", "operator": "Exists"}], "selector": ["canary"],
        "runnerImages": {"java": "j:1", "python": "p:1", "go": "g:1", "genericRuntime": {"nodejs": {"image": "n:1"}}},
        "runnerImagePullSecrets": [{"name": "runner-pull"}], "runnerImagePullPolicy": "Never", "resourceLabels": {"l": "1"},
        "resourceAnnotations": {"an": "2"}, "configFile": "/etc/config/config.yaml", "enableLeaderElection": False,
        "metrics": {"port": 9001, "scheme": "http"}, "healthProbe": {"port": 9002}, "pprof": {"enable": True, "port": 8090},
        "enableInitContainers": True, "globalBackendConfig": "g", "globalBackendConfigNamespace": "gn", "namespacedBackendConfig": "nb",
        "addDefaultAffinity": False, "pauseRollout": True},
    "admissionWebhook": {"enabled": True},
    "admission-webhook": {"enabled": True, "secretsWebhookNamespace": "default", "failurePolicy": "Ignore", "certificate": {"provider": "custom"}},
}
CRD_FILES = ("backendconfigs.yaml", "functionmeshes.yaml", "functions.yaml", "sinks.yaml", "sources.yaml")
VALUE_SETS = {
    "default": {},
    "upstream": UPSTREAM_VALUES,
    "custom certificate": {"admission-webhook": {"certificate": {"provider": "custom", "secretName": "mine", "caBundle": "Q0E="}}},
    "cert-manager": {"admission-webhook": {"certificate": {"provider": "cert-manager"}}},
    "no webhooks, open metrics": {"admissionWebhook": {"enabled": False}, "controllerManager": {"metrics": {"scheme": "http"}}},
    "two namespaces": {"controllerManager": {"watchedNamespaces": ["default", "kube-public"], "metrics": {"scheme": "http"}},
                       "admission-webhook": {"certificate": {"provider": "custom"}}},
    "no budget, no rights": {"rbac": {"create": False}, "controllerManager": {"podDisruptionBudget": {"maxUnavailable": ""}}},
    "nothing": {"controllerManager": {"create": False}, "rbac": {"create": False}, "admissionWebhook": {"enabled": False}, "crds": {"install": False}},
}


class ChartCase(KubeCase):
    @classmethod
    def setUpClass(cls):
        try:
            cls.helm = helm()
        except Unavailable as reason:
            raise unittest.SkipTest(f"no helm here: {reason}") from None
        super().setUpClass()

    def run_helm(self, *arguments, values=None, code=0):
        words = [self.helm, *arguments, "--namespace", self.namespace]
        if values is not None:
            file = self.folder / "values.json"
            file.write_text(json.dumps(values))
            words += ["--values", file]
        done = subprocess.run([*words, "--kubeconfig", self.cluster.kubeconfig()], capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, code, f"helm {arguments}: {done.stdout[-500:]}{done.stderr}")
        return done

    def render(self, values, code=0):
        return self.run_helm("template", "fmesh", CHART, values=values, code=code)

    def objects_of(self, text):
        """Objects of YAML as kubectl reads it, by (kind, name)."""
        if not text.strip():
            return {}
        done = self.kubectl("create", "--dry-run=client", "--validate=false", "-o", "json", "-f", "-", text=text, namespace="")
        found = {}
        at, decoder = 0, json.JSONDecoder()
        while at < len(done.stdout.rstrip()):
            one, at = decoder.raw_decode(done.stdout, at)
            for item in one.get("items", [one]):
                found[item["kind"], item["metadata"]["name"]] = item
            at += 1
        return found


def component_spec(**more):
    return {"className": "a.B", "java": {"jar": "/a.jar"}, "replicas": 1, "input": {"topics": ["in"]}, "output": {"topic": "out"},
            "pulsar": {"pulsarConfig": "blue"}, "forwardSourceMessageProperty": True, **more}


def without_cert_manager(text):
    return "\n---\n".join(part for part in text.split("\n---\n") if "apiVersion: cert-manager.io/v1" not in part)


class RenderTest(ChartCase):
    def test_every_value_set_is_accepted_by_the_server(self):
        for name, values in VALUE_SETS.items():
            with self.subTest(values=name):
                text = without_cert_manager(self.render(values).stdout)
                if text.strip():
                    self.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", text=text, namespace="")

    def test_upstreams_values_reach_their_places(self):
        text = self.render(UPSTREAM_VALUES).stdout
        objects = self.objects_of(text)
        deployment = objects["Deployment", MANAGER]["spec"]
        pod, container = deployment["template"]["spec"], deployment["template"]["spec"]["containers"][0]
        self.assertEqual(set(container["command"]), {
            "/usr/bin/fmesh", "operator", "--metrics-addr=:9001", "--metrics-secure=false", "--health-probe-addr=:9002",
            "--enable-leader-election=false", "--config-file=/etc/config/config.yaml", "--enable-init-containers=true",
            "--global-backend-config=g", "--global-backend-config-namespace=gn", "--namespaced-backend-config=nb",
            "--add-default-affinity=false", "--pause-rollout=true", "--cleanup-deadline=120", "--cert-dir=/etc/fmesh/serving-certs"})
        self.assertEqual((deployment["replicas"], pod["serviceAccountName"], pod["priorityClassName"], pod["nodeSelector"], pod["imagePullSecrets"]),
                         (2, "some-account", "system-cluster-critical", {"a": "b"}, [{"name": "pull"}]))
        self.assertEqual((container["image"], container["imagePullPolicy"], container["name"]),
                         ("registry.example/function-mesh:v1", "Always", "function-mesh-operator"))
        config = objects["ConfigMap", f"{MANAGER}-configs"]["data"]["config.yaml"]
        for word in ("java: j:1", "image: n:1", "fmesh: registry.example/function-mesh:v1", "- name: runner-pull", "runnerImagePullPolicy: Never", 'l: "1"', 'an: "2"', "logLevel: info"):
            self.assertIn(word, config)
        for one in objects["MutatingWebhookConfiguration", "function-mesh-mutating-webhook-configuration"]["webhooks"]:
            self.assertEqual(one["failurePolicy"], "Ignore")

    def test_pods_are_locked_down(self):
        pod = self.objects_of(self.render({}).stdout)["Deployment", MANAGER]["spec"]["template"]["spec"]
        self.assertTrue(pod["securityContext"]["runAsNonRoot"])
        self.assertEqual(pod["containers"][0]["securityContext"],
                         {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}})
        # The cluster's own measure of it.
        self.kubectl("label", "namespace", self.namespace, "pod-security.kubernetes.io/enforce=restricted")
        template = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "manager"}, "spec": dict(pod, serviceAccountName="default")}
        self.kubectl("create", "--dry-run=server", "-f", "-", text=json.dumps(template))

    def test_webhooks_are_upstreams_and_one_for_meshes(self):
        objects = self.objects_of(self.render({}).stdout)
        for kind, verb in (("Mutating", "mutate"), ("Validating", "validate")):
            hooks = objects[f"{kind}WebhookConfiguration", f"function-mesh-{kind.lower()}-webhook-configuration"]["webhooks"]
            self.assertEqual({hook["name"]: (hook["clientConfig"]["service"]["path"], hook["rules"][0]["resources"]) for hook in hooks},
                             {f"{verb[0]}{one}.kb.io": (f"/{verb}-compute-functionmesh-io-v1alpha1-{one}", [plural])
                              for one, plural in (("function", "functions"), ("source", "sources"), ("sink", "sinks"), ("functionmesh", "functionmeshes"))})

    def test_an_install_for_some_namespaces_has_no_rights_elsewhere(self):
        values = VALUE_SETS["two namespaces"]
        objects = self.objects_of(self.render(values).stdout)
        self.assertEqual([key for key in objects if key[0] in ("ClusterRole", "ClusterRoleBinding")], [])
        roles = re.findall(r"^kind: Role\n.*?^  namespace: (\S+)$", self.render(values).stdout, re.MULTILINE | re.DOTALL)
        self.assertEqual(sorted(roles), sorted(["default", "kube-public", self.namespace]))
        self.assertIn("--watched-namespaces=default,kube-public", objects["Deployment", MANAGER]["spec"]["template"]["spec"]["containers"][0]["command"])
        values = {"controllerManager": {"watchedNamespaces": ["default"]}}
        self.assertIn("may not change the webhooks of the whole cluster", self.render(values, code=1).stderr)

    def test_an_operator_of_some_namespaces_does_its_work_with_their_roles_alone(self):
        values = {"controllerManager": {"watchedNamespaces": [self.namespace], "metrics": {"scheme": "http"}}, "admissionWebhook": {"enabled": False}}
        self.apply([one for (kind, _), one in self.objects_of(self.render(values).stdout).items() if kind in ("ServiceAccount", "Role", "RoleBinding")])
        token = self.kubectl("create", "token", MANAGER).stdout.strip()
        user = f"account-{self.namespace}"
        self.cluster.kubeconfig(user).write_text(self.cluster.kubeconfig("operator-token").read_text().replace(self.cluster.token("operator"), token))
        operator = self.start_operator(f"--watched-namespaces={self.namespace}", "--enable-leader-election", f"--leader-election-namespace={self.namespace}",
                                       "--global-backend-config=global-backend-config", user=user)
        self.assertIn("namespace default is not watched, so the global BackendConfig global-backend-config there has no effect", operator.log())
        spec = component_spec(maxReplicas=3, cleanupSubscription=True)
        self.apply([{"apiVersion": GROUP, "kind": "Function", "metadata": {"name": "f"}, "spec": spec},
                    {"apiVersion": GROUP, "kind": "FunctionMesh", "metadata": {"name": "m"}, "spec": {"functions": [dict(spec, name="a")]}}])
        for name in ("f", "m-a"):
            self.wait_until(lambda n=name: self.get("Function", n)["status"]["observedGeneration"] == self.get("Function", n)["metadata"]["generation"], "it is made")
        self.wait_until(lambda: self.get("FunctionMesh", "m")["status"]["condition"]["status"] == "True", "the mesh is made")
        self.wait_until(lambda: "StatefulSet f-function created" in self.kubectl("get", "events").stdout, "Events are written")
        for word in ("forbidden", "Forbidden", "warning"):
            self.assertNotIn(word, operator.log())

    def test_webhooks_can_be_left_out_by_either_of_upstreams_switches(self):
        for values in ({"admissionWebhook": {"enabled": False}}, {"admission-webhook": {"enabled": False}}):
            objects = self.objects_of(self.render(values).stdout)
            self.assertEqual([key for key in objects if "Webhook" in key[0]], [], values)

    def test_another_level_of_the_log_starts_no_new_pod(self):
        def template(**more):
            return self.objects_of(self.render({"controllerManager": more}).stdout)["Deployment", MANAGER]["spec"]["template"]

        self.assertEqual(template(), template(logLevel="debug"))
        self.assertNotEqual(template(), template(runnerImages={"java": "j:2"}))

    def test_where_and_how_long_cleanups_may_go_is_set(self):
        values = {"controllerManager": {"cleanupHosts": ["*.pulsar.svc", "10.0.0.0/8"], "cleanupDeadline": 30}}
        command = self.objects_of(self.render(values).stdout)["Deployment", MANAGER]["spec"]["template"]["spec"]["containers"][0]["command"]
        self.assertIn("--cleanup-hosts=*.pulsar.svc,10.0.0.0/8", command)
        self.assertIn("--cleanup-deadline=30", command)

    def test_an_unknown_provider_is_refused(self):
        said = self.render({"admission-webhook": {"certificate": {"provider": "vault"}}}, code=1).stderr
        self.assertIn('found "vault", expected self, cert-manager or custom', said)

    def test_the_kustomize_base_is_up_to_date_and_accepted(self):
        subprocess.run([ROOT / "tools" / "make_deploy.py", "--build", BUILD, "--into", self.folder], check=True, timeout=300)
        for path in sorted(self.folder.glob("**/*.yaml")):
            relative = path.relative_to(self.folder)
            self.assertEqual(path.read_text(), (ROOT / "deploy" / relative).read_text(), f"{relative} is out of date; run tools/make_deploy.py")
        done = self.kubectl("apply", "-k", str(ROOT / "deploy" / "kustomize"), "--dry-run=server", "--validate=strict", namespace="function-mesh-system")
        for one in ("deployment.apps/" + MANAGER, "customresourcedefinition.apiextensions.k8s.io/functionmeshes", "namespace/function-mesh-system"):
            self.assertIn(one, done.stdout)


class InstallTest(ChartCase):
    """Each test on a cluster of its own, where nothing brought the CRDs before."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="fmesh-kube-")
        self.addCleanup(folder.cleanup)
        self.cluster = testbed.Cluster(folder.name, tied=True)
        self.cluster.up()
        self.addCleanup(self.cluster.processes.stop_all)
        self.client = self.cluster.client()
        self.addCleanup(self.client.close)
        super().setUp()

    def crd_names(self):
        return sorted(one["metadata"]["name"] for one in self.client.list("CustomResourceDefinition"))

    def can(self, verb, what, *more, namespace="default"):
        account = f"system:serviceaccount:{self.namespace}:{MANAGER}"
        done = self.cluster.run_kubectl("auth", "can-i", verb, what, *more, "--namespace", namespace, f"--as={account}")
        self.assertIn(done.stdout, ("yes\n", "no\n"), done.stderr)
        return done.stdout == "yes\n"

    def test_install_upgrade_and_uninstall(self):
        self.assertEqual(self.crd_names(), [])
        self.run_helm("install", "fmesh", CHART, values={})
        self.assertEqual(len(self.crd_names()), 5)
        self._rights()
        # What the operator writes: its certificate and the CA of it.
        self.client.patch("Secret", SECRET, {"data": {"tls.crt": "eA=="}}, self.namespace)
        hooks = "function-mesh-mutating-webhook-configuration"
        bundle = base64.b64encode((self.cluster.pki / "ca.crt").read_bytes()).decode()
        live = self.client.get("MutatingWebhookConfiguration", hooks)
        for hook in live["webhooks"]:
            hook["clientConfig"]["caBundle"] = bundle
        self.client.call("PUT", self.client.path("MutatingWebhookConfiguration", hooks), live)
        self.run_helm("upgrade", "fmesh", CHART, values={"controllerManager": {"replicas": 2}})
        self.assertEqual(self.get("Deployment", MANAGER)["spec"]["replicas"], 2)
        self.assertEqual(self.get("Secret", SECRET)["data"], {"tls.crt": "eA=="})
        self.assertEqual([hook["clientConfig"]["caBundle"] for hook in self.client.get("MutatingWebhookConfiguration", hooks)["webhooks"]], [bundle] * 4)
        # A new field of a CRD comes with an upgrade: the chart owns what it installed.
        self.client.patch("CustomResourceDefinition", "functions.compute.functionmesh.io", {"metadata": {"labels": {"helm.sh/chart": "old"}}})
        self.run_helm("upgrade", "fmesh", CHART, values={"admissionWebhook": {"enabled": False}})
        self.assertEqual(self.client.get("CustomResourceDefinition", "functions.compute.functionmesh.io")["metadata"]["labels"]["helm.sh/chart"],
                         "fmesh-operator-0.1.0")
        self.client.create({"apiVersion": GROUP, "kind": "Function", "metadata": {"name": "kept"}, "spec": {}}, self.namespace)
        self.run_helm("uninstall", "fmesh")
        self.assertIsNone(self.get("Deployment", MANAGER))
        self.assertEqual(len(self.crd_names()), 5)
        self.assertIsNotNone(self.get("Function", "kept"))
        # Back again, under another name: the CRDs stay the first release's.
        self.run_helm("install", "other", CHART, values={"admissionWebhook": {"enabled": False}})
        self.run_helm("uninstall", "other")
        self.assertEqual(len(self.crd_names()), 5)

    def stand_in_of_upstreams_chart(self):
        """What matters of it here: names, labels and selectors, and CRDs that go with their release."""
        chart = self.folder / "function-mesh-operator"
        (chart / "files").mkdir(parents=True)
        (chart / "templates").mkdir()
        (chart / "Chart.yaml").write_text("apiVersion: v2\nname: function-mesh-operator\nversion: 0.2.42\n")
        for name in CRD_FILES:
            (chart / "files" / name).write_text((CHART / "files" / "crds" / name).read_text())
        labels = {"app.kubernetes.io/name": "function-mesh-operator", "app.kubernetes.io/instance": "mesh", "app.kubernetes.io/component": "controller-manager"}
        container = {"name": "function-mesh-operator", "image": "upstream:1", "command": ["/manager"]}
        deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": MANAGER, "labels": labels},
                      "spec": {"selector": {"matchLabels": labels},
                               "template": {"metadata": {"labels": labels}, "spec": {"serviceAccountName": MANAGER, "containers": [container]}}}}
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": MANAGER}}
        role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": f"mesh-{MANAGER}"}, "rules": []}
        (chart / "templates" / "all.yaml").write_text("\n---\n".join(map(json.dumps, (deployment, account, role))))
        (chart / "templates" / "crds.yaml").write_text('{{ range $path, $text := .Files.Glob "files/*" }}\n---\n{{ $text | toString }}{{ end }}\n')
        return chart

    def is_served(self, kind):
        try:
            return self.client.resource(kind, GROUP) is not None
        except KeyError:
            return False

    def test_a_release_of_upstreams_chart_is_upgraded_in_place(self):
        self.run_helm("install", "mesh", self.stand_in_of_upstreams_chart(), values={"controllerManager": {"replicas": 1}})
        # Helm does not wait until CRDs that are templates are served.
        self.wait_until(lambda: self.is_served("Function"), "Functions are served")
        self.client.create({"apiVersion": GROUP, "kind": "Function", "metadata": {"name": "kept"}, "spec": {}}, self.namespace)
        # cert-manager made it, not the release.
        self.client.create({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": SECRET, "namespace": self.namespace},
                            "data": {"tls.crt": "eA==", "tls.key": "eA=="}})
        before = [self.get("Deployment", MANAGER)["metadata"]["uid"], self.get("Function", "kept")["metadata"]["uid"],
                  self.get("Secret", SECRET)["metadata"]["uid"]]
        self.run_helm("upgrade", "mesh", CHART, "--reset-then-reuse-values", "--set", "operatorImage=fmesh:0.1.0")
        after = self.get("Deployment", MANAGER)
        self.assertEqual([after["metadata"]["uid"], self.get("Function", "kept")["metadata"]["uid"], self.get("Secret", SECRET)["metadata"]["uid"]], before)
        self.assertEqual(after["spec"]["template"]["spec"]["containers"][0]["command"][:2], ["/usr/bin/fmesh", "operator"])
        self.assertEqual(len(self.crd_names()), 5)
        self.run_helm("uninstall", "mesh")
        self.assertEqual(self.get("Function", "kept")["metadata"]["uid"], before[1])

    def _rights(self):
        for verb, what in [("create", "functions.compute.functionmesh.io"), ("delete", "statefulsets.apps"), ("update", "services"),
                           ("watch", "horizontalpodautoscalers.autoscaling"), ("delete", "jobs.batch"), ("get", "secrets"), ("get", "configmaps"),
                           ("create", "events"), ("update", "functionmeshes.compute.functionmesh.io/status"),
                           ("update", "functionmeshes.compute.functionmesh.io/finalizers"), ("create", "tokenreviews.authentication.k8s.io")]:
            # The server takes new roles in within a second.
            self.wait_until(lambda v=verb, w=what: self.can(v, w), f"may {verb} {what}")
        for verb, what in [("list", "secrets"), ("watch", "secrets"), ("create", "secrets"), ("update", "secrets"), ("delete", "secrets"),
                           ("update", "configmaps"), ("list", "configmaps"), ("create", "pods"), ("create", "pods/exec"), ("delete", "pods"),
                           ("create", "jobs.batch"), ("create", "functionmeshes.compute.functionmesh.io"), ("delete", "functionmeshes.compute.functionmesh.io"),
                           ("update", "backendconfigs.compute.functionmesh.io"), ("update", "customresourcedefinitions.apiextensions.k8s.io"),
                           ("create", "clusterrolebindings.rbac.authorization.k8s.io"), ("update", "mutatingwebhookconfigurations.admissionregistration.k8s.io"),
                           ("create", "mutatingwebhookconfigurations.admissionregistration.k8s.io"), ("list", "nodes"), ("update", "leases.coordination.k8s.io"),
                           ("create", "serviceaccounts/token"), ("impersonate", "users")]:
            self.assertFalse(self.can(verb, what), f"may {verb} {what}")
        own = {"namespace": self.namespace}
        self.assertTrue(self.can("update", f"secrets/{SECRET}", **own))
        self.assertFalse(self.can("update", "secrets/another", **own))
        self.assertTrue(self.can("update", f"leases.coordination.k8s.io/{LEASE}", **own))
        self.assertFalse(self.can("update", "leases.coordination.k8s.io/another", **own))
        hooks = "mutatingwebhookconfigurations.admissionregistration.k8s.io"
        self.assertTrue(self.can("update", f"{hooks}/function-mesh-mutating-webhook-configuration"))
        self.assertFalse(self.can("update", f"{hooks}/another"))

    def test_crds_of_another_owner_are_left_alone(self):
        self.kubectl("apply", "-f", "-", text=crds())
        self.run_helm("install", "fmesh", CHART, values={"admissionWebhook": {"enabled": False}})
        found = self.client.get("CustomResourceDefinition", "functions.compute.functionmesh.io")["metadata"]
        self.assertNotIn("helm.sh/resource-policy", found["annotations"])
        self.run_helm("uninstall", "fmesh")


if __name__ == "__main__":
    unittest.main()
