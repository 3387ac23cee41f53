// The fields of pods, and of status.
#include "model/storage.h"

namespace fmesh::model {

template <>
const StructInfo& struct_info<ResourceRequirements>() {
  using S = ResourceRequirements;
  static const StructInfo info{"resources",
                               {field<&S::limits>("limits", "Most a pod may use", {.json_type = "Quantity"}),
                                field<&S::requests>("requests", "What a pod is promised", {.json_type = "Quantity"}),
                                field<&S::claims>("claims", "Resource claims", {.json_type = "ResourceClaim[]"})}};
  return info;
}

template <>
const StructInfo& struct_info<Liveness>() {
  using S = Liveness;
  static const StructInfo info{
      "liveness",
      {field<&S::initial_delay_seconds>("initialDelaySeconds", "Seconds before the first probe"),
       field<&S::period_seconds>("periodSeconds", "Seconds between probes; 0: no probe"),
       field<&S::success_threshold>("successThreshold", "Successes that make it live"),
       field<&S::failure_threshold>("failureThreshold", "Failures that restart it")}};
  return info;
}

template <>
const StructInfo& struct_info<VpaUpdatePolicy>() {
  using S = VpaUpdatePolicy;
  static const StructInfo info{"updatePolicy",
                               {field<&S::update_mode>("updateMode", "When recommendations are applied",
                                                       {.values = {"Off", "Initial", "Recreate", "Auto"}}),
                                field<&S::min_replicas>("minReplicas", "Fewest live pods for an eviction")}};
  return info;
}

template <>
const StructInfo& struct_info<VpaSpec>() {
  static const StructInfo info{"vpa",
                               {field<&VpaSpec::update_policy>("updatePolicy", "When it acts"),
                                field<&VpaSpec::resource_policy>("resourcePolicy", "Bounds of its recommendations",
                                                                 {.json_type = "PodResourcePolicy"})}};
  return info;
}

template <>
const StructInfo& struct_info<PodPolicy>() {
  using S = PodPolicy;
  static const StructInfo info{
      "pod",
      {field<&S::labels>("labels", "Labels added to pods"),
       field<&S::node_selector>("nodeSelector", "Labels a node must have"),
       field<&S::affinity>("affinity", "Where pods are scheduled", {.json_type = "Affinity"}),
       field<&S::tolerations>("tolerations", "Taints pods tolerate", {.json_type = "Toleration[]"}),
       field<&S::annotations>("annotations", "Annotations added to pods"),
       field<&S::security_context>("securityContext", "Security settings of the pod",
                                   {.json_type = "PodSecurityContext"}),
       field<&S::termination_grace_period_seconds>("terminationGracePeriodSeconds", "Seconds a pod has to end"),
       field<&S::volumes>("volumes", "Volumes of the pod", {.json_type = "Volume[]"}),
       field<&S::image_pull_secrets>("imagePullSecrets", "Secrets for pulling images",
                                     {.json_type = "LocalObjectReference[]"}),
       field<&S::init_containers>("initContainers", "Containers that run first", {.json_type = "Container[]"}),
       field<&S::sidecars>("sidecars", "Containers beside the function", {.json_type = "Container[]"}),
       field<&S::service_account_name>("serviceAccountName", "Service account of the pod"),
       field<&S::builtin_autoscaler>("builtinAutoscaler",
                                     "Ready-made scaling rules, e.g. AverageUtilizationCPUPercent80"),
       field<&S::auto_scaling_metrics>("autoScalingMetrics", "Metrics to scale by", {.json_type = "MetricSpec[]"}),
       field<&S::auto_scaling_behavior>("autoScalingBehavior", "How fast to scale",
                                        {.json_type = "HorizontalPodAutoscalerBehavior"}),
       field<&S::vpa>("vpa", "Vertical scaling; not together with maxReplicas"),
       field<&S::env>("env", "Environment variables of the function container", {.json_type = "EnvVar[]"}),
       field<&S::liveness>("liveness", "Liveness probe"),
       field<&S::startup_probe>("startupProbe", "Start-up probe", {.json_type = "Probe"}),
       field<&S::disable_default_affinity>("disableDefaultAffinity", "Do not spread pods over nodes")}};
  return info;
}

template <>
const StructInfo& struct_info<ResourceCondition>() {
  using S = ResourceCondition;
  static const StructInfo info{
      "condition",
      {field<&S::condition>("condition", "What the condition is about, e.g. StatefulSetReady"),
       field<&S::status>("status", "True, False or Unknown"),
       field<&S::action>("action", "What the operator does next: Create, Delete, Update, Wait or NoAction")}};
  return info;
}

template <>
const StructInfo& struct_info<ComponentStatus>() {
  using S = ComponentStatus;
  static const StructInfo info{
      "status",
      {field<&S::conditions>("conditions", "Conditions by what they are about: StatefulSet, Service, ...",
                             {.required = true, .always_written = true}),
       field<&S::replicas>("replicas", "Number of instances", {.required = true, .always_written = true}),
       field<&S::selector>("selector", "Label selector of the pods, for scaling",
                           {.required = true, .always_written = true}),
       field<&S::observed_generation>("observedGeneration", "Generation of the spec that was acted on"),
       field<&S::global_backend_config_revision>("globalBackendConfigRevision", "Version of the global BackendConfig"),
       field<&S::namespaced_backend_config_revision>("namespacedBackendConfigRevision",
                                                     "Version of the namespace's BackendConfig"),
       field<&S::global_backend_config_auto_update>("globalBackendConfigAutoUpdate", "Its autoUpdate"),
       field<&S::namespaced_backend_config_auto_update>("namespacedBackendConfigAutoUpdate", "Its autoUpdate"),
       field<&S::pending_change>("pendingChange", "What an update would change, as JSON"),
       field<&S::ready>("ready", "Pods that are ready, of those wanted: 2/3"),
       field<&S::ready_replicas>("readyReplicas", "Pods that are ready"),
       field<&S::reason>("reason", "Ready, PodsNotReady, ChangePending, ScaledToZero, NotCreated, Blocked or Invalid"),
       field<&S::message>("message", "Why it is not ready, or what is pending"),
       field<&S::adopted_spec>("adoptedSpec",
                               "Names the spec with which a StatefulSet of another operator was taken over")}};
  return info;
}

template <>
const StructInfo& struct_info<MeshStatus>() {
  using S = MeshStatus;
  static const StructInfo info{
      "status",
      {field<&S::source_conditions>("sourceConditions", "Conditions of sources by name"),
       field<&S::sink_conditions>("sinkConditions", "Conditions of sinks by name"),
       field<&S::function_conditions>("functionConditions", "Conditions of functions by name"),
       field<&S::observed_generation>("observedGeneration", "Generation of the spec that was acted on"),
       field<&S::condition>("condition", "Condition of the whole mesh"),
       field<&S::ready>("ready", "Components that are ready, of all: 2/3"),
       field<&S::reason>("reason", "Ready, ComponentsNotReady or Invalid"),
       field<&S::message>("message", "Which component is not ready, and why")}};
  return info;
}

}  // namespace fmesh::model
