// Consumers of the log. A LogConsumer is a member of one subscription on each of its streams; its dispatchers say what
// it is handed, it reads the bytes from the journal outside the lock. A read-only consumer (reader.h) has a cursor of
// its own.
//
// Each belongs to one thread; its wake may be taken and called by others.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <regex>
#include <string>
#include <unordered_map>
#include <vector>

#include "stream/client.h"
#include "stream/log/core.h"

namespace fmesh::stream::log {

class LogConsumer;

class ConsumerBase : public Consumer {
 public:
  // Null for a read-only consumer.
  virtual LogConsumer* as_member() { return nullptr; }
};

// The number of a partition's "ledger", and back.
inline int64_t ledger_of(PartitionId partition) { return int64_t{partition} + 1; }
inline PartitionId partition_of(int64_t ledger) { return static_cast<PartitionId>(ledger - 1); }

class LogConsumer final : public ConsumerBase, public Member {
 public:
  struct Source {
    std::shared_ptr<Stream> stream;
    std::shared_ptr<Subscription> subscription;
    size_t lane = 0;
    PartitionId partition = 0;
  };

  // Makes the streams and subscriptions that are missing and joins them. Errors: kFixInput if a subscription is
  // exclusive and taken, or has consumers of another type.
  static Result<std::shared_ptr<LogConsumer>> open(std::shared_ptr<Core> core, ConsumerOptions options);
  ~LogConsumer() override { close(); }

  const std::string& subscription() const override { return options_.subscription; }
  Result<std::vector<ReceivedEntry>> poll(PollLimits limits) override;
  void notify(std::function<void()> wake) override;
  void negative_ack(const MessageId& id, const AckSet& records) override;
  Status seek(const MessageId& id) override;
  Status seek_time(int64_t publish_time_ms) override;
  ConsumerStats stats() const override;
  bool drained() const override;
  void close() override;
  bool whole_entries() const { return options_.whole_entries; }

  LogConsumer* as_member() override { return this; }
  ConsumerNumber number() const override { return number_; }
  const std::string& member_name() const override { return options_.name; }
  int64_t ack_timeout_ms() const override { return options_.ack_timeout_ms; }
  std::function<void()> take_wake() override { return std::exchange(wake_, nullptr); }
  bool has_wake() const override { return wake_ != nullptr; }
  const std::vector<KeyRange>& key_ranges() const override { return options_.key_ranges; }
  std::optional<size_t> only_lane() const override {
    return options_.partition < 0 ? std::nullopt : std::optional(static_cast<size_t>(options_.partition));
  }

  // --- REQUIRES: the core's lock held ---
  bool closed() const { return closed_; }
  // Null if the id is of no stream of this consumer.
  const Source* source_of(const MessageId& id) const;
  // The records that an individual ack means.
  AckSet acked_records(const Ack& ack, const Window& window) const;
  // A stream was made: joins it if the pattern matches.
  void join_if_matching(const std::shared_ptr<Stream>& stream, Wakes& wakes);

 private:
  struct Left {
    uint64_t records = 0;
    size_t bytes = 0;
  };
  LogConsumer(std::shared_ptr<Core> core, ConsumerOptions options);
  Status join_all(std::vector<std::shared_ptr<Stream>> streams);
  bool is_first_lane(const Source& source) const { return source.lane == only_lane().value_or(0); }
  bool reads(size_t lane) const { return only_lane().value_or(lane) == lane; }
  std::optional<Error> refusal(const Stream& stream) const;
  std::optional<Error> refusal_of_keys(const Stream& stream, const std::vector<Member*>& members) const;
  void attach(const std::shared_ptr<Stream>& stream, const std::shared_ptr<Subscription>& subscription);
  void poll_source(const Source& source, PollLimits limits, std::vector<ReceivedEntry>& received);
  void read_new(const Source& source, PollLimits limits, uint64_t first, uint64_t end, uint64_t epoch, size_t share,
                std::vector<ReceivedEntry>& received);
  void load(const Source& source, std::vector<Handout> handouts, std::vector<ReceivedEntry>& received);
  void keep_error(const Source& source, uint64_t entry, Error error);
  ReceivedEntry received_entry(const Source& source, const Handout& handout, SharedBytes bytes) const;

  const std::shared_ptr<Core> core_;
  ConsumerOptions options_;
  std::optional<std::regex> pattern_;
  ConsumerNumber number_ = 0;
  // --- guarded by the core's lock ---
  std::vector<Source> sources_;
  std::unordered_map<PartitionId, size_t> source_index_;
  std::function<void()> wake_;
  bool closed_ = false;
  // --- own thread ---
  size_t turn_ = 0;
  std::optional<Error> error_;  // met while reading, for the next poll
};

// The regular expression of a topic pattern; short forms are completed like topic names.
Result<std::regex> parse_topic_pattern(const std::string& pattern);

}  // namespace fmesh::stream::log
