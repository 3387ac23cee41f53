// The fixture of the tests of consumers: one over a broker in memory, with what it was told in a form to compare.
#pragma once

#include <gmock/gmock.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "stream/pulsar/client/broker_testing_private.h"
#include "stream/pulsar/client/consumer.h"

namespace fmesh::stream::pulsar {

inline constexpr const char* kTopic = "persistent://public/default/t";

class ConsumerTest : public BrokerTest {
 protected:
  void open(ConsumerOptions options = {}) {
    if (options.topics.empty() && options.topic_pattern.empty()) options.topics = {kTopic};
    options.subscription = "s";
    options.name = "c";
    core_ = std::make_shared<ConsumerCore>(parts_, std::move(options));
    core_->inbox().set_refill([this] { loop_.post([core = core_] { core->polled(); }); });
    core_->open([this](const Status& status) { opened_ = status; });
    loop_.run_ready();
    consumer_ = std::make_unique<PulsarConsumer>(core_);
  }
  static ConsumerOptions with(const std::function<void(ConsumerOptions&)>& change) {
    ConsumerOptions options;
    change(options);
    return options;
  }
  void TearDown() override {
    if (consumer_) consumer_->close();
    loop_.run_ready();
    consumer_ = nullptr;
    core_ = nullptr;
    BrokerTest::TearDown();
  }
  // Ids and records of what can be polled.
  std::vector<std::string> poll() {
    loop_.run_ready();
    std::vector<std::string> found;
    const auto entries = consumer_->poll({});
    if (!entries) return {entries.error().text()};
    for (const ReceivedEntry& entry : *entries) {
      std::string text = to_string(entry.id) + " ";
      if (entry.records.is_all()) text += "all";
      for (uint32_t i = 0; i < entry.record_count && !entry.records.is_all(); ++i) {
        if (entry.records.has(i)) text += std::to_string(i);
      }
      found.push_back(text + (entry.redelivery_count > 0 ? " x" + std::to_string(entry.redelivery_count) : ""));
    }
    loop_.run_ready();
    return found;
  }
  void deliver(int64_t entry, uint32_t count = 1, uint32_t redeliveries = 0, std::vector<uint64_t> ack_set = {}) {
    broker_.deliver(std::string(entry_of(count).view()), entry, redeliveries, std::move(ack_set));
    loop_.run_ready();
  }
  void acknowledge(int64_t entry, const AckSet& records = AckSet::all(), bool cumulative = false) {
    core_->acknowledge({nullptr, {1, entry, -1, -1}, records, cumulative});
  }
  void negative_ack(int64_t entry, const AckSet& records = AckSet::all()) {
    consumer_->negative_ack({1, entry, -1, -1}, records);
    loop_.run_ready();
  }
  static AckSet set_of(std::initializer_list<uint32_t> indexes, uint32_t count) {
    AckSet set = AckSet::none(count);
    for (const uint32_t index : indexes) set.add(index);
    return set;
  }
  // Entries of the last ACK.
  std::vector<std::string> acked() const {
    std::vector<std::string> found;
    for (const TestBroker::Command& command : broker_.heard) {
      if (command.type() != TestBroker::Command::ACK) continue;
      for (const auto& id : command.ack().message_id()) {
        std::string text = std::to_string(id.entryid());
        for (const int64_t word : id.ack_set()) text += "/" + std::to_string(word);
        found.push_back(text);
      }
    }
    return found;
  }
  int64_t permitted() const {
    int64_t permits = 0;
    for (const TestBroker::Command& command : broker_.heard) {
      if (command.type() == TestBroker::Command::FLOW) permits += command.flow().messagepermits();
    }
    return permits;
  }
  std::vector<std::string> redelivered() const {
    std::vector<std::string> found;
    for (const TestBroker::Command& command : broker_.heard) {
      if (command.type() != TestBroker::Command::REDELIVER_UNACKNOWLEDGED_MESSAGES) continue;
      std::string text;
      for (const auto& id : command.redeliverunacknowledgedmessages().message_ids()) {
        text += (text.empty() ? "" : ",") + std::to_string(id.entryid());
      }
      found.push_back(text);
    }
    return found;
  }
  void close_by_broker() {
    TestBroker::Command close;
    close.set_type(TestBroker::Command::CLOSE_CONSUMER);
    close.mutable_close_consumer()->set_consumer_id(
        broker_.last_heard(TestBroker::Command::SUBSCRIBE).subscribe().consumer_id());
    close.mutable_close_consumer()->set_request_id(~uint64_t{0});
    broker_.reply(broker_.last(), close);
    loop_.run_ready();
  }

  std::shared_ptr<ConsumerCore> core_;
  std::unique_ptr<PulsarConsumer> consumer_;
  std::optional<Status> opened_;
};

}  // namespace fmesh::stream::pulsar
