#include "plan/cluster/pod.h"

#include "plan/cluster/objects_test_support.h"

namespace fmesh::plan {
namespace {

using testing::AllOf;
using testing::HasSubstr;

boost::json::value pod_with(std::string_view more, const ClusterOptions& options = {}) {
  return pod_of(objects_of(java_function(more), options));
}

TEST(Pod, OfAFunctionHasUpstreamsContainer) {
  const auto pod = pod_with("resources: {requests: {cpu: 1}}");
  EXPECT_EQ(text_at(pod, "/containers/0/name"), "\"pulsar-function\"");
  EXPECT_EQ(text_at(pod, "/containers/0/ports"), R"([{"name":"tcp-grpc","containerPort":9093,"protocol":"TCP"},)"
                                                 R"({"name":"http-metrics","containerPort":9094,"protocol":"TCP"}])");
  EXPECT_EQ(text_at(pod, "/containers/0/envFrom"), R"([{"configMapRef":{"name":"blue"}}])");
  EXPECT_EQ(text_at(pod, "/containers/0/env"),
            R"([{"name":"POD_NAME","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}])");
  EXPECT_EQ(text_at(pod, "/containers/0/resources"), R"({"requests":{"cpu":"1"}})");
  EXPECT_EQ(text_at(pod, "/containers/0/securityContext"),
            R"({"capabilities":{"drop":["ALL"]},"allowPrivilegeEscalation":false})");
  EXPECT_EQ(text_at(pod, "/securityContext"),
            R"({"runAsUser":10000,"runAsGroup":10001,"runAsNonRoot":false,"fsGroup":10001,)"
            R"("seccompProfile":{"type":"RuntimeDefault"}})");
}

TEST(Pod, FieldsAreInTheOrderThatKubernetesPrints) {
  const auto pod = pod_with(
      "volumeMounts: [{name: v, mountPath: /v}], pod: {volumes: [{name: v, emptyDir: {}}], initContainers: [{name: "
      "i}], "
      "tolerations: [{key: t}], nodeSelector: {n: '1'}, serviceAccountName: s, imagePullSecrets: [{name: p}], "
      "terminationGracePeriodSeconds: 5, liveness: {periodSeconds: 1}, startupProbe: {httpGet: {port: 1}}}");
  const auto keys = [](const boost::json::value& object) {
    std::string out;
    for (const auto& member : object.as_object()) out += (out.empty() ? "" : " ") + std::string(member.key());
    return out;
  };
  EXPECT_EQ(keys(pod),
            "volumes initContainers containers terminationGracePeriodSeconds nodeSelector serviceAccountName "
            "securityContext imagePullSecrets affinity tolerations");
  EXPECT_EQ(keys(pod.at_pointer("/containers/0")),
            "name image command ports envFrom env volumeMounts livenessProbe startupProbe imagePullPolicy "
            "securityContext");
}

// D22: upstream's order is that of a Go map; every change of a resource may restart its pods.
TEST(Pod, VariablesOfSecretsAreInOrderAndBehindThePodsName) {
  const auto pod = pod_with(
      "secretsMap: {ZED: {path: s, key: k}, ABE: {path: s, key: k}, MID: {path: t, key: u}}, "
      "pod: {env: [{name: OWN, value: '1'}]}");
  EXPECT_EQ(names_in(pod, "/containers/0/env"), "POD_NAME,ABE,MID,ZED,OWN");
  EXPECT_EQ(text_at(pod, "/containers/0/env/2"),
            R"({"name":"MID","valueFrom":{"secretKeyRef":{"name":"t","key":"u"}}})");
}

TEST(Pod, ThePodsNameCantBeOverridden) {
  const auto pod = pod_with(
      "secretsMap: {POD_NAME: {path: s, key: k}}, pod: {env: [{name: POD_NAME, value: x}, {name: B, value: y}]}");
  EXPECT_EQ(names_in(pod, "/containers/0/env"), "POD_NAME,B");
  EXPECT_THAT(text_at(pod, "/containers/0/env/0"), HasSubstr("fieldRef"));
}

TEST(Pod, PackageServiceHasItsOwnPrefix) {
  const auto pod = pod_with("pulsarPackageService: {pulsarConfig: p, authSecret: a, tlsSecret: t}");
  EXPECT_EQ(text_at(pod, "/containers/0/envFrom"),
            R"([{"configMapRef":{"name":"blue"}},{"prefix":"PACKAGE_","configMapRef":{"name":"p"}},)"
            R"({"prefix":"PACKAGE_","secretRef":{"name":"a"}},{"prefix":"PACKAGE_","secretRef":{"name":"t"}}])");
}

TEST(Pod, SidecarsStandBeforeAndTheLogSidecarBehindTheFunction) {
  const auto pod = pod_with("logTopic: l, logTopicAgent: sidecar, pod: {sidecars: [{name: a}, {name: b}]}");
  EXPECT_EQ(names_in(pod, "/containers"), "a,b,pulsar-function,filebeat");
}

TEST(Pod, OwnInitContainersStandBeforeTheDownloaderWhichHasTheUsersMounts) {
  const auto pod = pod_of(
      objects_of(component_of("Function",
                              "className: C, java: {jar: a.jar, jarLocation: 'http://x/a.jar'}, pulsar: {pulsarConfig: "
                              "b}, input: {topics: [i]}, volumeMounts: [{name: v, mountPath: /v}], pod: {volumes: "
                              "[{name: v, emptyDir: {}}], initContainers: [{name: mine}]}"),
                 {.init_containers = true}));
  EXPECT_EQ(names_in(pod, "/initContainers"), "mine,downloader");
  EXPECT_EQ(names_in(pod, "/initContainers/1/volumeMounts"), "downloader-volume,v");
}

TEST(Pod, AnnotationsForPrometheusCanBeOverridden) {
  const ClusterObjects objects = objects_of(java_function("pod: {annotations: {prometheus.io/port: '1'}}"),
                                            {.runner = {.annotations = {{"prometheus.io/scrape", "no"}, {"a", "b"}}}});
  EXPECT_EQ(text_at(objects.stateful_set, "/spec/template/metadata/annotations"),
            R"({"a":"b","prometheus.io/port":"1","prometheus.io/scrape":"no"})");
}

TEST(Pod, LabelsOfTheResourceWinOverThoseOfTheConfigFile) {
  const ClusterObjects objects = objects_of(java_function("pod: {labels: {team: own}}"),
                                            {.runner = {.labels = {{"team", "corp"}, {"area", "corp"}}}});
  EXPECT_EQ(text_at(objects.stateful_set, "/spec/template/metadata/labels/team"), "\"own\"");
  EXPECT_EQ(text_at(objects.stateful_set, "/spec/template/metadata/labels/area"), "\"corp\"");
  EXPECT_EQ(text_at(objects.stateful_set, "/metadata/labels/area"), "absent");
  EXPECT_EQ(text_at(objects.stateful_set, "/spec/selector/matchLabels/area"), "absent");
}

// Defect 11 of the golden page: the API server refuses such a StatefulSet for ever.
TEST(Pod, LabelsCantOverrideTheSelectors) {
  const ClusterObjects objects = objects_of(java_function("pod: {labels: {app: mine, name: mine}}"));
  EXPECT_EQ(text_at(objects.stateful_set, "/spec/template/metadata/labels/app"), "\"function-mesh\"");
  EXPECT_EQ(text_at(objects.stateful_set, "/spec/template/metadata/labels/name"), "\"orders\"");
}

// D6: upstream sends a part, and compares it with the whole that comes back.
TEST(Pod, ProbesAreComplete) {
  const auto pod = pod_with(
      "pod: {liveness: {periodSeconds: 10, initialDelaySeconds: 30}, startupProbe: {httpGet: "
      "{path: /up, port: 9094}, failureThreshold: 50}}");
  EXPECT_EQ(text_at(pod, "/containers/0/livenessProbe"),
            R"({"httpGet":{"path":"/","port":9094,"scheme":"HTTP"},"initialDelaySeconds":30,"timeoutSeconds":10,)"
            R"("periodSeconds":10,"successThreshold":1,"failureThreshold":3})");
  EXPECT_EQ(text_at(pod, "/containers/0/startupProbe"),
            R"({"httpGet":{"path":"/up","port":9094,"scheme":"HTTP"},"failureThreshold":50,"timeoutSeconds":1,)"
            R"("periodSeconds":10,"successThreshold":1})");
}

TEST(Pod, WithoutAPeriodThereIsNoLivenessProbe) {
  EXPECT_EQ(text_at(pod_with("pod: {liveness: {initialDelaySeconds: 5}}"), "/containers/0/livenessProbe"), "absent");
}

TEST(Pod, OwnSecurityContextReplacesTheDefaultAndTheContainersStays) {
  const auto pod = pod_with("pod: {securityContext: {runAsUser: 1}}");
  EXPECT_EQ(text_at(pod, "/securityContext"), R"({"runAsUser":1})");
  EXPECT_EQ(text_at(pod, "/containers/0/securityContext/allowPrivilegeEscalation"), "false");
  EXPECT_EQ(text_at(pod_with("", {.run_as_non_root = true}), "/securityContext/runAsNonRoot"), "true");
}

TEST(Pod, AreSpreadOverNodesByTheirOwnLabels) {
  const char* own =
      "pod: {labels: {a: b}, affinity: {podAntiAffinity: "
      "{preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1}]}}}";
  const auto pod = pod_with(own);
  const std::string list = "/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution";
  EXPECT_EQ(text_at(pod, list + "/0/weight"), "1");
  EXPECT_EQ(text_at(pod, list + "/1/weight"), "100");
  EXPECT_EQ(text_at(pod, list + "/1/podAffinityTerm/topologyKey"), "\"kubernetes.io/hostname\"");
  EXPECT_EQ(text_at(pod, list + "/1/podAffinityTerm/labelSelector/matchLabels/a"), "\"b\"");
  EXPECT_EQ(text_at(pod_with(own, {.add_default_affinity = false}), list + "/1"), "absent");
  EXPECT_EQ(text_at(pod_with("pod: {disableDefaultAffinity: true}"), "/affinity"), "absent");
}

TEST(Pod, PullSecretsAreThereOnce) {
  EXPECT_EQ(names_in(pod_with("pod: {imagePullSecrets: [{name: a}, {name: a}]}",
                              {.runner = {.image_pull_secrets = {"b", "a"}}}),
                     "/imagePullSecrets"),
            "a,b");
}

TEST(PodCheck, AMountWithoutAVolumeIsRefusedWithWhatIsThere) {
  EXPECT_THAT(refusal_of(java_function("volumeMounts: [{name: dta, mountPath: /d}], pod: {volumes: [{name: data}]}")),
              AllOf(HasSubstr("Function orders: spec.volumeMounts:"), HasSubstr("mounts the volume 'dta' at '/d'"),
                    HasSubstr("volumeClaimTemplates: data"), HasSubstr("a.yaml:4:")));
  EXPECT_THAT(refusal_of(java_function("pod: {sidecars: [{name: s, volumeMounts: [{name: x, mountPath: /x}]}]}")),
              HasSubstr("the container s mounts the volume 'x'"));
}

TEST(PodCheck, AClaimIsAVolume) {
  const auto pod =
      pod_with("volumeMounts: [{name: hay, mountPath: /h}], volumeClaimTemplates: [{metadata: {name: hay}}]");
  EXPECT_EQ(names_in(pod, "/containers/0/volumeMounts"), "hay");
}

TEST(PodCheck, ASidecarMayMountOurVolumes) {
  const auto pod = pod_with(
      "logTopic: l, logTopicAgent: sidecar, pod: {sidecars: [{name: s, volumeMounts: [{name: "
      "filebeat-logs, mountPath: /l}]}]}");
  EXPECT_EQ(names_in(pod, "/containers"), "s,pulsar-function,filebeat");
}

TEST(PodCheck, NamesAndPathsGivenTwiceAreRefused) {
  EXPECT_THAT(refusal_of(java_function("pod: {sidecars: [{name: pulsar-function}]}")),
              HasSubstr("two containers of the pod are named 'pulsar-function'; rename yours"));
  EXPECT_THAT(refusal_of(java_function("pod: {volumes: [{name: a}, {name: a}]}")),
              HasSubstr("spec.pod.volumes: two volumes are named 'a'"));
  EXPECT_THAT(
      refusal_of(java_function("pod: {volumes: [{name: a}, {name: b}]}, volumeMounts: [{name: a, mountPath: /x}, "
                               "{name: b, mountPath: /x}]")),
      HasSubstr("mounts two volumes at '/x': a and b"));
  EXPECT_THAT(refusal_of(java_function("pod: {sidecars: [{image: i}]}")), HasSubstr("a container has no name"));
  EXPECT_THAT(refusal_of(java_function("pod: {volumes: [{emptyDir: {}}]}")), HasSubstr("a volume has no name"));
}

TEST(PodCheck, WrongTypesInsideCarriedPartsAreRefused) {
  EXPECT_THAT(refusal_of(java_function("pod: {affinity: {podAntiAffinity: 3}}")), HasSubstr("expected a mapping"));
  EXPECT_THAT(refusal_of(java_function("pod: {sidecars: [{name: a, env: {A: b}}]}")),
              HasSubstr("spec.pod.sidecars[0].env: expected a list"));
}

}  // namespace
}  // namespace fmesh::plan
