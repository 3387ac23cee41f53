#include "model/host.h"

namespace fmesh::model {

std::optional<HostKind> choose_host(const ComponentSpec& spec, Kind kind) {
  if (kind != Kind::kFunction) {
    // A type beside java stays ignored, as upstream ignores it.
    if (spec.java) return HostKind::kStock;
    if (kind == Kind::kSource && !spec.source_type.empty()) return HostKind::kSource;
    if (kind == Kind::kSink && !spec.sink_type.empty()) return HostKind::kSink;
    return std::nullopt;
  }
  if (spec.java || spec.golang) return HostKind::kStock;
  if (spec.python) return HostKind::kPython;
  if (!spec.generic_runtime) return std::nullopt;
  const std::string& language = spec.generic_runtime->language;
  if (language == kLanguageNative) return HostKind::kNative;
  if (language == kLanguageBuiltin) return HostKind::kBuiltin;
  if (language == kLanguagePython) return HostKind::kPython;
  return HostKind::kStock;
}

std::optional<HostKind> choose_pod_host(const ComponentSpec& spec, Kind kind) {
  if (kind == Kind::kFunction && spec.python) return HostKind::kStock;
  return choose_host(spec, kind);
}

bool is_native_pod(const ComponentSpec& spec, Kind kind) {
  const auto host = choose_pod_host(spec, kind);
  return host && *host != HostKind::kStock;
}

std::string host_label(const ComponentSpec& spec, Kind kind) {
  const auto with_class = [&](std::string what) {
    return spec.class_name.empty() ? what : what + " " + spec.class_name;
  };
  if (spec.java) return with_class("java");
  if (kind == Kind::kSource) return spec.source_type.empty() ? "source" : spec.source_type;
  if (kind == Kind::kSink) return spec.sink_type.empty() ? "sink" : spec.sink_type;
  if (spec.python) return with_class("python");
  if (spec.golang) return "go " + spec.golang->go;
  if (spec.generic_runtime) return with_class(spec.generic_runtime->language);
  return "function";
}

}  // namespace fmesh::model
