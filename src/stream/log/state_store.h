// The keyed state of functions, as the journal's transactions made it: SQLite holds what older transactions wrote, a
// bounded cache in front of it what is newer or was asked for. The journal is the truth: before the journal takes a
// checkpoint the store writes what is dirty and the place it has reached in one SQLite transaction; what came later is
// replayed.
//
// Values that a function put and no commit has made durable yet are staged per table, visible to that table only. From
// any thread. SQLite is opened when the cache first needs it, so a mesh without state has no such file.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "stream/log/journal.h"
#include "stream/log/table_codec.h"
#include "stream/state.h"

struct sqlite3;
struct sqlite3_stmt;

namespace fmesh::stream::log {

// Values kept in memory over all tables; beyond it dirty ones are written to SQLite and the longest unused ones
// dropped.
inline constexpr size_t kStateCacheSizeMaxBytes = 32 * 1024 * 1024;
// Staged and not yet durable, over all tables; put() fails with kRetryLater beyond it.
inline constexpr size_t kStateStagedSizeMaxBytes = 64 * 1024 * 1024;

class StateStore {
 public:
  // `path` is the SQLite file; its directory must be there when the first value is needed.
  explicit StateStore(std::string path) : path_(std::move(path)) {}
  ~StateStore();
  StateStore(const StateStore&) = delete;
  StateStore& operator=(const StateStore&) = delete;

  static TableOp change_op(const StateChange& change);
  // On the committer: a durable change. Its errors come with the next flush().
  void apply(const TableOp& op, Lsn lsn);
  // Makes all that was applied durable in SQLite. Errors: kRetryLater if the disk is full, kCorrupt if SQLite says so.
  Status flush();

  Result<std::optional<std::string>> get(const std::string& table, std::string_view key);
  // The durable keys of a table in byte order.
  Result<std::map<std::string, std::string>> scan(const std::string& table, std::string_view prefix, size_t keys_max,
                                                  std::string_view after);

  bool reserve_staged(size_t bytes);
  void release_staged(size_t bytes);

 private:
  struct Item {
    std::optional<std::string> value;  // nothing: deleted, or known not to be there
    bool dirty = false;
  };
  using Items = std::unordered_map<std::string, Item>;  // by table '\0' key
  static std::string cache_key(std::string_view table, std::string_view key);

  Status open();
  Status run(const char* sql);
  Status failed(const std::string& what) const;
  Status flush_locked();
  Status write_item(const std::string& cache_key, const Item& item);
  Result<std::optional<std::string>> read_item(std::string_view table, std::string_view key);
  void remember(std::string key, Item item);

  const std::string path_;
  std::mutex mutex_;
  sqlite3* database_ = nullptr;
  sqlite3_stmt* select_ = nullptr;
  sqlite3_stmt* upsert_ = nullptr;
  sqlite3_stmt* erase_ = nullptr;
  // Two generations: what is asked for moves to the recent one; when that is half the bound, the older one is dropped.
  Items recent_;
  Items older_;
  size_t recent_bytes_ = 0;
  Lsn applied_lsn_ = 0;
  bool dirty_ = false;
  size_t staged_bytes_ = 0;
};

// A table as the instances of one function share it.
class LogStateTable final : public StateTable {
 public:
  LogStateTable(std::shared_ptr<StateStore> store, std::string name)
      : store_(std::move(store)), name_(std::move(name)) {}
  ~LogStateTable() override;
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

  std::shared_ptr<StateStore> store_;
  const std::string name_;
  std::mutex mutex_;
  std::map<std::string, Staged, std::less<>> staged_;
  uint64_t last_number_ = 0;
  std::shared_ptr<CommitOrder> order_ = std::make_shared<CommitOrder>();
};

}  // namespace fmesh::stream::log
