#include "sim/verdict.h"

#include <algorithm>
#include <set>

namespace fmesh::sim {
namespace {

using Counts = std::map<std::string, int64_t>;

const std::vector<KeptRecord>& records_of(const Holdings& holdings, const std::string& topic) {
  static const std::vector<KeptRecord> none;
  const auto found = holdings.streams.find(topic);
  return found == holdings.streams.end() ? none : found->second;
}

Counts count(const std::vector<KeptRecord>& records) {
  Counts counts;
  for (const KeptRecord& record : records) ++counts[record.payload];
  return counts;
}

// The verdict on one function.
class FunctionCheck {
 public:
  FunctionCheck(const FunctionPlan& plan, const Holdings& holdings) : plan_(plan), holdings_(holdings) {
    for (const std::string& input : plan.inputs)
      for (const auto& [payload, times] : count(records_of(holdings, input))) inputs_[payload] += times;
    for (const std::string& topic : {plan.output, plan.side})
      if (!topic.empty()) outputs_[topic] = count(records_of(holdings, topic));
    if (!plan.dead_letter.empty()) dead_ = count(records_of(holdings, plan.dead_letter));
  }

  Verdict run() {
    if (plan_.window_records > 0) {
      check_windows();
      return verdict_;
    }
    for (const auto& [payload, times] : inputs_) check_input(payload, times);
    for (const auto& [payload, times] : dead_)
      if (!inputs_.contains(payload)) broken(payload + " is a dead letter that was never an input");
    check_no_strangers();
    if (plan_.counts) check_counters();
    if (plan_.keeps_key_order()) check_order();
    return verdict_;
  }

 private:
  void broken(const std::string& text) {
    if (verdict_.broken.empty()) verdict_.broken = plan_.name + ": " + text;
  }

  // `found` outputs of an input that came `times` times.
  void check_times(const std::string& what, int64_t found, int64_t times) {
    const std::string figures = what + ": found " + std::to_string(found) + ", expected ";
    const bool at_most = plan_.guarantee == model::ProcessingGuarantees::kAtMostOnce;
    if (at_most && found > times) broken(figures + "at most " + std::to_string(times));
    if (plan_.exactly_once() && found != times) broken(figures + std::to_string(times));
    if (!at_most && found < times) broken(figures + "at least " + std::to_string(times));
    if (found > times) verdict_.duplicates += static_cast<uint64_t>(found - times);
  }

  void check_input(const std::string& payload, int64_t times) {
    const auto dead = dead_.find(payload);
    const int64_t letters = dead == dead_.end() ? 0 : dead->second;
    const bool fails = plan_.fails_for_ever(payload);
    if (fails)
      check_times("dead letter " + payload, letters, times);
    else if (letters != 0)
      broken(payload + " is a dead letter, though it fails only at first");
    const std::string out = payload + "/" + plan_.name;
    const std::string& destination = plan_.destination(payload);
    for (const auto& [topic, counts] : outputs_) {
      const auto at = counts.find(out);
      const int64_t found = at == counts.end() ? 0 : at->second;
      if (topic == destination && !fails)
        check_times(out + " in " + topic, found, times);
      else if (found != 0)
        broken(out + " is in " + topic + ", where it must not be");
    }
  }

  void check_no_strangers() {
    const std::string suffix = "/" + plan_.name;
    for (const auto& [topic, counts] : outputs_)
      for (const auto& [payload, times] : counts)
        if (payload.ends_with(suffix) && !inputs_.contains(payload.substr(0, payload.size() - suffix.size())))
          broken(payload + " in " + topic + " has no input");
  }

  void check_counters() {
    std::map<std::string, int64_t> expected;
    for (const std::string& input : plan_.inputs)
      for (const KeptRecord& record : records_of(holdings_, input))
        if (!plan_.fails_for_ever(record.payload)) ++expected[record.key];
    const auto found = holdings_.counters.find(plan_.name);
    const std::map<std::string, int64_t> counters =
        found == holdings_.counters.end() ? std::map<std::string, int64_t>() : found->second;
    for (const auto& [key, times] : expected) {
      const auto at = counters.find(key);
      const int64_t counted = at == counters.end() ? 0 : at->second;
      if (counted != times)
        broken("counter " + key + ": found " + std::to_string(counted) + ", expected " + std::to_string(times));
    }
  }

  // The first output of each record, per key, in the order of the inputs. Outputs of one key go to one partition.
  void check_order() {
    for (const auto& [topic, counts] : outputs_) {
      const std::map<std::string, std::vector<std::string>> came = by_key(plan_.inputs[0], [&](const auto& record) {
        return plan_.destination(record.payload) == topic && !plan_.fails_for_ever(record.payload)
                   ? record.payload + "/" + plan_.name
                   : "";
      });
      const std::string suffix = "/" + plan_.name;
      const std::map<std::string, std::vector<std::string>> left =
          by_key(topic, [&](const auto& record) { return record.payload.ends_with(suffix) ? record.payload : ""; });
      for (const auto& [key, payloads] : left) {
        const auto expected = came.find(key);
        if (expected == came.end()) continue;
        // At most once may leave some out; the rest is in order.
        size_t at = 0;
        for (const std::string& payload : payloads) {
          while (at < expected->second.size() && expected->second[at] != payload) ++at;
          if (at == expected->second.size()) {
            broken("key " + key + " in " + topic + ": " + payload + " is out of order");
            break;
          }
        }
      }
    }
  }

  template <class Name>
  std::map<std::string, std::vector<std::string>> by_key(const std::string& topic, Name name) const {
    std::map<std::string, std::vector<std::string>> lists;
    std::set<std::string> seen;
    for (const KeptRecord& record : records_of(holdings_, topic)) {
      const std::string payload = name(record);
      if (!payload.empty() && seen.insert(payload).second) lists[record.key].push_back(payload);
    }
    return lists;
  }

  void check_windows() {
    Counts seen;
    for (const auto& [window, times] : outputs_[plan_.output]) {
      for (size_t at = 0; at <= window.size();) {
        const size_t end = std::min(window.find('|', at), window.size());
        seen[window.substr(at, end - at)] += times;
        at = end + 1;
      }
    }
    int64_t open = 0;
    for (const auto& [payload, times] : inputs_) {
      open += std::max<int64_t>(times - seen[payload], 0);
      verdict_.duplicates += static_cast<uint64_t>(std::max<int64_t>(seen[payload] - times, 0));
    }
    if (open >= plan_.window_records)
      broken(std::to_string(open) + " records are in no window; the last open one holds fewer than " +
             std::to_string(plan_.window_records));
    for (const auto& [payload, times] : seen)
      if (!inputs_.contains(payload)) broken(payload + " is in a window and was never an input");
  }

  const FunctionPlan& plan_;
  const Holdings& holdings_;
  Counts inputs_, dead_;
  std::map<std::string, Counts> outputs_;
  Verdict verdict_;
};

}  // namespace

std::string check_sources(const Holdings& holdings) {
  for (const auto& [topic, payloads] : holdings.acknowledged) {
    const Counts counts = count(records_of(holdings, topic));
    for (const auto& [payload, one] : payloads) {
      const auto found = counts.find(payload);
      if (found == counts.end()) return topic + ": " + payload + " was acknowledged and is lost";
      if (found->second != 1) return topic + ": " + payload + " is there " + std::to_string(found->second) + " times";
    }
  }
  return "";
}

Verdict check_all(const Topology& topology, const Holdings& holdings) {
  Verdict all;
  all.broken = check_sources(holdings);
  for (const FunctionPlan& plan : topology.functions) {
    const Verdict one = FunctionCheck(plan, holdings).run();
    if (all.broken.empty()) all.broken = one.broken;
    all.duplicates += one.duplicates;
  }
  return all;
}

}  // namespace fmesh::sim
