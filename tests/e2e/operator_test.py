"""fmesh operator on a real API server: what people do to resources, what others do to the objects, and what is told of it.
No kubelet runs, so pods stay pending; where readiness matters, the test says it in the kubelet's place."""

import json
import os
import random
import time
import unittest

import kube_case
from kube_case import KubeCase


TELL = ("Function", "FunctionMesh")  # kinds whose status is the operator's


def function(name, **spec):
    return {
        "apiVersion": kube_case.GROUP, "kind": "Function", "metadata": {"name": name},
        "spec": {
            "name": name, "className": "shop.Enrich", "tenant": "public", "namespace": "default", "clusterName": "blue", "replicas": 1,
            "autoAck": True, "forwardSourceMessageProperty": True, "input": {"topics": ["persistent://public/default/in"]},
            "output": {"topic": "persistent://public/default/out"},
            "resources": {"requests": {"cpu": "0.1", "memory": "1G"}, "limits": {"cpu": "0.2", "memory": "1.1G"}},
            "java": {"jar": "/pulsar/f.jar"}, "pulsar": {"pulsarConfig": "blue"}, **spec,
        },
    }


def mesh(name, *items):
    return {"apiVersion": kube_case.GROUP, "kind": "FunctionMesh", "metadata": {"name": name}, "spec": {"functions": list(items)}}


def item(name, **spec):
    return function(name, **spec)["spec"]


class OperatorTest(KubeCase):
    def names(self, kind):
        return sorted(one["metadata"]["name"] for one in self.objects(kind))

    def status(self, kind, name):
        return (self.get(kind, name) or {}).get("status") or {}

    def seen(self, name, kind="Function"):
        """The operator carried the newest spec out."""
        live = self.get(kind, name)
        return live and live.get("status", {}).get("observedGeneration") == live["metadata"]["generation"] and live

    def merge(self, kind, name, patch, *flags):
        self.kubectl("patch", kind, name, "--type=merge", "-p", json.dumps(patch), *flags)

    def container(self, name):
        return self.get("StatefulSet", name)["spec"]["template"]["spec"]["containers"][0]

    # --- what a person does ---

    def test_a_function_comes_changes_scales_and_goes(self):
        self.start_operator()
        self.apply(function("enrich"))
        self.wait_until(lambda: self.seen("enrich"), "the function is seen")
        self.assertEqual(self.names("StatefulSet"), ["enrich-function"])
        self.assertEqual(self.names("Service"), ["enrich-function-headless"])
        self.merge("function", "enrich", {"spec": {"image": "mine:2"}})
        self.wait_until(lambda: self.container("enrich-function")["image"] == "mine:2", "the image is changed")
        self.kubectl("scale", "function", "enrich", "--replicas=3")
        self.wait_until(lambda: self.get("StatefulSet", "enrich-function")["spec"]["replicas"] == 3, "it is scaled")
        table = self.kubectl("get", "functions").stdout
        self.assertIn("READY", table)
        self.assertIn("MESSAGE", table)
        self.assertIn("mine:2", table)
        self.kubectl("delete", "function", "enrich")
        self.wait_until(lambda: not self.names("StatefulSet") + self.names("Service"), "the garbage collector took all", seconds=90)

    def test_readiness_of_pods_reaches_the_status_within_a_second(self):
        self.start_operator()
        self.apply(function("ready", replicas=2))
        self.wait_until(lambda: self.status("Function", "ready").get("ready") == "0/2", "no pod is ready")
        self.wait_until(lambda: self.names("Pod") == ["ready-function-0", "ready-function-1"], "the pods are there")
        for pod, state, ready in (("ready-function-0", "True", 1), ("ready-function-1", "True", 2), ("ready-function-1", "False", 1)):
            conditions = [{"type": "Ready", "status": state}]
            self.merge("pod", pod, {"status": {"phase": "Running", "conditions": conditions}}, "--subresource=status")
            self.wait_until(lambda: self.status("StatefulSet", "ready-function").get("readyReplicas", 0) == ready, "the set knows")
            begin = time.monotonic()
            self.wait_until(lambda: self.status("Function", "ready").get("ready") == f"{ready}/2", f"{ready} are ready")
            self.assertLess(time.monotonic() - begin, 1.0)
        self.assertEqual(self.status("Function", "ready")["message"], "1 of 2 pods ready")
        self.kubectl("wait", "function/ready", "--for=jsonpath={.status.ready}=1/2", "--timeout=10s")

    def test_a_mesh_renames_and_removes_its_members_and_leaves_nothing(self):
        self.start_operator()
        self.apply(mesh("line", item("a"), item("b")))
        self.wait_until(lambda: self.names("Function") == ["line-a", "line-b"], "the children are there")
        self.wait_until(lambda: self.status("FunctionMesh", "line")["condition"]["status"] == "True", "the mesh is made")
        self.apply(mesh("line", item("a", image="mine:2"), item("c")))
        self.wait_until(lambda: self.names("StatefulSet") == ["line-a-function", "line-c-function"], "b made place for c")
        self.wait_until(lambda: self.container("line-a-function")["image"] == "mine:2", "a was changed")
        self.wait_until(lambda: sorted(self.status("FunctionMesh", "line")["functionConditions"]) == ["a", "c"], "b is forgotten")
        self.kubectl("delete", "functionmesh", "line")
        self.wait_until(lambda: not self.names("Function") + self.names("StatefulSet") + self.names("Service"), "nothing is left", seconds=90)

    def test_an_autoscaler_goes_with_max_replicas_and_keeps_its_say(self):
        self.start_operator()
        self.apply(mesh("line", item("a", maxReplicas=5)))
        self.wait_until(lambda: self.names("HorizontalPodAutoscaler") == ["line-a-function"], "the autoscaler is there")
        self.kubectl("scale", "function", "line-a", "--replicas=4")
        self.wait_until(lambda: self.get("StatefulSet", "line-a-function")["spec"]["replicas"] == 4, "it is scaled")
        self.apply(mesh("line", item("a", maxReplicas=5, image="mine:2")))
        self.wait_until(lambda: self.container("line-a-function")["image"] == "mine:2", "the image is changed")
        self.assertEqual(self.get("StatefulSet", "line-a-function")["spec"]["replicas"], 4)
        self.apply(mesh("line", item("a", image="mine:2")))
        self.wait_until(lambda: self.names("HorizontalPodAutoscaler") == [], "the autoscaler is gone")

    # --- what others do ---

    def test_what_was_deleted_or_edited_by_hand_comes_back(self):
        self.start_operator()
        self.apply(function("kept", secretsMap={"A": {"path": "s", "key": "a"}, "B": {"path": "s", "key": "b"}}))
        self.wait_until(lambda: self.seen("kept"), "the function is seen")
        first = self.get("StatefulSet", "kept-function")
        self.kubectl("delete", "service", "kept-function-headless")
        self.wait_until(lambda: self.names("Service") == ["kept-function-headless"], "the Service is back")
        template = {"metadata": {"labels": {"more": "x"}}, "spec": {"nodeSelector": {"disk": "ssd"}}}
        self.merge("statefulset", "kept-function", {"spec": {"template": template, "replicas": 7}})
        back = self.wait_until(lambda: self.same_spec("kept-function", first), "the StatefulSet is as it was")
        self.assertGreater(back["metadata"]["generation"], first["metadata"]["generation"])
        self.merge("service", "kept-function-headless", {"spec": {"ports": [{"name": "tcp-grpc", "port": 1234}]}})
        self.wait_until(lambda: self.get("Service", "kept-function-headless")["spec"]["ports"][0]["port"] == 9093, "so is the port")
        self.kubectl("delete", "statefulset", "kept-function", "--cascade=orphan")
        self.wait_until(lambda: self.same_spec("kept-function", first), "the StatefulSet is made anew")

    def test_changed_volume_claims_make_the_statefulset_anew_and_keep_its_pods(self):
        def claims(size):
            return [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}}]

        mounts = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
        self.start_operator()
        self.apply(function("stored", volumeClaimTemplates=claims("1Gi"), **mounts))
        self.wait_until(lambda: self.names("Pod") == ["stored-function-0"], "the pod is there")
        pod, first = self.get("Pod", "stored-function-0"), self.get("StatefulSet", "stored-function")
        self.apply(function("stored", volumeClaimTemplates=claims("2Gi"), **mounts))
        anew = self.wait_until(lambda: self.get("StatefulSet", "stored-function")["metadata"]["uid"] != first["metadata"]["uid"] and
                               self.get("StatefulSet", "stored-function"), "the StatefulSet is made anew")
        self.assertEqual(anew["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"], "2Gi")
        self.wait_until(lambda: self.get("Pod", "stored-function-0")["metadata"]["ownerReferences"][0]["uid"] == anew["metadata"]["uid"], "it has its pod")
        self.assertEqual(self.get("Pod", "stored-function-0")["metadata"]["uid"], pod["metadata"]["uid"])
        self.assertIn("Recreating", self.kubectl("get", "events").stdout)

    def same_spec(self, name, before):
        live = self.get("StatefulSet", name)
        return live and live["spec"] == before["spec"] and live

    def test_a_restart_by_kubectl_is_not_undone(self):
        self.start_operator()
        self.apply(function("again"))
        self.wait_until(lambda: self.seen("again"), "the function is seen")
        self.kubectl("rollout", "restart", "statefulset/again-function")
        self.merge("function", "again", {"spec": {"image": "mine:2"}})
        self.wait_until(lambda: self.container("again-function")["image"] == "mine:2", "the image is changed")
        annotations = self.get("StatefulSet", "again-function")["spec"]["template"]["metadata"]["annotations"]
        self.assertIn("kubectl.kubernetes.io/restartedAt", annotations)

    def test_what_has_the_name_and_belongs_to_another_is_left_alone(self):
        self.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner"}})
        owner = self.get("ConfigMap", "owner")
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"], "controller": True}
        self.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "taken-function-headless", "ownerReferences": [reference]},
                    "spec": {"ports": [{"port": 1}]}})
        before = self.get("Service", "taken-function-headless")
        self.start_operator()
        self.apply(function("taken"))
        message = self.wait_until(lambda: self.status("Function", "taken").get("message"), "the status says why")
        self.wait_until(lambda: "belongs to ConfigMap owner" in self.status("Function", "taken")["message"], message)
        self.assertEqual(self.names("StatefulSet"), ["taken-function"])  # what does not stand in the way is made
        self.assertEqual(self.get("Service", "taken-function-headless"), before)

    # --- what is told ---

    def test_a_refused_object_is_told_in_status_and_events_and_does_not_block_the_others(self):
        self.start_operator()
        self.apply(function("bad", pod={"volumes": [{"name": "Bad_Name", "emptyDir": {}}]}))
        self.wait_until(lambda: "Bad_Name" in self.status("Function", "bad").get("message", ""), "the status says what is wrong")
        self.wait_until(lambda: self.names("Service") == ["bad-function-headless"], "the Service is made all the same")
        self.wait_until(lambda: "Refused" in self.kubectl("get", "events").stdout, "an Event says so")
        audit = self.counted_writes()
        time.sleep(2)
        audit.poll()
        self.assertLess(audit.total, 3, audit.by_kind)  # nothing is tried again and again
        self.merge("function", "bad", {"spec": {"pod": {"volumes": [{"name": "good", "emptyDir": {}}]}}})
        self.wait_until(lambda: self.names("StatefulSet") == ["bad-function"], "mended")

    def test_secrets_are_neither_in_status_nor_events_nor_log(self):
        operator = self.start_operator()
        auth = {"genericAuth": {"clientAuthenticationPlugin": "p.Q", "clientAuthenticationParameters": "token:hunter2"}}
        spec = {"pulsar": {"pulsarConfig": "blue", "authConfig": auth}, "funcConfig": {"password": "hunter2"},
                "pod": {"env": [{"name": "PASSWORD", "value": "hunter2"}]}}
        self.apply(function("silent", **spec))
        self.wait_until(lambda: self.seen("silent"), "the function is seen")
        spec["funcConfig"]["password"] = "hunter2-new"
        spec["pod"]["env"][0]["value"] = "hunter2-new"
        self.merge("function", "silent", {"metadata": {"annotations": {"compute.functionmesh.io/pause-rollout": "true"}}})
        self.apply(function("silent", **spec))
        self.wait_until(lambda: "hunter2-new" in json.dumps(self.container("silent-function")), "the change is carried out")
        self.assertNotIn("hunter2", operator.log())
        self.assertNotIn("hunter2", json.dumps(self.status("Function", "silent")))
        self.assertNotIn("hunter2", self.kubectl("get", "events", "-o", "json").stdout)

    def test_what_is_not_managed_is_not_touched(self):
        self.start_operator()
        resource = function("alone")
        resource["metadata"]["annotations"] = {"compute.functionmesh.io/managed": "false"}
        self.apply(resource)
        self.apply(function("other"))
        self.wait_until(lambda: self.seen("other"), "the other function is seen")
        self.assertEqual(self.names("StatefulSet"), ["other-function"])
        self.assertEqual(self.status("Function", "alone"), {})

    def test_a_mesh_that_is_not_managed_is_not_touched(self):
        self.start_operator()
        self.apply(mesh("line", item("a")))
        self.wait_until(lambda: self.status("FunctionMesh", "line")["condition"]["status"] == "True", "the mesh is made")
        left = mesh("line", item("a", image="mine:2"), item("b"))
        left["metadata"]["annotations"] = {"compute.functionmesh.io/managed": "false"}
        self.apply(left)
        self.apply(function("other"))
        self.wait_until(lambda: self.seen("other"), "the other function is seen")
        self.assertEqual(self.names("Function"), ["line-a", "other"])
        self.kubectl("annotate", "functionmesh", "line", "compute.functionmesh.io/managed-")
        self.wait_until(lambda: self.names("Function") == ["line-a", "line-b", "other"], "it is looked after again")
        self.wait_until(lambda: self.container("line-a-function")["image"] == "mine:2", "the image is changed")

    # --- the process ---

    def test_a_restart_writes_nothing(self):
        operator = self.start_operator()
        for name in ("a", "b", "c"):
            self.apply(function(name, maxReplicas=3, pod={"liveness": {"periodSeconds": 10}}))
        self.apply(mesh("line", item("x"), item("y")))
        audit = self.counted_writes()
        self.wait_until(lambda: self.status("FunctionMesh", "line")["condition"]["status"] == "True", "the mesh is made")
        self.wait_quiet(audit)
        self.assertEqual(operator.stop(), 0)
        audit = self.counted_writes()
        self.start_operator()
        self.wait_quiet(audit)
        self.assertEqual(dict(audit.by_kind), {})

    def test_the_log_gets_another_level_while_the_operator_runs(self):
        config = self.folder / "config.yaml"
        config.write_text("logLevel: error\n", encoding="utf-8")
        operator = self.start_operator("--config-file", str(config))
        self.apply(function("quiet"))
        self.wait_until(lambda: self.seen("quiet"), "the function is seen")
        self.assertEqual(operator.log(), "")
        config.write_text("logLevel: info\n", encoding="utf-8")
        self.wait_until(lambda: "level is now info" in operator.log(), "the new level is taken")
        self.apply(function("loud"))
        self.wait_until(lambda: "loud-function created" in operator.log(), "what is done is said")
        config.write_text("logLevel: shrill\n", encoding="utf-8")
        self.wait_until(lambda: "expected trace, debug, info, warn or error" in operator.log(), "a bad level is told")
        self.assertIsNone(operator.process.poll())

    def test_only_the_leader_writes_and_another_takes_over(self):
        # Leases are what the chart allows in the operator's own namespace; here that is the test's.
        self.kubectl("create", "rolebinding", "leases", "--clusterrole=cluster-admin", "--user=operator")
        flags = ["--enable-leader-election", f"--leader-election-namespace={self.namespace}"]
        first = self.start_operator(*flags)
        self.apply(function("one"))
        self.wait_until(lambda: self.seen("one"), "the first one leads")
        second = self.start_operator(*flags)
        self.wait_until(lambda: "watching" in second.log(), "the second one is warm")
        first.kill()
        self.apply(function("two"))
        self.wait_until(lambda: self.seen("two"), "the second one leads", seconds=40)
        third = self.start_operator(*flags)
        self.wait_until(lambda: "watching" in third.log(), "the third one is warm")
        begin = time.monotonic()
        self.assertEqual(second.stop(), 0)  # gives the lease back
        self.apply(function("three"))
        self.wait_until(lambda: self.seen("three"), "the third one leads")
        self.assertLess(time.monotonic() - begin, 8)

    def test_only_the_watched_namespaces_are_looked_after(self):
        other = self.namespace + "-o"
        self.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": other}})
        self.addCleanup(self.client.delete, "Namespace", other)
        self.start_operator("--watched-namespaces", f"{self.namespace},default")
        self.kubectl("apply", "-f", "-", text=json.dumps(function("far")), namespace=other)
        self.apply(function("near"))
        self.wait_until(lambda: self.seen("near"), "the near function is seen")
        self.assertIsNone(self.client.get("StatefulSet", "far-function", other))

    def test_kills_at_any_time_change_nothing_in_the_end(self):
        """FMESH_KILLS kills (-9) at random during two and a half times as many changes; then all is as an operator makes it that
        nobody disturbs."""
        kills = int(os.environ.get("FMESH_KILLS", "20"))
        seed = int(os.environ.get("FMESH_KILLS_SEED", time.time_ns() % 100000))
        chance = random.Random(seed)
        begin = time.monotonic()
        operator = self.start_operator(wait=False)
        for kill in range(kills):
            for change in range(5 * kill // 2, 5 * (kill + 1) // 2):
                self.change_something(change, chance)
            time.sleep(chance.uniform(0, 0.6))
            operator.kill()
            operator = self.start_operator(wait=False)
        audit = self.counted_writes()
        self.wait_until(operator.ready, "the operator is ready")
        # What is left of a deleted Function is collected in its own time, and stands in the way of one with its name.
        self.wait_until(lambda: all(done for _, done in self.made_in(self.namespace).values()), "all are carried out", seconds=120)
        self.wait_quiet(audit)
        disturbed = self.made_in(self.namespace)
        print(f"{kills} kills, {5 * kills // 2} changes, {time.monotonic() - begin:.0f} s, seed {seed}", flush=True)

        calm = self.namespace + "-c"
        self.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": calm}})
        self.addCleanup(self.client.delete, "Namespace", calm)
        for kind in ("FunctionMesh", "Function"):
            for one in self.objects(kind):
                if not one["metadata"].get("ownerReferences"):
                    self.client.create({"apiVersion": kube_case.GROUP, "kind": kind, "spec": one["spec"],
                                        "metadata": {"name": one["metadata"]["name"], "namespace": calm}})
        self.wait_until(lambda: len(self.client.list("StatefulSet", calm)) == len(self.objects("StatefulSet")), "the calm ones are made")
        self.wait_quiet(audit)
        undisturbed = self.made_in(calm)
        differ = {key: (disturbed.get(key), undisturbed.get(key)) for key in disturbed | undisturbed if disturbed.get(key) != undisturbed.get(key)}
        self.assertEqual(differ, {}, f"FMESH_KILLS={kills} FMESH_KILLS_SEED={seed}")

    def change_something(self, change, chance):
        name = f"f{chance.randrange(5)}"
        what = chance.randrange(7) if change >= 5 else 0
        if what == 0:
            self.apply(function(f"f{change}" if change < 5 else name))
        elif what == 1:
            self.apply(function(name, image=f"mine:{change}", maxReplicas=6))
        elif what == 2:
            self.apply(function(name, replicas=chance.randrange(4), pod={"env": [{"name": "A", "value": str(change)}]}))
        elif what == 3:
            self.kubectl("delete", "statefulset", f"{name}-function", "--ignore-not-found", "--wait=false")
        elif what == 4:
            self.kubectl("delete", "service", f"{name}-function-headless", "--ignore-not-found", "--wait=false")
        elif what == 5:
            self.kubectl("delete", "function", name, "--ignore-not-found", "--wait=false")
        else:
            members = chance.sample("abcd", chance.randint(1, 3))
            self.apply(mesh("line", *(item(member, image=f"mine:{change}") for member in sorted(members))))

    def made_in(self, namespace):
        """Specs of what the operator made there, and what it says of the resources, by kind and name."""
        found = {}
        for kind in ("StatefulSet", "Service", "HorizontalPodAutoscaler", "Function", "FunctionMesh"):
            for one in self.client.list(kind, namespace):
                told = one.get("status", {}) if kind in TELL else {}
                text = json.dumps({"spec": one["spec"], "conditions": told.get("conditions") or told.get("functionConditions")}, sort_keys=True)
                done = told.get("observedGeneration") == one["metadata"]["generation"] if kind in TELL else True
                done = done and '"False"' not in text
                uid = (one["metadata"].get("ownerReferences") or [{}])[0].get("uid", "-")
                found[f"{kind}/{one['metadata']['name']}"] = text.replace(uid, "{uid}").replace(namespace, "{namespace}"), done
        return found


if __name__ == "__main__":
    unittest.main()
