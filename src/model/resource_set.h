// Everything a person handed to fmesh in one go: the resources of all files, and the ConfigMaps and Secrets beside
// them, read, defaulted, and with the findings of reading. A value; it keeps the document trees, so that later findings
// know their line and column.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/diagnostics.h"
#include "model/document.h"
#include "model/spec.h"

namespace fmesh::model {

// Whose rules apply: on this machine, what only a cluster needs may be absent.
enum class Target { kLocal, kCluster };
const char* to_string(Target target);  // "local", "cluster"

struct Metadata {
  std::string name, name_space;  // name_space: empty if not given
  StringMap labels, annotations;
  bool operator==(const Metadata&) const = default;
};

// Where a value came from: the document tree it was read from. Null for values made by code.
struct Origin {
  std::shared_ptr<const Node> root;  // the whole document
  std::string file;
  // The place of `path` in the document, or of its nearest parent that was written.
  Place place(const Path& path) const;
  int32_t length(const Path& path) const;  // characters to underline there
};

// A Function, Source or Sink, of its own or an item of a mesh.
struct Component {
  Kind kind = Kind::kFunction;
  Metadata metadata;  // of the resource; an item of a mesh: name "<mesh>-<item>"
  ComponentSpec spec;
  std::string mesh;  // name of the mesh it is an item of; empty: a resource of its own
  Origin origin;
  Path path;  // of the spec within the document: spec, or spec.functions[1]
  // How people call it: spec.name, or the resource's name if that is empty.
  const std::string& name() const { return spec.name.empty() ? metadata.name : spec.name; }
};

struct Mesh {
  Metadata metadata;
  MeshSpec spec;
  Origin origin;
};

struct BackendConfig {
  Metadata metadata;
  BackendConfigSpec spec;
  Origin origin;
};

// A ConfigMap or Secret; values are plain bytes (base64 and stringData are resolved).
struct KeyValues {
  std::string name, name_space;
  StringMap data;
};

struct ResourceSet {
  std::vector<Component> components;  // resources of their own and items of meshes, in the order of the files
  std::vector<Mesh> meshes;
  std::vector<BackendConfig> backend_configs;
  std::vector<KeyValues> config_maps, secrets;
  Sources sources;       // the text of each file
  Diagnostics findings;  // of reading; validation adds its own (validate.h)
};

// Reads and defaults the resources of `paths` ("-" is standard input; a folder stands for its *.yaml, *.yml and
// *.json). What is wrong is in `findings`; resources with errors are left out, the others are there.
ResourceSet read_files(const std::vector<std::string>& paths);
// kLeave: what is not written stays away, as without_defaults() gives it.
enum class Defaults { kApply, kLeave };
// The same for one text; `file` is its name in findings, and decides by its suffix .json between YAML and JSON.
ResourceSet read_text(std::string file, std::string text, Defaults defaults = Defaults::kApply);

// `component` as its document has it, without the defaults that reading applies. One made by code stays as it is.
Component without_defaults(Component component);

// The full name of a stream: "orders" -> persistent://public/default/orders. A name that is not valid is returned as it
// is.
std::string full_topic_name(std::string_view name);
// True for name, tenant/namespace/name and (non-)persistent://tenant/namespace/name.
bool is_topic_name(std::string_view name);
// As short as it can be: persistent://public/default/orders -> orders.
std::string short_topic_name(std::string_view name);

}  // namespace fmesh::model
