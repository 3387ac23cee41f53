#include "plan/cluster/cluster_plan.h"

#include <boost/json.hpp>

#include "model/defaults.h"
#include "model/fields.h"
#include "model/host.h"
#include "plan/cluster/autoscaler.h"
#include "plan/cluster/backend.h"
#include "plan/cluster/command.h"
#include "plan/cluster/names.h"
#include "plan/cluster/pod.h"
#include "plan/cluster/ports.h"
#include "plan/cluster/refuse.h"

namespace fmesh::plan {
namespace {

namespace json = boost::json;

constexpr const char* kApiVersion = "compute.functionmesh.io/v1alpha1";

json::object to_object(const model::StringMap& map) {
  json::object out;
  for (const auto& [key, text] : map) out.emplace(key, text);
  return out;
}

json::array owner_references(const Owner& owner) {
  return {json::object{{"apiVersion", kApiVersion},
                       {"kind", owner.kind},
                       {"name", owner.name},
                       {"uid", owner.uid},
                       {"controller", true},
                       {"blockOwnerDeletion", true}}};
}

class Objects {
 public:
  Objects(const model::Component& component, const std::string& uid)
      : component_(component),
        uid_(uid),
        labels_(component_labels(component.kind, name_space_of(component), component.metadata.name)) {}

  json::object object(const char* api_version, const char* kind, const std::string& name, json::object spec) const {
    const Owner owner{model::to_string(component_.kind), component_.metadata.name, uid_};
    return {{"apiVersion", api_version},
            {"kind", kind},
            {"metadata",
             {{"name", name},
              {"namespace", name_space_of(component_)},
              {"labels", to_object(labels_)},
              {"ownerReferences", owner_references(owner)}}},
            {"spec", std::move(spec)}};
  }

  json::object stateful_set(json::object pod_template) const {
    const model::ComponentSpec& component = component_.spec;
    json::object spec{{"replicas", *component.replicas},
                      {"selector", {{"matchLabels", to_object(labels_)}}},
                      {"template", std::move(pod_template)}};
    const model::Json& claims = component.volume_claim_templates;
    if (claims.present()) spec.emplace("volumeClaimTemplates", claims.value());
    spec.emplace("serviceName", service_name(component_.kind, component_.metadata.name));
    spec.emplace("podManagementPolicy", "Parallel");
    spec.emplace("updateStrategy", json::object{{"type", "RollingUpdate"}});
    if (component.persistent_volume_claim_retention_policy) {
      spec.emplace("persistentVolumeClaimRetentionPolicy",
                   model::write(model::struct_info<model::ClaimRetentionPolicy>(),
                                &*component.persistent_volume_claim_retention_policy,
                                static_cast<model::Kinds>(component_.kind)));
    }
    return object("apps/v1", "StatefulSet", set_name(), std::move(spec));
  }

  json::object service() const {
    const auto port = [](const char* name, int number) {
      return json::object{{"name", name}, {"protocol", "TCP"}, {"port", number}, {"targetPort", number}};
    };
    json::object spec{{"ports", json::array{port(kGrpcPortName, kGrpcPort), port(kMetricsPortName, kMetricsPort)}},
                      {"selector", to_object(labels_)},
                      {"clusterIP", "None"}};
    return object("v1", "Service", service_name(component_.kind, component_.metadata.name), std::move(spec));
  }

  std::string set_name() const { return stateful_set_name(component_.kind, component_.metadata.name); }

 private:
  const model::Component& component_;
  const std::string& uid_;
  model::StringMap labels_;
};

}  // namespace

Result<ClusterObjects> make_cluster_objects(const model::Component& given, const BackendConfigs& backend,
                                            const ClusterOptions& options, const std::string& uid) {
  model::Component component = given;
  model::apply_essential_defaults(component.spec, component.metadata.name);
  // What fmesh's own instances log they write to the log topic themselves.
  if (model::is_native_pod(component.spec, component.kind)) component.spec.log_topic_agent = "runtime";
  FMESH_TRY(const PodCommand command, make_pod_command(component, options, uid));
  if (!component.spec.pulsar || component.spec.pulsar->pulsar_config.empty()) {
    return refuse_field(component, "pulsar.pulsarConfig",
                        "is missing; expected the name of a ConfigMap with webServiceURL and brokerServiceURL");
  }
  const BackendPolicy policy = merge_backend(backend);
  FMESH_TRY(json::object pod_template,
            make_pod_template({.component = component, .backend = policy, .options = options, .command = command}));
  FMESH_CHECK(check_pod_template(component, pod_template));
  const Objects objects(component, uid);
  ClusterObjects out;
  out.stateful_set = objects.stateful_set(std::move(pod_template));
  out.service = objects.service();
  if (component.spec.max_replicas) {
    out.horizontal_pod_autoscaler =
        objects.object("autoscaling/v2", "HorizontalPodAutoscaler", objects.set_name(), make_hpa_spec(component));
  }
  if (component.spec.pod.vpa && options.vpa_served) {
    out.vertical_pod_autoscaler =
        objects.object("autoscaling.k8s.io/v1", "VerticalPodAutoscaler", objects.set_name(), make_vpa_spec(component));
  }
  return out;
}

json::object make_mesh_child(const model::Component& component, const Owner& mesh) {
  return {{"apiVersion", kApiVersion},
          {"kind", model::to_string(component.kind)},
          {"metadata",
           {{"name", component.metadata.name},
            {"namespace", name_space_of(component)},
            {"ownerReferences", owner_references(mesh)}}},
          {"spec", model::write(model::struct_info<model::ComponentSpec>(), &component.spec,
                                static_cast<model::Kinds>(component.kind))}};
}

}  // namespace fmesh::plan
