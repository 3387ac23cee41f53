#include "plan/cluster/render.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <set>

#include "model/defaults.h"

namespace fmesh::plan {
namespace {

namespace json = boost::json;

class SetRenderer {
 public:
  SetRenderer(const model::ResourceSet& resources, const RenderOptions& options)
      : resources_(resources),
        options_(options.cluster),
        name_space_(options.name_space),
        admitted_(options.admitted),
        sizes_(options.sizes) {}

  Rendered run() {
    find_last();
    for (const model::Mesh& mesh : resources_.meshes) {
      if (last_mesh_[{space(mesh.metadata), mesh.metadata.name}] == &mesh && is_managed(mesh.metadata)) add_mesh(mesh);
    }
    for (const model::Component& component : resources_.components) {
      const bool last =
          last_component_[{component.kind, space(component.metadata), component.metadata.name}] == &component;
      if (component.mesh.empty() && last && is_managed(component.metadata)) {
        add_objects(as_written(component));
      }
    }
    return std::move(out_);
  }

 private:
  using Name = std::pair<std::string, std::string>;  // namespace, name

  const std::string& space(const model::Metadata& metadata) const {
    return metadata.name_space.empty() ? name_space_ : metadata.name_space;
  }

  model::Component as_written(const model::Component& component) const {
    model::Component out = model::without_defaults(component);
    out.metadata.name_space = space(component.metadata);
    const auto size = sizes_.find({out.kind, out.metadata.name_space, out.metadata.name});
    if (size != sizes_.end()) out.spec.replicas = size->second;
    return out;
  }

  void find_last() {
    for (const model::Mesh& mesh : resources_.meshes) last_mesh_[{space(mesh.metadata), mesh.metadata.name}] = &mesh;
    for (const model::BackendConfig& config : resources_.backend_configs) {
      last_config_[{space(config.metadata), config.metadata.name}] = &config;
    }
    for (const model::Component& component : resources_.components) {
      if (!component.mesh.empty()) continue;
      last_component_[{component.kind, space(component.metadata), component.metadata.name}] = &component;
    }
  }

  void add_mesh(const model::Mesh& mesh) {
    std::set<std::pair<model::Kind, std::string>> names;
    for (const model::Component& component : resources_.components) {
      const bool item = component.mesh == mesh.metadata.name && component.origin.root == mesh.origin.root &&
                        component.metadata.name_space == mesh.metadata.name_space;
      if (!item || component.spec.name.empty()) continue;
      if (!names.emplace(component.kind, component.metadata.name).second) {
        report(component.origin, component.path / "name",
               fmt::format("two {}s of mesh {} are named '{}'; rename one", model::to_string(component.kind),
                           mesh.metadata.name, component.spec.name));
        continue;
      }
      const model::Component child = as_written(component);
      out_.objects.push_back(make_mesh_child(child, {"FunctionMesh", mesh.metadata.name, kUidPlaceholder}));
      add_objects(child);
    }
  }

  void add_objects(model::Component component) {
    if (admitted_) model::apply_component_defaults(component.spec, component.kind, component.metadata.name);
    const BackendConfigs backend{
        .global = find_config(options_.global_backend_config_namespace, options_.global_backend_config),
        .namespaced = find_config(component.metadata.name_space, options_.namespaced_backend_config)};
    auto objects = make_cluster_objects(component, backend, options_, kUidPlaceholder);
    if (!objects) {
      model::Diagnostic diagnostic;
      diagnostic.place = objects.error().place();
      diagnostic.text = objects.error().text();
      return out_.findings.add(std::move(diagnostic));
    }
    out_.objects.push_back(std::move(objects->stateful_set));
    out_.objects.push_back(std::move(objects->service));
    for (auto* scaler : {&objects->horizontal_pod_autoscaler, &objects->vertical_pod_autoscaler}) {
      if (*scaler) out_.objects.push_back(std::move(**scaler));
    }
  }

  const model::BackendConfig* find_config(const std::string& name_space, const std::string& name) const {
    if (name.empty()) return nullptr;
    const auto found = last_config_.find({name_space, name});
    return found == last_config_.end() ? nullptr : found->second;
  }

  void report(const model::Origin& origin, const model::Path& path, std::string text) {
    model::Diagnostic diagnostic;
    diagnostic.place = origin.place(path);
    diagnostic.length = origin.length(path);
    diagnostic.path = path.to_string();
    diagnostic.text = std::move(text);
    out_.findings.add(std::move(diagnostic));
  }

  const model::ResourceSet& resources_;
  const ClusterOptions& options_;
  const std::string& name_space_;
  const bool admitted_;
  const std::map<ComponentName, int32_t>& sizes_;
  std::map<Name, const model::Mesh*> last_mesh_;
  std::map<Name, const model::BackendConfig*> last_config_;
  std::map<ComponentName, const model::Component*> last_component_;
  Rendered out_;
};

}  // namespace

bool is_managed(const model::Metadata& metadata) {
  const auto found = metadata.annotations.find("compute.functionmesh.io/managed");
  return found == metadata.annotations.end() || found->second != "false";
}

Rendered render_set(const model::ResourceSet& resources, const RenderOptions& options) {
  return SetRenderer(resources, options).run();
}

}  // namespace fmesh::plan
