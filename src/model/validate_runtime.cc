// Rules of names, runtimes, connectors and scaling.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/json.hpp>

#include "model/utf8.h"
#include "model/validate_rules.h"

namespace fmesh::model {
namespace {

std::string lower_kind(Kind kind) {
  return kind == Kind::kFunction ? "function" : kind == Kind::kSource ? "source" : "sink";
}

std::string with_suggestion(std::string text, std::string_view found, const std::vector<std::string_view>& names) {
  const std::string_view near = closest(found, names);
  return near.empty() ? text : fmt::format("{}; did you mean {}?", text, near);
}

bool known(const std::vector<std::string_view>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool starts_with_ignoring_case(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), text.begin(),
                                                    [](char a, char b) { return a == (b | 0x20) || a == b; });
}

// function://tenant/namespace/name[@version], or an http(s) address. Upper-case schemes are taken, as upstream does.
void check_location(const std::string& location, std::string_view path, Findings& findings) {
  if (location.empty()) return;
  for (const std::string_view scheme : {"function://", "source://", "sink://"}) {
    if (!starts_with_ignoring_case(location, scheme)) continue;
    const std::string_view rest = std::string_view(location).substr(scheme.size());
    const auto ats = std::count(rest.begin(), rest.end(), '@');
    const std::string_view name = rest.substr(0, rest.find('@'));
    const bool empty_part = name.starts_with('/') || name.ends_with('/') || name.find("//") != std::string_view::npos;
    if (ats > 1 || std::count(name.begin(), name.end(), '/') != 2 || empty_part) {
      findings.error(
          path, fmt::format("invalid package name {}; expected {}tenant/namespace/name@version", location, scheme));
    }
    return;
  }
  if (starts_with_ignoring_case(location, "http://") || starts_with_ignoring_case(location, "https://")) return;
  findings.error(path, fmt::format("invalid function package url {}, supported url (http/https)", location));
}

void check_class_and_files(const ComponentSpec& spec, Findings& findings) {
  if ((spec.java || spec.python) && spec.class_name.empty()) {
    findings.error("className", "class name cannot be empty; name the class that processes records", "spec.classname");
  }
  if (spec.java && spec.java->jar.empty()) findings.error("java.jar", "jar cannot be empty in java runtime");
  if (spec.python && spec.python->py.empty()) findings.error("python.py", "py cannot be empty in python runtime");
  if (spec.golang && spec.golang->go.empty()) findings.error("golang.go", "go cannot be empty in golang runtime");
  if (spec.java) check_location(spec.java->jar_location, "java.jarLocation", findings);
  if (spec.python) check_location(spec.python->py_location, "python.pyLocation", findings);
  if (spec.golang) check_location(spec.golang->go_location, "golang.goLocation", findings);
}

void check_generic(const ComponentSpec& spec, const ValidateOptions& options, Findings& findings) {
  const GenericRuntime& runtime = *spec.generic_runtime;
  if (runtime.language == kLanguageBuiltin) {
    const auto& names = options.builtins.functions;
    if (!known(names, spec.class_name)) {
      findings.error(
          "className",
          with_suggestion(fmt::format("{} is no built-in function; there are {}",
                                      spec.class_name.empty() ? "nothing" : spec.class_name, fmt::join(names, ", ")),
                          spec.class_name, names),
          "spec.classname");
    }
    return;
  }
  if (runtime.function_file.empty()) {
    findings.error("genericRuntime.functionFile",
                   runtime.language == kLanguageNative
                       ? "functionFile cannot be empty; give the path of the function library (.so)"
                       : "functionFile cannot be empty in generic runtime");
  }
}

void check_function_runtime(const Component& component, const ValidateOptions& options, Findings& findings) {
  const ComponentSpec& spec = component.spec;
  const int stock = !!spec.java + !!spec.python + !!spec.golang;
  if (stock == 0 && !spec.generic_runtime) {
    findings.error("", "runtime cannot be empty; give one of java, python, golang, genericRuntime",
                   "spec.runtime.java,spec.runtime.python,spec.runtime.golang,spec.runtime.genericRuntime");
  } else if (stock > 1) {
    findings.error("", "you can only specify one runtime of java, python, golang, genericRuntime", "spec.runtime");
  } else if (stock == 1 && spec.generic_runtime) {
    // Upstream lets it pass, so on a cluster it has to stay possible.
    const auto severity = options.target == Target::kCluster ? Severity::kWarning : Severity::kError;
    findings.add(severity, Path::of("genericRuntime"), "you can only specify one runtime; there is another beside it",
                 "spec.runtime");
  }
  if (spec.generic_runtime) check_generic(spec, options, findings);
}

void check_connector(const Component& component, const ValidateOptions& options, Findings& findings) {
  const ComponentSpec& spec = component.spec;
  const bool source = component.kind == Kind::kSource;
  const std::string& type = source ? spec.source_type : spec.sink_type;
  const auto& names = source ? options.builtins.sources : options.builtins.sinks;
  const char* field = source ? "sourceType" : "sinkType";
  if (spec.java) {
    if (!spec.connector_config.present()) {
      findings.error(
          source ? "sourceConfig" : "sinkConfig",
          fmt::format("{} config is not provided; write {{}} if the connector needs none", lower_kind(component.kind)));
    }
  } else if (type.empty()) {
    findings.error("",
                   fmt::format("{} must have java runtime specified, or name a built-in connector in {}: {}",
                               lower_kind(component.kind), field, fmt::join(names, ", ")),
                   "spec.runtime.java");
  } else if (!known(names, type)) {
    findings.error(field,
                   with_suggestion(fmt::format("there is no built-in {} {}; there are {}", lower_kind(component.kind),
                                               type, fmt::join(names, ", ")),
                                   type, names),
                   "spec.runtime.java");
  }
}

// Whether the API server takes it as a resource's name, as far as its characters go.
bool is_resource_name(std::string_view name) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !name.empty() && plain(name.front()) && plain(name.back()) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return plain(c) || c == '-' || c == '.'; });
}

void check_characters_of_name(const Component& component, Findings& findings) {
  const std::string& name = component.metadata.name;
  if (name.empty()) return;  // generated by the API server
  if (!is_resource_name(name)) {
    findings.error("name",
                   fmt::format("{} name '{}' may hold lower-case letters, digits and '-' only, no '-' at its ends",
                               lower_kind(component.kind), name),
                   "name");
  } else if (name.find('.') != std::string::npos || (name.front() >= '0' && name.front() <= '9')) {
    findings.warning("name", fmt::format("no Service can be made for '{}': a Service's name begins with a letter and "
                                         "has no dots",
                                         name));
  }
}

}  // namespace

void check_names(const Component& component, const ValidateOptions& options, Findings& findings) {
  const std::string& name = component.metadata.name;
  const size_t characters = count_characters(name);
  if (characters > kNameMaxCharacters) {
    const auto severity = options.target == Target::kCluster ? Severity::kError : Severity::kWarning;
    findings.add(severity, Path::of("name"),
                 fmt::format("{} name must be no more than {} characters; {} has {}", lower_kind(component.kind),
                             kNameMaxCharacters, name, characters),
                 "name");
  }
  if (options.target == Target::kCluster) check_characters_of_name(component, findings);
  if (component.spec.name.find_first_of("/ \t\n") != std::string::npos) {
    findings.error("name", "may hold neither / nor blanks: it is a part of tenant/namespace/name");
  }
}

void check_runtime(const Component& component, const ValidateOptions& options, Findings& findings) {
  if (component.kind == Kind::kFunction) {
    check_function_runtime(component, options, findings);
  } else {
    check_connector(component, options, findings);
  }
  check_class_and_files(component.spec, findings);
}

void check_scaling(const Component& component, Findings& findings) {
  const ComponentSpec& spec = component.spec;
  const int32_t replicas = spec.replicas.value_or(1), least = spec.min_replicas.value_or(1);
  if (replicas < 0) findings.error("replicas", "replicas cannot be negative");
  if (spec.max_replicas && *spec.max_replicas < replicas) {
    findings.error("maxReplicas", fmt::format("maxReplicas must be greater than or equal to replicas ({})", replicas));
  }
  if (spec.max_replicas && replicas == 0) {
    findings.error("replicas", "replicas cannot be zero or negative when HPA is enabled (maxReplicas is set)");
  }
  if (least <= 0) findings.error("minReplicas", "minReplicas cannot be zero or negative");
  if (least > replicas) {
    findings.error("minReplicas", fmt::format("minReplicas must be less than or equal to replicas ({})", replicas));
  }
  if (spec.max_replicas && least > *spec.max_replicas) {
    findings.error("minReplicas",
                   fmt::format("minReplicas must be less than or equal to maxReplicas ({})", *spec.max_replicas));
  }
  if (spec.pod.vpa && spec.max_replicas) {
    findings.error("pod.vpa", "you can not enable HPA and VPA at the same time; remove pod.vpa or maxReplicas");
  }
  if (spec.pod.vpa && spec.pod.vpa->resource_policy.present()) {
    const auto* policies = spec.pod.vpa->resource_policy.value().as_object().if_contains("containerPolicies");
    const auto* list = policies ? policies->if_array() : nullptr;
    for (size_t index = 0; list && index < list->size(); ++index) {
      const auto* policy = (*list)[index].if_object();
      const auto* name = policy ? policy->if_contains("containerName") : nullptr;
      if (name && name->is_string() && !name->get_string().empty()) continue;
      findings.error((Path::of("pod.vpa.resourcePolicy.containerPolicies"))[index], "container name must be specified",
                     "spec.pod.vpa.resourcePolicy.containerPolicies");
    }
  }
  static const std::vector<std::string_view> kRules = {
      "AverageUtilizationCPUPercent80",    "AverageUtilizationCPUPercent50",    "AverageUtilizationCPUPercent20",
      "AverageUtilizationMemoryPercent80", "AverageUtilizationMemoryPercent50", "AverageUtilizationMemoryPercent20"};
  size_t cpu = 0, memory = 0;
  for (size_t index = 0; index < spec.pod.builtin_autoscaler.size(); ++index) {
    const std::string& rule = spec.pod.builtin_autoscaler[index];
    cpu += rule.find("CPU") != std::string::npos;
    memory += rule.find("Memory") != std::string::npos;
    if (!known(kRules, rule)) {
      findings.warning((Path::of("pod.builtinAutoscaler"))[index],
                       with_suggestion("there is no rule " + rule + "; it has no effect", rule, kRules));
    }
  }
  if (component.kind == Kind::kFunction && cpu > 1) {
    findings.error("pod.builtinAutoscaler", "Duplicate CPU autoscaler metrics are set");
  }
  if (component.kind == Kind::kFunction && memory > 1) {
    findings.error("pod.builtinAutoscaler", "Duplicate Memory autoscaler metrics are set");
  }
}

}  // namespace fmesh::model
