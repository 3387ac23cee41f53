#include "operator/runner.h"

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "kube/json.h"
#include "operator/trim.h"

namespace fmesh::op {
namespace {

namespace json = boost::json;

constexpr int64_t kNsPerMs = 1'000'000;

// The same but for its version: what was dropped from it changed.
bool same_but_version(const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
  if (!before || !after || before->uid() != after->uid()) return false;
  const auto split = [](const kube::ObjectPtr& object) {
    const std::string_view text = object->text();
    const std::string version = "\"resourceVersion\":\"" + object->resource_version() + "\"";
    const size_t at = text.find(version);
    return at == std::string_view::npos ? std::pair(text, std::string_view())
                                        : std::pair(text.substr(0, at), text.substr(at + version.size()));
  };
  return split(before) == split(after);
}

kube::WorkKey key_of(const kube::ResourceType& type, const kube::ObjectKey& key) {
  return {std::string(type.kind), key.name_space, key.name};
}

}  // namespace

Runner::Runner(Loop& loop, kube::Api& api, World& world, const Settings& settings, Rng& rng, Cleaner& cleaner,
               Notes& notes)
    : loop_(loop),
      api_(api),
      world_(world),
      settings_(settings),
      cleaner_(cleaner),
      notes_(notes),
      queue_(rng, kube::BackoffOptions{}) {
  watch_world();
}

Runner::~Runner() {
  *alive_ = false;
  if (timer_) loop_.cancel(*timer_);
}

void Runner::watch_world() {
  for (const kube::ResourceType& type : World::kinds()) {
    world_.of(type).on_change(
        [this, type](const kube::ObjectPtr& before, const kube::ObjectPtr& after) { changed(type, before, after); });
  }
}

void Runner::changed(const kube::ResourceType& type, const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
  if (same_but_version(before, after)) return;
  const kube::ObjectPtr& object = after ? after : before;
  if (type == kube::kBackendConfig) {
    backend_config_changed(object);
  } else if (type_of_kind(type.kind)) {
    if (type != kube::kFunctionMesh || settings_.meshes) add(key_of(type, object->key()));
  }
  if (before && before->owner_uid() != (after ? after->owner_uid() : "")) owner_changed(before);
  if (after) {
    // A mesh sums its children up, so it need not look at each of their changes at once.
    const bool child_of_mesh = after->owner_kind() == kube::kFunctionMesh.kind;
    if (child_of_mesh && before && before->generation() == after->generation() &&
        before->being_deleted() == after->being_deleted()) {
      if (settings_.meshes) {
        queue_.add_at({after->owner_kind(), after->key().name_space, after->owner_name()},
                      loop_.clock().monotonic_ns() + kMeshStatusDelayMs * kNsPerMs);
      }
    } else {
      owner_changed(after);
    }
  } else if (before) {
    owner_changed(before);
  }
  wake();
}

void Runner::owner_changed(const kube::ObjectPtr& object) {
  if (!type_of_kind(object->owner_kind())) return;
  if (object->owner_kind() == kube::kFunctionMesh.kind && !settings_.meshes) return;
  add({object->owner_kind(), object->key().name_space, object->owner_name()});
}

// A pass sees its own writes: they are no reason for another.
void Runner::add(const kube::WorkKey& key) {
  if (!answering_ || *answering_ != key) queue_.add(key, kube::Urgency::kChange);
}

void Runner::backend_config_changed(const kube::ObjectPtr& config) {
  const bool global = config->key() == kube::ObjectKey{settings_.cluster.global_backend_config_namespace,
                                                       settings_.cluster.global_backend_config};
  const bool namespaced = config->key().name == settings_.cluster.namespaced_backend_config;
  if (!global && !namespaced) return;
  for (const kube::ResourceType& type : {kube::kFunction, kube::kSource, kube::kSink}) {
    world_.of(type).each([&](const kube::ObjectPtr& object) {
      if (global || object->key().name_space == config->key().name_space) {
        queue_.add(key_of(type, object->key()), kube::Urgency::kResync);
      }
      return true;
    });
  }
}

void Runner::resync() {
  for (const kube::ResourceType& type : World::kinds()) {
    if (!type_of_kind(type.kind) || type == kube::kBackendConfig) continue;
    if (type == kube::kFunctionMesh && !settings_.meshes) continue;
    world_.of(type).each([&](const kube::ObjectPtr& object) {
      queue_.add(key_of(type, object->key()), kube::Urgency::kResync);
      return true;
    });
  }
  wake();
}

void Runner::set_active(bool active) {
  active_ = active;
  wake();
}

void Runner::wake() {
  if (pump_posted_) return;
  pump_posted_ = true;
  loop_.post([this, alive = alive_] {
    if (!*alive) return;
    pump_posted_ = false;
    pump();
  });
}

void Runner::pump() {
  if (!active_) return;
  while (may_begin()) {
    const std::optional<kube::WorkKey> key = queue_.take(loop_.clock().monotonic_ns());
    if (!key) break;
    std::unique_ptr<Pass> pass = make_pass(world_, settings_, *key);
    if (!pass) {
      queue_.succeeded(*key);
      queue_.done(*key);
      continue;
    }
    const kube::ObjectPtr resource = world_.of(*type_of_kind(key->kind)).get({key->name_space, key->name});
    running_[*key] = {.pass = std::move(pass), .since_ns = loop_.clock().monotonic_ns(), .resource = resource};
    advance(*key);
  }
  if (timer_) loop_.cancel(*timer_);
  timer_.reset();
  const std::optional<int64_t> next_ns = queue_.next_at_ns();
  if (!next_ns) return;
  int64_t wait_ms = std::max<int64_t>(0, (*next_ns - loop_.clock().monotonic_ns() + kNsPerMs - 1) / kNsPerMs);
  if (!may_begin()) {
    if (world_.unseen() < kUnseenWritesMax) return;  // the end of a pass or a write comes back here
    wait_ms = std::max(wait_ms, kUnseenLookMs);
  }
  timer_ = loop_.post_after(wait_ms, [this, alive = alive_] {
    if (!*alive) return;
    timer_.reset();
    pump();
  });
}

void Runner::advance(const kube::WorkKey& key) {
  Running& running = running_.at(key);
  const size_t writes_max = std::max<size_t>(1, settings_.passes_max / 2);
  while (!running.end) {
    if (!active_ || (may_write_ && !may_write_()) || ++running.steps > running.pass->steps_max()) {
      return end(key, {.kind = Step::Kind::kDone, .failed = true}, 0);
    }
    Step step = running.pass->next();
    switch (step.kind) {
      case Step::Kind::kWrite:
        write(key, std::move(step.write));
        if (!step.independent || running.under_way >= writes_max || !may_write_more()) return;
        break;
      case Step::Kind::kWait:
        --running.steps;  // it was none
        return;
      case Step::Kind::kCleanup:
        return clean(key, step.cleanup_limit_ms);
      case Step::Kind::kDone:
        return end(key, step, 0);
    }
  }
  if (running.under_way == 0) finish(key, *running.end, running.at_least_ms);
}

void Runner::end(const kube::WorkKey& key, const Step& step, int64_t at_least_ms) {
  Running& running = running_.at(key);
  if (!running.end || step.failed) running.end = step;
  running.at_least_ms = std::max(running.at_least_ms, at_least_ms);
  if (running.under_way == 0) finish(key, *running.end, running.at_least_ms);
}

void Runner::write(const kube::WorkKey& key, Write write) {
  ++counts_.writes;
  ++running_.at(key).under_way;
  ++under_way_;
  kube::Request request = std::exchange(write.request, {});  // may be large, and is not asked for any more
  api_.send(std::move(request),
            [this, alive = alive_, key, write = std::move(write)](const Result<kube::Response>& answer) {
              if (!*alive) return;
              const kube::Outcome outcome = kube::read_outcome(answer);
              answering_ = &key;
              take_answer(write, answer, outcome);
              answering_ = nullptr;
              if (write.verb == WriteVerb::kCreate && outcome.verdict == kube::Verdict::kAlreadyExists) {
                return look_at_existing(key, write, outcome);
              }
              answered(key, write, outcome);
            });
}

void Runner::tell(const kube::WorkKey& key, const Write& write, const kube::Outcome& outcome) {
  Running& running = running_.at(key);
  --running.under_way;
  if (under_way_-- == settings_.passes_max) wake();  // others have waited for room
  running.pass->answered(write, outcome);
}

void Runner::answered(const kube::WorkKey& key, const Write& write, const kube::Outcome& outcome) {
  tell(key, write, outcome);
  switch (outcome.verdict) {
    case kube::Verdict::kNotFound:
      if (write.verb == WriteVerb::kDelete) return advance(key);
      [[fallthrough]];
    case kube::Verdict::kTooMany:
    case kube::Verdict::kUnavailable:
    case kube::Verdict::kConflict:
    case kube::Verdict::kAlreadyExists:
    case kube::Verdict::kBeingDeleted:
    case kube::Verdict::kGone:
      // What is known is old, or the outcome is unknown: look again once the watch told more.
      return end(key, {.kind = Step::Kind::kDone, .failed = true}, outcome.retry_after_ms);
    case kube::Verdict::kOk:
    case kube::Verdict::kInvalid:
    case kube::Verdict::kForbidden:
      return advance(key);
  }
}

void Runner::look_at_existing(const kube::WorkKey& key, const Write& write, const kube::Outcome& refusal) {
  api_.send(kube::get(write.type, write.key),
            [this, alive = alive_, key, write, refusal](const Result<kube::Response>& answer) {
              if (!*alive) return;
              const kube::Outcome outcome = kube::read_outcome(answer);
              answering_ = &key;
              take_answer(write, answer, outcome);
              answering_ = nullptr;
              tell(key, write, refusal);
              if (outcome.verdict == kube::Verdict::kOk) return advance(key);
              end(key, {.kind = Step::Kind::kDone, .failed = true}, outcome.retry_after_ms);
            });
}

void Runner::take_answer(const Write& write, const Result<kube::Response>& answer, const kube::Outcome& outcome) {
  kube::Store& store = world_.of(write.type);
  if (outcome.verdict == kube::Verdict::kNotFound && !write.uid.empty()) store.wrote_removal(write.key, write.uid);
  if (outcome.verdict != kube::Verdict::kOk) return;
  json::monotonic_resource memory(answer->body.size() * 2);
  Result<json::value> value = kube::read_json(answer->body, &memory);
  const json::object* body = value ? value->if_object() : nullptr;
  const json::value* kind = body ? body->if_contains("kind") : nullptr;
  const bool is_object = kind && kind->is_string() && kind->get_string() == json::string_view(write.type.kind);
  if (!is_object) {
    // A Status: the object is gone at once.
    if (write.verb == WriteVerb::kDelete) store.wrote_removal(write.key, write.uid);
    return;
  }
  if (const auto trim = trim_for(write.type)) trim(*value);
  Result<kube::ObjectPtr> object = kube::Object::make(*value);
  if (!object) return;
  if (write.verb == WriteVerb::kDelete && !(*object)->being_deleted()) {
    store.wrote_removal(write.key, write.uid);
  } else {
    store.wrote(std::move(*object));
  }
}

void Runner::clean(const kube::WorkKey& key, int64_t limit_ms) {
  if (cleaning_ >= kCleanupsMax) return finish(key, {.kind = Step::Kind::kDone, .again_after_ms = kCleanupTurnMs}, 0);
  const kube::ResourceType* type = type_of_kind(key.kind);
  const kube::ObjectPtr resource = world_.of(*type).get({key.name_space, key.name});
  if (!resource) return finish(key, {.kind = Step::Kind::kDone}, 0);
  ++cleaning_;
  wake();
  cleaner_.clean(resource, limit_ms, [this, alive = alive_, key](const Status& outcome) {
    if (!*alive) return;
    --cleaning_;
    Pass& pass = *running_.at(key).pass;
    pass.cleaned(outcome);
    advance(key);
  });
}

void Runner::finish(const kube::WorkKey& key, const Step& step, int64_t at_least_ms) {
  const int64_t now_ns = loop_.clock().monotonic_ns();
  ++counts_.passes;
  if (on_pass_) on_pass_(key, static_cast<double>(now_ns - running_.at(key).since_ns) / kNsPerMs, step.failed);
  speak(key, running_.at(key));
  running_.erase(key);
  if (step.failed) {
    ++counts_.failures;
    queue_.failed(key, now_ns, at_least_ms);
    if (step.again_after_ms > 0) queue_.add_at(key, now_ns + step.again_after_ms * kNsPerMs);
  } else {
    queue_.succeeded(key);
    if (step.again_after_ms > 0) queue_.add_at(key, now_ns + step.again_after_ms * kNsPerMs);
  }
  queue_.done(key);
  wake();
}

// What one pass has to say is said at its end, in as few Events as there are reasons.
void Runner::speak(const kube::WorkKey& key, Running& running) {
  std::vector<Note> notes;
  for (Note& note : running.pass->take_notes()) {
    const auto same = std::find_if(notes.begin(), notes.end(), [&](const Note& one) {
      return one.reason == note.reason && one.warning == note.warning;
    });
    if (same == notes.end()) {
      notes.push_back(std::move(note));
    } else if (same->text.find(note.text) == std::string::npos) {
      same->text += "; " + note.text;
    }
  }
  if (notes.empty()) return;
  const kube::ResourceType* type = type_of_kind(key.kind);
  kube::ObjectPtr resource = world_.of(*type).get({key.name_space, key.name});
  // It went with the finalizer, and why it went is the last that is told of it.
  if (!resource || (running.resource && resource->uid() != running.resource->uid())) resource = running.resource;
  if (!resource) return;
  for (const Note& note : notes) notes_.note(*type, resource, note);
}

}  // namespace fmesh::op
