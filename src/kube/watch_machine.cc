#include "kube/watch_machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <memory>
#include <utility>

#include "kube/json.h"

namespace fmesh::kube {
namespace json = boost::json;
namespace {

constexpr size_t kScratchBytes = 64 * 1024;  // of one event as a tree; larger ones spill to the heap
constexpr size_t kTreePerTextByte = 2;
constexpr int64_t kBackoffFirstMs = 500;
constexpr int64_t kBackoffMaxMs = 30'000;
constexpr int64_t kHealthyMs = 20'000;  // a stream that lived so long makes earlier failures forgotten
constexpr int64_t kHastyEndMs = 1'000;  // a stream that ends sooner, with nothing told, is no normal end
constexpr int32_t kWatchTimeoutFirstS = 270, kWatchTimeoutSpreadS = 20;  // below the 295 s of proxies and servers
constexpr int64_t kIdleMarginMs = 15'000;
constexpr int64_t kInitialIdleMs = 30'000;  // a server that does not know streaming lists would never end one
constexpr uint64_t kResumeSpreadMs = 100;
constexpr uint64_t kRelistSpreadMs = 1'000;
constexpr int64_t kMs = 1'000'000;
constexpr std::string_view kInitialEventsEnd = "k8s.io/initial-events-end";

}  // namespace

WatchStep WatchMachine::next(int64_t now_ns) {
  if (now_ns < not_before_ns_) {
    WatchStep step;
    step.wait_ms = (not_before_ns_ - now_ns + kMs - 1) / kMs;
    return step;
  }
  busy_ = true;
  if (phase_ == Phase::kListed) return open_watch(false, now_ns);
  if (phase_ == Phase::kPaging) return send_list();
  asked_at_ns_ = now_ns;
  gathered_.clear();
  if (options_.streaming_list && !streaming_refused_) return open_watch(true, now_ns);
  phase_ = Phase::kPaging;
  return send_list();
}

WatchStep WatchMachine::send_list() {
  ListOptions list_options;
  list_options.name_space = options_.name_space;
  list_options.label_selector = options_.label_selector;
  list_options.field_selector = options_.field_selector;
  list_options.limit = whole_list_ ? 0 : options_.page_size;
  list_options.continue_token = continue_token_;
  WatchStep step;
  step.kind = WatchStep::Kind::kSend;
  step.request = list(options_.type, list_options);
  return step;
}

WatchStep WatchMachine::open_watch(bool initial, int64_t now_ns) {
  WatchOptions watch_options;
  watch_options.name_space = options_.name_space;
  watch_options.label_selector = options_.label_selector;
  watch_options.field_selector = options_.field_selector;
  watch_options.initial_events = initial;
  if (!initial) watch_options.resource_version = version_;
  watch_options.timeout_s = kWatchTimeoutFirstS + static_cast<int32_t>(rng_.below(kWatchTimeoutSpreadS + 1));
  phase_ = initial ? Phase::kInitialWatch : Phase::kWatching;
  partial_line_.clear();
  told_anything_ = head_seen_ = false;
  opened_at_ns_ = now_ns;
  idle_ms_ = initial ? kInitialIdleMs : watch_options.timeout_s * 1000 + kIdleMarginMs;
  idle_at_ns_ = now_ns + idle_ms_ * kMs;
  WatchStep step;
  step.kind = WatchStep::Kind::kOpen;
  step.request = watch(options_.type, watch_options);
  step.request.timeout_ms = idle_ms_;
  return step;
}

// --- the list ---

WatchEvents WatchMachine::on_answer(const Result<Response>& answer, int64_t now_ns) {
  if (!busy_ || phase_ != Phase::kPaging) return {};
  busy_ = false;
  const Outcome outcome = read_outcome(answer);
  if (outcome.verdict != Verdict::kOk) {
    on_list_failed(outcome, now_ns);
    return {};
  }
  // A page becomes one block of memory that goes as a whole, not a hundred thousand small ones.
  json::monotonic_resource memory(answer->body.size() * kTreePerTextByte + 1);
  Result<json::value> page = read_json(answer->body, &memory);
  if (!page) {
    failed(page.error().text(), now_ns);
    return {};
  }
  return take_page(std::move(*page), now_ns);
}

void WatchMachine::on_list_failed(const Outcome& outcome, int64_t now_ns) {
  const bool token_refused = !continue_token_.empty() && outcome.verdict == Verdict::kInvalid;
  if (outcome.verdict == Verdict::kGone || token_refused) {
    // The snapshot that the token belongs to is forgotten. A list that is that slow is asked for whole the second time.
    whole_list_ = std::exchange(paging_expired_, true);
    start_over();
  } else if (continue_token_.empty()) {
    start_over();
  }
  failed(outcome.message, now_ns, outcome.retry_after_ms);
}

WatchEvents WatchMachine::take_page(json::value page, int64_t now_ns) {
  const std::string version(string_at(page, {"metadata", "resourceVersion"}));
  json::value* items = find(page, {"items"});
  if (version.empty() || !items || !(items->is_array() || items->is_null())) {
    start_over();
    failed("the list came without resourceVersion or items, so there is nothing to continue from", now_ns);
    return {};
  }
  if (items->is_array()) {
    for (json::value& item : items->get_array()) {
      Result<ObjectPtr> object = make(std::move(item));  // no copy: a tree of the heap would be made of it
      if (!object) {
        start_over();
        failed(object.error().text(), now_ns);
        return {};
      }
      ObjectKey key = (*object)->key();
      gathered_.insert_or_assign(std::move(key), std::move(*object));
    }
  }
  continue_token_ = string_at(page, {"metadata", "continue"});
  if (!continue_token_.empty()) return {};
  version_ = version;
  phase_ = Phase::kListed;
  paging_expired_ = whole_list_ = false;
  trouble_.clear();
  WatchEvent event{.kind = WatchEvent::Kind::kReplace, .object = {}, .objects = {}, .asked_at_ns = asked_at_ns_};
  event.objects.reserve(gathered_.size());
  for (auto& [key, object] : gathered_) event.objects.push_back(std::move(object));
  gathered_.clear();
  WatchEvents events;
  events.push_back(std::move(event));
  return events;
}

// --- the watch ---

void WatchMachine::on_head(const Response& head, int64_t now_ns) {
  if (!busy_) return;
  head_seen_ = true;
  idle_at_ns_ = now_ns + idle_ms_ * kMs;
  const Outcome outcome = read_outcome(head);
  if (outcome.verdict == Verdict::kOk) {
    if (phase_ == Phase::kWatching) trouble_.clear();
    return;
  }
  busy_ = false;
  const bool initial = phase_ == Phase::kInitialWatch;
  if (initial && outcome.verdict == Verdict::kInvalid) {
    streaming_refused_ = true;  // a server without it: pages then, at once
    start_over();
    return;
  }
  if (initial || outcome.verdict == Verdict::kGone) {
    start_over();
  } else {
    phase_ = Phase::kListed;
  }
  failed(outcome.message, now_ns, outcome.retry_after_ms);
}

WatchEvents WatchMachine::on_data(std::string_view piece, int64_t now_ns) {
  WatchEvents events;
  if (!busy_) return events;
  idle_at_ns_ = now_ns + idle_ms_ * kMs;
  while (busy_ && !piece.empty()) {
    const size_t end = piece.find('\n');
    const std::string_view part = piece.substr(0, end);
    if (partial_line_.size() + part.size() > kWatchLineMaxBytes) {
      unreadable(fmt::format("an event of more than {} bytes", kWatchLineMaxBytes), now_ns);
      return events;
    }
    if (end == std::string_view::npos) {
      partial_line_ += part;
      return events;
    }
    piece.remove_prefix(end + 1);
    if (partial_line_.empty()) {
      take_line(part, now_ns, events);
    } else {
      partial_line_ += part;
      const std::string line = std::exchange(partial_line_, {});
      take_line(line, now_ns, events);
    }
  }
  return events;
}

void WatchMachine::take_line(std::string_view line, int64_t now_ns, WatchEvents& events) {
  if (line.find_first_not_of(" \t\r") == std::string_view::npos) return;
  // Most events are read once and dropped again: their tree need not visit the heap.
  const auto scratch = std::make_unique_for_overwrite<unsigned char[]>(kScratchBytes);
  json::monotonic_resource memory(scratch.get(), kScratchBytes);
  Result<json::value> event = read_json(line, &memory);
  if (!event) return unreadable(event.error().text(), now_ns);
  const std::string type(string_at(*event, {"type"}));
  json::value* object = find(*event, {"object"});
  if (!object) return unreadable("an event without an object", now_ns);
  if (type == "ERROR") return take_error(*object, now_ns);

  const std::string version(string_at(*object, {"metadata", "resourceVersion"}));
  if (version.empty()) return unreadable(fmt::format("an event {} without resourceVersion", type), now_ns);
  if (type == "BOOKMARK") {
    take_bookmark(*object, events);
  } else if (type == "ADDED" || type == "MODIFIED" || type == "DELETED") {
    Result<ObjectPtr> made = make(std::move(*object));
    if (!made) return unreadable(made.error().text(), now_ns);
    const bool gone = type == "DELETED";
    if (phase_ == Phase::kWatching) {
      events.push_back({.kind = gone ? WatchEvent::Kind::kRemove : WatchEvent::Kind::kPut,
                        .object = std::move(*made),
                        .objects = {},
                        .asked_at_ns = 0});
    } else if (gone) {
      gathered_.erase((*made)->key());
    } else {
      ObjectKey key = (*made)->key();
      gathered_.insert_or_assign(std::move(key), std::move(*made));
    }
  } else {
    return unreadable(fmt::format("an event of the type \"{}\"", type.substr(0, 40)), now_ns);
  }
  // Versions of the initial events are those of the objects, in no order: nothing to continue from.
  if (phase_ == Phase::kWatching) version_ = version;
  told_anything_ = true;
  unreadable_ = 0;
}

// Only its version counts, save for the one that ends a streaming list.
void WatchMachine::take_bookmark(const json::value& bookmark, WatchEvents& events) {
  if (phase_ != Phase::kInitialWatch) return;
  if (string_at(bookmark, {"metadata", "annotations", kInitialEventsEnd}) != "true") return;
  WatchEvent event{.kind = WatchEvent::Kind::kReplace, .object = {}, .objects = {}, .asked_at_ns = asked_at_ns_};
  event.objects.reserve(gathered_.size());
  for (auto& [key, object] : gathered_) event.objects.push_back(std::move(object));
  gathered_.clear();
  events.push_back(std::move(event));
  phase_ = Phase::kWatching;
  idle_ms_ = (kWatchTimeoutFirstS + kWatchTimeoutSpreadS) * 1000 + kIdleMarginMs;
  idle_at_ns_ += (idle_ms_ - kInitialIdleMs) * kMs;
  trouble_.clear();
}

void WatchMachine::take_error(const json::value& status, int64_t now_ns) {
  const Outcome outcome = read_status(status);
  busy_ = false;
  const bool initial = phase_ == Phase::kInitialWatch;
  if (initial && outcome.verdict == Verdict::kInvalid) streaming_refused_ = true;
  if (initial || outcome.verdict == Verdict::kGone) {
    start_over();
  } else {
    phase_ = Phase::kListed;
  }
  failed(outcome.message, now_ns, outcome.retry_after_ms);
}

void WatchMachine::on_end(const Status& end, int64_t now_ns) {
  if (!busy_) return;
  busy_ = false;
  const bool initial = phase_ == Phase::kInitialWatch;
  const bool hasty = !told_anything_ && now_ns - opened_at_ns_ < kHastyEndMs * kMs;
  if (initial) {
    start_over();
    failed(end ? "the server ended the streaming list before it was whole" : end.error().text(), now_ns);
    return;
  }
  phase_ = Phase::kListed;
  if (!end || hasty) {
    failed(end ? "the server ended the watch at once" : end.error().text(), now_ns);
    return;
  }
  // As every few minutes. Many watches that ended together do not come back together.
  if (now_ns - opened_at_ns_ >= kHealthyMs * kMs) failures_ = 0;
  not_before_ns_ = now_ns + static_cast<int64_t>(rng_.below(kResumeSpreadMs + 1)) * kMs;
}

void WatchMachine::on_idle(int64_t now_ns) {
  if (!busy_ || (phase_ != Phase::kWatching && phase_ != Phase::kInitialWatch)) return;
  // A server that ignores what it does not know streams on without an end of the initial events.
  if (phase_ == Phase::kInitialWatch && head_seen_) streaming_refused_ = true;
  on_end(fail(ErrorKind::kRetryLater, fmt::format("nothing came for {} s", idle_ms_ / 1000)), now_ns);
}

// --- what went wrong ---

void WatchMachine::unreadable(const std::string& why, int64_t now_ns) {
  busy_ = false;
  partial_line_ = {};
  const bool initial = phase_ == Phase::kInitialWatch;
  const bool stuck = ++unreadable_ > kUnreadableMax;  // it stands at that place for ever
  if (stuck) unreadable_ = 0;
  if (initial && stuck) streaming_refused_ = true;
  if (initial || stuck) {
    start_over();
  } else {
    phase_ = Phase::kListed;
  }
  failed(why, now_ns);
}

void WatchMachine::start_over() {
  phase_ = Phase::kEmpty;
  continue_token_.clear();
  gathered_.clear();
  version_.clear();
}

void WatchMachine::failed(const std::string& why, int64_t now_ns, int64_t at_least_ms) {
  trouble_ = fmt::format("{}: {}", what(), why);
  const bool was_healthy = head_seen_ && now_ns - opened_at_ns_ >= kHealthyMs * kMs;
  if (was_healthy) failures_ = 0;
  head_seen_ = false;
  int64_t delay_ms = kBackoffFirstMs;
  for (int i = 0; i < failures_ && delay_ms < kBackoffMaxMs; ++i) delay_ms *= 2;
  ++failures_;
  delay_ms = std::min(delay_ms, kBackoffMaxMs);
  delay_ms -= static_cast<int64_t>(rng_.below(static_cast<uint64_t>(delay_ms / 2 + 1)));
  // All kinds are listed anew at once when a server is replaced: they spread out.
  if (phase_ == Phase::kEmpty) delay_ms += static_cast<int64_t>(rng_.below(kRelistSpreadMs));
  if (at_least_ms > 0) {
    delay_ms =
        std::max(delay_ms, at_least_ms + static_cast<int64_t>(rng_.below(static_cast<uint64_t>(at_least_ms / 4 + 1))));
  }
  not_before_ns_ = now_ns + delay_ms * kMs;
}

Result<ObjectPtr> WatchMachine::make(json::value object) const {
  if (json::object* members = object.if_object()) {  // items of a list come without these two
    members->emplace("apiVersion", options_.type.api_version());
    members->emplace("kind", options_.type.kind);
  }
  if (options_.trim) options_.trim(object);
  return Object::make(object);
}

std::string WatchMachine::what() const {
  return fmt::format("{} {}", phase_ == Phase::kListed ? "watch" : "list", options_.type.plural);
}

}  // namespace fmesh::kube
