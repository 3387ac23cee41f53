// fmesh diff: what the operator would change in the cluster if these files were applied.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <map>
#include <memory>
#include <set>

#include "cli/cluster.h"
#include "cli/command.h"
#include "cli/control.h"
#include "cli/operator_flags.h"
#include "kube/json.h"
#include "model/defaults.h"
#include "model/fields.h"
#include "model/json.h"
#include "model/live.h"
#include "operator/compare.h"
#include "operator/owned.h"
#include "operator/settings.h"
#include "plan/cluster/render.h"

namespace fmesh::cli {
namespace {

namespace json = boost::json;

struct DiffArguments {
  std::vector<std::string> files;
  OperatorFlags flags;
  ClusterFlags cluster;
};

const kube::ResourceType* type_of(std::string_view kind) {
  for (const kube::ResourceType& type : op::World::kinds()) {
    if (type.kind == kind) return &type;
  }
  return nullptr;
}

// What the cluster knows of the files' resources, which decides what the operator would do with them.
struct Known {
  std::string uid;                    // empty: it is not there yet
  op::Circumstances circumstances{};  // without the owner
};

model::ComponentSpec admitted_spec(const model::Component& component) {
  model::ComponentSpec spec = component.spec;
  model::apply_component_defaults(spec, component.kind, component.metadata.name);
  return spec;
}
json::value written(const model::ComponentSpec& spec, model::Kind kind) {
  return model::write(model::struct_info<model::ComponentSpec>(), &spec, static_cast<model::Kinds>(kind));
}

bool is_annotated(const model::Metadata& metadata, const char* name) {
  const auto found = metadata.annotations.find(name);
  return found != metadata.annotations.end() && found->second == "true";
}

// Reads from the cluster what the files leave to it.
class ClusterSide {
 public:
  ClusterSide(ClusterSession& session, const OperatorFlags& flags) : session_(session), flags_(flags) {}

  Status look_at(model::ResourceSet& resources, plan::RenderOptions& options) {
    std::set<std::string> spaces;
    for (const model::Component& component : resources.components) {
      const std::string space =
          component.metadata.name_space.empty() ? session_.name_space() : component.metadata.name_space;
      spaces.insert(space);
      FMESH_CHECK(look_at(component, space, options));
    }
    const plan::ClusterOptions& cluster = options.cluster;
    FMESH_CHECK(
        add_backend_config(resources, {cluster.global_backend_config_namespace, cluster.global_backend_config}));
    for (const std::string& space : spaces) {
      FMESH_CHECK(add_backend_config(resources, {space, cluster.namespaced_backend_config}));
    }
    options.admitted = spaces.empty() || admission_fills_in(*spaces.begin());
    return {};
  }

  Result<Known> known(const std::string& kind, const kube::ObjectKey& key) {
    const auto found = known_.find({kind, key});
    if (found != known_.end()) return found->second;
    Known& out = known_[{kind, key}];
    if (const kube::ResourceType* type = type_of(kind)) {
      FMESH_TRY(const auto live, session_.get(*type, key));
      if (live) out.uid = kube::string_at(*live, {"metadata", "uid"});
    }
    return out;
  }

 private:
  Status look_at(const model::Component& component, const std::string& space, plan::RenderOptions& options) {
    const std::string kind = model::to_string(component.kind);
    const kube::ObjectKey key{space, component.metadata.name};
    FMESH_TRY(const auto there, session_.get(*type_of(kind), key));
    Known& out = known_[{kind, key}];
    out = {};
    if (!there) return {};
    const model::LiveResource live = model::read_live(json::serialize(*there));
    out.uid = live.uid;
    if (!live.component) return {};
    const model::Component file = model::without_defaults(component);
    model::ComponentSpec wanted = admitted_spec(file), has = admitted_spec(*live.component);
    // As `kubectl apply` leaves it; a mesh leaves the size to the autoscaler, too.
    const bool size_is_theirs = !file.spec.replicas || (!component.mesh.empty() && file.spec.max_replicas);
    if (size_is_theirs && has.replicas) {
      options.sizes[{component.kind, space, key.name}] = *has.replicas;
      wanted.replicas = has.replicas;
    }
    const bool same = written(wanted, component.kind) == written(has, component.kind) &&
                      live.generation == live.component_status.observed_generation;
    const bool paused = flags_.pause_rollout || is_annotated(component.metadata, op::kPauseRollout) ||
                        is_annotated(live.metadata, op::kPauseRollout);
    out.circumstances.hold = same && paused;
    wanted.replicas = has.replicas = std::nullopt;
    const bool told_to_apply = is_annotated(component.metadata, op::kApplyPendingChange) ||
                               is_annotated(live.metadata, op::kApplyPendingChange);
    out.circumstances.adopt = written(wanted, component.kind) == written(has, component.kind) && !told_to_apply;
    return {};
  }

  // One of the files comes first.
  Status add_backend_config(model::ResourceSet& resources, const kube::ObjectKey& key) {
    if (key.name.empty()) return {};
    for (const model::BackendConfig& config : resources.backend_configs) {
      const std::string& space = config.metadata.name_space;
      if (config.metadata.name == key.name && (space.empty() ? session_.name_space() : space) == key.name_space)
        return {};
    }
    FMESH_TRY(const auto there, session_.get(kube::kBackendConfig, key));
    if (!there) return {};
    model::LiveResource live = model::read_live(json::serialize(*there));
    if (live.backend_config) resources.backend_configs.push_back(std::move(*live.backend_config));
    return {};
  }

  // Asks with a resource that is not kept.
  bool admission_fills_in(const std::string& space) {
    const json::value probe = json::parse(R"({"apiVersion":"compute.functionmesh.io/v1alpha1","kind":"Function",
        "metadata":{"name":"fmesh-diff-asks"},"spec":{"className":"a.B","java":{"jar":"/a.jar"},
        "input":{"topics":["a"]},"pulsar":{"pulsarConfig":"a"}}})");
    kube::Request request = kube::create(kube::kFunction, space, probe);
    request.target += "&dryRun=All";
    const auto answer = session_.ask(request);
    const kube::Outcome outcome = kube::read_outcome(answer);
    if (outcome.verdict == kube::Verdict::kOk) {
      const auto body = kube::read_json(answer->body);
      return body && kube::find(*body, {"spec", "tenant"});
    }
    fmt::print(stderr, "can't tell whether admission fills in what the files leave out ({}); compared as if it does\n",
               outcome.message);
    return true;
  }

  ClusterSession& session_;
  const OperatorFlags& flags_;
  std::map<std::pair<std::string, kube::ObjectKey>, Known> known_;
};

class Comparer {
 public:
  Comparer(ClusterSession& session, ClusterSide& side) : session_(session), side_(side), world_(clock_) {}

  // Prints a line for each object that is or should be there. True if something would change.
  Result<bool> compare(const json::array& rendered) {
    for (const json::value& object : rendered) {
      const kube::ResourceType* type = type_of(kube::string_at(object, {"kind"}));
      if (!type) continue;
      const kube::ObjectKey key{std::string(kube::string_at(object, {"metadata", "namespace"})),
                                std::string(kube::string_at(object, {"metadata", "name"}))};
      wanted_.insert({std::string(type->kind), key});
      FMESH_CHECK(compare(object, *type, key));
    }
    return differs_;
  }

  // What the operator would remove: autoscalers that are no longer wanted, members that left their mesh.
  Result<bool> compare_removals(const model::ResourceSet& resources) {
    for (const model::Component& component : resources.components) {
      if (!is_looked_after(component, resources)) continue;
      const std::string& given = component.metadata.name_space;
      const std::string& space = given.empty() ? session_.name_space() : given;
      FMESH_TRY(const Known owner, side_.known(model::to_string(component.kind), {space, component.metadata.name}));
      const std::string name = plan::stateful_set_name(component.kind, component.metadata.name);
      for (const kube::ResourceType* type : {&kube::kHorizontalPodAutoscaler, &kube::kVerticalPodAutoscaler}) {
        if (owner.uid.empty() || wanted_.contains({std::string(type->kind), {space, name}})) continue;
        FMESH_TRY(const auto live, session_.get(*type, {space, name}));
        if (live) FMESH_CHECK(compare_removal(*type, *live, owner.uid));
      }
    }
    for (const model::Mesh& mesh : resources.meshes) {
      if (!plan::is_managed(mesh.metadata)) continue;
      const std::string& given = mesh.metadata.name_space;
      const std::string& space = given.empty() ? session_.name_space() : given;
      FMESH_TRY(const Known owner, side_.known("FunctionMesh", {space, mesh.metadata.name}));
      for (const kube::ResourceType* type : {&kube::kFunction, &kube::kSource, &kube::kSink}) {
        if (owner.uid.empty()) continue;
        kube::ListOptions options;
        options.name_space = space;
        FMESH_TRY(const json::value list, session_.list(*type, options));
        const json::value* items = kube::find(list, {"items"});
        for (const json::value& item : items && items->is_array() ? items->get_array() : json::array()) {
          FMESH_CHECK(compare_removal(*type, item, owner.uid));
        }
      }
    }
    return differs_;
  }

 private:
  static bool is_looked_after(const model::Component& component, const model::ResourceSet& resources) {
    for (const model::Mesh& mesh : resources.meshes) {
      const bool item =
          mesh.metadata.name == component.mesh && mesh.metadata.name_space == component.metadata.name_space;
      if (item && !plan::is_managed(mesh.metadata)) return false;
    }
    return plan::is_managed(component.metadata);
  }

  Status compare(const json::value& rendered, const kube::ResourceType& type, const kube::ObjectKey& key) {
    op::Circumstances circumstances;
    FMESH_TRY(op::Wanted wanted, with_owner(rendered, type, key, circumstances));
    FMESH_TRY(const auto live, session_.get(type, key));
    if (live) {
      FMESH_TRY(kube::ObjectPtr object, kube::Object::make(*live));
      world_.of(type).put(std::move(object));
    }
    const op::Deed deed = op::decide(world_, wanted, circumstances);
    const std::string name = fmt::format("{} {}", type.kind, key.to_string());
    switch (deed.kind) {
      case op::Deed::Kind::kNothing:
        fmt::print("  {}\n", name);
        return {};
      case op::Deed::Kind::kHeld:
        fmt::print("= {}: stays as it is until its resource changes; then {}\n", name,
                   op::list_changes(*deed.difference));
        return {};
      case op::Deed::Kind::kWait:
      case op::Deed::Kind::kBlocked:
        fmt::print("! {}: {}\n", name, deed.text);
        break;
      case op::Deed::Kind::kWrite:
        if (deed.write.verb == op::WriteVerb::kCreate) {
          fmt::print("+ {}\n", name);
        } else {
          fmt::print("~ {}: {}\n", name, deed.text);
        }
    }
    differs_ = true;
    return {};
  }

  Status compare_removal(const kube::ResourceType& type, const json::value& live, const std::string& owner_uid) {
    FMESH_TRY(const kube::ObjectPtr object, kube::Object::make(live));
    if (object->owner_uid() != owner_uid || object->being_deleted()) return {};
    if (!wanted_.insert({std::string(type.kind), object->key()}).second) return {};  // wanted, or told already
    fmt::print("- {} {}\n", type.kind, object->key().to_string());
    differs_ = true;
    return {};
  }

  // The uid of a resource that is not there yet is unknown, and so is not compared.
  Result<op::Wanted> with_owner(const json::value& rendered, const kube::ResourceType& type, const kube::ObjectKey& key,
                                op::Circumstances& circumstances) {
    const json::value* owners = kube::find(rendered, {"metadata", "ownerReferences"});
    Known known;
    plan::Owner owner;
    if (owners && owners->is_array() && !owners->get_array().empty()) {
      const json::value& first = owners->get_array().front();
      owner.kind = kube::string_at(first, {"kind"});
      owner.name = kube::string_at(first, {"name"});
      FMESH_TRY(known, side_.known(owner.kind, {key.name_space, owner.name}));
      owner.uid = known.uid;
    }
    circumstances = known.circumstances;
    circumstances.owner = owner;
    std::string text = json::serialize(rendered);
    for (size_t at = 0; (at = text.find(plan::kUidPlaceholder, at)) != std::string::npos; at += owner.uid.size()) {
      text.replace(at, std::string_view(plan::kUidPlaceholder).size(), owner.uid);
    }
    FMESH_TRY(const json::value object, kube::read_json(text));
    return op::Wanted{&type, key, std::make_shared<const json::object>(object.get_object())};
  }

  ClusterSession& session_;
  ClusterSide& side_;
  SystemClock clock_;
  op::World world_;
  std::set<std::pair<std::string, kube::ObjectKey>> wanted_;
  bool differs_ = false;
};

Result<bool> diff(const DiffArguments& arguments) {
  plan::RenderOptions options;
  FMESH_TRY(options.cluster, read_cluster_options(arguments.flags, kube::system_sources()));
  model::ResourceSet resources = model::read_files(arguments.files);
  fmt::print(stderr, "{}", model::render(resources.findings, resources.sources));
  if (!resources.findings.ok()) {
    return fail(ErrorKind::kFixInput, count_line(resources.findings) + " Nothing was compared.");
  }
  FMESH_TRY(auto session, ClusterSession::open(arguments.cluster));
  options.name_space = session->name_space();
  ClusterSide side(*session, arguments.flags);
  FMESH_CHECK(side.look_at(resources, options));
  const plan::Rendered rendered = plan::render_set(resources, options);
  fmt::print(stderr, "{}", model::render(rendered.findings, resources.sources));
  if (!rendered.findings.ok()) {
    return fail(ErrorKind::kFixInput, count_line(rendered.findings) + " Nothing was compared.");
  }
  Comparer comparer(*session, side);
  FMESH_CHECK(comparer.compare(rendered.objects));
  return comparer.compare_removals(resources);
}

}  // namespace

void add_diff(CLI::App& app, Exit& exit) {
  CLI::App* verb = app.add_subcommand("diff", "Show what the operator would change in the cluster for these files");
  const auto arguments = std::make_shared<DiffArguments>();
  verb->add_option("FILE", arguments->files, "YAML or JSON files, folders of them, or - for standard input")
      ->required();
  add_cluster_flags(*verb, arguments->cluster);
  add_operator_flags(*verb, arguments->flags);
  verb->footer(
      "+ would be made, ~ would be changed, - would be removed, = differs and stays (taken over, or paused), ! stands "
      "in "
      "the way; what is as it should be has no sign. BackendConfigs of the cluster count. Objects that a mesh's "
      "removed "
      "member has go with it.\n"
      "Exit code 0: nothing differs; 1: something does.\n\nExample:\n  fmesh diff -n shop mesh.yaml");
  verb->callback([arguments, &exit] {
    const Result<bool> differs = diff(*arguments);
    exit.code = !differs ? report(differs.error(), false) : *differs ? kExitFailed : kExitOk;
  });
}

}  // namespace fmesh::cli
