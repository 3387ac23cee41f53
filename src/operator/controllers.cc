#include "operator/controllers.h"

#include <fmt/format.h>

#include "operator/trim.h"

namespace fmesh::op {
namespace {

constexpr int64_t kDiscoveryAgainMs = 60'000;  // for vertical autoscalers, which may come later
constexpr int64_t kNotServedAgainMs = 5'000;   // our CRDs are missing
constexpr int64_t kSyncLookMs = 20;

kube::Request get_path(const char* path) {
  kube::Request request;
  request.target = path;
  return request;
}

}  // namespace

Controllers::Controllers(Loop& loop, kube::Api& api, Settings& settings, Rng& rng, Cleaner& cleaner, Notes& notes,
                         std::function<bool()> may_write)
    : loop_(loop),
      api_(api),
      settings_(settings),
      rng_(rng),
      world_(loop.clock()),
      runner_(loop, api, world_, settings, rng, cleaner, notes) {
  runner_.only_if(std::move(may_write));
}

Controllers::~Controllers() { *alive_ = false; }

void Controllers::start(std::function<void(const std::string&)> trouble, std::function<void()> synced) {
  trouble_ = std::move(trouble);
  on_synced_ = std::move(synced);
  discover();
}

void Controllers::set_leading(bool leading) {
  leading_ = leading;
  runner_.set_active(leading_ && synced_);
}

void Controllers::tell(const std::string& trouble) {
  if (!trouble.empty() && told_.insert(trouble).second && trouble_) trouble_(trouble);
}

void Controllers::again_after(int64_t delay_ms, std::function<void()> task) {
  loop_.post_after(delay_ms, [alive = alive_, task = std::move(task)] {
    if (*alive) task();
  });
}

// Our kinds are needed; vertical autoscalers may come later.
void Controllers::discover() {
  api_.send(get_path("/apis/compute.functionmesh.io/v1alpha1"),
            [this, alive = alive_](const Result<kube::Response>& answer) {
              if (!*alive) return;
              const kube::Outcome outcome = kube::read_outcome(answer);
              if (outcome.verdict == kube::Verdict::kOk) return discover_autoscaler(true);
              tell(outcome.verdict == kube::Verdict::kNotFound
                       ? "the cluster has no compute.functionmesh.io/v1alpha1: install the CRDs with "
                         "`fmesh crds | kubectl apply -f -`; trying again"
                       : fmt::format("the API server does not answer as expected: {}; trying again", outcome.message));
              again_after(kNotServedAgainMs, [this] { discover(); });
            });
}

void Controllers::discover_autoscaler(bool first) {
  api_.send(get_path("/apis/autoscaling.k8s.io/v1"),
            [this, first, alive = alive_](const Result<kube::Response>& answer) {
              if (!*alive) return;
              const kube::Outcome outcome = kube::read_outcome(answer);
              // "No" and "don't know" differ: without an answer nothing is decided at the start.
              if (first && outcome.verdict != kube::Verdict::kOk && outcome.verdict != kube::Verdict::kNotFound &&
                  outcome.verdict != kube::Verdict::kForbidden) {
                return again_after(kNotServedAgainMs, [this] { discover_autoscaler(true); });
              }
              settings_.cluster.vpa_served = outcome.verdict == kube::Verdict::kOk;
              if (!settings_.cluster.vpa_served) again_after(kDiscoveryAgainMs, [this] { discover_autoscaler(false); });
              if (first) {
                for (const kube::ResourceType& type : World::kinds()) {
                  if (type != kube::kVerticalPodAutoscaler || settings_.cluster.vpa_served) watch(type);
                }
                await_sync();
              } else if (settings_.cluster.vpa_served) {
                watch(kube::kVerticalPodAutoscaler);
                runner_.resync();
              }
            });
}

void Controllers::watch(const kube::ResourceType& type) {
  std::vector<std::string> namespaces = settings_.watched_namespaces;
  if (namespaces.empty()) namespaces.emplace_back();
  world_.of(type).expect_lists(namespaces.size());
  for (const std::string& name : namespaces) {
    kube::ReflectorOptions options;
    options.type = type;
    options.name_space = name;
    options.label_selector = label_selector(type);
    options.trim = trim_for(type);
    reflectors_.push_back(kube::Reflector::start(api_, loop_, rng_, world_.of(type), std::move(options)));
  }
}

bool Controllers::all_synced() const {
  for (const kube::ResourceType& type : World::kinds()) {
    if (type == kube::kVerticalPodAutoscaler && !settings_.cluster.vpa_served) continue;
    if (!world_.of(type).synced()) return false;
  }
  return true;
}

void Controllers::await_sync() {
  if (!all_synced()) {
    for (const auto& reflector : reflectors_) tell(reflector->trouble());
    return again_after(kSyncLookMs, [this] { await_sync(); });
  }
  told_.clear();
  synced_ = true;
  runner_.set_active(leading_);
  if (on_synced_) on_synced_();
}

}  // namespace fmesh::op
