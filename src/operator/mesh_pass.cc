#include "operator/mesh_pass.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "operator/compare.h"

namespace fmesh::op {
namespace {

namespace json = boost::json;

const kube::ResourceType& type_of(model::Kind kind) {
  if (kind == model::Kind::kSource) return kube::kSource;
  return kind == model::Kind::kSink ? kube::kSink : kube::kFunction;
}

}  // namespace

Step MeshPass::next() {
  resource_ = world_.meshes.get(key_);
  if (!resource_) return {};
  if (!live_ || live_version_ != resource_->resource_version()) {
    live_ = model::read_live(resource_->text());
    live_version_ = resource_->resource_version();
    in_order_.clear();
    updated_.clear();  // what is wanted may be another thing now
  }
  const auto managed = live_->metadata.annotations.find(kManaged);
  if (!live_->mesh || (managed != live_->metadata.annotations.end() && managed->second == "false")) return {};
  if (live_->being_deleted) return {};  // the garbage collector takes the children
  if (status_written_) {
    note_settled_status(world_, status_, *resource_);
    return done_;
  }
  children_.clear();
  problem_.clear();
  again_after_ms_ = 0;
  if (std::optional<Step> step = children_step()) return *step;
  return status_step();
}

std::optional<Step> MeshPass::children_step() {
  const plan::Owner owner{"FunctionMesh", key_.name, live_->uid};
  std::set<ObjectName> wanted;
  for (const model::Component& item : live_->items) {
    const kube::ResourceType& type = type_of(item.kind);
    const ObjectName name{std::string(type.kind), item.metadata.name};
    ChildSeen seen{.kind = item.kind, .item = item.spec.name};
    if (!wanted.insert(name).second) {
      problem_ = fmt::format("two {}s of the mesh have the name {}; rename one", type.kind, item.spec.name);
      continue;
    }
    const Wanted child{&type, {key_.name_space, item.metadata.name}, plan::make_mesh_child(item, owner)};
    if (std::optional<Step> step = bring(child, seen)) return step;
    children_.push_back(std::move(seen));
  }
  return orphans_step(wanted);
}

std::optional<Step> MeshPass::orphans_step(const std::set<ObjectName>& wanted) {
  for (const kube::ResourceType* type : {&kube::kFunction, &kube::kSource, &kube::kSink}) {
    for (const kube::ObjectPtr& object : world_.of(*type).owned_by(live_->uid)) {
      const ObjectName name{std::string(type->kind), object->key().name};
      if (wanted.contains(name)) continue;
      const std::string prefix = key_.name + "-";
      ChildSeen seen{.kind = type == &kube::kSource ? model::Kind::kSource
                             : type == &kube::kSink ? model::Kind::kSink
                                                    : model::Kind::kFunction,
                     .item = object->key().name.starts_with(prefix) ? object->key().name.substr(prefix.size())
                                                                    : object->key().name,
                     .exists = true,
                     .orphaned = true};
      if (std::optional<Step> step = bring({type, object->key(), std::nullopt}, seen)) return step;
      children_.push_back(std::move(seen));
    }
  }
  return std::nullopt;
}

std::optional<Step> MeshPass::bring(const Wanted& wanted, ChildSeen& seen) {
  const ObjectName name{std::string(wanted.type->kind), wanted.key.name};
  const kube::ObjectPtr live = world_.of(*wanted.type).get(wanted.key);
  seen.exists = live != nullptr;
  if (live && live->owner_uid() == live_->uid) seen.status = model::read_component_status(live->text());
  if (const auto refused = refused_.find(name); refused != refused_.end()) {
    seen.text = refused->second;
    return std::nullopt;
  }
  if (in_order_.contains(name)) return std::nullopt;
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
      return Step{.kind = Step::Kind::kWrite, .write = std::move(deed.write)};
    case Deed::Kind::kNothing:
      if (wanted.object) in_order_.insert(name);
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
  Step done{.again_after_ms = again_after_ms_};
  if (!refused_.empty()) {
    done.failed = forbidden_;
    if (!forbidden_) done.again_after_ms = kRefusedAgainMs;
  }
  if (status_refused_) return done;
  status_ = write_status(make_mesh_status(*live_, children_, refused_.empty(), problem_));
  json::value now = resource_->json();
  json::object& object = now.get_object();
  const json::value* there = object.if_contains("status");
  if (there && !status_differs(status_, *there)) return done;
  const auto known = world_.settled.find(live_->uid + "/status");
  if (known != world_.settled.end() && known->second == settled_status(status_, there)) return done;
  done_ = done;
  object.insert_or_assign("status", status_);
  return {.kind = Step::Kind::kWrite,
          .write = {WriteVerb::kStatus, kube::kFunctionMesh, key_,
                    kube::update(kube::kFunctionMesh, key_, now, "status"), live_->uid, "", ""}};
}

}  // namespace fmesh::op
