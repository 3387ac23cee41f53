#include "sim/topology.h"

#include <algorithm>

#include "base/hash.h"

namespace fmesh::sim {
namespace {

constexpr const char* kPrefix = "persistent://public/default/";

bool chance(Rng& rng, uint64_t percent) { return rng.below(100) < percent; }

FunctionPlan make_function(Rng& rng, const std::vector<StreamPlan>& streams, size_t number, size_t first_output) {
  using model::DetailsSubscriptionType;
  using model::ProcessingGuarantees;
  FunctionPlan plan;
  plan.name = "f" + std::to_string(number);
  plan.salt = rng.next();
  // Mostly from an earlier stream to a later one; now and then backwards, which makes a cycle.
  plan.inputs.push_back(streams[rng.below(std::min(first_output + number, streams.size()))].topic);
  if (chance(rng, 30)) {
    const std::string& second = streams[rng.below(streams.size())].topic;
    if (second != plan.inputs[0]) plan.inputs.push_back(second);
  }
  plan.output = streams[first_output + (chance(rng, 15) ? rng.below(streams.size() - first_output) : number)].topic;
  if (chance(rng, 25)) plan.side = std::string(kPrefix) + "side";
  if (chance(rng, 15)) {
    plan.window_records = 1 + static_cast<int>(rng.below(4));
    plan.output = std::string(kPrefix) + "windows-" + plan.name;
    plan.side.clear();
    return plan;
  }
  const uint64_t kind = rng.below(10);
  plan.guarantee = kind < 4   ? ProcessingGuarantees::kEffectivelyOnce
                   : kind < 9 ? ProcessingGuarantees::kAtLeastOnce
                              : ProcessingGuarantees::kAtMostOnce;
  const DetailsSubscriptionType types[] = {DetailsSubscriptionType::kShared, DetailsSubscriptionType::kFailover,
                                           DetailsSubscriptionType::kKeyShared};
  plan.subscription = types[rng.below(3)];
  plan.retain_ordering = plan.subscription == DetailsSubscriptionType::kFailover && chance(rng, 50);
  if (plan.guarantee != ProcessingGuarantees::kAtMostOnce && chance(rng, 60)) {
    plan.max_retries = 1 + static_cast<int>(rng.below(3));
    plan.dead_letter = std::string(kPrefix) + "dead-" + plan.name;
    plan.permanent_percent = rng.below(20);
  }
  if (chance(rng, 60)) plan.transient_percent = rng.below(30);
  plan.blocking = chance(rng, 50);
  plan.parallelism_max = chance(rng, 50) ? 1 : 2 + static_cast<int>(rng.below(2));
  // A counter is shared by the instances of a function, so its key must be with one of them at a time.
  const bool one_owner =
      plan.parallelism_max == 1 || (plan.subscription != DetailsSubscriptionType::kShared && plan.inputs.size() == 1);
  plan.counts = one_owner && plan.guarantee == ProcessingGuarantees::kEffectivelyOnce && chance(rng, 70);
  return plan;
}

uint32_t dice(const FunctionPlan& plan, const std::string& payload, const char* what) {
  return murmur3_32(std::to_string(plan.salt) + what + payload);
}

}  // namespace

bool FunctionPlan::keeps_key_order() const {
  if (window_records > 0 || inputs.size() != 1) return false;
  if (subscription == model::DetailsSubscriptionType::kFailover) return true;
  return exactly_once() && (subscription == model::DetailsSubscriptionType::kKeyShared || parallelism_max == 1);
}

bool FunctionPlan::fails_for_ever(const std::string& payload) const {
  return dice(*this, payload, "for ever") % 100 < permanent_percent;
}

int FunctionPlan::failures_first(const std::string& payload) const {
  if (dice(*this, payload, "first") % 100 >= transient_percent) return 0;
  return 1 + static_cast<int>(dice(*this, payload, "how often") % static_cast<uint32_t>(std::clamp(max_retries, 1, 3)));
}

const std::string& FunctionPlan::destination(const std::string& payload) const {
  static const std::string nowhere;
  if (depth_of(payload) >= kDepthMax) return nowhere;
  return !side.empty() && dice(*this, payload, "side") % 4 == 0 ? side : output;
}

model::InstanceSpec FunctionPlan::spec(int32_t instance_id, int32_t instance_count) const {
  model::InstanceSpec spec;
  spec.host = model::HostKind::kBuiltin;
  spec.component = name;
  spec.instance_id = instance_id;
  spec.instance_count = instance_count;
  model::FunctionDetails& details = spec.details;
  details.tenant = "public";
  details.name_space = "default";
  details.name = name;
  details.auto_ack = true;
  details.processing_guarantees = guarantee;
  details.retain_ordering = retain_ordering;
  model::SourceSpec& source = details.source.emplace();
  for (const std::string& input : inputs) source.input_specs[input];
  source.subscription_position = model::DetailsSubscriptionPosition::kEarliest;
  source.subscription_type = subscription;
  source.negative_ack_redelivery_delay_ms = 100;
  details.sink.emplace().topic = output;
  if (max_retries > 0) details.retry_details = model::RetryDetails{max_retries, dead_letter};
  if (window_records > 0)
    details.user_config = R"({"__WINDOWCONFIGS__":{"windowLengthCount":)" + std::to_string(window_records) + "}}";
  return spec;
}

Topology make_topology(Rng& rng) {
  Topology topology;
  const auto add = [&](const std::string& name, bool is_source) {
    const int32_t partitions = chance(rng, 40) ? 2 + static_cast<int32_t>(rng.below(2)) : 0;
    topology.streams.push_back({kPrefix + name, partitions, is_source});
  };
  const size_t sources = 1 + rng.below(2);
  const size_t functions = 1 + rng.below(4);
  for (size_t i = 0; i < sources; ++i) add("in" + std::to_string(i), true);
  for (size_t i = 0; i < functions; ++i) add("s" + std::to_string(i), false);
  const std::vector<StreamPlan> joined = topology.streams;
  for (size_t i = 0; i < functions; ++i) topology.functions.push_back(make_function(rng, joined, i, sources));
  topology.streams.push_back({std::string(kPrefix) + "side", 0, false});
  for (const FunctionPlan& function : topology.functions) {
    if (!function.dead_letter.empty()) topology.streams.push_back({function.dead_letter, 0, false});
    if (function.window_records > 0) topology.streams.push_back({function.output, 0, false});
  }
  return topology;
}

int depth_of(const std::string& payload) { return static_cast<int>(std::ranges::count(payload, '/')); }

}  // namespace fmesh::sim
