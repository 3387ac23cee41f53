#include <fmt/format.h>

#include <boost/json.hpp>
#include <set>

#include "plan/cluster/pod.h"
#include "plan/cluster/refuse.h"

namespace fmesh::plan {
namespace {

namespace json = boost::json;

const json::array& list_in(const json::object& object, const char* name) {
  static const json::array none;
  const json::value* value = object.if_contains(name);
  return value && value->is_array() ? value->get_array() : none;
}

std::string text_in(const json::value& value, const char* name) {
  const json::object* object = value.if_object();
  const json::value* found = object ? object->if_contains(name) : nullptr;
  return found && found->is_string() ? std::string(found->get_string()) : std::string();
}

std::string joined(const std::set<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out.empty() ? "none" : out;
}

// Where a person wrote the mounts of `container`.
std::string mounts_field(const std::string& container) {
  const bool ours = container.starts_with("pulsar-");
  return ours ? "volumeMounts" : "pod";
}

Status check_mounts(const model::Component& component, const json::object& container,
                    const std::set<std::string>& volumes) {
  const std::string name = text_in(container, "name");
  const std::string field = mounts_field(name);
  std::map<std::string, std::string> paths;
  for (const json::value& mount : list_in(container, "volumeMounts")) {
    const std::string volume = text_in(mount, "name");
    const std::string path = text_in(mount, "mountPath");
    if (!volumes.contains(volume)) {
      return refuse_field(component, field,
                          fmt::format("the container {} mounts the volume '{}' at '{}', which is not there; expected "
                                      "one of pod.volumes or volumeClaimTemplates: {}",
                                      name, volume, path, joined(volumes)));
    }
    const auto [known, added] = paths.emplace(path, volume);
    if (!added) {
      return refuse_field(component, field,
                          fmt::format("the container {} mounts two volumes at '{}': {} and {}; give one another path",
                                      name, path, known->second, volume));
    }
  }
  return {};
}

std::set<std::string> claim_names(const model::ComponentSpec& spec) {
  std::set<std::string> out;
  if (!spec.volume_claim_templates.present() || !spec.volume_claim_templates.value().is_array()) return out;
  for (const json::value& claim : spec.volume_claim_templates.value().get_array()) {
    const json::object* object = claim.if_object();
    const json::value* metadata = object ? object->if_contains("metadata") : nullptr;
    if (!metadata) continue;
    if (std::string name = text_in(*metadata, "name"); !name.empty()) out.insert(std::move(name));
  }
  return out;
}

}  // namespace

Status check_pod_template(const model::Component& component, const json::object& pod_template) {
  const json::object& spec = pod_template.at("spec").get_object();
  std::set<std::string> volumes;
  for (const json::value& volume : list_in(spec, "volumes")) {
    const std::string name = text_in(volume, "name");
    if (name.empty()) return refuse_field(component, "pod.volumes", "a volume has no name");
    if (!volumes.insert(name).second) {
      return refuse_field(component, "pod.volumes", fmt::format("two volumes are named '{}'; rename one", name));
    }
  }
  volumes.merge(claim_names(component.spec));
  std::set<std::string> containers;
  for (const char* list : {"initContainers", "containers"}) {
    const std::string field = std::string(list) == "containers" ? "pod.sidecars" : "pod.initContainers";
    for (const json::value& container : list_in(spec, list)) {
      const std::string name = text_in(container, "name");
      if (name.empty()) return refuse_field(component, field, "a container has no name");
      if (!containers.insert(name).second) {
        return refuse_field(component, field,
                            fmt::format("two containers of the pod are named '{}'; rename yours", name));
      }
      FMESH_CHECK(check_mounts(component, container.get_object(), volumes));
    }
  }
  return {};
}

}  // namespace fmesh::plan
