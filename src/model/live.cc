#include "model/live.h"

#include "model/defaults.h"
#include "model/fields.h"

namespace fmesh::model {
namespace {

constexpr const char* kFile = "live.json";  // findings of live objects are shown by path, not by place

std::string text_of(const Node& node, std::string_view key) {
  const Node* found = node.find(key);
  return found && found->type == Node::Type::kString ? found->text : std::string();
}

void read_metadata(const Node& root, LiveResource& out) {
  const Node* metadata = root.find("metadata");
  if (!metadata || metadata->type != Node::Type::kMapping) return;
  out.uid = text_of(*metadata, "uid");
  out.resource_version = text_of(*metadata, "resourceVersion");
  const Node* generation = metadata->find("generation");
  if (generation && generation->type == Node::Type::kInt) out.generation = generation->integer;
  out.being_deleted = !text_of(*metadata, "deletionTimestamp").empty();
  const Node* finalizers = metadata->find("finalizers");
  if (!finalizers) return;
  for (const Node& name : finalizers->items) out.finalizers.push_back(name.text);
}

template <class T>
T read_status(const Node& root, Kind kind) {
  T status;
  const Node* found = root.find("status");
  if (!found || found->type != Node::Type::kMapping) return status;
  Reader reader(kFile, static_cast<Kinds>(kind));  // its findings do not matter: the operator writes it anew
  reader.read(struct_info<T>(), &status, *found, Path::of("status"));
  return status;
}

}  // namespace

LiveResource read_live(std::string_view json_text) {
  LiveResource out;
  ResourceSet set = read_text(kFile, std::string(json_text), Defaults::kLeave);
  std::shared_ptr<const Node> root;
  if (!set.meshes.empty()) {
    out.kind = Kind::kFunctionMesh;
    out.mesh = std::move(set.meshes.front());
    out.metadata = out.mesh->metadata;
    out.items = std::move(set.components);
    root = out.mesh->origin.root;
    out.mesh_status = read_status<MeshStatus>(*root, out.kind);
  } else if (!set.backend_configs.empty()) {
    out.kind = Kind::kBackendConfig;
    out.backend_config = std::move(set.backend_configs.front());
    out.metadata = out.backend_config->metadata;
    root = out.backend_config->origin.root;
  } else if (!set.components.empty()) {
    out.component = std::move(set.components.front());
    apply_essential_defaults(out.component->spec, out.component->metadata.name);
    out.kind = out.component->kind;
    out.metadata = out.component->metadata;
    root = out.component->origin.root;
    out.component_status = read_status<ComponentStatus>(*root, out.kind);
  }
  if (root) read_metadata(*root, out);
  out.findings = std::move(set.findings);
  return out;
}

ComponentStatus read_component_status(std::string_view json_text) {
  const DocumentList list = read_json(kFile, json_text);
  return list.documents.empty() ? ComponentStatus()
                                : read_status<ComponentStatus>(*list.documents.front(), Kind::kFunction);
}

}  // namespace fmesh::model
