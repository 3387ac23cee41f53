// What the journal's tests share: tables that remember everything they were told, and a journal on a simulated disk
// with a ledger of what it promised.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sim/memory_disk.h"
#include "stream/log/journal.h"
#include "stream/log/little_endian.h"

namespace fmesh::stream::log {

// Remembers the changes in order and how many records were appended per partition.
class LedgerTables final : public Tables {
 public:
  Status restore(std::string_view checkpoint) override {
    ByteReader reader(checkpoint);
    for (auto count = reader.take<uint32_t>(); count > 0; --count) {
      const auto size = reader.take<uint32_t>();
      changes.emplace_back(reader.take_bytes(size));
    }
    for (auto count = reader.take<uint32_t>(); count > 0; --count) {
      const auto partition = reader.take<uint32_t>();
      records[partition] = reader.take<uint64_t>();
    }
    for (auto count = reader.take<uint32_t>(); count > 0; --count) {
      const auto partition = reader.take<uint32_t>();
      wanted[partition] = reader.take<uint64_t>();
    }
    if (!reader.ok() || reader.left() != 0) return fail(ErrorKind::kCorrupt, "ledger checkpoint");
    return {};
  }
  void apply(const Transaction& transaction, const Applied& applied, bool) override {
    EXPECT_EQ(transaction.appends.size(), applied.entry_numbers.size());
    for (const TableOp& op : transaction.ops) changes.push_back(op.bytes);
    for (const JournalAppend& append : transaction.appends) records[append.partition] += append.record_count;
  }
  Result<std::string> checkpoint() override {
    std::string bytes;
    put(bytes, static_cast<uint32_t>(changes.size()));
    for (const std::string& change : changes) {
      put(bytes, static_cast<uint32_t>(change.size()));
      bytes += change;
    }
    put(bytes, static_cast<uint32_t>(records.size()));
    for (const auto& [partition, count] : records) {
      put(bytes, partition);
      put(bytes, count);
    }
    put(bytes, static_cast<uint32_t>(wanted.size()));
    for (const auto& [partition, first] : wanted) {
      put(bytes, partition);
      put(bytes, first);
    }
    return bytes;
  }
  uint64_t first_wanted(PartitionId partition) const override {
    const auto found = wanted.find(partition);
    return found == wanted.end() ? 0 : found->second;
  }

  std::vector<std::string> changes;
  std::map<PartitionId, uint64_t> records;
  std::map<PartitionId, uint64_t> wanted;
};

inline JournalOptions small_options() {
  JournalOptions options;
  options.directory = "/data/journal";
  options.own_thread = false;
  return options;
}

// A journal that a test steps by hand. `promised` holds each entry whose `done` was good.
class Bench {
 public:
  explicit Bench(sim::MemoryDisk& disk, JournalOptions options = small_options()) : disk_(disk), options_(options) {}

  Status open() {
    journal_.reset();
    process_ = disk_.process();
    tables_ = std::make_unique<LedgerTables>();
    tables_->wanted = wanted_;
    FMESH_TRY(journal_, Journal::open(*process_, clock_, options_, *tables_));
    tables_->wanted = wanted_;
    return {};
  }
  void close() { journal_.reset(); }

  // Submits one transaction with an entry for each partition and one change.
  void submit(const std::vector<std::pair<PartitionId, std::string>>& entries, const std::string& change = "") {
    Transaction transaction;
    for (const auto& [partition, bytes] : entries) transaction.appends.push_back({partition, 1, SharedBytes(bytes)});
    if (!change.empty()) transaction.ops.push_back({1, change});
    journal_->submit(std::move(transaction), [this, entries, change](const Result<Applied>& applied) {
      if (!applied) {
        errors_.push_back(applied.error());
        return;
      }
      ASSERT_EQ(applied->entry_numbers.size(), entries.size());
      for (size_t i = 0; i < entries.size(); ++i)
        promised_[entries[i].first][applied->entry_numbers[i]] = entries[i].second;
      if (!change.empty()) promised_changes_.push_back(change);
    });
  }
  size_t commit(const std::vector<std::pair<PartitionId, std::string>>& entries, const std::string& change = "") {
    submit(entries, change);
    return journal_->step();
  }

  // Everything a partition holds, by entry number; damaged entries are left out and counted.
  std::map<uint64_t, std::string> read_all(PartitionId partition, size_t size_max_bytes = 1 << 20) {
    std::map<uint64_t, std::string> content;
    damaged_ = 0;
    for (uint64_t next = journal_->begin(partition); next < journal_->end(partition);) {
      const auto entries = journal_->read(partition, next, size_max_bytes);
      if (!entries) {
        EXPECT_EQ(entries.error().kind(), ErrorKind::kCorrupt) << entries.error().text();
        ++damaged_;
        ++next;
        continue;
      }
      if (entries->empty()) {
        ADD_FAILURE() << "nothing read at " << next << " before the end";
        break;
      }
      for (const SharedBytes& entry : *entries) content[next++] = entry.view();
    }
    return content;
  }

  // All that was promised is there, unchanged.
  void expect_promises(const std::string& replay) {
    for (const auto& [partition, entries] : promised_) {
      const auto content = read_all(partition);
      const uint64_t wanted = tables_->first_wanted(partition);
      for (const auto& [number, bytes] : entries) {
        if (number < wanted) continue;
        const auto found = content.find(number);
        ASSERT_TRUE(found != content.end()) << "entry " << number << " of " << partition << " is gone; " << replay;
        ASSERT_EQ(found->second, bytes) << "entry " << number << " of " << partition << " differs; " << replay;
      }
    }
    size_t at = 0;
    for (const std::string& change : promised_changes_) {
      while (at < tables_->changes.size() && tables_->changes[at] != change) ++at;
      ASSERT_LT(at, tables_->changes.size()) << "change " << change << " is gone; " << replay;
    }
  }

  // What is no longer wanted never is again.
  void want_from(PartitionId partition, uint64_t first) {
    wanted_[partition] = std::max(wanted_[partition], first);
    tables_->wanted[partition] = wanted_[partition];
  }

  Journal& journal() { return *journal_; }
  LedgerTables& tables() { return *tables_; }
  ManualClock& clock() { return clock_; }
  std::vector<Error>& errors() { return errors_; }
  std::map<PartitionId, std::map<uint64_t, std::string>>& promised() { return promised_; }
  std::vector<std::string>& promised_changes() { return promised_changes_; }
  size_t damaged() const { return damaged_; }

 private:
  sim::MemoryDisk& disk_;
  JournalOptions options_;
  ManualClock clock_;
  std::unique_ptr<Disk> process_;
  std::unique_ptr<LedgerTables> tables_;
  std::unique_ptr<Journal> journal_;
  std::map<PartitionId, std::map<uint64_t, std::string>> promised_;
  std::vector<std::string> promised_changes_;
  std::map<PartitionId, uint64_t> wanted_;
  std::vector<Error> errors_;
  size_t damaged_ = 0;
};

// An entry's bytes that tell which they are.
inline std::string entry_bytes(uint64_t number, size_t size_bytes) {
  std::string bytes = "entry " + std::to_string(number) + " ";
  Rng rng(number);
  while (bytes.size() < size_bytes) bytes += static_cast<char>('a' + rng.below(26));
  return bytes;
}

}  // namespace fmesh::stream::log
