#include <fmt/format.h>

#include <filesystem>

#include "base/base64.h"
#include "kube/kubeconfig.h"

namespace fmesh::kube {

using model::Node;

namespace {

// None if it is not there, or null.
const Node* found(const Node* node, std::string_view key) {
  const Node* value = node ? node->find(key) : nullptr;
  return value && value->type != Node::Type::kNull ? value : nullptr;
}

Place place_of(const KubeconfigFile* file, const Node* node) {
  return node ? Place{file->path, node->line, node->column} : Place{file->path};
}

bool is_text(const Node& node) { return node.type != Node::Type::kMapping && node.type != Node::Type::kSequence; }

}  // namespace

Place KubeconfigNode::place() const { return place_of(file, node); }

Place KubeconfigNode::place(std::string_view key) const {
  const Node* value = found(node, key);
  return place_of(file, value ? value : node);
}

bool KubeconfigNode::has(std::string_view key) const { return found(node, key) != nullptr; }

Result<std::string> KubeconfigNode::text(std::string_view key) const {
  const Node* value = found(node, key);
  if (!value) return std::string();
  if (is_text(*value)) return value->text;
  return fail(ErrorKind::kFixInput, fmt::format("{}: found {}, expected a text", key, model::describe(*value)),
              place(key));
}

Result<bool> KubeconfigNode::truth(std::string_view key) const {
  const Node* value = found(node, key);
  if (!value) return false;
  if (value->type == Node::Type::kBool) return value->boolean;
  return fail(ErrorKind::kFixInput, fmt::format("{}: found {}, expected true or false", key, model::describe(*value)),
              place(key));
}

Result<std::vector<std::string>> KubeconfigNode::texts(std::string_view key) const {
  std::vector<std::string> out;
  const Node* value = found(node, key);
  if (!value) return out;
  if (value->type != Node::Type::kSequence) {
    return fail(ErrorKind::kFixInput, fmt::format("{}: found {}, expected a list", key, model::describe(*value)),
                place(key));
  }
  for (const Node& item : value->items) {
    if (!is_text(item) || item.type == Node::Type::kNull) {
      return fail(ErrorKind::kFixInput, fmt::format("{}: found {}, expected a text", key, model::describe(item)),
                  place_of(file, &item));
    }
    out.push_back(item.text);
  }
  return out;
}

Result<KubeconfigNode> KubeconfigNode::mapping(std::string_view key) const {
  const Node* value = found(node, key);
  if (!value || value->type == Node::Type::kMapping) return KubeconfigNode{file, value};
  return fail(ErrorKind::kFixInput, fmt::format("{}: found {}, expected a mapping", key, model::describe(*value)),
              place(key));
}

Result<std::vector<KubeconfigNode>> KubeconfigNode::mappings(std::string_view key) const {
  std::vector<KubeconfigNode> out;
  const Node* value = found(node, key);
  if (!value) return out;
  if (value->type != Node::Type::kSequence) {
    return fail(ErrorKind::kFixInput, fmt::format("{}: found {}, expected a list", key, model::describe(*value)),
                place(key));
  }
  for (const Node& item : value->items) {
    if (item.type != Node::Type::kMapping) {
      return fail(ErrorKind::kFixInput, fmt::format("{}: found {}, expected a mapping", key, model::describe(item)),
                  place_of(file, &item));
    }
    out.push_back({file, &item});
  }
  return out;
}

Result<std::string> KubeconfigNode::data(std::string_view key) const {
  FMESH_TRY(const std::string encoded, text(key));
  if (encoded.empty()) return encoded;
  if (auto plain = decode_base64(encoded)) return std::move(*plain);
  return fail(ErrorKind::kFixInput, std::string(key) + ": this is not base64", place(key));
}

std::string KubeconfigNode::absolute(const std::string& path) const {
  if (path.empty() || path.front() == '/') return path;
  return (std::filesystem::path(file->folder) / path).lexically_normal().string();
}

Result<std::string> KubeconfigNode::file_path(std::string_view key, const ConfigSources& sources) const {
  FMESH_TRY(const std::string given, text(key));
  const std::string path = absolute(given);
  if (path.empty()) return path;
  if (auto content = sources.read_file(path); !content) {
    return fail(ErrorKind::kFixInput, fmt::format("{}: {}", key, content.error().text()), place(key));
  }
  return path;
}

}  // namespace fmesh::kube
