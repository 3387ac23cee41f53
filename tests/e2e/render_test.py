"""`fmesh render` as people use it, and what a real API server says of the objects."""

import json
import os
import subprocess
import tempfile
import unittest
import uuid
from pathlib import Path

from golden_test import GOLDEN
from kube_case import FMESH, GROUP, ROOT, KubeCase

# One resource with about everything that a pod can be asked for.
DENSE = {
    "apiVersion": GROUP, "kind": "Function", "metadata": {"name": "dense"},
    "spec": {
        "className": "a.B", "replicas": 2, "maxReplicas": 4, "java": {"jar": "a.jar", "jarLocation": "function://a/b/c@1"},
        "input": {"topics": ["in"]}, "output": {"topic": "out"}, "logTopic": "logs", "logTopicAgent": "sidecar",
        "pulsar": {"pulsarConfig": "pulsar", "authSecret": "auth",
                   "tlsConfig": {"enabled": True, "certSecretName": "a", "certSecretKey": "b-c"},
                   "authConfig": {"oauth2Config": {"audience": "x", "issuerUrl": "https://x", "keySecretName": "a-b",
                                                   "keySecretKey": "c"}}},
        "pulsarPackageService": {"pulsarConfig": "packages"},
        "resources": {"requests": {"cpu": 0.5, "memory": "0.5Gi"}, "limits": {"cpu": 1, "memory": "1G"}},
        "secretsMap": {"B": {"path": "s", "key": "k"}, "A": {"path": "s", "key": "k"}},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "claim", "mountPath": "/claim"}],
        "volumeClaimTemplates": [{"metadata": {"name": "claim"},
                                  "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}],
        "pod": {"labels": {"app": "mine", "team": "t"}, "volumes": [{"name": "data", "emptyDir": {}}],
                "env": [{"name": "A", "value": "own"}], "sidecars": [{"name": "side", "image": "busybox"}],
                "initContainers": [{"name": "init", "image": "busybox:1"}], "tolerations": [{"key": "k", "operator": "Exists"}],
                "liveness": {"periodSeconds": 10}, "startupProbe": {"httpGet": {"path": "/", "port": 9094}},
                "autoScalingBehavior": {"scaleDown": {"stabilizationWindowSeconds": 60}}},
    },
}


def render(*arguments, text=None, code=0):
    done = subprocess.run([FMESH, "render", *arguments], input=text, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != code:
        raise AssertionError(f"fmesh render {arguments}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done


class RenderTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="fmesh-render-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def file(self, name, text):
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    def test_bad_input_exits_with_2_and_shows_the_place(self):
        path = self.file("bad.yaml", f"apiVersion: {GROUP}\nkind: Function\nmetadata: {{name: f}}\nspec:\n  clasName: C\n")
        self.assertIn(f"{path}:5:3: spec.clasName: no such field; did you mean className?", render(path, code=2).stderr)

    def test_what_cant_be_rendered_exits_with_2_and_shows_the_place(self):
        path = self.file("native.yaml", json.dumps({"apiVersion": GROUP, "kind": "Function", "metadata": {"name": "f"},
                                                    "spec": {"genericRuntime": {"functionFile": "a.so", "language": "cpp"}}}))
        done = render(path, code=2)
        self.assertIn(f"{path}:1:", done.stderr)
        self.assertIn("a pod has no folder that a.so could be relative to", done.stderr)
        self.assertIn("Nothing was rendered", done.stderr)
        self.assertEqual(done.stdout, "")

    def test_a_missing_or_broken_config_file_exits_with_2(self):
        dense = self.file("dense.json", json.dumps(DENSE))
        self.assertIn("nowhere.yaml", render("--config-file", "/nowhere.yaml", dense, code=2).stderr)
        broken = self.file("config.yaml", "runnerImages: {java: 3}\n")
        self.assertIn(f"{broken}:1:22: runnerImages.java: expected a string", render("--config-file", broken, dense, code=2).stderr)
        typo = self.file("typo.yaml", "runnerImage: {java: x}\n")
        self.assertIn("did you mean runnerImages?", render("--config-file", typo, dense).stderr)

    def test_flags_decide_how_objects_look(self):
        dense = self.file("dense.json", json.dumps(DENSE))
        pod = json.loads(render("--enable-init-containers", "--add-default-affinity=false", dense).stdout)[0]["spec"]["template"]["spec"]
        self.assertEqual([one["name"] for one in pod["initContainers"]], ["init", "downloader"])
        self.assertNotIn("affinity", pod)

    def test_the_same_input_gives_the_same_bytes(self):
        dense = self.file("dense.json", json.dumps(DENSE))
        self.assertEqual(len({render(dense).stdout for _ in range(5)}), 1)

    def test_standard_input_and_folders_are_read(self):
        self.file("dense.json", json.dumps(DENSE))
        objects = json.loads(render(str(self.folder)).stdout)
        self.assertEqual([one["kind"] for one in objects], ["StatefulSet", "Service", "HorizontalPodAutoscaler"])
        self.assertEqual(json.loads(render("-", text=json.dumps(DENSE)).stdout), objects)

    def test_examples_say_what_a_cluster_needs_on_top(self):
        for example in sorted((ROOT / "examples").glob("*/mesh.yaml")):
            self.assertIn("pulsar.pulsarConfig: is missing", render(str(example), code=2).stderr, example)

    def test_native_components_are_rendered(self):
        spec = {"sourceType": "generator", "sourceConfig": {}, "output": {"topic": "out"}, "pulsar": {"pulsarConfig": "p"}}
        path = self.file("native.json", json.dumps({"apiVersion": GROUP, "kind": "Source", "metadata": {"name": "s"}, "spec": spec}))
        container = json.loads(render(path).stdout)[0]["spec"]["template"]["spec"]["containers"][0]
        self.assertEqual(container["command"][:2], ["/usr/bin/fmesh", "instance"])


class RenderedObjectsTest(KubeCase):
    def placed(self, objects):
        """As the operator would send them: with a uid, into this test's namespace."""
        text = json.dumps(objects).replace("{uid}", str(uuid.uuid4()))
        objects = json.loads(text)
        for one in objects:
            one["metadata"]["namespace"] = self.namespace
            one["metadata"].pop("ownerReferences", None)  # the owner is not here
        return objects

    def create_pod_of(self, stateful_set):
        """A StatefulSet's template is hardly checked by the API server; a pod is."""
        pod = dict(stateful_set["spec"]["template"], apiVersion="v1", kind="Pod")
        pod["metadata"] = dict(pod["metadata"], name="p", namespace=self.namespace)
        pod["spec"] = dict(pod["spec"], serviceAccountName="default")
        for claim in stateful_set["spec"].get("volumeClaimTemplates", []):
            name = claim["metadata"]["name"]
            pod["spec"].setdefault("volumes", []).append({"name": name, "persistentVolumeClaim": {"claimName": name}})
        self.wait_until(lambda: self.get("ServiceAccount", "default"), "the namespace has its service account")
        self.kubectl("create", "--dry-run=server", "-f", "-", text=json.dumps(pod))

    def test_the_api_server_takes_yaml_and_json_alike(self):
        path = self.folder / "dense.json"
        path.write_text(json.dumps(DENSE))
        uid = str(uuid.uuid4())
        texts = {output: render("-n", self.namespace, "-o", output, str(path)).stdout.replace("{uid}", uid) for output in ("json", "yaml")}
        items = [dict(one, metadata=dict(one["metadata"], ownerReferences=None)) for one in json.loads(texts["json"])]
        for item in items:
            self.client.create(item, self.namespace)
        # As YAML nothing is different but the owners, whom the garbage collector would miss here.
        done = self.cluster.run_kubectl("diff", "-f", "-", text=texts["yaml"])
        lines = [line for line in done.stdout.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
        owners = ("ownerReferences", "apiVersion: compute", "blockOwnerDeletion", "controller: true", "kind: Function", "name: dense", "uid:")
        self.assertEqual([line for line in lines if not any(word in line for word in owners)], [], done.stdout + done.stderr)
        self.assertEqual(done.stdout.count("blockOwnerDeletion"), len(items), done.stderr)

    def test_what_the_api_server_keeps_of_scaling_and_probes_is_what_was_sent(self):
        path = self.folder / "dense.json"
        path.write_text(json.dumps(DENSE))
        sent = {one["kind"]: one for one in self.placed(json.loads(render(str(path)).stdout))}
        kept = {kind: self.client.create(one, self.namespace) for kind, one in sent.items()}
        scaler = "HorizontalPodAutoscaler"
        for field in ("metrics", "behavior", "minReplicas", "maxReplicas", "scaleTargetRef"):
            self.assertEqual(kept[scaler]["spec"][field], sent[scaler]["spec"][field], field)
        containers = [one["StatefulSet"]["spec"]["template"]["spec"]["containers"][1] for one in (kept, sent)]
        self.assertEqual([one["name"] for one in containers[0]["env"]], ["POD_NAME", "B", "A"])
        for field in ("livenessProbe", "startupProbe", "envFrom", "command", "volumeMounts", "ports", "imagePullPolicy"):
            self.assertEqual(containers[0][field], containers[1][field], field)
        self.create_pod_of(sent["StatefulSet"])

    @unittest.skipUnless(GOLDEN, "no golden cases: set FMESH_GOLDEN to their folder")
    def test_objects_of_all_golden_cases_can_be_created(self):
        for case in sorted(GOLDEN[1].glob("*/input.yaml")):
            flags = json.loads((case.parent / "expected.json").read_text()).get("flags", "")
            words = [("-" if not flag.startswith("--") else "") + flag for flag in flags.split()]
            with self.subTest(case=case.parent.name):
                os.chdir(case.parent)  # where a config file named in the flags lies
                self.addCleanup(os.chdir, ROOT)
                objects = self.placed(json.loads(render(*words, str(case)).stdout))
                for one in objects:
                    if one["kind"] == "StatefulSet":
                        self.create_pod_of(one)
                if objects:
                    self.kubectl("create", "--dry-run=server", "-f", "-",
                                 text=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


if __name__ == "__main__":
    unittest.main()
