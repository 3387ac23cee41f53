#include "sim/resource_mutator.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "kube/json.h"
#include "model/schema.h"
#include "operator/admission.h"
#include "sim/operator_cluster.h"

namespace fmesh::sim {
namespace json = boost::json;
using model::Kind;

namespace {

// Nothing fails and nobody is slow: the operator has no backoffs to wait for.
constexpr int64_t kQuietMs = 12'000;
constexpr int64_t kAfterRestartMs = 20'000;
constexpr const char* kUnknownField = "noSuchField";

const kube::ResourceType& type_of(Kind kind) {
  switch (kind) {
    case Kind::kFunction:
      return kube::kFunction;
    case Kind::kSource:
      return kube::kSource;
    case Kind::kSink:
      return kube::kSink;
    case Kind::kFunctionMesh:
      return kube::kFunctionMesh;
    case Kind::kBackendConfig:
      return kube::kBackendConfig;
  }
  return kube::kFunction;
}

std::string shown(const json::value& value) { return json::serialize(value).substr(0, 200); }

std::string all_errors(const op::AdmissionAnswer& answer) {
  std::string text;
  for (const op::AdmissionError& error : answer.errors) text += fmt::format("{}: {}; ", error.path, error.detail);
  return text;
}

// Webhooks, as the API server asks them: of each of our resources that is written, by whoever.
std::vector<Cause> admit(const json::value& before, json::value& object) {
  if (kube::string_at(object, {"apiVersion"}) != kube::kFunction.api_version()) return {};
  op::AdmissionAnswer answer = before.is_null() ? op::admit_create(object) : op::admit_update(before, object);
  std::vector<Cause> causes;
  for (const op::AdmissionError& error : answer.errors)
    causes.push_back({"FieldValueInvalid", error.path, error.detail});
  object = std::move(answer.object);
  return causes;
}

// Member `name` of every object in `text` that has it.
std::string without_member(std::string text, std::string_view name) {
  const std::string key = fmt::format("\"{}\":", name);
  for (size_t at = 0; (at = text.find(key, at)) != std::string::npos;) {
    size_t end = text.find_first_of(",}", at + key.size());
    if (end != std::string::npos && text[end] == ',') ++end;
    text.erase(at, end - at);
  }
  return text;
}

// What legitimately tells an object that was changed from one that was made: nothing but this.
std::string comparable(Kind kind, std::string state) {
  // Which autoUpdate the BackendConfig had when its pods were last brought in line with it: of one that gave it up, the
  // last that was used.
  if (kind == Kind::kBackendConfig) state = without_member(std::move(state), "namespacedBackendConfigAutoUpdate");
  return state;
}

// Why what was admitted may not be made after all: what admission can't know.
bool admission_cannot_know(const std::string& trouble) {
  static constexpr std::string_view kReasons[] = {
      "which is not there; expected one of pod.volumes",  // a volume that a BackendConfig might bring
      "mounts two volumes at",                            // the same
      "refused by the API server",                        // Kubernetes' own rules for names, quantities and the rest
  };
  return std::any_of(std::begin(kReasons), std::end(kReasons),
                     [&](std::string_view reason) { return trouble.find(reason) != std::string::npos; });
}

class Trial {
 public:
  explicit Trial(Kind kind) : kind_(kind), cluster_(options()) {
    cluster_.server().registry().set_admission(admit);
    cluster_.start_operator();
  }

  // Each leaves the cluster at rest, or says what is wrong.
  std::string create(const json::value& resource) {
    const kube::Response answer = cluster_.server().user(kube::create(type_of(kind_), kMutatorNamespace, resource));
    if (answer.status != 201) return fmt::format("created: {} {}", answer.status, answer.body);
    if (kind_ != Kind::kBackendConfig) return rest();
    if (!cluster_.rest()) return "does not come to rest";
    cluster_.server().user(kube::create(kube::kFunction, kMutatorNamespace, function_beside()));
    return rest();
  }
  std::string update(const json::value& resource) {
    json::value next = *live();
    next.as_object()["spec"] = resource.at("spec");
    const kube::Response answer = cluster_.server().user(kube::update(type_of(kind_), key(), next));
    if (answer.status != 200) return fmt::format("updated: {} {}", answer.status, answer.body);
    return rest();
  }
  std::string remove() {
    cluster_.server().user(kube::remove(type_of(kind_), key(), {}, kube::Propagation::kBackground));
    if (kind_ == Kind::kBackendConfig)
      cluster_.server().user(
          kube::remove(kube::kFunction, {kMutatorNamespace, "r"}, {}, kube::Propagation::kBackground));
    if (!cluster_.rest()) return "does not come to rest";
    return cluster_.state().empty() ? "" : "something is left behind: " + cluster_.state().substr(0, 400);
  }
  // A process that begins anew finds nothing to do.
  std::string restart() {
    const size_t before = cluster_.changes();
    cluster_.restart_operator(100);
    cluster_.advance(kAfterRestartMs);
    return cluster_.changes() == before ? "" : "a restart writes";
  }

  std::string state() const { return comparable(kind_, cluster_.state()); }
  std::string log() const { return last_lines(cluster_.log(), 30); }
  // What status says of the resource, or of the first child or component that is not well; empty: all is.
  std::string trouble() const {
    for (const kube::ResourceType& type : {kube::kFunction, kube::kSource, kube::kSink, kube::kFunctionMesh}) {
      for (const JsonPtr& object : cluster_.server().all(type)) {
        const std::string_view reason = kube::string_at(*object, {"status", "reason"});
        if (reason == "Ready" || reason == "ScaledToZero") continue;
        return fmt::format("{}: {}", reason, kube::string_at(*object, {"status", "message"}));
      }
    }
    return {};
  }
  size_t stateful_sets() const { return cluster_.server().all(kube::kStatefulSet).size(); }

 private:
  static OperatorClusterOptions options() {
    OperatorClusterOptions options;
    options.quiet_ms = kQuietMs;
    options.server.lag_max_ms = 5;
    return options;
  }
  kube::ObjectKey key() const { return {kMutatorNamespace, kind_ == Kind::kBackendConfig ? "backend-config" : "r"}; }
  JsonPtr live() const { return cluster_.server().get(type_of(kind_), key()); }
  std::string rest() { return cluster_.rest() ? "" : "does not come to rest"; }

  Kind kind_;
  mutable OperatorCluster cluster_;
};

// Base, changed, base again.
class Check {
 public:
  explicit Check(const Mutation& mutation) : mutation_(mutation), kind_(mutation.base->kind) {}

  MutationOutcome run() {
    const op::AdmissionAnswer fresh = op::admit_create(mutation_.resource);
    const op::AdmissionAnswer update =
        op::admit_update(op::admit_create(mutation_.base->resource).object, mutation_.resource);
    if (fresh.allowed && !update.allowed) return broken("admitted fresh, refused as an update: " + all_errors(update));
    if (!fresh.allowed) return refused(fresh);
    Trial made(kind_), changed(kind_);
    if (!holds(made, made.create(mutation_.resource)) || !holds(made, made.restart())) return outcome_;
    outcome_.text = made.trouble();
    outcome_.result = outcome_.text.empty() ? MutationResult::kRolledOut : MutationResult::kBlocked;
    const std::string fresh_state = made.state();
    if (!outcome_.text.empty() && !admission_cannot_know(outcome_.text))
      return broken("admitted, but it can't be made: " + outcome_.text);
    if (!holds(made, made.remove())) return outcome_;

    if (!holds(changed, changed.create(mutation_.base->resource))) return outcome_;
    const std::string base_state = changed.state();
    const size_t sets = changed.stateful_sets();
    if (!changed.trouble().empty()) return broken("the base is in trouble: " + changed.trouble());
    if (!holds(changed, changed.update(mutation_.resource)) || !holds(changed, changed.restart())) return outcome_;
    if (outcome_.result == MutationResult::kBlocked) {
      if (changed.stateful_sets() < sets) return broken("what ran does not run on\n" + changed.log());
    } else if (changed.state() != fresh_state) {
      return broken("fresh differs from chained in " + first_difference(fresh_state, changed.state()) + changed.log());
    }
    if (!holds(changed, changed.update(mutation_.base->resource))) return outcome_;
    if (changed.state() != base_state)
      return broken("going back does not restore " + first_difference(base_state, changed.state()) + changed.log());
    holds(changed, changed.restart());
    return outcome_;
  }

 private:
  bool holds(const Trial& trial, const std::string& problem) {
    if (!problem.empty()) outcome_.broken = problem + "\n" + trial.log();
    return problem.empty();
  }
  MutationOutcome broken(std::string text) {
    outcome_.broken = std::move(text);
    return outcome_;
  }
  MutationOutcome refused(const op::AdmissionAnswer& answer) {
    outcome_.text = all_errors(answer);
    if (answer.errors.empty()) outcome_.broken = "refused without an error";
    for (const op::AdmissionError& error : answer.errors) {
      if (!error.path.starts_with("spec")) outcome_.broken = "refused without a place: " + error.detail;
    }
    return outcome_;
  }

  const Mutation& mutation_;
  Kind kind_;
  MutationOutcome outcome_;
};

}  // namespace

std::string Mutation::name() const { return fmt::format("{}: {} {}", base->name, place.path.to_string(), what); }

std::vector<PlacedField> placed_fields(Kind kind) {
  std::vector<PlacedField> out;
  const std::vector<MutatorBase>& bases = mutator_bases(kind);
  for (FieldPlace& place : places_of(kind)) {
    const auto base = std::find_if(bases.begin(), bases.end(), [&](const MutatorBase& one) {
      return value_at(one.resource, place.pointer) != nullptr;
    });
    out.push_back({std::move(place), base == bases.end() ? nullptr : &*base});
  }
  return out;
}

std::vector<Mutation> mutations_of(Kind kind) {
  std::vector<Mutation> out;
  for (const PlacedField& field : placed_fields(kind)) {
    if (!field.base) continue;
    Mutation absent{field.base, field.place, "absent", field.base->resource};
    take_at(absent.resource, field.place.pointer);
    out.push_back(std::move(absent));
    const model::FieldInfo& info = *field.place.field;
    const auto add = [&](const char* what, const json::value& value) {
      Mutation mutation{field.base, field.place, what, field.base->resource};
      put_at(mutation.resource, field.place.pointer, value);
      if (mutation.resource != field.base->resource) out.push_back(std::move(mutation));
    };
    const json::value smallest = smallest_value(info, field.place.kinds);
    add("smallest", smallest);
    if (smallest.is_int64() && smallest != 0) add("zero", 0);
    add("largest", largest_value(info, field.place.kinds));
  }
  return out;
}

std::string check_wrong_values(const PlacedField& field) {
  for (const WrongValue& wrong : wrong_values(*field.place.field)) {
    json::value resource = field.base->resource;
    put_at(resource, field.place.pointer, wrong.value);
    const std::string path = field.place.path.to_string() + wrong.step;
    for (const bool create : {true, false}) {
      if (!create && !wrong.step.empty()) continue;  // told by the same reader
      const op::AdmissionAnswer answer =
          create ? op::admit_create(resource) : op::admit_update(field.base->resource, resource);
      const auto told = [&](const op::AdmissionError& error) { return error.path == path && !error.detail.empty(); };
      if (answer.allowed) return fmt::format("{} = {} is admitted", path, shown(wrong.value));
      if (std::none_of(answer.errors.begin(), answer.errors.end(), told))
        return fmt::format("{} = {}: no error says where: {}", path, shown(wrong.value), all_errors(answer));
    }
  }
  json::value null = field.base->resource, absent = field.base->resource;
  put_at(null, field.place.pointer, nullptr);
  take_at(absent, field.place.pointer);
  const op::AdmissionAnswer with_null = op::admit_create(null), without = op::admit_create(absent);
  if (with_null.allowed != without.allowed)
    return fmt::format("{}: null and absent are two things: {}{}", field.place.path.to_string(), all_errors(with_null),
                       all_errors(without));
  return {};
}

std::string check_unknown_fields(const MutatorBase& base) {
  for (const FieldPlace& place : places_of(base.kind)) {
    const json::value* there = value_at(base.resource, place.pointer);
    if (!there || !there->is_object() || place.field->type() != model::FieldType::kStruct) continue;
    json::value resource = base.resource;
    put_at(resource, place.pointer + "/" + kUnknownField, 1);
    const std::string path = (place.path / kUnknownField).to_string();
    const op::AdmissionAnswer answer = op::admit_create(resource);
    const auto tells = [&](const std::string& text) { return text.find(path) != std::string::npos; };
    if (answer.allowed ? std::none_of(answer.warnings.begin(), answer.warnings.end(), tells)
                       : !tells(all_errors(answer)))
      return fmt::format("nobody hears of {}", path);
    if (answer.allowed && value_at(answer.object, place.pointer + "/" + kUnknownField))
      return fmt::format("{} is stored", path);
  }
  return {};
}

MutationOutcome run_mutation(const Mutation& mutation) { return Check(mutation).run(); }

}  // namespace fmesh::sim
