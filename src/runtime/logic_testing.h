// What tests of language hosts need around a Logic: a context that stands for the instance, and a batch that keeps what
// was reported. A logic may log on a thread of its own; what was logged is read when it is closed.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/logic.h"

namespace fmesh::runtime {

class FakeLogicContext final : public LogicContext {
 public:
  explicit FakeLogicContext(model::InstanceSpec spec) : spec_(std::move(spec)) {}
  const model::InstanceSpec& spec() const override { return spec_; }
  const Clock& clock() const override { return clock_; }
  void log(std::string_view level, std::string_view text) override {
    const std::lock_guard lock(mutex_);
    logs.push_back(std::string(level) + ": " + std::string(text));
  }
  void metric(std::string_view name, double value) override {
    const std::lock_guard lock(mutex_);
    metrics[std::string(name)] = value;
  }
  std::span<const std::string> inputs() const override { return inputs_; }
  std::string_view output() const override { return "persistent://public/default/out"; }

  std::vector<std::string> logs;
  std::map<std::string, double> metrics;

 private:
  model::InstanceSpec spec_;
  ManualClock clock_;
  std::mutex mutex_;
  std::vector<std::string> inputs_ = {"persistent://public/default/in"};
};

class FakeBatch final : public BatchContext {
 public:
  struct Written {
    size_t index;
    std::string topic;  // empty: the output stream
    std::string payload;
    std::optional<std::string> key;
    std::map<std::string, std::string> properties;
    int64_t event_time_ms;
  };
  void output(size_t index, const stream::RecordView& record) override { keep(index, "", record); }
  Status publish(size_t index, std::string_view topic, const stream::RecordView& record) override {
    if (topic.empty()) return fail(ErrorKind::kFixInput, "a stream needs a name");
    keep(index, topic, record);
    return {};
  }
  void failed(size_t index, std::string_view text) override { failures[index] = text; }
  void ack(size_t index) override { acked.push_back(index); }
  Status ack(std::string_view, const stream::MessageId& id) override {
    acked_ids.push_back(id);
    return {};
  }
  Result<std::optional<std::string>> state_get(size_t, std::string_view key) override {
    const auto found = state.find(std::string(key));
    if (found == state.end()) return std::nullopt;
    return found->second;
  }
  Status state_put(size_t, std::string_view key, std::optional<std::string_view> value) override {
    if (value) {
      state[std::string(key)] = *value;
    } else {
      state.erase(std::string(key));
    }
    return {};
  }
  Result<int64_t> counter_add(size_t, std::string_view key, int64_t delta) override {
    return counters[std::string(key)] += delta;
  }

  // The payloads written, in order.
  std::vector<std::string> payloads() const {
    std::vector<std::string> all;
    for (const Written& one : written) all.push_back(one.payload);
    return all;
  }

  std::vector<Written> written;
  std::map<size_t, std::string> failures;
  std::vector<size_t> acked;
  std::vector<stream::MessageId> acked_ids;
  std::map<std::string, std::string> state;
  std::map<std::string, int64_t> counters;

 private:
  void keep(size_t index, std::string_view topic, const stream::RecordView& record) {
    Written one{index, std::string(topic), std::string(record.payload), std::nullopt, {}, record.event_time_ms};
    if (record.has_key) one.key = std::string(record.key);
    for (const auto& [key, value] : record.properties) one.properties[std::string(key)] = value;
    written.push_back(std::move(one));
  }
};

// Views into `payloads`, which have to live longer.
inline std::vector<LogicRecord> records_of(const std::vector<std::string>& payloads) {
  std::vector<LogicRecord> records;
  for (const std::string& payload : payloads) {
    LogicRecord& record = records.emplace_back();
    record.record.payload = payload;
    record.topic = "persistent://public/default/in";
    record.id = {1, static_cast<int64_t>(records.size()) - 1, -1, -1};
  }
  return records;
}

}  // namespace fmesh::runtime
