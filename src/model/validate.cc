#include "model/validate.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "model/findings.h"
#include "model/validate_rules.h"

namespace fmesh::model {

void Findings::add(Severity severity, const Path& path, std::string text, std::string field) {
  Diagnostic diagnostic;
  Path whole = component_.path;
  Path upstream = Path::of("spec");
  for (const Path::Step& step : path.steps()) {
    const std::string* key = std::get_if<std::string>(&step);
    whole = key ? whole / *key : whole[std::get<size_t>(step)];
    upstream = key ? upstream / *key : upstream[std::get<size_t>(step)];
  }
  diagnostic.severity = severity;
  diagnostic.place = component_.origin.place(whole);
  diagnostic.length = component_.origin.length(whole);
  diagnostic.path = whole.to_string();
  diagnostic.field = field.empty() ? upstream.to_string() : std::move(field);
  diagnostic.text = std::move(text);
  list_.add(std::move(diagnostic));
}

Diagnostics validate_component(const Component& component, const ValidateOptions& options) {
  Findings findings(component);
  check_names(component, options, findings);
  check_runtime(component, options, findings);
  check_scaling(component, findings);
  check_delivery(component, options, findings);
  check_streams(component, options, findings);
  check_window(component, findings);
  if (options.target == Target::kCluster) {
    check_cluster(component, findings);
    check_native_pod(component, findings);
  }
  return findings.take();
}

Diagnostics validate_native_pod(const Component& component) {
  Findings findings(component);
  check_native_pod(component, findings);
  return findings.take();
}

Diagnostics validate_update(const Component& before, const Component& after, const ValidateOptions& options) {
  Component scaled = after;  // scaling to zero is how a component is put to rest
  if (scaled.spec.replicas == 0 && !scaled.spec.max_replicas) {
    scaled.spec.replicas = scaled.spec.min_replicas;
  }
  std::set<std::pair<std::string, std::string>> known;
  const Diagnostics earlier = validate_component(before, options);
  for (const Diagnostic& one : earlier.list()) known.emplace(one.field, one.text);
  const Diagnostics now = validate_component(scaled, options);
  Diagnostics out;
  for (Diagnostic one : now.list()) {
    if (one.severity == Severity::kError && known.contains({one.field, one.text})) one.severity = Severity::kWarning;
    out.add(std::move(one));
  }
  Findings findings(after);
  const ComponentSpec& from = before.spec;
  const ComponentSpec& to = after.spec;
  if (!(from.volume_claim_templates == to.volume_claim_templates)) {
    findings.warning(
        "volumeClaimTemplates",
        "the StatefulSet is made anew without its pods; a pod gets the new claims when it is made anew, too");
  }
  const bool renamed = std::tie(from.name, from.tenant, from.name_space) != std::tie(to.name, to.tenant, to.name_space);
  if (renamed && from.subscription_name.empty() && to.subscription_name.empty()) {
    findings.warning(
        "name", "changes the subscription: the component begins anew, and what the old one has not read stays behind");
  }
  if (from.subscription_name != to.subscription_name) {
    findings.warning("subscriptionName",
                     "the component begins anew; what the old subscription has not read stays behind");
  }
  out.append(findings.take());
  return out;
}

namespace {

std::string where(const Component& component) {
  const Place place = component.origin.place(component.path);
  return fmt::format("{}:{}", place.file, place.line);
}

void check_unique(const ResourceSet& resources, Target target, Diagnostics& out) {
  std::map<std::string, const Component*> resource_names, names, full_names;
  for (const Component& component : resources.components) {
    if (component.name().empty()) continue;
    Findings findings(component);
    const std::string resource =
        fmt::format("{} {}/{}", to_string(component.kind), component.metadata.name_space, component.metadata.name);
    const auto taken = [&](std::map<std::string, const Component*>& map, const std::string& key) -> const Component* {
      const auto [found, fresh] = map.emplace(key, &component);
      return fresh ? nullptr : found->second;
    };
    const std::string scope = target == Target::kLocal ? std::string() : component.mesh + "/";
    const std::string full =
        fmt::format("{}/{}/{}", component.spec.tenant, component.spec.name_space, component.spec.name);
    const Component* same_name = taken(names, scope + component.name());
    const Component* same_full = taken(full_names, full);
    if (const Component* other = taken(resource_names, resource); other && component.mesh.empty()) {
      findings.error("", fmt::format("{} is defined a second time; first at {}", resource, where(*other)),
                     "metadata.name");
    } else if (same_name && (target == Target::kLocal || !component.mesh.empty())) {
      findings.error("name", fmt::format("the component name {} is taken by the one at {}; names have to differ",
                                         component.name(), where(*same_name)));
    } else if (same_full) {
      findings.error("name",
                     fmt::format("the fully-qualified name {} is taken by the component at {}: both would share "
                                 "one subscription; change name, tenant or namespace",
                                 full, where(*same_full)));
    }
    out.append(findings.take());
  }
}

void check_secrets(const ResourceSet& resources, Diagnostics& out) {
  for (const Component& component : resources.components) {
    Findings findings(component);
    for (const auto& [name, reference] : component.spec.secrets_map) {
      const auto secret = std::find_if(resources.secrets.begin(), resources.secrets.end(),
                                       [&](const KeyValues& one) { return one.name == reference.path; });
      const Path path = Path::of("secretsMap") / name;
      if (secret == resources.secrets.end()) {
        findings.error(path, fmt::format("no Secret {} is in the files; add one (kind: Secret, stringData) to run here",
                                         reference.path));
      } else if (!secret->data.contains(reference.key)) {
        findings.error(path, fmt::format("Secret {} has no key {}", reference.path, reference.key));
      }
    }
    out.append(findings.take());
  }
}

// True if reading already failed at `path`, above or below it.
bool already_told(const ResourceSet& resources, const Diagnostic& diagnostic) {
  return std::any_of(resources.findings.list().begin(), resources.findings.list().end(), [&](const Diagnostic& read) {
    return read.severity == Severity::kError && read.place.file == diagnostic.place.file && !read.path.empty() &&
           (read.path == diagnostic.path ||
            (read.path.starts_with(diagnostic.path) &&
             (read.path[diagnostic.path.size()] == '.' || read.path[diagnostic.path.size()] == '[')) ||
            (diagnostic.path.starts_with(read.path) &&
             (diagnostic.path[read.path.size()] == '.' || diagnostic.path[read.path.size()] == '[')));
  });
}

}  // namespace

Diagnostics validate_set(const ResourceSet& resources, const ValidateOptions& options) {
  Diagnostics all;
  for (const Component& component : resources.components) all.append(validate_component(component, options));
  check_unique(resources, options.target, all);
  if (options.target == Target::kLocal) check_secrets(resources, all);
  if (resources.findings.ok()) return all;
  Diagnostics fresh;
  for (const Diagnostic& one : all.list()) {
    if (!already_told(resources, one)) fresh.add(one);
  }
  return fresh;
}

}  // namespace fmesh::model
