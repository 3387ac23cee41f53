// fmesh diff: what the operator would change in the cluster if these files were applied.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <map>
#include <memory>

#include "cli/cluster.h"
#include "cli/command.h"
#include "cli/control.h"
#include "cli/operator_flags.h"
#include "kube/json.h"
#include "model/json.h"
#include "operator/compare.h"
#include "operator/owned.h"
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

class Comparer {
 public:
  explicit Comparer(ClusterSession& session) : session_(session), world_(clock_) {}

  // Prints one line, and what differs below it. True if something does.
  Result<bool> compare(const json::value& rendered) {
    const kube::ResourceType* type = type_of(kube::string_at(rendered, {"kind"}));
    if (!type) return false;
    const kube::ObjectKey key{std::string(kube::string_at(rendered, {"metadata", "namespace"})),
                              std::string(kube::string_at(rendered, {"metadata", "name"}))};
    FMESH_TRY(op::Wanted wanted, with_owner(rendered, *type, key));
    FMESH_TRY(const auto live, session_.get(*type, key));
    if (live) {
      FMESH_TRY(kube::ObjectPtr object, kube::Object::make(*live));
      world_.of(*type).put(std::move(object));
    }
    op::Circumstances circumstances;
    circumstances.owner = owner_;
    const op::Deed deed = op::decide(world_, wanted, circumstances);
    const std::string name = fmt::format("{} {}", type->kind, key.to_string());
    if (deed.kind == op::Deed::Kind::kNothing) {
      fmt::print("  {}\n", name);
      return false;
    }
    if (deed.kind != op::Deed::Kind::kWrite) {
      fmt::print("! {}: {}\n", name, deed.text);
      return true;
    }
    if (deed.write.verb == op::WriteVerb::kCreate) {
      fmt::print("+ {}\n", name);
      return true;
    }
    fmt::print("~ {}: {}\n", name, deed.text);
    return true;
  }

 private:
  // The uid of a resource that is not there yet is unknown, and so is not compared.
  Result<op::Wanted> with_owner(const json::value& rendered, const kube::ResourceType& type,
                                const kube::ObjectKey& key) {
    const json::value* owners = kube::find(rendered, {"metadata", "ownerReferences"});
    owner_ = {};
    if (owners && owners->is_array() && !owners->get_array().empty()) {
      const json::value& owner = owners->get_array().front();
      owner_.kind = kube::string_at(owner, {"kind"});
      owner_.name = kube::string_at(owner, {"name"});
      FMESH_TRY(owner_.uid, uid_of(owner_.kind, {key.name_space, owner_.name}));
    }
    std::string text = json::serialize(rendered);
    for (size_t at = 0; (at = text.find(plan::kUidPlaceholder, at)) != std::string::npos; at += owner_.uid.size()) {
      text.replace(at, std::string_view(plan::kUidPlaceholder).size(), owner_.uid);
    }
    FMESH_TRY(const json::value object, kube::read_json(text));
    return op::Wanted{&type, key, std::make_shared<const json::object>(object.get_object())};
  }

  Result<std::string> uid_of(const std::string& kind, const kube::ObjectKey& key) {
    const auto known = uids_.find({kind, key});
    if (known != uids_.end()) return known->second;
    std::string uid;
    if (const kube::ResourceType* type = type_of(kind)) {
      FMESH_TRY(const auto live, session_.get(*type, key));
      if (live) uid = kube::string_at(*live, {"metadata", "uid"});
    }
    uids_[{kind, key}] = uid;
    return uid;
  }

  ClusterSession& session_;
  SystemClock clock_;
  op::World world_;
  plan::Owner owner_;
  std::map<std::pair<std::string, kube::ObjectKey>, std::string> uids_;
};

Result<bool> diff(const DiffArguments& arguments) {
  FMESH_TRY(auto session, ClusterSession::open(arguments.cluster));
  plan::RenderOptions options;
  options.name_space = session->name_space();
  FMESH_TRY(options.cluster, read_cluster_options(arguments.flags, kube::system_sources()));
  const model::ResourceSet resources = model::read_files(arguments.files);
  plan::Rendered rendered = plan::render_set(resources, options);
  model::Diagnostics findings = resources.findings;
  findings.append(std::move(rendered.findings));
  findings.sort();
  fmt::print(stderr, "{}", model::render(findings, resources.sources));
  if (!findings.ok()) return fail(ErrorKind::kFixInput, count_line(findings) + " Nothing was compared.");
  Comparer comparer(*session);
  bool differs = false;
  for (const json::value& object : rendered.objects) {
    FMESH_TRY(const bool one, comparer.compare(object));
    differs = differs || one;
  }
  return differs;
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
      "+ would be made, ~ would be changed, ! stands in the way; what is as it should be has no sign.\n"
      "Exit code 0: nothing differs; 1: something does.\n\nExample:\n  fmesh diff -n shop mesh.yaml");
  verb->callback([arguments, &exit] {
    const Result<bool> differs = diff(*arguments);
    exit.code = !differs ? report(differs.error(), false) : *differs ? kExitFailed : kExitOk;
  });
}

}  // namespace fmesh::cli
