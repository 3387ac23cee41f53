#include "plan/cluster/pod.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "model/fields.h"
#include "plan/cluster/environment.h"
#include "plan/cluster/image.h"
#include "plan/cluster/messaging.h"
#include "plan/cluster/names.h"
#include "plan/cluster/ports.h"
#include "plan/cluster/probes.h"
#include "plan/cluster/refuse.h"
#include "plan/cluster/volumes.h"

namespace fmesh::plan {
namespace {

namespace json = boost::json;

constexpr int kUser = 10000, kGroup = 10001;  // of upstream's images
constexpr int kAntiAffinityWeight = 100;
constexpr const char* kPodName = "POD_NAME";

json::object to_object(const model::StringMap& map) {
  json::object out;
  for (const auto& [key, text] : map) out.emplace(key, text);
  return out;
}

json::array list_of(const model::Json& list) {
  return list.present() && list.value().is_array() ? list.value().get_array() : json::array();
}

// What is not there is left out, as Kubernetes prints it.
template <class T>
void put_unless_empty(json::object& out, const char* name, T value) {
  if (!value.empty()) out.emplace(name, std::move(value));
}

class Builder {
 public:
  explicit Builder(const PodInput& input)
      : component_(input.component), spec_(component_.spec), pod_(spec_.pod), input_(input) {}

  Result<json::object> run() {
    const model::StringMap own = own_labels();
    model::StringMap labels = own;
    labels.insert(input_.backend.labels.begin(), input_.backend.labels.end());  // those there stay
    FMESH_TRY(PodVolumes volumes, plan_volumes(component_, input_.command));
    FMESH_TRY(json::array containers, make_containers(volumes.mounts));
    FMESH_TRY(json::object affinity, make_affinity(own));
    json::array init_containers = list_of(pod_.init_containers);
    if (volumes.downloader) init_containers.push_back(*volumes.downloader);

    json::object spec;
    put_unless_empty(spec, "volumes", std::move(volumes.volumes));
    put_unless_empty(spec, "initContainers", std::move(init_containers));
    spec.emplace("containers", std::move(containers));
    const auto grace = pod_.termination_grace_period_seconds ? pod_.termination_grace_period_seconds
                                                             : input_.backend.termination_grace_period_seconds;
    if (grace) spec.emplace("terminationGracePeriodSeconds", *grace);
    model::StringMap nodes = pod_.node_selector;
    nodes.insert(input_.backend.node_selector.begin(), input_.backend.node_selector.end());
    put_unless_empty(spec, "nodeSelector", to_object(nodes));
    put_unless_empty(
        spec, "serviceAccountName",
        pod_.service_account_name.empty() ? input_.backend.service_account_name : pod_.service_account_name);
    spec.emplace("securityContext", pod_security());
    put_unless_empty(spec, "imagePullSecrets", pull_secrets());
    put_unless_empty(spec, "affinity", std::move(affinity));
    json::array tolerations = input_.backend.tolerations;
    for (const json::value& one : list_of(pod_.tolerations)) tolerations.push_back(one);
    put_unless_empty(spec, "tolerations", std::move(tolerations));

    return json::object{{"metadata", {{"labels", to_object(labels)}, {"annotations", to_object(annotations())}}},
                        {"spec", std::move(spec)}};
  }

 private:
  // Labels that select pods can't be overridden: the API server would refuse the StatefulSet.
  model::StringMap own_labels() const {
    model::StringMap labels = component_labels(component_.kind, name_space_of(component_), component_.metadata.name);
    labels.insert(pod_.labels.begin(), pod_.labels.end());
    labels.insert(input_.options.runner.labels.begin(), input_.options.runner.labels.end());
    return labels;
  }

  model::StringMap annotations() const {
    model::StringMap out = pod_.annotations;
    const model::StringMap& runner = input_.options.runner.annotations;
    out.insert(runner.begin(), runner.end());
    out.emplace("prometheus.io/scrape", "true");
    out.emplace("prometheus.io/port", std::to_string(kMetricsPort));
    out.insert(input_.backend.annotations.begin(), input_.backend.annotations.end());
    return out;
  }

  json::value pod_security() const {
    if (pod_.security_context.present()) return pod_.security_context.value();
    if (input_.backend.security_context.present()) return input_.backend.security_context.value();
    return {{"runAsUser", kUser},
            {"runAsGroup", kGroup},
            {"runAsNonRoot", input_.options.run_as_non_root},
            {"fsGroup", kGroup},
            {"seccompProfile", {{"type", "RuntimeDefault"}}}};
  }

  // Each once, the first place counts.
  json::array pull_secrets() const {
    json::array out;
    const auto add = [&](const json::value& secret) {
      for (const json::value& known : out) {
        if (known == secret) return;
      }
      out.push_back(secret);
    };
    for (const json::value& secret : input_.backend.image_pull_secrets) add(secret);
    for (const json::value& secret : list_of(pod_.image_pull_secrets)) add(secret);
    for (const std::string& name : input_.options.runner.image_pull_secrets) add(json::object{{"name", name}});
    return out;
  }

  Result<json::object> make_affinity(const model::StringMap& labels) const {
    json::object affinity;
    const model::Json& chosen = pod_.affinity.present() ? pod_.affinity : input_.backend.affinity;
    if (chosen.present() && chosen.value().is_object()) affinity = chosen.value().get_object();
    if (!input_.options.add_default_affinity || pod_.disable_default_affinity) return affinity;
    constexpr const char* kPreferred = "preferredDuringSchedulingIgnoredDuringExecution";
    json::value& anti = affinity["podAntiAffinity"];
    if (anti.is_null()) anti = json::object();
    if (!anti.is_object()) return refuse_field(component_, "pod.affinity.podAntiAffinity", "expected a mapping");
    json::value& preferred = anti.get_object()[kPreferred];
    if (preferred.is_null()) preferred = json::array();
    if (!preferred.is_array()) {
      return refuse_field(component_, "pod.affinity.podAntiAffinity." + std::string(kPreferred), "expected a list");
    }
    preferred.get_array().push_back(
        {{"weight", kAntiAffinityWeight},
         {"podAffinityTerm",
          {{"labelSelector", {{"matchLabels", to_object(labels)}}}, {"topologyKey", "kubernetes.io/hostname"}}}});
    return affinity;
  }

  json::array backend_env() const {
    json::array out;
    for (const auto& [name, value] : input_.backend.env) out.push_back({{"name", name}, {"value", value}});
    return out;
  }

  // Environment of the BackendConfigs first, then `own`: the container's wins.
  Result<json::array> environment(const json::array& own) const {
    json::array all = backend_env();
    for (const json::value& entry : own) all.push_back(entry);
    auto unique = unique_environment(all);
    if (!unique) return refuse_field(component_, "pod.env", unique.error().text());
    return unique;
  }

  Result<json::array> make_containers(const json::array& mounts) const {
    json::array out;
    size_t index = 0;
    for (const json::value& sidecar : list_of(pod_.sidecars)) {
      FMESH_TRY(json::object container, with_environment(sidecar, fmt::format("pod.sidecars[{}]", index++)));
      out.push_back(std::move(container));
    }
    FMESH_TRY(json::object main, make_main(mounts));
    out.push_back(std::move(main));
    if (const auto logs = make_log_sidecar(component_)) {
      FMESH_TRY(json::object container, with_environment(*logs, "pod.env"));
      out.push_back(std::move(container));
    }
    return out;
  }

  Result<json::object> with_environment(const json::value& value, const std::string& field) const {
    if (!value.is_object()) return refuse_field(component_, field, "expected a container (a mapping)");
    json::object container = value.get_object();
    const json::value* own = container.if_contains("env");
    if (own && !own->is_null() && !own->is_array()) return refuse_field(component_, field + ".env", "expected a list");
    FMESH_TRY(json::array env, environment(own && own->is_array() ? own->get_array() : json::array()));
    if (own || !env.empty()) container["env"] = std::move(env);
    return container;
  }

  // The name of the pod, from which the command takes the instance's number, can't be overridden.
  json::array main_env() const {
    json::array out{{{"name", kPodName}, {"valueFrom", {{"fieldRef", {{"fieldPath", "metadata.name"}}}}}}};
    for (const auto& [name, secret] : spec_.secrets_map) {
      if (name == kPodName) continue;
      out.push_back({{"name", name}, {"valueFrom", {{"secretKeyRef", {{"name", secret.path}, {"key", secret.key}}}}}});
    }
    for (const json::value& entry : list_of(pod_.env)) {
      const json::object* object = entry.if_object();
      const json::value* name = object ? object->if_contains("name") : nullptr;
      if (!name || *name != kPodName) out.push_back(entry);
    }
    for (const json::object& entry : input_.command.env) out.push_back(entry);
    return out;
  }

  Result<json::object> make_main(const json::array& mounts) const {
    FMESH_TRY(const std::string image, component_image(component_, input_.options.runner));
    FMESH_TRY(json::array env, environment(main_env()));
    json::array env_sources = spec_.pulsar ? env_from(*spec_.pulsar, main_place()) : json::array();
    if (spec_.pulsar_package_service) {
      for (json::value& entry : env_from(*spec_.pulsar_package_service, package_place())) {
        env_sources.push_back(std::move(entry));
      }
    }
    json::object out{{"name", container_name(component_.kind)},
                     {"image", image},
                     {"command", json::array(input_.command.command.begin(), input_.command.command.end())},
                     {"ports", json::array{port(kGrpcPortName, kGrpcPort), port(kMetricsPortName, kMetricsPort)}}};
    put_unless_empty(out, "envFrom", std::move(env_sources));
    out.emplace("env", std::move(env));
    json::value resources = model::write(model::struct_info<model::ResourceRequirements>(), &spec_.resources,
                                         static_cast<model::Kinds>(component_.kind));
    put_unless_empty(out, "resources", std::move(resources.as_object()));
    put_unless_empty(out, "volumeMounts", mounts);
    add_probes(out);
    out.emplace("imagePullPolicy", component_pull_policy(spec_, input_.options.runner));
    out.emplace("securityContext",
                json::object{{"capabilities", {{"drop", json::array{"ALL"}}}}, {"allowPrivilegeEscalation", false}});
    return out;
  }

  void add_probes(json::object& container) const {
    const bool own = pod_.liveness && pod_.liveness->period_seconds > 0;
    const auto& liveness = own ? pod_.liveness : input_.backend.liveness;
    if (input_.command.serves_health) {
      container.emplace("livenessProbe", native_liveness_probe(liveness));
      container.emplace("readinessProbe", native_readiness_probe());
    } else if (liveness) {
      container.emplace("livenessProbe", liveness_probe(*liveness));
    }
    const model::Json& startup = pod_.startup_probe.present() ? pod_.startup_probe : input_.backend.startup_probe;
    if (startup.present()) container.emplace("startupProbe", complete_probe(startup));
  }

  static json::object port(const char* name, int number) {
    return {{"name", name}, {"containerPort", number}, {"protocol", "TCP"}};
  }

  const model::Component& component_;
  const model::ComponentSpec& spec_;
  const model::PodPolicy& pod_;
  const PodInput& input_;
};

}  // namespace

Result<json::object> make_pod_template(const PodInput& input) { return Builder(input).run(); }

}  // namespace fmesh::plan
