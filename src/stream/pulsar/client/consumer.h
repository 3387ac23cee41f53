// A consumer as its user sees it. What it stands on lives on the client's loop; between the two are the inbox and
// posts.
//
// Belongs to the user's loop. seek() and seek_time() wait for the broker, so they are not for a loop.
#pragma once

#include <memory>

#include "stream/client.h"
#include "stream/pulsar/client/consumer_core.h"

namespace fmesh::stream::pulsar {

class PulsarConsumer final : public Consumer {
 public:
  explicit PulsarConsumer(std::shared_ptr<ConsumerCore> core) : core_(std::move(core)) {}
  ~PulsarConsumer() override { close(); }

  const std::string& subscription() const override { return core_->options().subscription; }
  Result<std::vector<ReceivedEntry>> poll(PollLimits limits) override { return core_->inbox().poll(limits); }
  void notify(std::function<void()> wake) override { core_->inbox().notify(std::move(wake)); }
  void negative_ack(const MessageId& id, const AckSet& records) override;
  Status seek(const MessageId& id) override;
  Status seek_time(int64_t publish_time_ms) override;
  // As of the last look at the broker, which each call starts anew; the backlog is counted in entries.
  ConsumerStats stats() const override;
  bool drained() const override;
  void close() override;

  const std::shared_ptr<ConsumerCore>& core() const { return core_; }

 private:
  void probe(int64_t pause_ms) const;
  Status wait_for_seek(std::optional<MessageId> id, int64_t time_ms);

  const std::shared_ptr<ConsumerCore> core_;
  bool closed_ = false;
};

}  // namespace fmesh::stream::pulsar
