// Rules of what fmesh's own image runs in a pod: where its code comes from, and what only Pulsar's instances do.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "model/package_location.h"
#include "model/validate_rules.h"

namespace fmesh::model {
namespace {

constexpr std::array<std::string_view, 3> kPythonEndings = {".py", ".zip", ".whl"};

bool has_empty_or_dots(std::string_view path) {
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view step = path.substr(begin, end - begin);
    if (step.empty() || step == "." || step == "..") return true;
    begin = end + 1;
  }
  return false;
}

void check_file(const GenericRuntime& runtime, Findings& findings) {
  const std::string& file = runtime.function_file;
  if (file.empty()) return;  // told elsewhere
  constexpr const char* kField = "genericRuntime.functionFile";
  const bool fetched = !runtime.function_file_location.empty();
  if (fetched && (file.starts_with('/') || has_empty_or_dots(file))) {
    findings.error(kField,
                   fmt::format("{} is no path in a package; with functionFileLocation write the name of the file, as "
                               "enrich.so or lib/enrich.so",
                               file));
  } else if (!fetched && !file.starts_with('/')) {
    findings.error(kField,
                   fmt::format("a pod has no folder that {} could be relative to; write its absolute path in the image "
                               "or in a volume, or say in functionFileLocation where to fetch it",
                               file));
  } else if (!fetched && has_empty_or_dots(std::string_view(file).substr(1))) {
    findings.error(kField, fmt::format("{} is no path of a file; write it without //, . and ..", file));
  }
  if (runtime.language == kLanguagePython &&
      std::ranges::none_of(kPythonEndings, [&](std::string_view ending) { return file.ends_with(ending); })) {
    findings.error(kField,
                   fmt::format("{} is no Python package; expected a file that ends in .py, .zip or .whl", file));
  }
}

void check_location(const GenericRuntime& runtime, Findings& findings) {
  if (runtime.function_file_location.empty()) return;
  const auto location = parse_package_location(runtime.function_file_location);
  if (!location) findings.error("genericRuntime.functionFileLocation", location.error().text());
}

void check_no_encryption(const ComponentSpec& spec, Findings& findings) {
  constexpr const char* kText =
      "fmesh's own client of Pulsar encrypts no payloads; leave cryptoConfig away, or use one of Pulsar's runtimes";
  if (spec.output.producer_config && spec.output.producer_config->crypto_config) {
    findings.error("output.producerConf.cryptoConfig", kText);
  }
  for (const auto& [topic, config] : spec.input.source_specs) {
    if (config.crypto_config) findings.error(Path::of("input.sourceSpecs") / topic / "cryptoConfig", kText);
  }
}

}  // namespace

void check_native_pod(const Component& component, Findings& findings) {
  const ComponentSpec& spec = component.spec;
  if (!is_native_pod(spec, component.kind)) return;
  if (component.kind == Kind::kFunction && spec.generic_runtime && spec.generic_runtime->language != kLanguageBuiltin) {
    check_file(*spec.generic_runtime, findings);
    check_location(*spec.generic_runtime, findings);
  }
  if (spec.inline_source || spec.inline_sink) {
    findings.error(spec.inline_source ? "sourceConfig" : "sinkConfig",
                   "a connector within a Function needs Pulsar's Java instance; write a Source or Sink of its own");
  }
  check_no_encryption(spec, findings);
}

}  // namespace fmesh::model
