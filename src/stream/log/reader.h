// A read-only consumer: what peek and tap use. It has a position per partition in memory, takes part in no subscription
// and holds back neither retention nor other consumers; what is deleted before it gets there, it does not see. One
// thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <regex>
#include <string>
#include <vector>

#include "stream/log/consumer.h"

namespace fmesh::stream::log {

class ReadOnlyConsumer final : public ConsumerBase, public Reader {
 public:
  static Result<std::shared_ptr<ReadOnlyConsumer>> open(std::shared_ptr<Core> core, ConsumerOptions options);
  ~ReadOnlyConsumer() override { close(); }

  const std::string& subscription() const override { return options_.subscription; }
  Result<std::vector<ReceivedEntry>> poll(PollLimits limits) override;
  void notify(std::function<void()> wake) override;
  // Nothing is kept for a second delivery.
  void negative_ack(const MessageId& /*id*/, const AckSet& /*records*/) override {}
  Status seek(const MessageId& id) override;
  Status seek_time(int64_t publish_time_ms) override;
  ConsumerStats stats() const override;
  bool drained() const override;
  void close() override;

  // --- REQUIRES: the core's lock held ---
  std::function<void()> take_wake_if_ready() override;
  void join_if_matching(const std::shared_ptr<Stream>& stream) override;

 private:
  struct Place {
    std::shared_ptr<Stream> stream;
    size_t partition = 0;
    PartitionId id = 0;
    uint64_t next = 0;
    uint32_t first_record = 0;  // of the entry `next`, after a seek into its middle
  };
  ReadOnlyConsumer(std::shared_ptr<Core> core, ConsumerOptions options)
      : core_(std::move(core)), options_(std::move(options)) {}
  bool ready() const;
  void add(const std::shared_ptr<Stream>& stream, bool from_now);

  const std::shared_ptr<Core> core_;
  ConsumerOptions options_;
  std::optional<std::regex> pattern_;
  std::vector<Place> places_;  // guarded by the core's lock, like what follows
  std::function<void()> wake_;
  bool closed_ = false;
  size_t turn_ = 0;
};

}  // namespace fmesh::stream::log
