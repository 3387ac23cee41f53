#include "kube/events.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <deque>
#include <list>
#include <map>
#include <tuple>
#include <utility>

#include "kube/json.h"
#include "kube/requests.h"
#include "kube/times.h"

namespace fmesh::kube {
namespace json = boost::json;
namespace {

constexpr int64_t kMs = 1'000'000;
constexpr int64_t kSweepMs = 10'000;
constexpr int kTriesMax = 4;
constexpr int64_t kTryAgainMs = 1'000;

// At most `size` bytes, no character broken.
std::string cut(const std::string& text, size_t size) {
  if (text.size() <= size) return text;
  static constexpr std::string_view kMore = "...";
  size_t end = size - kMore.size();
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end) + std::string(kMore);
}

using SeriesKey =
    std::tuple<std::string, bool, std::string, std::string, std::string>;  // uid, warning, reason, action, note

struct Series {
  ObjectKey event;   // its name
  std::string body;  // as text, which is a fifth of a tree's size
  int64_t count = 1, written_count = 0;
  int64_t last_ns = 0, last_wall_ms = 0, written_ns = 0;
  bool waiting = false, made = false;
  int tries = 0;
};

class Recorder final : public EventRecorder {
 public:
  Recorder(Api& api, Loop& loop, Rng& rng, EventRecorderOptions options)
      : api_(api), loop_(loop), rng_(rng), options_(std::move(options)) {
    if (options_.instance.empty()) options_.instance = "fmesh-operator";
    options_.instance = cut(options_.instance, 128);
    sweep_later();
  }

  ~Recorder() override {
    *alive_ = false;
    loop_.cancel(sweep_timer_);
    loop_.cancel(write_timer_);
  }

  const EventCounts& counts() const override { return counts_; }

  void record(const ResourceType& type, const ObjectPtr& about, bool warning, const std::string& reason,
              const std::string& action, const std::string& note) override {
    const std::string text = cut(note, kEventNoteMaxBytes);
    const SeriesKey key{about->uid(), warning, reason, action, text};
    const auto known = series_.find(key);
    if (known != series_.end()) {
      Series& series = known->second;
      ++series.count;
      ++counts_.repeated;
      heard(series);
      // The second time becomes a series at once, later ones are summed up.
      if (series.written_count < 2 || now_ns() - series.written_ns >= kEventSeriesWriteMs * kMs) enqueue(key, series);
      return;
    }
    if (!within_budget(about->uid()) || waiting_.size() >= kEventsWaitingMax) {
      ++counts_.dropped;
      return;
    }
    if (series_.size() >= kEventSeriesMax) forget_oldest();
    Series& series = series_[key];
    heard(series);
    series.event = {about->key().name_space.empty() ? "default" : about->key().name_space,
                    fmt::format("{}.{:x}", about->key().name.substr(0, 200),
                                loop_.clock().wall_ms() * 1'000'000 + static_cast<int64_t>(rng_.below(1'000'000)))};
    series.body = write_json(body_of(type, about, warning, reason, action, text, series.event));
    enqueue(key, series);
  }

 private:
  int64_t now_ns() const { return loop_.clock().monotonic_ns(); }

  json::object body_of(const ResourceType& type, const ObjectPtr& about, bool warning, const std::string& reason,
                       const std::string& action, const std::string& note, const ObjectKey& event) const {
    json::object regarding = {
        {"apiVersion", type.api_version()}, {"kind", type.kind}, {"name", about->key().name}, {"uid", about->uid()}};
    if (!about->key().name_space.empty()) regarding["namespace"] = about->key().name_space;
    if (!about->resource_version().empty()) regarding["resourceVersion"] = about->resource_version();
    return {{"apiVersion", kEvent.api_version()},
            {"kind", kEvent.kind},
            {"metadata", {{"name", event.name}, {"namespace", event.name_space}}},
            {"eventTime", micro_time_text(loop_.clock().wall_ms())},
            {"reportingController", options_.controller},
            {"reportingInstance", options_.instance},
            {"action", cut(action, 128)},
            {"reason", cut(reason, 128)},
            {"type", warning ? "Warning" : "Normal"},
            {"note", note},
            {"regarding", std::move(regarding)}};
  }

  static json::value parse_body(const Series& series) {
    Result<json::value> body = read_json(series.body);
    return body ? std::move(*body) : json::value(json::object());  // our own text: always readable
  }

  void heard(Series& series) {
    series.last_ns = now_ns();
    series.last_wall_ms = loop_.clock().wall_ms();
  }

  // A bucket of kEventsPerObject, refilled by one every kEventPerObjectMs.
  bool within_budget(const std::string& uid) {
    auto [bucket, added] = spent_.try_emplace(uid, 0, now_ns());
    auto& [spent, since_ns] = bucket->second;
    const int64_t refilled = (now_ns() - since_ns) / (kEventPerObjectMs * kMs);
    if (refilled > 0) {
      spent = std::max<int64_t>(0, spent - refilled);
      since_ns += refilled * kEventPerObjectMs * kMs;
    }
    if (spent >= kEventsPerObject) return false;
    ++spent;
    return true;
  }

  void enqueue(const SeriesKey& key, Series& series) {
    if (series.waiting) return;
    if (waiting_.size() >= kEventsWaitingMax) {
      ++counts_.dropped;
      return;
    }
    series.waiting = true;
    waiting_.push_back(key);
    write_after(0);
  }

  // One request at a time, so many a second.
  void write_after(int64_t delay_ms) {
    if (writing_ || write_timer_ != 0 || waiting_.empty()) return;
    const int64_t gap_ms = (next_write_ns_ - now_ns() + kMs - 1) / kMs;
    write_timer_ = loop_.post_after(std::max(delay_ms, gap_ms), [this, alive = alive_] {
      if (!*alive) return;
      write_timer_ = 0;
      write_next();
    });
  }

  void write_next() {
    if (waiting_.empty()) return;
    const SeriesKey key = waiting_.front();
    waiting_.pop_front();
    const auto found = series_.find(key);
    if (found == series_.end()) return write_after(0);
    Series& series = found->second;
    series.waiting = false;
    writing_ = true;
    next_write_ns_ = now_ns() + 1'000'000'000 / kEventsPerSecond;
    const int64_t count = series.count;
    json::value body = parse_body(series);
    if (count > 1) {
      const json::object summed = {{"count", count}, {"lastObservedTime", micro_time_text(series.last_wall_ms)}};
      if (series.made) {
        body = {{"series", summed}};
      } else {
        body.as_object()["series"] = summed;
      }
    }
    Request request = series.made ? patch(kEvent, series.event, PatchKind::kMerge, body)
                                  : create(kEvent, series.event.name_space, body);
    api_.send(std::move(request), [this, alive = alive_, key, count](const Result<Response>& answer) {
      if (*alive) written(key, count, read_outcome(answer));
    });
  }

  void written(const SeriesKey& key, int64_t count, const Outcome& outcome) {
    writing_ = false;
    const auto found = series_.find(key);
    int64_t wait_ms = 0;
    if (found != series_.end()) {
      Series& series = found->second;
      switch (outcome.verdict) {
        case Verdict::kOk:
        case Verdict::kAlreadyExists:  // our own, whose answer was lost
          ++counts_.written;
          series.made = true;
          series.tries = 0;
          series.written_count = count;
          series.written_ns = now_ns();
          if (series.count > 1 && count < 2) enqueue(key, series);
          break;
        case Verdict::kNotFound:  // Events live for an hour
          if (series.made) {
            series.made = false;
            series.event.name += "x";
            json::value body = parse_body(series);
            body.at("metadata").as_object()["name"] = series.event.name;
            series.body = write_json(body);
            enqueue(key, series);
          } else {
            ++counts_.dropped;
          }
          break;
        case Verdict::kTooMany:
        case Verdict::kUnavailable:
          wait_ms = std::max(outcome.retry_after_ms, kTryAgainMs << series.tries);
          if (++series.tries < kTriesMax) {
            enqueue(key, series);
          } else {
            ++counts_.dropped;
            series.tries = 0;
          }
          break;
        default:  // refused: the namespace is going, rights are missing
          ++counts_.dropped;
          break;
      }
    }
    next_write_ns_ = std::max(next_write_ns_, now_ns() + wait_ms * kMs);
    loop_.cancel(std::exchange(write_timer_, 0));
    write_after(wait_ms);
  }

  void forget_oldest() {
    auto oldest = series_.begin();
    for (auto at = series_.begin(); at != series_.end(); ++at) {
      if (at->second.last_ns < oldest->second.last_ns) oldest = at;
    }
    series_.erase(oldest);
  }

  // Writes the last count of what is over, and forgets it.
  void sweep_later() {
    sweep_timer_ = loop_.post_after(kSweepMs, [this, alive = alive_] {
      if (!*alive) return;
      sweep_later();
      const int64_t now = now_ns();
      for (auto at = series_.begin(); at != series_.end();) {
        Series& series = at->second;
        const bool unsaid = series.made && series.count > series.written_count;
        const bool over = now - series.last_ns >= kEventSeriesMs * kMs;
        if (unsaid && (over || now - series.written_ns >= kEventSeriesWriteMs * kMs)) enqueue(at->first, series);
        at = over && !unsaid && !series.waiting ? series_.erase(at) : std::next(at);
      }
      std::erase_if(spent_, [&](const auto& bucket) {
        return now - bucket.second.second >= (bucket.second.first + 1) * kEventPerObjectMs * kMs;
      });
    });
  }

  Api& api_;
  Loop& loop_;
  Rng& rng_;
  EventRecorderOptions options_;
  std::map<SeriesKey, Series> series_;
  std::map<std::string, std::pair<int64_t, int64_t>> spent_;  // by uid: events, since when they refill
  std::deque<SeriesKey> waiting_;
  bool writing_ = false;
  int64_t next_write_ns_ = 0;
  uint64_t sweep_timer_ = 0, write_timer_ = 0;
  EventCounts counts_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace

std::unique_ptr<EventRecorder> EventRecorder::start(Api& api, Loop& loop, Rng& rng, EventRecorderOptions options) {
  return std::make_unique<Recorder>(api, loop, rng, std::move(options));
}

}  // namespace fmesh::kube
