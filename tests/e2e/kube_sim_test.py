"""The simulated API server answers as a real one does: the same requests go to both, and what comes back is compared, but for
what must differ (uids, versions, times) and for wording. The operator's simulation tests are worth what this test says."""

import copy
import random
import unittest

from kube_case import GROUP, KubeCase
from kube_sim_case import (APPLY, AUTOSCALERS, CONFIG_MAPS, EVENTS, FUNCTIONS, LEASES, MERGE, PATCH, SERVICES, STATEFUL_SETS, Real, Simulated, Story,
                           differences)


def function(name, **spec):
    return {"apiVersion": GROUP, "kind": "Function", "metadata": {"name": name}, "spec": {"className": "a.B", "replicas": 1, "java": {"jar": "/a.jar"}, "output": {"topic": "o"}, "input": {"topics": ["i"]}, **spec}}


def service(name, **spec):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": {"a": "b"}},
            "spec": {"clusterIP": "None", "selector": {"a": "b"}, "ports": [{"name": "one", "port": 80, "targetPort": 80}, {"name": "two", "port": 81}], **spec}}


def config_map(name, **metadata):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}, "data": {"k": "v"}}


def stateful_set(name, container=None, pod=None, **spec):
    main = {"name": "main", "image": "registry.example:5000/a/b:1", "command": ["sh", "-c", "sleep 1"], **(container or {})}
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name, "labels": {"a": "b"}},
            "spec": {"serviceName": "s", "selector": {"matchLabels": {"a": "b"}}, "podManagementPolicy": "Parallel",
                     "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [main], **(pod or {})}}, **spec}}


def autoscaler(name, **spec):
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name},
            "spec": {"maxReplicas": 4, "scaleTargetRef": {"apiVersion": GROUP, "kind": "Function", "name": "f"}, **spec}}


def owned_by(child, owner, kind=None, **more):
    child["metadata"]["ownerReferences"] = [{"apiVersion": owner["apiVersion"], "kind": kind or owner["kind"], "name": owner["metadata"]["name"],
                                             "uid": owner["metadata"]["uid"], "controller": True, "blockOwnerDeletion": True, **more}]
    return child


RICH_CONTAINER = {
    "env": [{"name": "A", "value": "1"}, {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}, {"name": "EMPTY", "value": ""}],
    "ports": [{"name": "p", "containerPort": 9093}, {"name": "q", "containerPort": 9094, "protocol": "TCP"}],
    "resources": {"requests": {"cpu": "0.1", "memory": "1024Mi"}, "limits": {"cpu": "1000m", "memory": "2147483648", "ephemeral-storage": "1e9"}},
    "livenessProbe": {"httpGet": {"path": "/", "port": 9094}, "initialDelaySeconds": 10},
    "startupProbe": {"exec": {"command": ["true"]}, "failureThreshold": 0, "periodSeconds": 5},
    "readinessProbe": {"tcpSocket": {"port": "p"}, "timeoutSeconds": 0},
    "volumeMounts": [{"name": "conf", "mountPath": "/conf"}, {"name": "data", "mountPath": "/data", "readOnly": False}, {"name": "x", "mountPath": "/x", "subPath": ""}],
    "envFrom": [{"configMapRef": {"name": "c"}}], "stdin": False, "args": [], "imagePullPolicy": "",
}
RICH_POD = {
    "serviceAccountName": "default", "terminationGracePeriodSeconds": 0, "nodeSelector": {}, "tolerations": [], "hostNetwork": False, "affinity": {},
    "volumes": [{"name": "conf", "configMap": {"name": "c"}}, {"name": "data"}, {"name": "x", "emptyDir": {"sizeLimit": "1024Ki"}},
                {"name": "sec", "secret": {"secretName": "s", "items": [{"key": "a", "path": "b"}]}},
                {"name": "proj", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}, {"downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}}]}}],
    "initContainers": [{"name": "init", "image": "busybox", "resources": {"limits": {"cpu": 1}}}],
    "securityContext": {"runAsNonRoot": True, "fsGroup": 10001}, "imagePullSecrets": [{"name": "pull"}],
}


class KubeSimTest(KubeCase):
    collects = False

    def wait_for_collector(self):
        """A real garbage collector looks for new kinds every 30 s, so that it knows ours only some time after the CRDs."""
        if KubeSimTest.collects:
            return
        real = Real(self.namespace, self.client)
        owner = real.send("POST", FUNCTIONS, function("first"))[1]
        real.send("POST", CONFIG_MAPS, owned_by(config_map("first"), owner))
        real.send("DELETE", f"{FUNCTIONS}/first")
        self.wait_until(lambda: real.send("GET", f"{CONFIG_MAPS}/first")[0] == 404, "the garbage collector knows Functions", 120)
        KubeSimTest.collects = True

    def compare(self, tell):
        """Tells the story to both and compares every answer."""
        stories = []
        for server in (Real(self.namespace, self.client), Simulated(self.namespace)):
            story = Story(server)
            try:
                tell(story)
            finally:
                server.close()
            stories.append(story)
        real, simulated = stories
        lines = []
        for number, (expected, found) in enumerate(zip(real.answers, simulated.answers)):
            here = list(differences(expected, found))
            if here:
                lines += [f"answer {number}, {expected[0]}:", *here]
        self.assertFalse(lines, "\n" + "\n".join(lines[:60]))
        self.assertEqual(len(real.answers), len(simulated.answers))

    def test_create_and_defaults(self):
        def tell(story):
            for path, thing in ((SERVICES, service("a")), (STATEFUL_SETS, stateful_set("plain")), (STATEFUL_SETS, stateful_set("rich", RICH_CONTAINER, RICH_POD, volumeClaimTemplates=[
                    {"metadata": {"name": "claim"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}}}}])),
                                (AUTOSCALERS, autoscaler("h")), (AUTOSCALERS, autoscaler("b", minReplicas=2, behavior={"scaleDown": {"stabilizationWindowSeconds": 5}}, metrics=[
                                    {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1024Mi"}}}])),
                                (FUNCTIONS, function("f", resources={"limits": {"cpu": "1000m"}})), (CONFIG_MAPS, config_map("c"))):
                story.send("POST", path, thing)
                story.send("POST", path, thing)  # it exists
                story.send("GET", f"{path}/{thing['metadata']['name']}")

        self.compare(tell)

    def test_refusals(self):
        def tell(story):
            cases = [
                (SERVICES, service("Upper")), (SERVICES, service("1digit")), (SERVICES, service("a" * 64)), (SERVICES, service("ok", ports=[{"name": "x", "port": 0}])),
                (SERVICES, service("ok", ports=[{"name": "x", "port": 1}, {"name": "x", "port": 2}])), (SERVICES, service("ok", ports=[{"port": 1}, {"port": 2}])),
                (STATEFUL_SETS, stateful_set("s", {"volumeMounts": [{"name": "no", "mountPath": "/x"}]})),
                (STATEFUL_SETS, stateful_set("s", {"name": "Bad_name"})), (STATEFUL_SETS, stateful_set("s", {"image": ""})),
                (STATEFUL_SETS, stateful_set("s", {"env": [{"name": "", "value": "x"}]})),
                (STATEFUL_SETS, stateful_set("s", {"env": [{"name": "A", "value": "x"}, {"name": "A", "value": "y"}]})),  # allowed
                (STATEFUL_SETS, stateful_set("t", {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}})),
                (STATEFUL_SETS, stateful_set("t", None, {"volumes": [{"name": "v"}, {"name": "v"}]})),
                (STATEFUL_SETS, stateful_set("t", {"volumeMounts": [{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/a"}]}, {"volumes": [{"name": "v"}]})),
                (STATEFUL_SETS, stateful_set("t", {"ports": [{"name": "p", "containerPort": 1}, {"name": "p", "containerPort": 2}]})),
                (STATEFUL_SETS, stateful_set("t", None, {"initContainers": [{"name": "main", "image": "i"}]})),
                (STATEFUL_SETS, stateful_set("t", replicas=-1)), (STATEFUL_SETS, stateful_set("t", selector={"matchLabels": {"a": "other"}})),
                (AUTOSCALERS, autoscaler("h", minReplicas=5)), (AUTOSCALERS, autoscaler("h", minReplicas=0)), (AUTOSCALERS, autoscaler("h", maxReplicas=0)),
                (CONFIG_MAPS, config_map("c", labels={"bad label": "x"})), (CONFIG_MAPS, config_map("c", labels={"x": "-bad-"})),
                (CONFIG_MAPS, config_map("c", ownerReferences=[{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": ""}])),
                (CONFIG_MAPS, config_map("c", ownerReferences=[{"apiVersion": "v1", "kind": "Pod", "name": n, "uid": n, "controller": True} for n in ("p", "q")])),
                (CONFIG_MAPS, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "c"}}), (CONFIG_MAPS, config_map("c", namespace="other")),
                (CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}), (CONFIG_MAPS, config_map("c", resourceVersion="7")),
            ]
            for path, thing in cases:
                story.send("POST", path, thing)
            for path in (f"{CONFIG_MAPS}/none", f"{FUNCTIONS}/none", "/apis/nothing/v1/things", f"{STATEFUL_SETS}/none/scale"):
                story.send("GET", path)
            story.send("PUT", f"{CONFIG_MAPS}/none", config_map("none"))
            story.send("DELETE", f"{CONFIG_MAPS}/none")
            story.send("PATCH", f"{CONFIG_MAPS}/none", {}, MERGE)

        self.compare(tell)

    def test_updates(self):
        def tell(story):
            for path, thing in ((FUNCTIONS, function("f")), (STATEFUL_SETS, stateful_set("s", RICH_CONTAINER, RICH_POD)), (SERVICES, service("v")), (AUTOSCALERS, autoscaler("h"))):
                name = thing["metadata"]["name"]
                story.send("POST", path, thing)
                made = story.fresh(f"{path}/{name}")
                story.send("PUT", f"{path}/{name}", made)  # nothing changes
                change = copy.deepcopy(made)
                change["metadata"]["labels"] = {"new": "label"}
                story.send("PUT", f"{path}/{name}", change)
                story.send("PUT", f"{path}/{name}", change)  # stale
                story.send("PUT", f"{path}/{name}", {**thing, "metadata": {"name": name}})  # without a version
                wrong = copy.deepcopy(made)
                wrong["metadata"].update(uid="11111111-2222-4333-8444-555555555555", resourceVersion="")
                story.send("PUT", f"{path}/{name}", wrong)
                story.send("PUT", f"{path}/other", made)
                now = story.fresh(f"{path}/{name}")
                if path == FUNCTIONS:
                    now["status"] = {"replicas": 1}
                    story.send("PUT", f"{path}/{name}/status", now)  # not by the schema
                    now["status"] = {"replicas": 1, "conditions": {}, "selector": "a=b"}
                elif path == STATEFUL_SETS:
                    now["status"] = {**now["status"], "replicas": 3, "readyReplicas": 2}
                if path != FUNCTIONS:  # a real server notes an owner of what it then does not store
                    now["metadata"]["annotations"] = {"by": "status"}
                story.send("PUT", f"{path}/{name}/status", now)
                story.send("GET", f"{path}/{name}")

        self.compare(tell)

    def test_what_may_not_change(self):
        def tell(story):
            made = story.send("POST", STATEFUL_SETS, stateful_set("s"))
            for field, value in (("serviceName", "other"), ("podManagementPolicy", "OrderedReady"), ("selector", {"matchLabels": {"a": "b", "c": "d"}}), ("replicas", 3),
                                 ("revisionHistoryLimit", 3), ("minReadySeconds", 1), ("volumeClaimTemplates", [{"metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}])):
                change = copy.deepcopy(made)
                change["metadata"].pop("resourceVersion")
                change["spec"][field] = value
                story.send("PUT", f"{STATEFUL_SETS}/s", change)
            headless = story.send("POST", SERVICES, service("v"))
            headless["spec"]["clusterIP"] = "10.96.0.77"
            headless["spec"]["clusterIPs"] = ["10.96.0.77"]
            story.send("PUT", f"{SERVICES}/v", headless)

        self.compare(tell)

    def test_deletion(self):
        def tell(story):
            made = story.send("POST", FUNCTIONS, {**function("f"), "metadata": {"name": "f", "finalizers": ["a.b/c"]}})
            for conditions in ({"uid": "11111111-2222-4333-8444-555555555555"}, {"resourceVersion": "1"}, {"uid": made["metadata"]["uid"], "resourceVersion": made["metadata"]["resourceVersion"]}):
                story.send("DELETE", f"{FUNCTIONS}/f", {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": conditions})
            story.send("DELETE", f"{FUNCTIONS}/f")  # again
            story.send("POST", FUNCTIONS, function("f"))  # while it is going
            now = story.send("GET", f"{FUNCTIONS}/f")
            more = copy.deepcopy(now)
            more["metadata"]["finalizers"].append("d.e/f")
            story.send("PUT", f"{FUNCTIONS}/f", more)
            now["metadata"]["finalizers"] = []
            story.send("PUT", f"{FUNCTIONS}/f", now)
            story.send("GET", f"{FUNCTIONS}/f")
            story.send("POST", CONFIG_MAPS, config_map("c"))
            story.send("DELETE", f"{CONFIG_MAPS}/c")
            story.send("DELETE", f"{CONFIG_MAPS}/c")

        self.compare(tell)

    def test_patches(self):
        def tell(story):
            story.send("POST", CONFIG_MAPS, config_map("c", finalizers=["a.b/c", "d.e/f"]))
            one = f"{CONFIG_MAPS}/c"
            for patch in ([{"op": "test", "path": "/metadata/finalizers/0", "value": "d.e/f"}, {"op": "remove", "path": "/metadata/finalizers/0"}],
                          [{"op": "test", "path": "/metadata/finalizers/0", "value": "a.b/c"}, {"op": "remove", "path": "/metadata/finalizers/0"}],
                          [{"op": "add", "path": "/metadata/annotations", "value": {}}, {"op": "add", "path": "/metadata/annotations/x.y~1z", "value": "x"}], [{"op": "replace", "path": "/data/none", "value": "x"}], [{"op": "remove", "path": "/data/none"}],
                          [{"op": "move", "from": "/data/k", "path": "/data/moved"}, {"op": "copy", "from": "/data/moved", "path": "/data/copied"}],
                          [{"op": "add", "path": "/metadata/finalizers/-", "value": "g.h/i"}]):
                story.send("PATCH", one, patch, PATCH)
            for patch in ({"data": {"moved": None, "new": "y"}}, {"metadata": {"labels": {"x": "y"}, "finalizers": None}}, {"metadata": {"resourceVersion": "1"}}, {}):
                story.send("PATCH", one, patch, MERGE)
            story.send("PATCH", one, {}, "application/unknown+json")
            story.send("GET", one)

        self.compare(tell)

    def test_scale(self):
        def tell(story):
            for path, thing in ((STATEFUL_SETS, stateful_set("s", replicas=2)), (FUNCTIONS, function("f"))):
                one = f"{path}/{thing['metadata']['name']}"
                story.send("POST", path, thing)
                story.fresh(one)
                scale = story.send("GET", f"{one}/scale")
                scale["spec"] = {"replicas": 5}
                story.send("PUT", f"{one}/scale", scale)
                story.send("PUT", f"{one}/scale", scale)  # stale
                story.send("PATCH", f"{one}/scale", {"spec": {"replicas": 3}}, MERGE)
                story.send("PATCH", f"{one}/scale", {"spec": {"replicas": -1}}, MERGE)
                story.send("GET", one)

        self.compare(tell)

    def test_garbage(self):
        self.wait_for_collector()
        for policy in ("Background", "Foreground", "Orphan"):
            def tell(story):
                owner = story.send("POST", FUNCTIONS, function("f"))
                story.send("POST", CONFIG_MAPS, owned_by(config_map("a"), owner))
                story.send("POST", CONFIG_MAPS, owned_by(config_map("b"), owner, blockOwnerDeletion=False))
                child = story.send("POST", SERVICES, owned_by(service("v"), owner))
                story.send("POST", CONFIG_MAPS, owned_by(config_map("grandchild"), child))
                story.send("DELETE", f"{FUNCTIONS}/f", {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy})
                story.settle()
                for one in (f"{FUNCTIONS}/f", f"{CONFIG_MAPS}/a", f"{CONFIG_MAPS}/b", f"{SERVICES}/v", f"{CONFIG_MAPS}/grandchild"):
                    code, answer = story.server.send("GET", one)
                    story.answers.append((one, code, answer.get("metadata", {}).get("ownerReferences") is None))
                for one in (f"{CONFIG_MAPS}/a", f"{CONFIG_MAPS}/b", f"{SERVICES}/v", f"{CONFIG_MAPS}/grandchild"):
                    story.server.send("DELETE", one)

            with self.subTest(policy):
                self.compare(tell)

    def test_an_owner_made_anew_is_another(self):
        self.wait_for_collector()

        def tell(story):
            owner = story.send("POST", FUNCTIONS, function("f"))
            other = story.send("POST", FUNCTIONS, function("g"))
            story.send("POST", CONFIG_MAPS, owned_by(config_map("a"), owner))
            both = owned_by(config_map("b"), owner)
            both["metadata"]["ownerReferences"] += owned_by(config_map("x"), other, controller=False)["metadata"]["ownerReferences"]
            story.send("POST", CONFIG_MAPS, both)
            story.send("DELETE", f"{FUNCTIONS}/f", {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"})
            story.send("POST", FUNCTIONS, function("f"))
            story.settle()
            for one in (f"{FUNCTIONS}/f", f"{CONFIG_MAPS}/a", f"{CONFIG_MAPS}/b"):
                code, answer = story.server.send("GET", one)
                story.answers.append((one, code, [reference["name"] for reference in answer.get("metadata", {}).get("ownerReferences", [])]))

        self.compare(tell)

    def test_lists(self):
        def tell(story):
            for number, label in enumerate(("x", "y", "x", "", "x")):
                story.send("POST", CONFIG_MAPS, config_map(f"list-{number}", labels={"l": label, "all": "yes"}))

            def names(query, said=None):
                code, answer = story.server.send("GET", f"{CONFIG_MAPS}?{query}")
                items = answer.get("items", [])
                story.answers.append((said or query, code, [item["metadata"]["name"] for item in items], [sorted(item) for item in items], bool(answer.get("metadata", {}).get("continue"))))
                return answer.get("metadata", {}).get("continue", "")

            for query in ("labelSelector=l%3Dx", "labelSelector=l%21%3Dx,all", "labelSelector=l+in+(x,y)", "labelSelector=l+notin+(x,y),all", "labelSelector=%21l,all", "fieldSelector=metadata.name%3Dlist-1",
                          "labelSelector=all&resourceVersion=0"):
                names(query)
            token = names("labelSelector=all&limit=2")
            story.server.send("DELETE", f"{CONFIG_MAPS}/list-2")
            while token:
                token = names(f"labelSelector=all&limit=2&continue={token}", "next page")
            names("labelSelector=all&limit=2&continue=nonsense")

        self.compare(tell)

    def test_watches(self):
        def tell(story):
            def version():
                return story.server.send("GET", CONFIG_MAPS)[1]["metadata"]["resourceVersion"]

            one = story.send("POST", CONFIG_MAPS, config_map("w-1", labels={"l": "x"}))
            begin = one["metadata"]["resourceVersion"]
            story.send("PATCH", f"{CONFIG_MAPS}/w-1", {"data": {"k": "2"}}, MERGE)
            story.send("POST", CONFIG_MAPS, config_map("w-2", labels={"l": "y"}))
            story.send("PATCH", f"{CONFIG_MAPS}/w-1", {"metadata": {"labels": {"l": "y"}}}, MERGE)  # leaves one selector, enters another
            story.send("PATCH", f"{CONFIG_MAPS}/w-2", {"metadata": {"finalizers": ["a.b/c"]}}, MERGE)
            story.send("DELETE", f"{CONFIG_MAPS}/w-2")
            story.send("PATCH", f"{CONFIG_MAPS}/w-2", {"metadata": {"finalizers": None}}, MERGE)
            story.send("POST", CONFIG_MAPS, config_map("w-2", labels={"l": "y"}))
            story.send("POST", SERVICES, service("w"))
            end = version()
            for selector in ("", "&labelSelector=l%3Dx", "&labelSelector=l%3Dy", "&fieldSelector=metadata.name%3Dw-2"):
                # Other ConfigMaps of the namespace are the real controllers' own.
                mine = selector or "&labelSelector=l"
                story.watch(f"{CONFIG_MAPS}?watch=true&timeoutSeconds=1&resourceVersion={begin}{mine}", f"watch from the first on {mine}")
                story.watch(f"{CONFIG_MAPS}?watch=true&timeoutSeconds=1&resourceVersion={end}{mine}", f"watch from the last on {mine}")
                story.watch(f"{CONFIG_MAPS}?watch=true&timeoutSeconds=1&resourceVersion=0{mine}")
                story.watch(f"{CONFIG_MAPS}?watch=true&timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true{mine}")
            story.watch(f"{CONFIG_MAPS}?watch=true&timeoutSeconds=1&resourceVersion=nonsense")
            story.watch("/apis/compute.functionmesh.io/v1alpha1/namespaces/{ns}/nothings?watch=true&timeoutSeconds=1")

        self.compare(tell)

    def test_apply(self):
        def tell(story):
            one = f"{STATEFUL_SETS}/s"

            def applied(env, manager="ours", force=False, **spec):
                thing = stateful_set("s", {"env": env}, **spec)
                return story.send("PATCH", f"{one}?fieldManager={manager}" + ("&force=true" if force else ""), thing, APPLY)

            applied([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}], replicas=2)
            applied([{"name": "B", "value": "3"}], replicas=2)
            applied([{"name": "B", "value": "3"}], replicas=2)  # the same again
            now = story.fresh(one)
            now["spec"]["replicas"] = 9
            now["spec"]["template"]["spec"]["containers"][0]["env"].append({"name": "C", "value": "4"})
            story.send("PUT", f"{one}?fieldManager=other", now)
            applied([{"name": "B", "value": "3"}], replicas=2)  # a conflict
            applied([{"name": "B", "value": "3"}])  # gives replicas up
            applied([{"name": "B", "value": "3"}], replicas=2, force=True)
            applied([], manager="third")
            applied([{"name": "B", "value": "5"}], manager="third")
            applied([{"name": "B", "value": "5"}], manager="third", force=True)
            applied([])
            applied([])
            story.send("GET", one)
            story.send("PATCH", one, stateful_set("s"), APPLY)  # without a manager

        self.compare(tell)

    def test_random_sequences(self):
        """A few hundred random requests on a few names; the seed is printed when they differ."""
        for seed in range(6):
            def tell(story):
                rng = random.Random(seed)
                known = {}
                for _ in range(60):
                    path, make = rng.choice(((CONFIG_MAPS, config_map), (FUNCTIONS, function), (STATEFUL_SETS, stateful_set), (SERVICES, service)))
                    name = f"r{seed}-{rng.randrange(2)}"
                    one = f"{path}/{name}"
                    what = rng.randrange(7)
                    if what <= 1:
                        thing = make(name)
                        if rng.randrange(3) == 0:
                            thing["metadata"]["finalizers"] = ["a.b/c"]
                        known[one] = story.send("POST", path, thing)
                    elif what == 2:
                        known[one] = story.send("GET", one)
                    elif what == 3 and path != STATEFUL_SETS and known.get(one, {}).get("kind") != "Status" and one in known:
                        change = copy.deepcopy(known[one])
                        change["metadata"]["labels"] = {"n": str(rng.randrange(3))}
                        if rng.randrange(2):
                            change["metadata"].pop("finalizers", None)
                        if "replicas" in change.get("spec", {}):
                            change["spec"]["replicas"] = rng.randrange(3)
                        story.send("PUT", one, change)
                    elif what == 4:
                        story.send("PATCH", one, {"metadata": {"annotations": {"n": str(rng.randrange(3))}}}, MERGE)
                    elif what == 5:
                        story.send("PATCH", one, {"metadata": {"finalizers": None}}, MERGE)
                    else:
                        story.send("DELETE", one)

            with self.subTest(seed=seed):
                self.compare(tell)

    def test_leases_and_events(self):
        def tell(story):
            lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"},
                     "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15, "acquireTime": "2026-01-31T23:59:59.123000Z", "renewTime": "2026-01-31T23:59:59.123000Z", "leaseTransitions": 0}}
            made = story.send("POST", LEASES, lease)
            made["spec"].pop("holderIdentity")
            made["spec"]["leaseDurationSeconds"] = 1
            story.send("PUT", f"{LEASES}/l", made)
            story.send("PUT", f"{LEASES}/l", made)
            event = {"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"}, "eventTime": "2026-01-31T23:59:59.123000Z",
                     "reportingController": "functionmesh.io/fmesh-operator", "reportingInstance": "pod-1", "action": "Scale", "reason": "Scaled", "type": "Warning", "note": "n",
                     "regarding": {"apiVersion": GROUP, "kind": "Function", "name": "f", "namespace": story.server.namespace, "uid": "u"}}
            story.send("POST", EVENTS, event)
            story.send("PATCH", f"{EVENTS}/e", {"series": {"count": 2, "lastObservedTime": "2026-01-31T23:59:59.123000Z"}}, MERGE)

        self.compare(tell)


if __name__ == "__main__":
    unittest.main()
