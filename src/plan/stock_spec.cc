#include "plan/stock_spec.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <vector>

#include "model/quantity.h"
#include "plan/cluster/environment.h"
#include "plan/cluster/shell_parse.h"

namespace fmesh::plan {
namespace {

namespace json = boost::json;
using Environment = std::map<std::string, std::string>;

std::string text_of(const json::object& entry, std::string_view member) {
  const json::value* value = entry.if_contains(member);
  return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

Result<Environment> environment_of(const model::ComponentSpec& spec) {
  Environment out;
  if (!spec.pod.env.present() || !spec.pod.env.value().is_array()) return out;
  FMESH_TRY(const json::array entries, unique_environment(spec.pod.env.value().get_array()));
  for (const json::value& entry : entries) {
    const json::object* object = entry.if_object();
    if (!object) continue;
    const std::string name = text_of(*object, "name");
    if (object->contains("valueFrom")) {
      return fail(ErrorKind::kFixInput,
                  fmt::format("pod.env: {} has a value that only a cluster knows (valueFrom); write its value, or use "
                              "secretsMap",
                              name));
    }
    if (!name.empty()) out[name] = text_of(*object, "value");
  }
  return out;
}

// Options as people write them are several words, in which $NAME means the environment.
std::vector<std::string> words_of(const std::string& options, const Environment& environment) {
  const auto tokens = parse_shell(options);
  if (!tokens) return {options};
  std::vector<std::string> words;
  for (const ShellToken& token : *tokens) {
    std::string word = token.text;
    for (size_t at = 0; (at = word.find(kExpansionBegin, at)) != std::string::npos;) {
      const size_t name_at = at + kExpansionBegin.size();
      const size_t end = word.find(kExpansionEnd, name_at);
      if (end == std::string::npos) break;
      const auto found = environment.find(word.substr(name_at, end - name_at));
      const std::string value = found == environment.end() ? std::string() : found->second;
      word.replace(at, end + kExpansionEnd.size() - at, value);
      at += value.size();
    }
    words.push_back(std::move(word));
  }
  return words;
}

int64_t memory_limit(const model::ComponentSpec& spec) {
  for (const auto* list : {&spec.resources.limits, &spec.resources.requests}) {
    const auto found = list->find("memory");
    if (found == list->end()) continue;
    if (const auto quantity = model::parse_quantity(found->second)) return quantity->whole();
  }
  return 0;
}

}  // namespace

std::string stock_package(const model::ComponentSpec& spec) {
  if (spec.java) return spec.java->jar;
  if (spec.python) return spec.python->py;
  return spec.golang ? spec.golang->go : std::string();
}

Result<model::StockSpec> make_stock_spec(const model::Component& component) {
  const model::ComponentSpec& spec = component.spec;
  if (spec.generic_runtime) {
    return fail(ErrorKind::kFixInput,
                fmt::format("the language '{}' needs an instance that is not part of Pulsar's distribution; on one "
                            "machine there are java, python, golang, and the languages cpp, fmesh-python and builtin",
                            spec.generic_runtime->language));
  }
  model::StockSpec out;
  FMESH_TRY(out.environment, environment_of(spec));
  out.memory_limit_bytes = memory_limit(spec);
  out.cluster_name = spec.cluster_name;
  if (component.kind == model::Kind::kFunction) out.pending_async_requests = spec.max_pending_async_requests;
  if (spec.stateful_config && spec.stateful_config->pulsar) {
    const model::PulsarState& state = *spec.stateful_config->pulsar;
    out.state_url = state.service_url;
    if (state.java_provider) out.state_class = state.java_provider->class_name;
  }
  const std::optional<model::LogSettings>* log = nullptr;
  if (spec.java) {
    const model::JavaRuntime& java = *spec.java;
    out.package_location = java.jar_location;
    out.extra_dependencies_dir = java.extra_dependencies_dir;
    out.entry_class = java.entry_class;
    out.instance_path = java.instance_path;
    for (const std::string& options : java.java_opts) {
      for (std::string& word : words_of(options, out.environment)) out.java_options.push_back(std::move(word));
    }
    log = &java.log;
  } else if (spec.python) {
    out.package_location = spec.python->py_location;
    log = &spec.python->log;
  } else if (spec.golang) {
    out.package_location = spec.golang->go_location;
    log = &spec.golang->log;
  }
  if (log && *log) out.log_level = (*log)->level;
  return out;
}

}  // namespace fmesh::plan
