// fmesh why: what a resource is waiting for.
#include "operator/why.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <memory>

#include "cli/cluster.h"
#include "cli/command.h"
#include "cli/control.h"
#include "cli/tables.h"
#include "kube/json.h"
#include "operator/world.h"
#include "plan/cluster/cluster_plan.h"

namespace fmesh::cli {
namespace {

namespace json = boost::json;

constexpr int kLogLines = 200;  // of a container: a Java stack is long

struct WhyArguments {
  std::string what;
  ClusterFlags cluster;
};

Result<const kube::ResourceType*> type_named(const std::string& name) {
  std::string lower = name;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  const std::pair<const kube::ResourceType*, std::vector<std::string_view>> kinds[] = {
      {&kube::kFunction, {"function", "functions", "fn"}},
      {&kube::kSource, {"source", "sources", "src"}},
      {&kube::kSink, {"sink", "sinks", "snk"}},
      {&kube::kFunctionMesh, {"functionmesh", "functionmeshes", "fm", "mesh"}}};
  for (const auto& [type, names] : kinds) {
    if (std::find(names.begin(), names.end(), lower) != names.end()) return type;
  }
  return fail(ErrorKind::kFixInput, fmt::format("{}: expected function, source, sink or functionmesh", name));
}

model::Kind kind_of(const kube::ResourceType& type) {
  if (type == kube::kSource) return model::Kind::kSource;
  return type == kube::kSink ? model::Kind::kSink : model::Kind::kFunction;
}

std::vector<json::value> items_of(const json::value& list) {
  const json::value* items = kube::find(list, {"items"});
  return items && items->is_array() ? std::vector<json::value>(items->get_array().begin(), items->get_array().end())
                                    : std::vector<json::value>();
}

class Asker {
 public:
  explicit Asker(ClusterSession& session) : session_(session) {}

  // Prints the answer; true if it is ready.
  Result<bool> component(const kube::ResourceType& type, const std::string& name, const std::string& indent) {
    op::WhyFacts facts;
    const kube::ObjectKey key{session_.name_space(), name};
    FMESH_TRY(auto resource, session_.get(type, key));
    if (!resource) {
      return fail(ErrorKind::kFixInput,
                  fmt::format("there is no {} {} in namespace {}", type.kind, name, key.name_space));
    }
    facts.resource = std::move(*resource);
    const std::string set = plan::stateful_set_name(kind_of(type), name);
    FMESH_TRY(auto stateful_set, session_.get(kube::kStatefulSet, {key.name_space, set}));
    if (stateful_set) facts.stateful_set = std::move(*stateful_set);
    kube::ListOptions pods;
    pods.name_space = key.name_space;
    pods.label_selector = "app.kubernetes.io/instance=" + set;
    FMESH_TRY(const json::value found, session_.list(kube::kPod, pods));
    facts.pods = items_of(found);
    kube::ListOptions events;
    events.name_space = key.name_space;
    FMESH_TRY(const json::value said, session_.list(kube::kCoreEvent, events));
    facts.events = items_of(said);
    for (const op::LogWanted& wanted : op::logs_wanted(facts.pods)) read_log(wanted, facts);
    const op::WhyAnswer answer = op::why(facts);
    print(answer, indent);
    return answer.ready;
  }

  Result<bool> mesh(const std::string& name) {
    FMESH_TRY(auto found, session_.get(kube::kFunctionMesh, {session_.name_space(), name}));
    if (!found) {
      return fail(ErrorKind::kFixInput,
                  fmt::format("there is no FunctionMesh {} in namespace {}", name, session_.name_space()));
    }
    const op::WhyAnswer answer = op::why_mesh(*found);
    print(answer, "");
    const std::string uid(kube::string_at(*found, {"metadata", "uid"}));
    bool all = answer.ready;
    for (const kube::ResourceType* type : {&kube::kSource, &kube::kFunction, &kube::kSink}) {
      kube::ListOptions options;
      options.name_space = session_.name_space();
      FMESH_TRY(const json::value list, session_.list(*type, options));
      for (const json::value& item : items_of(list)) {
        json::value object = item;
        auto child = kube::Object::make(object);
        if (!child || (*child)->owner_uid() != uid) continue;
        FMESH_TRY(const bool ready, component(*type, (*child)->key().name, "  "));
        all = all && ready;
      }
    }
    return all;
  }

 private:
  static void print(const op::WhyAnswer& answer, const std::string& indent) {
    for (size_t i = 0; i < answer.lines.size(); ++i) {
      fmt::print("{}{}{}\n", indent, i == 0 ? "" : "  ", harmless(answer.lines[i]));
    }
  }

  void read_log(const op::LogWanted& wanted, op::WhyFacts& facts) {
    kube::Request request;
    request.target =
        fmt::format("/api/v1/namespaces/{}/pods/{}/log?container={}&tailLines={}{}",
                    kube::percent_encode(session_.name_space()), kube::percent_encode(wanted.pod),
                    kube::percent_encode(wanted.container), kLogLines, wanted.previous ? "&previous=true" : "");
    const auto answer = session_.ask(request);
    if (answer && answer->status == 200) facts.logs[wanted.pod + "/" + wanted.container] = answer->body;
  }

  ClusterSession& session_;
};

Result<bool> answer_why(const WhyArguments& arguments) {
  const size_t slash = arguments.what.find('/');
  if (slash == std::string::npos) {
    return fail(ErrorKind::kFixInput, fmt::format("{}: expected KIND/NAME, such as function/enrich", arguments.what));
  }
  FMESH_TRY(const kube::ResourceType* type, type_named(arguments.what.substr(0, slash)));
  const std::string name = arguments.what.substr(slash + 1);
  if (name.empty() || name.find('/') != std::string::npos) {
    return fail(ErrorKind::kFixInput, fmt::format("{}: expected KIND/NAME, such as function/enrich", arguments.what));
  }
  FMESH_TRY(auto session, ClusterSession::open(arguments.cluster));
  Asker asker(*session);
  return *type == kube::kFunctionMesh ? asker.mesh(name) : asker.component(*type, name, "");
}

}  // namespace

void add_why(CLI::App& app, Exit& exit) {
  CLI::App* verb = app.add_subcommand("why", "Say what a resource in the cluster is waiting for");
  const auto arguments = std::make_shared<WhyArguments>();
  verb->add_option("KIND/NAME", arguments->what, "Such as function/enrich or functionmesh/orders")->required();
  add_cluster_flags(*verb, arguments->cluster);
  verb->footer("Exit code 0: it is ready; 1: it is not.\n\nExample:\n  fmesh why functionmesh/orders -n shop");
  verb->callback([arguments, &exit] {
    const Result<bool> ready = answer_why(*arguments);
    exit.code = !ready ? report(ready.error(), false) : *ready ? kExitOk : kExitFailed;
  });
}

}  // namespace fmesh::cli
