"""The CRDs of `fmesh crds` on a real API server: applied as people apply them, with what upstream's resources hold."""

import json
import os
import re
import subprocess
import unittest
from pathlib import Path

from kube_case import FMESH, GROUP, KubeCase, crds, established

KINDS = ("Function", "Source", "Sink", "FunctionMesh", "BackendConfig")
# The API server's limit of all annotations of an object, which a client-side apply fills with the whole object.
ANNOTATIONS_BYTES_MAX = 262144
GOLDEN = os.environ.get("FMESH_GOLDEN", "")


def function(name="f", **spec):
    return {"apiVersion": GROUP, "kind": "Function", "metadata": {"name": name}, "spec": {"className": "a.B", **spec}}


class CrdTest(KubeCase):
    def crd(self, kind):
        plural = kind.lower() + ("es" if kind.endswith("sh") else "s")
        return self.client.get("CustomResourceDefinition", f"{plural}.compute.functionmesh.io")

    def stored(self, body):
        """The object as the API server keeps it."""
        return self.client.create(body, self.namespace)

    def refusal(self, body):
        """The field paths of the causes of a refusal."""
        done = self.kubectl("create", "-f", "-", "-o", "json", text=json.dumps(body), code=1)
        self.assertIn("is invalid", done.stderr)
        return done.stderr

    def test_kubectl_apply_takes_them_with_room_to_spare(self):
        for kind in KINDS:
            crd = self.crd(kind)
            applied = crd["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
            self.assertLess(len(applied.encode()), ANNOTATIONS_BYTES_MAX * 3 // 4, kind)
            self.assertTrue(established(crd), kind)
            wrong = [one for one in crd["status"]["conditions"] if one["type"] == "NonStructuralSchema" and one["status"] == "True"]
            self.assertEqual(wrong, [], kind)
        again = self.kubectl("apply", "-f", "-", text=crds())
        self.assertEqual(again.stdout.count("unchanged"), len(KINDS), again.stdout)

    def test_server_side_apply_and_create_take_them_too(self):
        self.kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-", text=crds())
        done = self.kubectl("create", "--dry-run=server", "-f", "-", text=crds(), code=1)
        self.assertEqual(done.stderr.count("AlreadyExists"), len(KINDS), done.stderr)

    def test_the_served_schema_describes_fields(self):
        for what in ("function.spec.processingGuarantee", "functionmesh.spec.sinks.input", "backendconfig.spec.autoUpdate", "source.status"):
            shown = self.kubectl("explain", what).stdout
            self.assertRegex(shown, r"DESCRIPTION:\n\s+\w+", what)
        self.assertIn("effectively_once", self.kubectl("explain", "function.spec.processingGuarantee").stdout)

    def test_short_names_find_them(self):
        for kind in KINDS:
            wanted = self.crd(kind)["spec"]["names"]["shortNames"]
            self.assertEqual(self.crd(kind)["status"]["acceptedNames"]["shortNames"], wanted, "the server takes another kind's names")
            self.stored({"apiVersion": GROUP, "kind": kind, "metadata": {"name": "x"}, "spec": {}})
            for name in wanted:
                self.assertEqual(self.kubectl("get", name, "-o", "name").stdout, f"{kind.lower()}.compute.functionmesh.io/x\n")

    def test_print_columns_show_what_the_status_says(self):
        self.stored(function(replicas=3, image="runner:1"))
        header = self.kubectl("get", "function").stdout.splitlines()[0].split()
        self.assertEqual(header[0], "NAME")
        for column in ("READY", "REPLICAS", "AGE"):
            self.assertIn(column, header)
        for kind in KINDS:
            for column in self.crd(kind)["spec"]["versions"][0].get("additionalPrinterColumns", []):
                self.assertTrue(column["jsonPath"].startswith("."), column)

    def test_minimum_of_replicas_is_one_unless_given(self):
        self.assertEqual(self.stored(function("a"))["spec"]["minReplicas"], 1)
        self.assertEqual(self.stored(function("b", minReplicas=0))["spec"]["minReplicas"], 0)
        # All other defaults are admission's, so that an object of an older installation is not changed by being read.
        self.assertEqual(set(self.stored(function("c"))["spec"]), {"className", "minReplicas"})
        mesh = self.stored({"apiVersion": GROUP, "kind": "FunctionMesh", "metadata": {"name": "m"}, "spec": {"functions": [{"name": "x"}]}})
        self.assertEqual(mesh["spec"]["functions"], [{"name": "x", "minReplicas": 1}])

    def test_unknown_fields_are_dropped_where_upstream_drops_them(self):
        # The root of a component keeps what it does not know, its spec does not; a mesh keeps nothing.
        kept = self.stored(dict(function(unheard={"a": 1}), later={"deep": [1]}))
        self.assertEqual((kept["later"], kept["spec"]), ({"deep": [1]}, {"className": "a.B", "minReplicas": 1}))
        # Configuration of users is whole everywhere.
        config = {"any": {"thing": [1, None, "a", 1.5, {"x": {}}]}}
        mesh = {"apiVersion": GROUP, "kind": "FunctionMesh", "metadata": {"name": "m"}, "later": 1,
                "spec": {"later": 1, "functions": [{"name": "x", "later": 1, "funcConfig": config}]}}
        stored = self.stored(mesh)
        self.assertNotIn("later", stored)
        self.assertEqual(stored["spec"], {"functions": [{"name": "x", "minReplicas": 1, "funcConfig": config}]})
        # kubectl says so: it validates with the served schema.
        done = self.kubectl("create", "-f", "-", "--dry-run=server", text=json.dumps(function("g", inptu={})), code=1)
        self.assertIn('unknown field "spec.inptu"', done.stderr)

    def test_values_outside_an_enumeration_are_refused_with_their_path(self):
        for field, value, path in [
                ({"processingGuarantee": "once"}, "once", "spec.processingGuarantee"),
                ({"subscriptionPosition": "middle"}, "middle", "spec.subscriptionPosition"),
                ({"logTopicAgent": "nobody"}, "nobody", "spec.logTopicAgent"),
                ({"output": {"producerConf": {"compressionType": "RAR"}}}, "RAR", "spec.output.producerConf.compressionType"),
                ({"java": {"jar": "a.jar", "log": {"level": "loud"}}}, "loud", "spec.java.log.level"),
                ({"windowConfig": {"actualWindowFunctionClassName": "a", "processingGuarantees": "x"}}, "x", "spec.windowConfig.processingGuarantees")]:
            said = self.refusal(function(**field))
            self.assertIn(f'{path}: Unsupported value: "{value}"', said)

    def test_wrong_types_and_missing_parts_are_refused_with_their_path(self):
        for field, path in [({"replicas": "three"}, "spec.replicas"), ({"replicas": -1}, "spec.replicas"), ({"autoAck": "yes"}, "spec.autoAck"),
                            ({"input": {"topics": "one"}}, "spec.input.topics"), ({"java": {}}, "spec.java.jar"),
                            ({"resources": {"limits": {"cpu": "many"}}}, "spec.resources.limits.cpu"),
                            ({"replicas": 2**31}, "spec.replicas")]:
            self.assertIn(path, self.refusal(function(**field)))

    def test_quantities_come_as_numbers_and_as_text(self):
        limits = {"cpu": 2, "memory": "1.5Gi", "ephemeral-storage": "2e3", "example.com/gpu": "1"}
        self.assertEqual(self.stored(function(resources={"limits": limits}))["spec"]["resources"]["limits"], limits)

    def test_the_scale_subresource_reads_and_writes_replicas(self):
        for kind in ("Function", "Source", "Sink"):
            self.stored({"apiVersion": GROUP, "kind": kind, "metadata": {"name": "s"}, "spec": {"replicas": 1}})
            self.client.patch(kind, "s", {"status": {"conditions": {}, "replicas": 1, "selector": "a=b"}}, self.namespace, "status")
            self.kubectl("scale", kind.lower(), "s", "--replicas=4")
            self.assertEqual(self.get(kind, "s")["spec"]["replicas"], 4)
            scale = self.client.call("GET", self.client.path(kind, "s", self.namespace) + "/scale")
            self.assertEqual((scale["spec"]["replicas"], scale["status"]), (4, {"replicas": 1, "selector": "a=b"}))

    def test_status_is_written_through_its_own_door_only(self):
        self.stored(function())
        self.client.patch("Function", "f", {"status": {"selector": "x"}}, self.namespace)
        self.assertNotIn("status", self.get("Function", "f"))
        condition = {"condition": "StatefulSetReady", "status": "True", "action": "NoAction"}
        status = {"conditions": {"StatefulSet": condition}, "replicas": 1, "selector": "a=b", "observedGeneration": 1, "pendingChange": ""}
        self.client.patch("Function", "f", {"status": status, "spec": {"replicas": 9}}, self.namespace, "status")
        found = self.get("Function", "f")
        self.assertEqual((found["status"], found["spec"].get("replicas"), found["metadata"]["generation"]), (status, None, 1))

    def test_what_upstream_writes_into_a_status_is_accepted(self):
        status = {"conditions": {"Service": {"condition": "ServiceReady", "status": "False", "action": "Create"}}, "replicas": 0, "selector": ""}
        for kind in ("Function", "Source", "Sink"):
            self.stored({"apiVersion": GROUP, "kind": kind, "metadata": {"name": "s"}, "spec": {}})
            self.client.patch(kind, "s", {"status": status}, self.namespace, "status")
        mesh_status = {"functionConditions": {"x": {"condition": "FunctionReady", "status": "True", "action": "NoAction"}},
                       "condition": {"condition": "MeshReady", "status": "True", "action": "NoAction"}, "observedGeneration": 1}
        self.stored({"apiVersion": GROUP, "kind": "FunctionMesh", "metadata": {"name": "m"}, "spec": {}})
        self.client.patch("FunctionMesh", "m", {"status": mesh_status}, self.namespace, "status")
        self.assertEqual(self.get("FunctionMesh", "m")["status"], mesh_status)

    def test_one_kind_can_be_printed_alone(self):
        for kind in KINDS:
            alone = subprocess.run([FMESH, "crds", "--kind", kind], capture_output=True, text=True, timeout=60, check=True).stdout
            self.kubectl("apply", "--dry-run=server", "-f", "-", text=alone)
            self.assertEqual(re.findall(r"^    kind: (\w+)$", alone, re.MULTILINE), [kind])


@unittest.skipUnless(GOLDEN, "FMESH_GOLDEN does not name the folder of golden cases")
class GoldenInputTest(KubeCase):
    def test_every_input_of_the_corpus_is_taken_or_refused_as_upstreams_schema_did(self):
        for case in sorted(Path(GOLDEN).glob("**/input*.yaml")):
            expected = json.loads((case.parent / "expected.json").read_text())
            # Namespaces of the cases are ours, and a change may come without its first version.
            text = re.sub(r"^( {2}namespace:) .*$", rf"\1 {self.namespace}", case.read_text(), flags=re.MULTILINE)
            text = re.sub(r": ([YyNn])$", r': "\1"', text, flags=re.MULTILINE)  # kubectl reads YAML 1.1, where these are booleans
            done = self.cluster.run_kubectl("create", "--validate=ignore", "--dry-run=server", "-f", "-", text=text)
            with self.subTest(case=str(case.relative_to(GOLDEN))):
                if expected.get("deniedBy") == "schema":
                    for error in expected["errors"]:
                        self.assertIn(error["field"], done.stderr)
                    self.assertEqual(done.returncode, 1)
                else:
                    self.assertEqual((done.returncode, done.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main()
