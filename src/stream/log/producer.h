// A producer of the log is a name and a stream; what it produces goes through Client::commit. From any thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "stream/client.h"
#include "stream/log/core.h"

namespace fmesh::stream::log {

class LogProducer final : public Producer, public std::enable_shared_from_this<LogProducer> {
 public:
  LogProducer(std::shared_ptr<Core> core, std::shared_ptr<Stream> stream, ProducerOptions options);
  const std::string& topic() const override { return options_.topic; }
  const std::string& name() const override { return options_.name; }
  int32_t partition_count() const override { return static_cast<int32_t>(stream_->partitions.size()); }
  int64_t last_sequence_id(int32_t partition) const override;
  bool writable() const override;
  void notify_writable(std::function<void()> wake) override;

  const std::shared_ptr<Stream>& stream() const { return stream_; }
  bool deduplicates() const { return options_.deduplicate; }
  // REQUIRES: lock held.
  std::function<void()> take_wake() { return std::exchange(wake_, nullptr); }

 private:
  void fire();

  const std::shared_ptr<Core> core_;
  const std::shared_ptr<Stream> stream_;
  const ProducerOptions options_;
  std::function<void()> wake_;  // guarded by the core's lock
};

}  // namespace fmesh::stream::log
