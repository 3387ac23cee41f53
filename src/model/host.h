// What runs a component, and the built-in names a resource may use. The connectors and functions themselves live in
// other rooms; here is only what reading a resource needs to know of them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/instance_spec.h"
#include "model/spec.h"

namespace fmesh::model {

struct BuiltinNames {
  std::vector<std::string_view> sources = {"generator", "file", "http"};
  std::vector<std::string_view> sinks = {"file", "http", "console", "drop"};
  std::vector<std::string_view> functions = {"identity", "filter", "map"};
};

inline constexpr std::string_view kLanguageNative = "cpp";
inline constexpr std::string_view kLanguageBuiltin = "builtin";
inline constexpr std::string_view kLanguagePython = "fmesh-python";

// The table "How a resource chooses its host". None if nothing is named that could run it: no runtime and no connector.
// `kPython` for `python` is the choice of this machine.
std::optional<HostKind> choose_host(const ComponentSpec& spec, Kind kind);

// The same in pods, where `python` is Pulsar's stock instance.
std::optional<HostKind> choose_pod_host(const ComponentSpec& spec, Kind kind);

// True for what fmesh's own image runs in a pod: native and built-in functions, fmesh-python, built-in connectors.
bool is_native_pod(const ComponentSpec& spec, Kind kind);

// What runs it, for people: "builtin map", "generator", "java org.example.Enrich".
std::string host_label(const ComponentSpec& spec, Kind kind);

}  // namespace fmesh::model
