#include "kube/leader_election.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "kube/json.h"
#include "kube/requests.h"
#include "kube/times.h"

namespace fmesh::kube {
namespace json = boost::json;
namespace {

constexpr int64_t kMs = 1'000'000;
constexpr int64_t kSoonMs = 50;  // a race was lost, or an outcome has to be looked at: ask again at once

class Elector final : public LeaderElector {
 public:
  Elector(Api& api, Loop& loop, Rng& rng, LeaderElectionOptions options, std::function<void(bool)> on_change)
      : api_(api), loop_(loop), rng_(rng), options_(std::move(options)), on_change_(std::move(on_change)) {}

  ~Elector() override {
    *alive_ = false;
    loop_.cancel(ask_timer_);
    loop_.cancel(deadline_timer_);
  }

  void begin() { ask_after(0); }

  bool may_write() const override { return leading_ && now_ns() < deadline_ns_; }
  const std::string& holder() const override { return holder_; }
  const std::string& trouble() const override { return trouble_; }

  void release(std::function<void()> done) override {
    const bool held = may_write() && !lease_.is_null();
    released_ = true;
    leading_ = false;
    loop_.cancel(ask_timer_);
    loop_.cancel(deadline_timer_);
    if (!held) {
      loop_.post(std::move(done));
      return;
    }
    json::value lease = lease_;
    json::object& spec = spec_of(lease);
    spec.erase("holderIdentity");
    spec["leaseDurationSeconds"] = 1;
    spec["acquireTime"] = spec["renewTime"] = micro_time_text(loop_.clock().wall_ms());
    // If a renewal is under way this loses the race or wins it; in both cases the lease runs out.
    api_.send(bounded(update(kLease, options_.lease, lease)),
              [done = std::move(done)](const Result<Response>&) { done(); });
  }

 private:
  int64_t now_ns() const { return loop_.clock().monotonic_ns(); }
  int64_t jittered_ms(int64_t ms) { return ms + static_cast<int64_t>(rng_.below(static_cast<uint64_t>(ms / 5 + 1))); }

  // An answer that does not come must not cost the lease.
  Request bounded(Request request) const {
    request.timeout_ms = std::max<int64_t>(options_.renew_deadline_ms / 3, 1);
    return request;
  }

  static json::object& spec_of(json::value& lease) {
    json::value& spec = lease.as_object()["spec"];
    if (!spec.is_object()) spec = json::object();
    return spec.get_object();
  }

  void ask_after(int64_t delay_ms) {
    if (released_) return;
    loop_.cancel(ask_timer_);
    ask_timer_ = loop_.post_after(delay_ms, [this, alive = alive_] {
      if (*alive) ask();
    });
  }

  void send(Request request, std::function<void(const Outcome&, json::value)> done) {
    api_.send(bounded(std::move(request)),
              [this, alive = alive_, done = std::move(done)](const Result<Response>& answer) {
                if (!*alive || released_) return;
                const Outcome outcome = read_outcome(answer);
                json::value body;
                if (outcome.verdict == Verdict::kOk) {
                  if (auto read = read_json(answer->body); read && read->is_object()) body = std::move(*read);
                }
                trouble_ = outcome.verdict == Verdict::kOk || outcome.verdict == Verdict::kConflict
                               ? ""
                               : fmt::format("lease {}: {}", options_.lease.to_string(), outcome.message);
                done(outcome, std::move(body));
              });
  }

  // While leading the lease is renewed as it is known; else it is looked at first.
  void ask() {
    if (leading_ && !lease_.is_null()) return take(lease_, true);
    send(get(kLease, options_.lease), [this](const Outcome& outcome, json::value lease) {
      if (outcome.verdict == Verdict::kNotFound) return make();
      if (lease.is_null()) return later(outcome);
      look_at(std::move(lease));
    });
  }

  void later(const Outcome& outcome) {
    lease_ = nullptr;  // whatever happened: look first
    ask_after(jittered_ms(std::max(options_.retry_ms, outcome.retry_after_ms)));
  }

  void look_at(json::value lease) {
    holder_ = string_at(lease, {"spec", "holderIdentity"});
    const std::string version(string_at(lease, {"metadata", "resourceVersion"}));
    if (version != seen_version_) {
      seen_version_ = version;
      seen_at_ns_ = now_ns();
    }
    const bool ours = holder_ == options_.identity;
    if (leading_ && !ours) return lose();
    int64_t duration_ms = int_at(lease, {"spec", "leaseDurationSeconds"}) * 1000;
    if (duration_ms <= 0) duration_ms = options_.lease_duration_ms;
    const bool over = holder_.empty() || now_ns() - seen_at_ns_ >= duration_ms * kMs;
    if (!ours && !over) return ask_after(jittered_ms(options_.retry_ms));
    take(std::move(lease), ours);
  }

  // Writes the lease with our name; `renewal`: it has it already.
  void take(json::value lease, bool renewal) {
    const std::string now = micro_time_text(loop_.clock().wall_ms());
    json::object& spec = spec_of(lease);
    const bool other = string_at(lease, {"spec", "holderIdentity"}) != options_.identity;
    if (other) {
      spec["leaseTransitions"] = int_at(lease, {"spec", "leaseTransitions"}) + 1;
      spec["holderIdentity"] = options_.identity;
    }
    if (!renewal || !spec.contains("acquireTime")) spec["acquireTime"] = now;
    spec["renewTime"] = now;
    spec["leaseDurationSeconds"] = (options_.lease_duration_ms + 999) / 1000;
    write(update(kLease, options_.lease, lease));
  }

  void make() {
    const std::string now = micro_time_text(loop_.clock().wall_ms());
    const json::value lease = {{"apiVersion", kLease.api_version()},
                               {"kind", kLease.kind},
                               {"metadata", {{"name", options_.lease.name}, {"namespace", options_.lease.name_space}}},
                               {"spec",
                                {{"holderIdentity", options_.identity},
                                 {"leaseDurationSeconds", (options_.lease_duration_ms + 999) / 1000},
                                 {"acquireTime", now},
                                 {"renewTime", now},
                                 {"leaseTransitions", 0}}}};
    write(create(kLease, options_.lease.name_space, lease));
  }

  void write(Request request) {
    const int64_t sent_at_ns = now_ns();
    send(std::move(request), [this, sent_at_ns](const Outcome& outcome, json::value lease) {
      if (!lease.is_null()) return renewed(std::move(lease), sent_at_ns);
      if (outcome.verdict == Verdict::kConflict || outcome.verdict == Verdict::kAlreadyExists ||
          outcome.verdict == Verdict::kNotFound) {
        lease_ = nullptr;
        return ask_after(kSoonMs);  // someone was faster, or it was deleted
      }
      later(outcome);
    });
  }

  void renewed(json::value lease, int64_t sent_at_ns) {
    lease_ = std::move(lease);
    holder_ = options_.identity;
    seen_version_ = string_at(lease_, {"metadata", "resourceVersion"});
    seen_at_ns_ = now_ns();
    deadline_ns_ = sent_at_ns + options_.renew_deadline_ms * kMs;
    if (now_ns() >= deadline_ns_) return ask_after(kSoonMs);  // the answer was too long on its way
    watch_deadline();
    ask_after(jittered_ms(options_.retry_ms));
    if (!std::exchange(leading_, true)) on_change_(true);
  }

  void watch_deadline() {
    loop_.cancel(deadline_timer_);
    const int64_t left_ms = (deadline_ns_ - now_ns() + kMs - 1) / kMs;
    deadline_timer_ = loop_.post_after(std::max<int64_t>(left_ms, 0), [this, alive = alive_] {
      if (*alive && leading_ && now_ns() >= deadline_ns_) lose();
    });
  }

  void lose() {
    leading_ = false;
    lease_ = nullptr;
    loop_.cancel(deadline_timer_);
    ask_after(jittered_ms(options_.retry_ms));
    on_change_(false);
  }

  Api& api_;
  Loop& loop_;
  Rng& rng_;
  LeaderElectionOptions options_;
  std::function<void(bool)> on_change_;
  bool leading_ = false, released_ = false;
  json::value lease_;         // as we wrote it last; null: it has to be looked at
  std::string seen_version_;  // of the lease, and
  int64_t seen_at_ns_ = 0;    // when we first saw it
  int64_t deadline_ns_ = 0;   // of the last renewal
  std::string holder_, trouble_;
  uint64_t ask_timer_ = 0, deadline_timer_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace

std::unique_ptr<LeaderElector> LeaderElector::start(Api& api, Loop& loop, Rng& rng, LeaderElectionOptions options,
                                                    std::function<void(bool)> on_change) {
  auto elector = std::make_unique<Elector>(api, loop, rng, std::move(options), std::move(on_change));
  elector->begin();
  return elector;
}

}  // namespace fmesh::kube
