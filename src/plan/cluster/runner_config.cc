#include <fmt/format.h>

#include <algorithm>

#include "model/document.h"
#include "model/resource_set.h"
#include "plan/cluster/cluster_plan.h"

namespace fmesh::plan {
namespace {

using model::Node;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

const std::vector<std::string_view>& keys() {
  static const std::vector<std::string_view> names = {
      "runnerImages",    "runnerImagePullSecrets", "runnerImagePullPolicy",
      "imagePullPolicy", "resourceLabels",         "resourceAnnotations",
      "logLevel"};
  return names;
}

class ConfigReader {
 public:
  ConfigReader(const std::string& file, RunnerConfig& config) : file_(file), config_(config) {}

  // Errors stay in `error`; the first counts.
  void read(const Node& root) {
    if (root.type != Node::Type::kMapping) return expected(root, "", "a mapping");
    for (const model::Entry& entry : root.entries) {
      if (entry.value.type == Node::Type::kNull) continue;
      const std::string key = lower(entry.key);
      if (key == "runnerimages") {
        read_images(entry.value);
      } else if (key == "runnerimagepullsecrets") {
        read_secrets(entry.value);
      } else if (key == "runnerimagepullpolicy") {
        config_.image_pull_policy = policy(entry);
      } else if (key == "imagepullpolicy") {
        other_policy_ = policy(entry);
      } else if (key == "loglevel") {
        continue;  // of the process, read elsewhere
      } else if (key == "resourcelabels") {
        config_.labels = strings(entry.value, entry.key);
      } else if (key == "resourceannotations") {
        config_.annotations = strings(entry.value, entry.key);
      } else {
        unknown(entry, keys());
      }
    }
    if (config_.image_pull_policy.empty()) config_.image_pull_policy = other_policy_;
  }

  std::optional<Error> error;

 private:
  Place place(const Node& node) const { return {file_, node.line, node.column}; }

  void refuse(Place place, std::string text) {
    if (!error) error = Error(ErrorKind::kFixInput, std::move(text), std::move(place));
  }

  void expected(const Node& node, const std::string& path, std::string_view what) {
    refuse(place(node), fmt::format("{}expected {}, found {}", path.empty() ? "" : path + ": ", what, describe(node)));
  }

  // Upstream reads over unknown keys, and so an installation may have them.
  void unknown(const model::Entry& entry, const std::vector<std::string_view>& known) {
    const std::string_view near = model::closest(entry.key, known);
    const std::string hint = near.empty() ? std::string() : fmt::format("; did you mean {}?", near);
    config_.warnings.push_back(
        fmt::format("{}:{}:{}: {} has no effect{}", file_, entry.line, entry.column, entry.key, hint));
  }

  std::string text(const Node& node, const std::string& path) {
    if (node.type == Node::Type::kString) return node.text;
    expected(node, path, "a string");
    return {};
  }

  model::StringMap strings(const Node& node, const std::string& path) {
    model::StringMap out;
    if (node.type != Node::Type::kMapping) {
      expected(node, path, "a mapping of strings");
      return out;
    }
    for (const model::Entry& entry : node.entries) out[entry.key] = text(entry.value, path + "." + entry.key);
    return out;
  }

  std::string policy(const model::Entry& entry) {
    const std::string value = text(entry.value, entry.key);
    if (value != "Always" && value != "IfNotPresent" && value != "Never" && !value.empty()) {
      refuse(place(entry.value),
             fmt::format("{}: expected Always, IfNotPresent or Never, found '{}'", entry.key, value));
    }
    return value;
  }

  void read_images(const Node& node) {
    if (node.type != Node::Type::kMapping) return expected(node, "runnerImages", "a mapping");
    for (const model::Entry& entry : node.entries) {
      if (entry.value.type == Node::Type::kNull) continue;
      const std::string key = lower(entry.key);
      const std::string path = "runnerImages." + entry.key;
      if (key == "java") {
        config_.java_image = text(entry.value, path);
      } else if (key == "python") {
        config_.python_image = text(entry.value, path);
      } else if (key == "go") {
        config_.go_image = text(entry.value, path);
      } else if (key == "fmesh") {
        config_.fmesh_image = text(entry.value, path);
      } else if (key == "genericruntime") {
        config_.generic_images = strings(entry.value, path);
      } else {
        unknown(entry, {"java", "python", "go", "genericRuntime", "fmesh"});
      }
    }
  }

  void read_secrets(const Node& node) {
    if (node.type != Node::Type::kSequence) {
      return expected(node, "runnerImagePullSecrets", "a list of {name: ...}");
    }
    for (size_t index = 0; index < node.items.size(); ++index) {
      const Node& item = node.items[index];
      const std::string path = fmt::format("runnerImagePullSecrets[{}]", index);
      const Node* name = item.type == Node::Type::kMapping ? item.find("name") : nullptr;
      if (!name) return expected(item, path, "a mapping with the name of a Secret");
      config_.image_pull_secrets.push_back(text(*name, path + ".name"));
    }
  }

  const std::string& file_;
  RunnerConfig& config_;
  std::string other_policy_;
};

}  // namespace

Result<RunnerConfig> read_runner_config(const std::string& file, const std::string& text) {
  const model::DocumentList list = model::read_yaml(file, text);
  if (!list.findings.ok()) return fail(to_error(list.findings, {}));
  RunnerConfig config;
  if (list.documents.empty()) return config;
  if (list.documents.size() > 1) {
    const Node& second = *list.documents[1];
    return fail(ErrorKind::kFixInput, "expected one document, found a second", Place{file, second.line, second.column});
  }
  ConfigReader reader(file, config);
  reader.read(*list.documents.front());
  if (reader.error) return fail(std::move(*reader.error));
  return config;
}

}  // namespace fmesh::plan
