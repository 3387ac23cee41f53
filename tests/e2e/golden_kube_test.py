"""The golden cases through a real API server: what the operator makes there, against what upstream's was recorded to make.

Cases that can't disturb each other run at the same time. After each run the operator is started again: it must write nothing.
"""

import importlib.util
import json
import shlex
import unittest
from collections import defaultdict

from golden_test import GOLDEN, allowed_differences
from kube_case import KubeCase

COMPONENTS = ("Function", "Source", "Sink")
MADE = ("StatefulSet", "Service", "HorizontalPodAutoscaler", "VerticalPodAutoscaler")
RESOURCES = ("FunctionMesh", *COMPONENTS, "BackendConfig")
OURS = "compute.functionmesh.io/applied"  # on what fmesh wrote; upstream has no such mark
QUIET_S = 1.5


def load_compare():
    spec = importlib.util.spec_from_file_location("golden_compare", GOLDEN[0])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.IGNORED.add("Job")  # cleanup is the operator's own work here
    return module


class Case:
    def __init__(self, folder, read_yaml):
        self.name = folder.name
        self.folder = folder
        self.expected = json.loads((folder / "expected.json").read_text())
        self.inputs = [read_yaml(path) for path in (folder / "input.yaml", folder / "input-2.yaml") if path.exists()]
        self.ids = {(body["kind"], body["metadata"].get("namespace", "default"), body["metadata"]["name"]) for step in self.inputs for body in step}
        self.namespaces = {namespace for _, namespace, _ in self.ids}
        self.flags = self.expected.get("flags", "")

    def group(self):
        """Cases of one group run together: same flags, and no settings that reach into other cases."""
        alone = any(kind == "BackendConfig" for kind, _, _ in self.ids) or self.flags
        return self.name if alone else "together"

    def owns(self, item):
        """Whether a live object belongs to this case: by its name, or by the mesh above it."""
        metadata = item["metadata"]
        owners = {(owner["kind"], metadata["namespace"], owner["name"]) for owner in metadata.get("ownerReferences", [])}
        if owners & self.ids:
            return True
        meshes = [name for kind, namespace, name in self.ids if kind == "FunctionMesh" and namespace == metadata["namespace"]]
        return any(owner[2].startswith(f"{mesh}-") for owner in owners for mesh in meshes)


@unittest.skipUnless(GOLDEN, "no golden cases: set FMESH_GOLDEN to their folder")
class GoldenKubeTest(KubeCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.compare = load_compare()
        cls.allowed = allowed_differences()
        folders = [path.parent for path in sorted(GOLDEN[1].glob("*/expected.json"))]
        cls.groups = defaultdict(list)
        for folder in folders:
            case = Case(folder, cls.read_yaml)
            if "informational" not in case.expected:
                cls.groups[case.group()].append(case)

    def put(self, body):
        """Create, or replace the spec and the metadata that people write."""
        namespace = body["metadata"].setdefault("namespace", "default")
        kind, name = body["kind"], body["metadata"]["name"]
        live = self.client.get(kind, name, namespace)
        if live is None:
            return self.client.create(body)
        live["spec"] = body["spec"]
        for part in ("labels", "annotations"):
            if part in body["metadata"]:
                live["metadata"][part] = body["metadata"][part]
        return self.client.call("PUT", self.client.path(kind, name, namespace), live)

    def live(self, case):
        found = []
        for kind in (*MADE, *COMPONENTS):
            for namespace in case.namespaces:
                folder, plural, _ = self.client.resource(kind)
                for item in self.client.list(kind, namespace):
                    item.update(kind=kind, apiVersion="v1" if folder == "/api/v1" else folder.removeprefix("/apis/"))
                    if case.owns(item):
                        (item["metadata"].get("annotations") or {}).pop(OURS, None)
                        found.append(item)
        return found

    def surprises(self, case, wanted, what):
        """Differences that docs/compatibility.md does not list."""
        want, got = self.compare.by_id(wanted), self.compare.by_id(self.live(case))
        for key, item in self.compare.by_id(case.expected.get("earlierVersions", [])).items():
            if got.get(key) == item:
                want[key] = item
        return [f"{case.name}{what}: {path}: {self.compare.show_pair(a, b)}" for path, a, b in self.compare.differences(want, got)
                if not any(case.name == name and part in path for name, part in self.allowed)]

    def status_surprises(self, case, statuses):
        found = []
        for key, wanted in statuses.items():
            if any(condition["action"] == "Update" for condition in wanted.get("conditions", {}).values()):
                continue  # upstream never comes to an end there: it compares its own wish with what the API server fills in
            kind, name = key.split("/", 1)
            namespace = next(iter(case.namespaces))
            status = (self.client.get(kind, name, namespace) or {}).get("status", {})
            for field, value in wanted.items():
                if value != status.get(field) and "<revision>" not in str(value) and field not in self.left_out(case):
                    found.append(f"{case.name}: {key}: status.{field}: expected {value}, got {status.get(field)}")
        return found

    @staticmethod
    def left_out(case):
        # Where upstream wrote a resource back, its generation is one more.
        return ("pendingChange", "observedGeneration") if case.expected.get("crUpdates") else ("pendingChange",)

    def run_group(self, cases):
        folder, flags = cases[0].folder, [flag if flag.startswith("--") else f"-{flag}" for flag in shlex.split(cases[0].flags)]
        flags = [flag.replace("=operator-config", f"={folder}/operator-config") for flag in flags]
        for namespace in set().union(*(case.namespaces for case in cases)) - {"default"}:
            self.client.send("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        audit = self.counted_writes()
        operator = self.start_operator(*flags)
        found = []
        for phase in (0, 1):
            steps = [(case, case.inputs[phase]) for case in cases if len(case.inputs) > phase]
            if not steps:
                break
            for _, step in steps:
                for body in step:
                    self.put(json.loads(json.dumps(body)))
            self.wait_quiet(audit, QUIET_S)
            for case, _ in steps:
                expected = case.expected["second"] if phase else case.expected
                if "dependsOnHistory" not in expected:
                    found += self.surprises(case, expected["objects"], " after the change" if phase else "")
                if not phase:
                    found += self.status_surprises(case, expected["status"])
        writes = audit.total
        operator.stop()
        again = self.counted_writes()
        self.start_operator(*flags)
        self.wait_quiet(again, QUIET_S)
        if again.total:
            found.append(f"{[case.name for case in cases]}: started again, it writes {dict(again.by_kind)}")
        refused = {code: count for code, count in audit.codes.items() if code >= 400 and code != 409}
        if refused:
            entries = [(e["verb"], e["objectRef"]["resource"], e["objectRef"].get("subresource"), e["objectRef"].get("name"), e["responseStatus"].get("message")) for e in audit.entries
                       if e.get("responseStatus", {}).get("code", 0) >= 400]
            found.append(f"writes that were refused: {entries[:10]}")
        print(f"{len(cases)} cases, {writes} writes", flush=True)
        return found

    def sweep(self, cases):
        """Nothing of a group is left. Finalizers go by hand: there is no Pulsar to clean up."""
        for operator in self.operators:
            operator.stop()
        for kind in RESOURCES:
            for namespace in set().union(*(case.namespaces for case in cases)):
                for item in self.client.list(kind, namespace):
                    name = item["metadata"]["name"]
                    if item["metadata"].get("finalizers"):
                        self.client.patch(kind, name, {"metadata": {"finalizers": None}}, namespace)
                    self.client.delete(kind, name, namespace)
        for case in cases:
            self.wait_until(lambda one=case: not self.live(one), f"what {case.name} made is collected", 60)

    def test_every_case_gives_upstreams_objects_and_status(self):
        found = []
        for cases in self.groups.values():
            found += self.run_group(cases)
            self.sweep(cases)
        self.assertEqual(found, [], "\n" + "\n".join(found))



if __name__ == "__main__":
    unittest.main()
