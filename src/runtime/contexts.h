// What a logic or a connector sees of its instance for as long as it is open: its spec, time, a log, and for connectors
// the stored position. Used from any thread; owned by the instance.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "runtime/connector.h"
#include "runtime/instance.h"
#include "runtime/logic.h"

namespace fmesh::runtime {

using LogFunction = std::function<void(std::string_view level, std::string_view text)>;

class InstanceLogicContext final : public LogicContext {
 public:
  InstanceLogicContext(const model::InstanceSpec& spec, const Clock& clock, LogFunction log);
  const model::InstanceSpec& spec() const override { return spec_; }
  const Clock& clock() const override { return clock_; }
  void log(std::string_view level, std::string_view text) override { log_(level, text); }
  void metric(std::string_view name, double value) override;
  std::span<const std::string> inputs() const override { return inputs_; }
  std::string_view output() const override { return output_; }

  struct Summary {
    double sum = 0;
    int64_t count = 0;
  };
  std::map<std::string, Summary> metrics() const;

 private:
  // A function that makes up metric names as it goes must not fill the memory.
  static constexpr size_t kUserMetricsMax = 1000;

  const model::InstanceSpec& spec_;
  const Clock& clock_;
  LogFunction log_;
  std::vector<std::string> inputs_;
  std::string output_;
  mutable std::mutex mutex_;
  std::map<std::string, Summary> metrics_;
};

class InstanceConnectorContext final : public ConnectorContext {
 public:
  InstanceConnectorContext(const model::InstanceSpec& spec, const Clock& clock, LogFunction log)
      : spec_(spec), clock_(clock), log_(std::move(log)) {}
  const model::InstanceSpec& spec() const override { return spec_; }
  const Clock& clock() const override { return clock_; }
  const std::string& position() const override { return position_; }
  void wake() override {
    std::lock_guard lock(mutex_);
    if (wake_) wake_();
  }
  void log(std::string_view level, std::string_view text) override { log_(level, text); }
  bool stopping() const override { return stopping_; }

  void set_position(std::string position) { position_ = std::move(position); }
  void set_wake(std::function<void()> wake) {
    std::lock_guard lock(mutex_);
    wake_ = std::move(wake);
  }
  void set_stopping(bool stopping) { stopping_ = stopping; }

 private:
  const model::InstanceSpec& spec_;
  const Clock& clock_;
  LogFunction log_;
  std::string position_;
  std::mutex mutex_;
  std::function<void()> wake_;
  std::atomic<bool> stopping_{false};
};

// The logic of a function, by the environment's own make_logic or runtime's.
Result<std::unique_ptr<Logic>> logic_of(const model::InstanceSpec& spec, const InstanceEnvironment& environment);
// The full names of the streams a spec reads, in order; patterns are left out.
std::vector<std::string> input_topics(const model::FunctionDetails& details);
// Where an instance's connector keeps its position in the state table of its component.
std::string position_key(const model::InstanceSpec& spec);

}  // namespace fmesh::runtime
