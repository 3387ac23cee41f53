#include "stream/log/state_store.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <vector>

namespace fmesh::stream::log {
namespace {

// Memory of a cached item beside its bytes, roughly.
constexpr size_t kItemOverheadBytes = 96;

constexpr const char* kSchema =
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
    "CREATE TABLE IF NOT EXISTS state(key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS applied(id INTEGER PRIMARY KEY, lsn INTEGER NOT NULL);";

void bind_bytes(sqlite3_stmt* statement, int index, std::string_view bytes) {
  // A null pointer would bind NULL, so an empty blob needs an address.
  sqlite3_bind_blob(statement, index, bytes.empty() ? "" : bytes.data(), static_cast<int>(bytes.size()), SQLITE_STATIC);
}

std::string column_bytes(sqlite3_stmt* statement, int index) {
  const auto* data = static_cast<const char*>(sqlite3_column_blob(statement, index));
  const int size = sqlite3_column_bytes(statement, index);
  return size == 0 ? std::string() : std::string(data, static_cast<size_t>(size));
}

}  // namespace

StateStore::~StateStore() {
  for (sqlite3_stmt* statement : {select_, upsert_, erase_}) sqlite3_finalize(statement);
  sqlite3_close(database_);
}

std::string StateStore::cache_key(std::string_view table, std::string_view key) {
  std::string whole(table);
  whole.push_back('\0');
  whole.append(key);
  return whole;
}

TableOp StateStore::change_op(const StateChange& change) {
  TableWriter out;
  out.text(change.table->name());
  out.text(change.key);
  out.u8(change.value ? 1 : 0);
  if (change.value) out.text(*change.value);
  return {9, out.take()};
}

void StateStore::apply(const TableOp& op, Lsn lsn) {
  TableReader in(op.bytes);
  const std::string_view table = in.text();
  const std::string_view key = in.text();
  Item item;
  item.dirty = true;
  if (in.u8() != 0) item.value = std::string(in.text());
  if (!in.ok()) return;
  std::lock_guard lock(mutex_);
  applied_lsn_ = std::max(applied_lsn_, lsn);
  dirty_ = true;
  remember(cache_key(table, key), std::move(item));
}

void StateStore::remember(std::string key, Item item) {
  const size_t bytes = kItemOverheadBytes + key.size() + (item.value ? item.value->size() : 0);
  older_.erase(key);
  const auto found = recent_.find(key);
  if (found != recent_.end()) {
    recent_bytes_ -= kItemOverheadBytes + key.size() + (found->second.value ? found->second.value->size() : 0);
    found->second = std::move(item);
  } else {
    recent_.emplace(std::move(key), std::move(item));
  }
  recent_bytes_ += bytes;
  if (recent_bytes_ < kStateCacheSizeMaxBytes / 2) return;
  // Only what is in SQLite may be dropped. If it can't be written, memory is kept: losing state is worse.
  if (!flush_locked()) return;
  older_ = std::move(recent_);
  recent_.clear();
  recent_bytes_ = 0;
}

Status StateStore::failed(const std::string& what) const {
  const int code = sqlite3_errcode(database_);
  const ErrorKind kind =
      code == SQLITE_FULL || code == SQLITE_BUSY || code == SQLITE_NOMEM ? ErrorKind::kRetryLater : ErrorKind::kCorrupt;
  return fail(kind, fmt::format("{}: {}: {}", path_, what, sqlite3_errmsg(database_)));
}

Status StateStore::run(const char* sql) {
  if (sqlite3_exec(database_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) return failed(sql);
  return {};
}

Status StateStore::open() {
  if (select_ != nullptr) return {};
  if (database_ == nullptr && sqlite3_open(path_.c_str(), &database_) != SQLITE_OK) {
    auto error = failed("open the state of the functions");
    sqlite3_close(database_);
    database_ = nullptr;
    return error;
  }
  FMESH_CHECK(run(kSchema));
  const auto prepare = [&](const char* sql, sqlite3_stmt** statement) -> Status {
    if (sqlite3_prepare_v2(database_, sql, -1, statement, nullptr) != SQLITE_OK) return failed(sql);
    return {};
  };
  FMESH_CHECK(
      prepare("INSERT INTO state(key, value) VALUES(?1, ?2) ON CONFLICT(key) DO UPDATE SET value=?2", &upsert_));
  FMESH_CHECK(prepare("DELETE FROM state WHERE key=?1", &erase_));
  return prepare("SELECT value FROM state WHERE key=?1", &select_);
}

Status StateStore::write_item(const std::string& key, const Item& item) {
  sqlite3_stmt* statement = item.value ? upsert_ : erase_;
  bind_bytes(statement, 1, key);
  if (item.value) bind_bytes(statement, 2, *item.value);
  const int code = sqlite3_step(statement);
  sqlite3_reset(statement);
  return code == SQLITE_DONE ? Status() : failed("write a value");
}

Status StateStore::flush() {
  std::lock_guard lock(mutex_);
  return flush_locked();
}

Status StateStore::flush_locked() {
  if (!dirty_) return {};
  FMESH_CHECK(open());
  FMESH_CHECK(run("BEGIN"));
  const auto write_all = [&]() -> Status {
    for (const Items* items : {&older_, &recent_})
      for (const auto& [key, item] : *items)
        if (item.dirty) FMESH_CHECK(write_item(key, item));
    const std::string sql = fmt::format("INSERT OR REPLACE INTO applied(id, lsn) VALUES(1, {})", applied_lsn_);
    return run(sql.c_str());
  };
  if (auto written = write_all(); !written) {
    sqlite3_exec(database_, "ROLLBACK", nullptr, nullptr, nullptr);
    return written;
  }
  FMESH_CHECK(run("COMMIT"));
  for (Items* items : {&older_, &recent_})
    for (auto& [key, item] : *items) item.dirty = false;
  dirty_ = false;
  return {};
}

Result<std::optional<std::string>> StateStore::get(const std::string& table, std::string_view key) {
  std::lock_guard lock(mutex_);
  std::string whole = cache_key(table, key);
  if (const auto found = recent_.find(whole); found != recent_.end()) return found->second.value;
  if (const auto found = older_.find(whole); found != older_.end()) {
    Item item = std::move(found->second);
    auto value = item.value;
    remember(std::move(whole), std::move(item));
    return value;
  }
  FMESH_TRY(auto value, read_item(table, key));
  remember(std::move(whole), Item{value, false});
  return value;
}

Result<std::optional<std::string>> StateStore::read_item(std::string_view table, std::string_view key) {
  FMESH_CHECK(open());
  const std::string whole = cache_key(table, key);
  bind_bytes(select_, 1, whole);
  const int code = sqlite3_step(select_);
  std::optional<std::string> value;
  if (code == SQLITE_ROW) value = column_bytes(select_, 0);
  sqlite3_reset(select_);
  if (code != SQLITE_ROW && code != SQLITE_DONE) return fail(failed("read a value").error());
  return value;
}

Result<std::map<std::string, std::string>> StateStore::scan(const std::string& table, std::string_view prefix,
                                                            size_t keys_max, std::string_view after) {
  std::lock_guard lock(mutex_);
  FMESH_CHECK(open());
  FMESH_CHECK(flush_locked());  // so that one place has them all in order
  sqlite3_stmt* statement = nullptr;
  const char* sql = "SELECT key, value FROM state WHERE key >= ?1 AND key > ?2 ORDER BY key LIMIT ?3";
  if (sqlite3_prepare_v2(database_, sql, -1, &statement, nullptr) != SQLITE_OK) return fail(failed(sql).error());
  const std::string first = cache_key(table, prefix);
  const std::string last_seen = after.empty() ? std::string() : cache_key(table, after);
  bind_bytes(statement, 1, first);
  bind_bytes(statement, 2, last_seen);
  sqlite3_bind_int64(statement, 3, static_cast<int64_t>(keys_max));
  std::map<std::string, std::string> found;
  int code = SQLITE_ROW;
  while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
    const std::string key = column_bytes(statement, 0);
    if (!key.starts_with(first)) break;
    found[key.substr(table.size() + 1)] = column_bytes(statement, 1);
  }
  sqlite3_finalize(statement);
  if (code != SQLITE_ROW && code != SQLITE_DONE) return fail(failed("scan").error());
  return found;
}

}  // namespace fmesh::stream::log
