// The part of a state table that is not durable yet: what a function put stays staged, visible to that table only,
// until the commit that carries it is durable; a commit that fails voids everything staged. What is durable lies behind
// DurableValues, be it the log's SQLite file or what a changelog was read into.
//
// From any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "stream/state.h"

namespace fmesh::stream {

// Staged and not yet durable, over all tables of a store; put() fails with kRetryLater beyond it.
inline constexpr size_t kStateStagedSizeMaxBytes = 64 * 1024 * 1024;

// The durable values of all tables of a store.
class DurableValues {
 public:
  virtual ~DurableValues() = default;
  virtual Result<std::optional<std::string>> get(const std::string& table, std::string_view key) = 0;
  // At most `keys_max` keys of a table that begin with `prefix` and come behind `after`, in byte order.
  virtual Result<std::map<std::string, std::string>> scan(const std::string& table, std::string_view prefix,
                                                          size_t keys_max, std::string_view after) = 0;
  // Counts what is staged over all tables. False: it would be more than kStateStagedSizeMaxBytes.
  bool reserve_staged(size_t bytes);
  void release_staged(size_t bytes) { staged_bytes_ -= bytes; }
  // The same for what was staged before and comes back.
  void reserve_again(size_t bytes) { staged_bytes_ += bytes; }

 private:
  std::atomic<size_t> staged_bytes_{0};
};

// A table as the instances of one function share it.
class StagedTable final : public StateTable {
 public:
  StagedTable(std::shared_ptr<DurableValues> store, std::string name)
      : store_(std::move(store)), name_(std::move(name)) {}
  ~StagedTable() override;
  const std::string& name() const override { return name_; }
  std::shared_ptr<CommitOrder> order() override;
  Result<std::optional<std::string>> get(std::string_view key) override;
  Status put(std::string_view key, std::optional<std::string_view> value) override;
  void restore(std::string_view key, std::optional<std::string_view> before, bool is_first) override;
  Status scan(std::string_view prefix, std::function<bool(std::string_view, std::string_view)> visit) override;

  // A commit that lists `key` was submitted: what is staged now, for end_commit(). Nothing if a failure has voided it.
  std::optional<uint64_t> begin_commit(const std::string& key);
  // It is durable: the staged value is no longer needed, unless a later put replaced it.
  void end_commit(const std::string& key, uint64_t number);
  // A commit of `order` failed: everything staged may have been computed from what it had staged, and is void. Nothing
  // happens if that was said before.
  void fail_commits(const std::shared_ptr<CommitOrder>& order);

 private:
  struct Staged {
    std::optional<std::string> value;
    uint64_t number = 0;
    uint64_t commit_number = 0;  // of the last value that went into a commit; 0: none is under way
  };
  void drop(std::map<std::string, Staged, std::less<>>::iterator staged);

  std::shared_ptr<DurableValues> store_;
  const std::string name_;
  std::mutex mutex_;
  std::map<std::string, Staged, std::less<>> staged_;
  uint64_t last_number_ = 0;
  std::shared_ptr<CommitOrder> order_ = std::make_shared<CommitOrder>();
};

}  // namespace fmesh::stream
