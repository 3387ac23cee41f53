#include "operator/pod_file.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "kube/json.h"

namespace fmesh::op {
namespace {

namespace json = boost::json;

std::string_view text_of(const json::value& value, const char* name) { return kube::string_at(value, {name}); }

const json::array* array_at(const json::value& value, kube::JsonPath path) {
  const json::value* found = kube::find(value, path);
  return found && found->is_array() ? &found->get_array() : nullptr;
}

const json::array& array_of(const model::Json& value, const json::array& absent) {
  return value.present() && value.value().is_array() ? value.value().get_array() : absent;
}

// What `path` is called below `folder`; empty if it is not there.
std::string below(const std::string& path, std::string folder) {
  while (folder.ends_with('/')) folder.pop_back();
  return path.size() > folder.size() + 1 && path.starts_with(folder + "/") ? path.substr(folder.size() + 1) : "";
}

// The file `name` of a volume that is a Secret or a ConfigMap; no type if it has none of that name.
PodFile file_of_volume(const json::value& volume, const std::string& name) {
  const bool secret = kube::find(volume, {"secret"}) != nullptr;
  const json::value* source = kube::find(volume, {secret ? "secret" : "configMap"});
  if (!source) return {};
  PodFile out{secret ? &kube::kSecret : &kube::kConfigMap,
              std::string(text_of(*source, secret ? "secretName" : "name")), name};
  const json::array* items = array_at(*source, {"items"});
  if (!items) return out;
  for (const json::value& item : *items) {
    if (text_of(item, "path") != name) continue;
    out.key = text_of(item, "key");
    return out;
  }
  return {};
}

}  // namespace

Result<PodFile> find_pod_file(const model::ComponentSpec& spec, const std::string& path) {
  const json::array none;
  const json::array& mounts = array_of(spec.volume_mounts, none);
  const json::array& volumes = array_of(spec.pod.volumes, none);
  // The deepest mount hides those above it.
  const json::value* best = nullptr;
  for (const json::value& mount : mounts) {
    const std::string place(text_of(mount, "mountPath"));
    const bool fits = place == path || !below(path, place).empty();
    if (fits && (!best || place.size() > text_of(*best, "mountPath").size())) best = &mount;
  }
  PodFile out;
  for (const json::value& volume : volumes) {
    if (!best || text_of(volume, "name") != text_of(*best, "name")) continue;
    const std::string within = below(path, std::string(text_of(*best, "mountPath")));
    const std::string sub_path(text_of(*best, "subPath"));
    out = file_of_volume(volume, sub_path.empty() || within.empty() ? sub_path + within : sub_path + "/" + within);
  }
  if (out.type && !out.name.empty() && !out.key.empty()) return out;
  return fail(
      ErrorKind::kFixInput,
      fmt::format("{} is a file of the pod, which is in no Secret or ConfigMap that the resource mounts, so the "
                  "operator can't read it; mount it, or use tlsConfig, authConfig or cleanupAuthConfig",
                  path));
}

}  // namespace fmesh::op
