#include "operator/mesh_pass.h"

#include <fmt/format.h>

#include <array>
#include <boost/json.hpp>

#include "operator/compare.h"

namespace fmesh::op {
namespace {

namespace json = boost::json;

constexpr std::array kChildTypes = {&kube::kFunction, &kube::kSource, &kube::kSink};

const kube::ResourceType& type_of(model::Kind kind) {
  if (kind == model::Kind::kSource) return kube::kSource;
  return kind == model::Kind::kSink ? kube::kSink : kube::kFunction;
}

}  // namespace

Step MeshPass::look() {
  resource_ = world_.meshes.get(key_);
  if (!resource_) return {};
  if (std::optional<Step> done = after_status(world_, *resource_)) return *done;
  if (!live_ || live_version_ != resource_->resource_version()) find_children();
  const auto managed = live_->metadata.annotations.find(kManaged);
  if (!live_->mesh || (managed != live_->metadata.annotations.end() && managed->second == "false")) return {};
  if (live_->being_deleted) return {};  // the garbage collector takes the children
  children_.clear();
  again_after_ms_ = 0;
  if (std::optional<Step> step = children_step()) return std::move(*step);
  if (std::optional<Step> step = orphans_step()) return std::move(*step);
  if (!under_way_.empty()) return {.kind = Step::Kind::kWait};
  return status_step();
}

void MeshPass::find_children() {
  live_ = model::read_live(resource_->text());
  live_version_ = resource_->resource_version();
  wanted_.clear();
  names_.clear();
  problem_.clear();
  known_.clear();
  updated_.clear();  // what is wanted may be another thing now
  const plan::Owner owner{"FunctionMesh", key_.name, live_->uid};
  for (const model::Component& item : live_->items) {
    const kube::ResourceType& type = type_of(item.kind);
    if (!names_.insert({std::string(type.kind), item.metadata.name}).second) {
      problem_ = fmt::format("two {}s of the mesh have the name {}; rename one", type.kind, item.spec.name);
      continue;
    }
    auto child = std::make_shared<const json::object>(plan::make_mesh_child(item, owner));
    wanted_.push_back({.wanted = {&type, {key_.name_space, item.metadata.name}, std::move(child)},
                       .kind = item.kind,
                       .item = item.spec.name});
  }
  children_max_ = wanted_.size();
  for (const kube::ResourceType* type : kChildTypes) children_max_ += world_.of(*type).owned_by(live_->uid).size();
}

std::optional<Step> MeshPass::children_step() {
  for (const Child& child : wanted_) {
    ChildSeen seen{.kind = child.kind, .item = child.item};
    if (std::optional<Step> step = bring(child.wanted, seen)) return step;
    children_.push_back(std::move(seen));
  }
  return std::nullopt;
}

std::optional<Step> MeshPass::orphans_step() {
  for (const kube::ResourceType* type : kChildTypes) {
    for (const kube::ObjectPtr& object : world_.of(*type).owned_by(live_->uid)) {
      const ObjectName name{std::string(type->kind), object->key().name};
      if (names_.contains(name)) continue;
      const std::string prefix = key_.name + "-";
      ChildSeen seen{.kind = type == &kube::kSource ? model::Kind::kSource
                             : type == &kube::kSink ? model::Kind::kSink
                                                    : model::Kind::kFunction,
                     .item = object->key().name.starts_with(prefix) ? object->key().name.substr(prefix.size())
                                                                    : object->key().name,
                     .exists = true,
                     .orphaned = true};
      if (std::optional<Step> step = bring({type, object->key(), nullptr}, seen)) return step;
      children_.push_back(std::move(seen));
    }
  }
  return std::nullopt;
}

std::optional<Step> MeshPass::bring(const Wanted& wanted, ChildSeen& seen) {
  const ObjectName name{std::string(wanted.type->kind), wanted.key.name};
  const kube::ObjectPtr live = world_.of(*wanted.type).get(wanted.key);
  seen.exists = live != nullptr;
  Known& known = known_[name];
  if (known.live != live) {
    known = {live, std::nullopt, false};
    if (live && live->owner_uid() == live_->uid) known.status = model::read_component_status(live->text());
  }
  seen.status = known.status;
  if (const auto refused = refused_.find(name); refused != refused_.end()) {
    seen.text = refused->second;
    return std::nullopt;
  }
  if (known.in_order || under_way_.contains(name)) return std::nullopt;
  const Circumstances circumstances{.owner = {"FunctionMesh", key_.name, live_->uid}};
  Deed deed = decide(world_, wanted, circumstances);
  if (deed.kind == Deed::Kind::kWrite && deed.write.verb == WriteVerb::kUpdate && !updated_.insert(name).second) {
    world_.settled[live->uid()] = settled_state(live->json().get_object(), *wanted.object);
    notes_.push_back(
        {true, "ChangedByOthers",
         fmt::format("{} {} is changed by another admission controller after each update; it stays as it is",
                     name.first, name.second)});
    deed = {};
  }
  switch (deed.kind) {
    case Deed::Kind::kWrite:
      return Step{.kind = Step::Kind::kWrite, .write = std::move(deed.write), .independent = true};
    case Deed::Kind::kNothing:
      known.in_order = wanted.object != nullptr;
      return std::nullopt;
    case Deed::Kind::kWait:
      again_after_ms_ = kWaitForOthersMs;
      [[fallthrough]];
    case Deed::Kind::kHeld:
    case Deed::Kind::kBlocked:
      seen.text = deed.text;
      return std::nullopt;
  }
  return std::nullopt;
}

Step MeshPass::status_step() {
  json::value status = to_json(make_mesh_status(*live_, children_, refused_.empty(), problem_));
  return write_status(world_, kube::kFunctionMesh, resource_, std::move(status), end(again_after_ms_));
}

}  // namespace fmesh::op
