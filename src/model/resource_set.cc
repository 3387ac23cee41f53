#include "model/resource_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "base/base64.h"
#include "model/defaults.h"
#include "model/fields.h"
#include "model/utf8.h"

namespace fmesh::model {

const char* to_string(Kind kind) {
  switch (kind) {
    case Kind::kFunction:
      return "Function";
    case Kind::kSource:
      return "Source";
    case Kind::kSink:
      return "Sink";
    case Kind::kFunctionMesh:
      return "FunctionMesh";
    case Kind::kBackendConfig:
      return "BackendConfig";
  }
  return "unknown";
}

const char* to_string(Target target) { return target == Target::kLocal ? "local" : "cluster"; }

namespace {

struct Spot {
  int32_t line = 0, column = 0, length = 1;
};

// A scalar is pointed at itself, a mapping or list at the key that leads to it.
Spot find_spot(const Node& root, const Path& path) {
  Spot spot{root.line, root.column, root.length};
  const Node* node = &root;
  for (const Path::Step& step : path.steps()) {
    if (const size_t* index = std::get_if<size_t>(&step)) {
      if (node->type != Node::Type::kSequence || *index >= node->items.size()) return spot;
      node = &node->items[*index];
      spot = {node->line, node->column, node->length};
      continue;
    }
    const Entry* entry = node->type == Node::Type::kMapping ? node->entry(std::get<std::string>(step)) : nullptr;
    if (!entry) return spot;
    node = &entry->value;
    const bool scalar = node->type != Node::Type::kMapping && node->type != Node::Type::kSequence;
    spot = scalar && node->length > 0 ? Spot{node->line, node->column, node->length}
                                      : Spot{entry->line, entry->column, entry->length};
  }
  return spot;
}

constexpr std::string_view kApiVersion = "compute.functionmesh.io/v1alpha1";
constexpr std::string_view kGroup = "compute.functionmesh.io/";

// Members of Kubernetes' ObjectMeta that fmesh does not need; the API server writes them.
const std::vector<std::string_view>& metadata_ignored() {
  static const std::vector<std::string_view> names = {
      "generateName",      "uid",        "resourceVersion", "generation",    "creationTimestamp",
      "deletionTimestamp", "finalizers", "ownerReferences", "managedFields", "deletionGracePeriodSeconds",
      "selfLink"};
  return names;
}

class SetReader {
 public:
  SetReader(ResourceSet& set, Defaults defaults) : set_(set), defaults_(defaults) {}

  void read_file(const std::string& path) {
    std::string text;
    if (path == "-") {
      std::ostringstream all;
      all << std::cin.rdbuf();
      read_text("<stdin>", all.str());
      return;
    }
    std::error_code error;
    const auto size = std::filesystem::file_size(path, error);
    if (!error && size > kFileSizeMaxBytes) return too_large(path);
    std::ifstream stream(path, std::ios::binary);
    if (stream) text.assign(std::istreambuf_iterator<char>(stream), {});
    if (!stream) return whole_file(path, "can't be read: no such file, or no permission");
    read_text(path, std::move(text));
  }

  void read_text(const std::string& file, std::string text) {
    if (text.size() > kFileSizeMaxBytes) return too_large(file);
    auto shared = std::make_shared<const std::string>(std::move(text));
    set_.sources[file] = shared;
    if (const auto bad = first_bad_utf8(*shared)) return bad_utf8(file, *shared, *bad);
    const size_t first = shared->find_first_not_of(" \t\r\n");
    const bool braces = first != std::string::npos && ((*shared)[first] == '{' || (*shared)[first] == '[');
    const bool yaml = file.ends_with(".yaml") || file.ends_with(".yml");
    const bool json = file.ends_with(".json") || (braces && !yaml);
    DocumentList list = json ? read_json(file, *shared) : read_yaml(file, *shared);
    // Where a Secret is in the file, a line that could not be read may be its.
    const bool secret = shared->find("Secret") != std::string::npos;
    for (Diagnostic finding : list.findings.list()) {
      finding.quiet = secret;
      set_.findings.add(std::move(finding));
    }
    for (const auto& document : list.documents) read_document({document, file}, *document, Path());
    if (list.documents.empty() && set_.findings.ok()) whole_file(file, "holds no resource");
  }

  void whole_file(const std::string& file, std::string text) {
    Diagnostic diagnostic;
    diagnostic.place.file = file;
    diagnostic.text = std::move(text);
    set_.findings.add(std::move(diagnostic));
  }

 private:
  void too_large(const std::string& file) {
    whole_file(file, fmt::format("is larger than {} MiB", kFileSizeMaxBytes / 1024 / 1024));
  }

  void bad_utf8(const std::string& file, std::string_view text, size_t offset) {
    const std::string_view before = text.substr(0, offset);
    const size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
    Diagnostic diagnostic;
    diagnostic.place = {file, static_cast<int32_t>(std::count(before.begin(), before.end(), '\n')) + 1,
                        static_cast<int32_t>(count_characters(before.substr(line_start))) + 1};
    diagnostic.text = fmt::format("broken UTF-8: byte 0x{:02x} does not belong here; save the file as UTF-8",
                                  static_cast<unsigned>(static_cast<unsigned char>(text[offset])));
    set_.findings.add(std::move(diagnostic));
  }

  void report(const Origin& origin, const Path& path, std::string text, Severity severity = Severity::kError,
              bool quiet = false) {
    Diagnostic diagnostic;
    diagnostic.quiet = quiet;
    diagnostic.severity = severity;
    diagnostic.place = origin.place(path);
    diagnostic.length = origin.length(path);
    diagnostic.path = path.to_string();
    diagnostic.field = diagnostic.path;
    diagnostic.text = std::move(text);
    set_.findings.add(std::move(diagnostic));
  }

  void no_such_field(const Origin& origin, const Entry& entry, const Path& path,
                     const std::vector<std::string_view>& known) {
    const auto near = closest(entry.key, known);
    Reader reader(origin.file, kEvery);
    reader.error_at_key(entry, path,
                        near.empty() ? "no such field" : fmt::format("no such field; did you mean {}?", near));
    set_.findings.append(reader.take());
  }

  std::string word(const Origin& origin, const Node& node, const Path& path, std::string_view key) {
    const Node* value = node.find(key);
    if (value && value->type == Node::Type::kString) return value->text;
    report(
        origin, value ? path / key : path,
        value ? "expected a string, found " + describe(*value) : std::string(key) + " is missing; is this a resource?");
    return {};
  }

  void read_document(const Origin& origin, const Node& node, const Path& path) {
    if (node.type != Node::Type::kMapping) {
      report(origin, path,
             "expected a resource (a mapping with apiVersion, kind, metadata, spec), found " + describe(node));
      return;
    }
    const std::string version = word(origin, node, path, "apiVersion");
    const std::string kind = word(origin, node, path, "kind");
    if (version.empty() || kind.empty()) return;
    if (version == "v1" && kind == "List") return read_list(origin, node, path);
    if (version == "v1" && (kind == "ConfigMap" || kind == "Secret")) return read_key_values(origin, node, path, kind);
    if (!version.starts_with(kGroup)) {
      report(origin, path / "kind",
             fmt::format("{} of {} is skipped: fmesh reads {} kinds, ConfigMap and Secret", kind, version, kGroup),
             Severity::kWarning);
      return;
    }
    if (version != kApiVersion) {
      report(origin, path / "apiVersion", fmt::format("no such version; did you mean {}?", kApiVersion));
    }
    read_resource(origin, node, path, kind);
  }

  void read_list(const Origin& origin, const Node& node, const Path& path) {
    const Node* items = node.find("items");
    if (!items || items->type != Node::Type::kSequence) return report(origin, path / "items", "expected a list");
    for (size_t index = 0; index < items->items.size(); ++index) {
      read_document(origin, items->items[index], (path / "items")[index]);
    }
  }

  void read_resource(const Origin& origin, const Node& node, const Path& path, const std::string& kind) {
    check_top_level(origin, node, path);
    const Metadata metadata = read_metadata(origin, node, path, kind != "BackendConfig");
    static const Node kNothing{};
    const Node* found = node.find("spec");
    const bool written = found && found->type != Node::Type::kNull;
    if (!written) report(origin, path / "spec", "is missing");
    const Node& spec = written ? *found : kNothing;
    if (kind == "Function" || kind == "Source" || kind == "Sink") {
      const Kind which = kind == "Function" ? Kind::kFunction : kind == "Source" ? Kind::kSource : Kind::kSink;
      read_component(origin, spec, path / "spec", which, metadata);
    } else if (kind == "FunctionMesh") {
      read_mesh(origin, spec, path / "spec", metadata);
    } else if (kind == "BackendConfig") {
      BackendConfig config{metadata, {}, origin};
      Reader reader(origin.file, static_cast<Kinds>(Kind::kBackendConfig));
      reader.read(struct_info<BackendConfigSpec>(), &config.spec, spec, path / "spec");
      set_.findings.append(reader.take());
      set_.backend_configs.push_back(std::move(config));
    } else {
      const auto near = closest(kind, {"Function", "Source", "Sink", "FunctionMesh", "BackendConfig"});
      report(origin, path / "kind",
             near.empty() ? "no such kind" : fmt::format("no such kind; did you mean {}?", near));
    }
  }

  void check_top_level(const Origin& origin, const Node& node, const Path& path) {
    const std::vector<std::string_view> known = {"apiVersion", "kind", "metadata", "spec", "status"};
    for (const Entry& entry : node.entries) {
      const bool fits = std::find(known.begin(), known.end(), entry.key) != known.end();
      if (!fits) no_such_field(origin, entry, path / entry.key, known);
    }
  }

  Metadata read_metadata(const Origin& origin, const Node& node, const Path& path, bool strict) {
    Metadata metadata;
    const Path here = path / "metadata";
    const Node* found = node.find("metadata");
    if (!found || found->type != Node::Type::kMapping) {
      report(origin, here, found ? "expected a mapping, found " + describe(*found) : "is missing; it needs a name");
      return metadata;
    }
    for (const Entry& entry : found->entries) read_metadata_entry(origin, entry, here / entry.key, metadata, strict);
    if (metadata.name.empty() && !found->find("name")) report(origin, here / "name", "is missing");
    return metadata;
  }

  void read_metadata_entry(const Origin& origin, const Entry& entry, const Path& here, Metadata& metadata,
                           bool strict) {
    if (entry.value.type == Node::Type::kNull) return;
    if (entry.key == "name" || entry.key == "namespace") {
      if (entry.value.type != Node::Type::kString) {
        return report(origin, here, "expected a string, found " + describe(entry.value));
      }
      (entry.key == "name" ? metadata.name : metadata.name_space) = entry.value.text;
    } else if (entry.key == "labels" || entry.key == "annotations") {
      (entry.key == "labels" ? metadata.labels : metadata.annotations) = read_strings(origin, entry.value, here);
    } else if (strict &&
               std::find(metadata_ignored().begin(), metadata_ignored().end(), entry.key) == metadata_ignored().end()) {
      no_such_field(origin, entry, here, {"name", "namespace", "labels", "annotations"});
    }
  }

  StringMap read_strings(const Origin& origin, const Node& node, const Path& path, bool secret = false) {
    StringMap out;
    if (node.type != Node::Type::kMapping) {
      if (node.type != Node::Type::kNull)
        report(origin, path, "expected a mapping of strings, found " + describe(node));
      return out;
    }
    for (const Entry& entry : node.entries) {
      if (entry.value.type == Node::Type::kString) {
        out[entry.key] = entry.value.text;
      } else if (entry.value.type == Node::Type::kNull) {
        out[entry.key];
      } else {
        const std::string found = secret ? std::string() : ", found " + describe(entry.value);
        report(origin, path / entry.key, "expected a string (put it in quotes)" + found, Severity::kError, secret);
      }
    }
    return out;
  }

  void read_component(const Origin& origin, const Node& node, const Path& path, Kind kind, const Metadata& metadata) {
    Component component;
    component.kind = kind;
    component.metadata = metadata;
    component.origin = origin;
    component.path = path;
    Reader reader(origin.file, static_cast<Kinds>(kind));
    reader.read(struct_info<ComponentSpec>(), &component.spec, node, path);
    set_.findings.append(reader.take());
    if (defaults_ == Defaults::kApply) apply_component_defaults(component.spec, kind, metadata.name);
    set_.components.push_back(std::move(component));
  }

  void read_mesh(const Origin& origin, const Node& node, const Path& path, const Metadata& metadata) {
    Mesh mesh{metadata, {}, origin};
    struct Part {
      std::string_view field;
      Kind kind;
      std::vector<ComponentSpec>* items;
    };
    const Part parts[] = {{"sources", Kind::kSource, &mesh.spec.sources},
                          {"functions", Kind::kFunction, &mesh.spec.functions},
                          {"sinks", Kind::kSink, &mesh.spec.sinks}};
    if (node.type != Node::Type::kMapping) {
      if (node.type != Node::Type::kNull) report(origin, path, "expected a mapping, found " + describe(node));
    }
    for (const Entry& entry : node.entries) {
      const auto* part =
          std::find_if(std::begin(parts), std::end(parts), [&](auto& one) { return one.field == entry.key; });
      const Path here = path / entry.key;
      if (part == std::end(parts)) {
        no_such_field(origin, entry, here, {"sources", "functions", "sinks"});
      } else if (entry.value.type == Node::Type::kSequence) {
        read_items(origin, entry.value, here, part->kind, metadata, *part->items);
      } else if (entry.value.type != Node::Type::kNull) {
        report(origin, here, "expected a list, found " + describe(entry.value));
      }
    }
    set_.meshes.push_back(std::move(mesh));
  }

  void read_items(const Origin& origin, const Node& list, const Path& path, Kind kind, const Metadata& mesh,
                  std::vector<ComponentSpec>& items) {
    for (size_t index = 0; index < list.items.size(); ++index) {
      Component component;
      component.kind = kind;
      component.mesh = mesh.name;
      component.origin = origin;
      component.path = path[index];
      Reader reader(origin.file, static_cast<Kinds>(kind));
      reader.read(struct_info<ComponentSpec>(), &component.spec, list.items[index], component.path);
      set_.findings.append(reader.take());
      items.push_back(component.spec);
      if (component.spec.name.empty()) {
        report(origin, component.path / "name", "is missing; each component of a mesh needs one");
      }
      component.metadata.name = mesh.name + "-" + component.spec.name;
      component.metadata.name_space = mesh.name_space;
      if (defaults_ == Defaults::kApply) apply_component_defaults(component.spec, kind, component.metadata.name);
      set_.components.push_back(std::move(component));
    }
  }

  void read_key_values(const Origin& origin, const Node& node, const Path& path, const std::string& kind) {
    const Metadata metadata = read_metadata(origin, node, path, false);
    KeyValues values{metadata.name, metadata.name_space, {}};
    const bool secret = kind == "Secret";
    const auto section = [&](std::string_view name) {
      const Node* found = node.find(name);
      return found ? read_strings(origin, *found, path / name, secret) : StringMap();
    };
    for (auto& [key, text] : section("data")) {
      const auto decoded = secret ? decode_base64(text) : std::optional(text);
      if (decoded) {
        values.data[key] = *decoded;
      } else {
        report(origin, path / "data" / key, "is not base64; write plain text under stringData", Severity::kError, true);
      }
    }
    for (auto& [key, text] : section(secret ? "stringData" : "binaryData")) {
      const auto decoded = secret ? std::optional(text) : decode_base64(text);
      if (decoded) values.data[key] = *decoded;
    }
    (secret ? set_.secrets : set_.config_maps).push_back(std::move(values));
  }

  ResourceSet& set_;
  Defaults defaults_;
};

const Node* node_at(const Node& root, const Path& path) {
  const Node* node = &root;
  for (const Path::Step& step : path.steps()) {
    if (const size_t* index = std::get_if<size_t>(&step)) {
      if (node->type != Node::Type::kSequence || *index >= node->items.size()) return nullptr;
      node = &node->items[*index];
    } else {
      node = node->type == Node::Type::kMapping ? node->find(std::get<std::string>(step)) : nullptr;
    }
    if (!node) return nullptr;
  }
  return node;
}

std::vector<std::string> expand_folder(const std::string& path) {
  std::error_code error;
  if (path == "-" || !std::filesystem::is_directory(path, error)) return {path};
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
    const std::string extension = entry.path().extension().string();
    if (extension == ".yaml" || extension == ".yml" || extension == ".json") files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

Place Origin::place(const Path& path) const {
  if (!root) return {file, 0, 0};
  const Spot spot = find_spot(*root, path);
  return {file, spot.line, spot.column};
}

Component without_defaults(Component component) {
  const Node* node = component.origin.root ? node_at(*component.origin.root, component.path) : nullptr;
  if (!node) return component;
  component.spec = {};
  Reader reader(component.origin.file, static_cast<Kinds>(component.kind));  // its findings are there already
  reader.read(struct_info<ComponentSpec>(), &component.spec, *node, component.path);
  return component;
}

int32_t Origin::length(const Path& path) const { return root ? find_spot(*root, path).length : 1; }

ResourceSet read_files(const std::vector<std::string>& paths) {
  ResourceSet set;
  SetReader reader(set, Defaults::kApply);
  for (const std::string& path : paths) {
    const std::vector<std::string> files = expand_folder(path);
    if (files.empty()) reader.whole_file(path, "the folder holds no .yaml, .yml or .json file");
    for (const std::string& file : files) reader.read_file(file);
  }
  set.findings.sort();
  return set;
}

ResourceSet read_text(std::string file, std::string text, Defaults defaults) {
  ResourceSet set;
  SetReader(set, defaults).read_text(file, std::move(text));
  set.findings.sort();
  return set;
}

}  // namespace fmesh::model
