// The keyed state of functions, as the journal's transactions made it: SQLite holds what older transactions wrote, a
// bounded cache in front of it what is newer or was asked for. The journal is the truth: before the journal takes a
// checkpoint the store writes what is dirty and the place it has reached in one SQLite transaction; what came later is
// replayed.
//
// From any thread. SQLite is opened when the cache first needs it, so a mesh without state has no such file.
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
#include "stream/staged_table.h"

struct sqlite3;
struct sqlite3_stmt;

namespace fmesh::stream::log {

// Values kept in memory over all tables; beyond it dirty ones are written to SQLite and the longest unused ones
// dropped.
inline constexpr size_t kStateCacheSizeMaxBytes = 32 * 1024 * 1024;

class StateStore final : public DurableValues {
 public:
  // `path` is the SQLite file; its directory must be there when the first value is needed.
  explicit StateStore(std::string path) : path_(std::move(path)) {}
  ~StateStore() override;
  StateStore(const StateStore&) = delete;
  StateStore& operator=(const StateStore&) = delete;

  static TableOp change_op(const StateChange& change);
  // On the committer: a durable change. Its errors come with the next flush().
  void apply(const TableOp& op, Lsn lsn);
  // Makes all that was applied durable in SQLite. Errors: kRetryLater if the disk is full, kCorrupt if SQLite says so.
  Status flush();

  Result<std::optional<std::string>> get(const std::string& table, std::string_view key) override;
  Result<std::map<std::string, std::string>> scan(const std::string& table, std::string_view prefix, size_t keys_max,
                                                  std::string_view after) override;

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
};

}  // namespace fmesh::stream::log
