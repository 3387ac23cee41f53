// A producer as users see it: one PartitionProducer per partition under one name, and the bound on what waits for
// receipts.
//
// Used from any thread; what it stands on lives on the client's loop and ends there.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "stream/client.h"
#include "stream/pulsar/client/partition_producer.h"

namespace fmesh::stream::pulsar {

class PulsarProducer final : public Producer, public std::enable_shared_from_this<PulsarProducer> {
 public:
  using Opened = std::function<void(Result<std::shared_ptr<PulsarProducer>>)>;
  // On the loop; `opened` is called once. Errors: as the broker says, with the topic.
  static void open(std::shared_ptr<Parts> parts, ProducerOptions options, Opened opened);
  ~PulsarProducer() override;

  const std::string& topic() const override { return options_.topic; }
  const std::string& name() const override { return name_; }
  int32_t partition_count() const override;
  int64_t last_sequence_id(int32_t partition) const override;
  bool writable() const override;
  void notify_writable(std::function<void()> wake) override;

  bool deduplicates() const { return options_.deduplicate; }
  // Null if there is none of that number.
  std::shared_ptr<PartitionProducer> partition(int32_t index) const;
  // So many bytes wait for a receipt, or have waited.
  void began(size_t size_bytes);
  void ended(size_t size_bytes);
  // On the loop: nothing more is sent.
  void close();

 private:
  PulsarProducer(std::shared_ptr<Parts> parts, ProducerOptions options)
      : parts_(std::move(parts)), options_(std::move(options)) {}
  std::shared_ptr<PartitionProducer> make_partition(int32_t index, const std::string& name, bool name_given);
  void open_first(uint32_t partition_count);
  void open_others(uint32_t partition_count);
  void finish_open(const Status& status);
  void watch_growth();
  void grow(uint32_t partition_count);

  const std::shared_ptr<Parts> parts_;
  const ProducerOptions options_;
  std::string name_;
  // --- on the loop ---
  Opened opened_;
  bool partitioned_ = false, closed_ = false;
  size_t left_ = 0;  // partitions that are being opened
  std::vector<std::shared_ptr<PartitionProducer>> opening_;
  uint64_t timer_ = 0;
  // --- guarded ---
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<PartitionProducer>> partitions_;
  std::vector<int64_t> last_sequence_ids_;
  size_t pending_bytes_ = 0;
  std::function<void()> wake_;
};

}  // namespace fmesh::stream::pulsar
