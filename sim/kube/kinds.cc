#include "sim/kube/kinds.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>

#include "kube/json.h"

namespace fmesh::sim {
namespace {

std::string percent_decode(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned byte = 0;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 3, byte, 16).ec == std::errc()) {
      decoded += static_cast<char>(byte);
      i += 2;
    } else {
      decoded += text[i] == '+' ? ' ' : text[i];
    }
  }
  return decoded;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  int depth = 0;
  size_t begin = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] == '(') ++depth;
    if (i < text.size() && text[i] == ')') --depth;
    if (i < text.size() && (text[i] != separator || depth > 0)) continue;
    parts.push_back(text.substr(begin, i - begin));
    begin = i + 1;
  }
  return parts;
}

std::string_view trim(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

bool term_matches(std::string_view term, const boost::json::value* labels) {
  const auto label = [&](std::string_view name) -> std::optional<std::string_view> {
    const boost::json::value* found = labels ? kube::find(*labels, {trim(name)}) : nullptr;
    if (!found || !found->is_string()) return std::nullopt;
    return std::string_view(found->get_string());
  };
  const size_t in = term.find(" in (");
  const size_t not_in = term.find(" notin (");
  if (in != std::string_view::npos || not_in != std::string_view::npos) {
    const size_t at = std::min(in, not_in);
    std::string_view values = term.substr(term.find('(') + 1);
    values = values.substr(0, values.find(')'));
    const auto value = label(term.substr(0, at));
    bool listed = false;
    for (const std::string_view part : split(values, ',')) listed = listed || (value && trim(part) == *value);
    return not_in != std::string_view::npos ? !listed : listed;
  }
  if (term.starts_with('!')) return !label(term.substr(1));
  const size_t differs = term.find("!=");
  if (differs != std::string_view::npos) return label(term.substr(0, differs)) != trim(term.substr(differs + 2));
  const size_t equals = term.find('=');
  if (equals == std::string_view::npos) return label(term).has_value();
  std::string_view wanted = term.substr(equals + 1);
  if (wanted.starts_with('=')) wanted.remove_prefix(1);
  return label(term.substr(0, equals)) == trim(wanted);
}

}  // namespace

const std::vector<KindInfo>& kinds() {
  static const std::vector<KindInfo> kKinds = {
      {.type = kube::kPod, .status = true, .generation = true, .answers_object = true},
      {.type = kube::kService, .status = true, .answers_object = true},
      {.type = kube::kSecret},
      {.type = kube::kConfigMap},
      {.type = kNamespace, .status = true},
      {.type = kube::kCoreEvent, .create_on_update = true},
      {.type = kube::kEvent, .create_on_update = true},
      {.type = kube::kStatefulSet, .status = true, .generation = true, .scale = true},
      {.type = kube::kHorizontalPodAutoscaler, .status = true},
      {.type = kube::kVerticalPodAutoscaler,
       .status = true,
       .generation = true,
       .custom = true,
       .unconditional = false},
      {.type = kube::kJob, .status = true, .generation = true},
      {.type = kube::kLease, .unconditional = false, .create_on_update = true},
      {.type = kube::kFunction,
       .status = true,
       .generation = true,
       .custom = true,
       .scale = true,
       .unconditional = false},
      {.type = kube::kSource,
       .status = true,
       .generation = true,
       .custom = true,
       .scale = true,
       .unconditional = false},
      {.type = kube::kSink, .status = true, .generation = true, .custom = true, .scale = true, .unconditional = false},
      {.type = kube::kFunctionMesh, .status = true, .generation = true, .custom = true, .unconditional = false},
      {.type = kube::kBackendConfig, .status = true, .generation = true, .custom = true, .unconditional = false},
      {.type = kube::kMutatingWebhook, .generation = true},
      {.type = kube::kValidatingWebhook, .generation = true},
  };
  return kKinds;
}

const KindInfo* kind_of(const kube::ResourceType& type) {
  for (const KindInfo& kind : kinds()) {
    if (kind.type == type) return &kind;
  }
  return nullptr;
}

std::string qualified(const kube::ResourceType& type) {
  std::string name(type.plural);
  if (!type.group.empty()) name.append(".").append(type.group);
  return name;
}

std::optional<Target> parse_target(std::string_view target) {
  Target parsed;
  const size_t question = target.find('?');
  std::string_view path = target.substr(0, question);
  if (question != std::string_view::npos) {
    for (const std::string_view pair : split(target.substr(question + 1), '&')) {
      const size_t equals = pair.find('=');
      if (equals == std::string_view::npos) continue;
      parsed.query[percent_decode(pair.substr(0, equals))] = percent_decode(pair.substr(equals + 1));
    }
  }
  if (!path.starts_with('/')) return std::nullopt;
  std::vector<std::string> parts;
  for (const std::string_view part : split(path.substr(1), '/')) parts.push_back(percent_decode(part));
  std::string group, version;
  size_t at = 0;
  if (parts.size() >= 3 && parts[0] == "api") {
    version = parts[1];
    at = 2;
  } else if (parts.size() >= 4 && parts[0] == "apis") {
    group = parts[1];
    version = parts[2];
    at = 3;
  } else {
    return std::nullopt;
  }
  if (parts.size() >= at + 3 && parts[at] == "namespaces" && parts[at + 2] != "status") {
    parsed.key.name_space = parts[at + 1];
    at += 2;
  }
  for (const KindInfo& kind : kinds()) {
    if (kind.type.group == group && kind.type.version == version && kind.type.plural == parts[at]) parsed.kind = &kind;
  }
  if (!parsed.kind || parts.size() > at + 3) return std::nullopt;
  if (parts.size() > at + 1) parsed.key.name = parts[at + 1];
  if (parts.size() > at + 2) parsed.subresource = parts[at + 2];
  const bool served = parsed.subresource.empty() || (parsed.subresource == "status" && parsed.kind->status) ||
                      (parsed.subresource == "scale" && parsed.kind->scale);
  if (!served || parsed.kind->type.namespaced == (parsed.key.name_space.empty() && !parsed.key.name.empty()))
    return std::nullopt;
  return parsed;
}

bool labels_match(std::string_view selector, const boost::json::value& object) {
  if (selector.empty()) return true;
  const boost::json::value* labels = kube::find(object, {"metadata", "labels"});
  for (const std::string_view term : split(selector, ',')) {
    if (!term_matches(trim(term), labels)) return false;
  }
  return true;
}

bool fields_match(std::string_view selector, const boost::json::value& object) {
  if (selector.empty()) return true;
  for (const std::string_view term : split(selector, ',')) {
    const size_t equals = term.find('=');
    const std::string_view name = term.substr(0, equals);
    std::string_view wanted = equals == std::string_view::npos ? "" : term.substr(equals + 1);
    if (wanted.starts_with('=')) wanted.remove_prefix(1);
    const bool is_name = name == "metadata.name";
    if (kube::string_at(object, {"metadata", is_name ? "name" : "namespace"}) != wanted) return false;
  }
  return true;
}

}  // namespace fmesh::sim
