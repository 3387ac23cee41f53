#include "plan/cluster/image.h"

#include "model/host.h"
#include "plan/cluster/refuse.h"

namespace fmesh::plan {
namespace {

constexpr const char* kJavaImage = "streamnative/pulsar-functions-java-runner:2.10.0.0-rc10";
constexpr const char* kPythonImage = "streamnative/pulsar-functions-python-runner:2.10.0.0-rc10";
constexpr const char* kGoImage = "streamnative/pulsar-functions-go-runner:2.10.0.0-rc10";
constexpr const char* kConnectorsImage = "streamnative/pulsar-all:2.10.0.0-rc10";  // has the connectors of Pulsar

constexpr const char* kFmeshImage = "fmesh:" FMESH_VERSION;

const std::map<std::string, std::string>& generic_images() {
  static const std::map<std::string, std::string> images = {
      {"nodejs", "streamnative/pulsar-functions-generic-nodejs-runner:0.1.0"},
      {"python", "streamnative/pulsar-functions-generic-python-runner:0.1.0"},
      {"executable", "streamnative/pulsar-functions-generic-base-runner:0.1.0"},
      {"wasm", "streamnative/pulsar-functions-generic-base-runner:0.1.0"}};
  return images;
}

std::string or_else(const std::string& first, const char* second) { return first.empty() ? second : first; }

bool is_package(const std::string& location) {
  return location.starts_with("function://") || location.starts_with("source://") || location.starts_with("sink://");
}

// runnerImages.genericRuntime.cpp and its like; empty if there is none.
std::string image_of_language(const model::ComponentSpec& spec, const RunnerConfig& runner) {
  if (!spec.generic_runtime) return {};
  const auto found = runner.generic_images.find(spec.generic_runtime->language);
  return found == runner.generic_images.end() ? std::string() : found->second;
}

Result<std::string> generic_image(const model::Component& component, const RunnerConfig& runner) {
  const std::string& language = component.spec.generic_runtime->language;
  if (std::string image = image_of_language(component.spec, runner); !image.empty()) return image;
  if (const auto found = generic_images().find(language); found != generic_images().end()) return found->second;
  return refuse_field(component, "genericRuntime.language",
                      "no runner image is known for '" + language +
                          "'; set spec.image, or runnerImages.genericRuntime." + language +
                          " in the operator's config file");
}

}  // namespace

Result<std::string> component_image(const model::Component& component, const RunnerConfig& runner) {
  const model::ComponentSpec& spec = component.spec;
  if (!spec.image.empty()) return spec.image;
  if (model::is_native_pod(spec, component.kind)) {
    const std::string image = component.kind == model::Kind::kFunction ? image_of_language(spec, runner) : "";
    return image.empty() ? or_else(runner.fmesh_image, kFmeshImage) : image;
  }
  if (component.kind != model::Kind::kFunction) {
    const bool package = spec.java && is_package(spec.java->jar_location);
    return package ? or_else(runner.java_image, kJavaImage) : std::string(kConnectorsImage);
  }
  if (spec.java) return or_else(runner.java_image, kJavaImage);
  if (spec.python) return or_else(runner.python_image, kPythonImage);
  if (spec.golang) return or_else(runner.go_image, kGoImage);
  if (spec.generic_runtime) return generic_image(component, runner);
  return refuse_field(component, "", "no runtime is given; expected java, python, golang or genericRuntime");
}

bool has_own_image(const model::Component& component, const RunnerConfig& runner) {
  return !component.spec.image.empty() || !image_of_language(component.spec, runner).empty();
}

std::string component_pull_policy(const model::ComponentSpec& spec, const RunnerConfig& runner) {
  if (!spec.image_pull_policy.empty()) return spec.image_pull_policy;
  return or_else(runner.image_pull_policy, "IfNotPresent");
}

}  // namespace fmesh::plan
