#include "stream/log/journal.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/hash.h"
#include "stream/log/journal_testing.h"
#include "stream/log/segment_format.h"

namespace fmesh::stream::log {
namespace {

using sim::DiskCall;
using sim::MemoryDisk;

constexpr const char* kFirstSegment = "/data/journal/segment-0000000001.log";

TEST(Journal, ReadsBackWhatWasCommitted) {
  MemoryDisk disk;
  Bench bench(disk);
  ASSERT_TRUE(bench.open().has_value());
  for (uint64_t i = 0; i < 100; ++i)
    bench.commit({{1, entry_bytes(i, 100)}, {2 + i % 3, entry_bytes(i, 5000)}}, "change " + std::to_string(i));
  EXPECT_EQ(bench.journal().end(1), 100U);
  EXPECT_EQ(bench.journal().end(2), 34U);
  EXPECT_EQ(bench.journal().end(99), 0U);
  bench.expect_promises("");
  bench.close();
  ASSERT_TRUE(bench.open().has_value());
  EXPECT_EQ(bench.journal().end(1), 100U);
  EXPECT_EQ(bench.tables().changes.size(), 100U);
  EXPECT_EQ(bench.tables().records[1], 100U);
  bench.expect_promises("");
  EXPECT_TRUE(bench.journal().damages().empty());
}

TEST(Journal, OneSyncMakesAWholeGroupDurable) {
  MemoryDisk disk;
  Bench bench(disk);
  ASSERT_TRUE(bench.open().has_value());
  bench.commit({{1, "first"}});
  const uint64_t syncs = disk.calls(DiskCall::kSync);
  for (uint32_t i = 0; i < 200; ++i) bench.submit({{i, "entry"}});
  EXPECT_EQ(bench.journal().step(), 200U);
  EXPECT_EQ(disk.calls(DiskCall::kSync), syncs + 1);
  EXPECT_EQ(bench.journal().stats().transactions, 201U);
}

TEST(Journal, ServesOldEntriesFromDiskAndRecentOnesFromMemory) {
  MemoryDisk disk;
  JournalOptions options = small_options();
  options.tail_cache_size_bytes = 20'000;
  options.segment_size_bytes = 100'000;
  Bench bench(disk, options);
  ASSERT_TRUE(bench.open().has_value());
  for (uint64_t i = 0; i < 300; ++i) bench.commit({{1, entry_bytes(i, 2000)}, {2, entry_bytes(i, 10)}});
  EXPECT_GT(bench.journal().stats().segments, 5U);
  for (size_t size_max_bytes : {size_t{1}, size_t{5000}, size_t{1} << 20}) {
    EXPECT_EQ(bench.read_all(1, size_max_bytes), bench.promised()[1]);
    EXPECT_EQ(bench.read_all(2, size_max_bytes), bench.promised()[2]);
  }
}

TEST(Journal, ReadStopsAtTheSizeAskedForButGivesAtLeastOne) {
  MemoryDisk disk;
  JournalOptions options = small_options();
  for (size_t tail : {size_t{0}, size_t{1} << 20}) {
    options.tail_cache_size_bytes = tail;
    options.directory = "/data/" + std::to_string(tail);
    Bench bench(disk, options);
    ASSERT_TRUE(bench.open().has_value());
    for (uint64_t i = 0; i < 10; ++i) bench.commit({{1, std::string(1000, 'x')}});
    EXPECT_EQ(bench.journal().read(1, 0, 3000)->size(), 3U);
    EXPECT_EQ(bench.journal().read(1, 0, 1)->size(), 1U);
    EXPECT_EQ(bench.journal().read(1, 8, 1 << 20)->size(), 2U);
    EXPECT_TRUE(bench.journal().read(1, 10, 100)->empty());
    EXPECT_TRUE(bench.journal().read(7, 0, 100)->empty());
  }
}

TEST(Journal, CleanStopContinuesTheSegmentAndAnUncleanOneDoesNot) {
  MemoryDisk disk;
  Bench bench(disk);
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(bench.open().has_value());
    bench.commit({{1, entry_bytes(i, 100)}});
    EXPECT_EQ(bench.journal().stats().segments, 1U);
    bench.close();
  }
  ASSERT_TRUE(bench.open().has_value());
  bench.commit({{1, "last"}});
  const std::string before = disk.contents(kFirstSegment);
  disk.kill();
  ASSERT_TRUE(bench.open().has_value());
  bench.expect_promises("");
  bench.commit({{1, "more"}});
  EXPECT_EQ(bench.journal().stats().segments, 2U);
  EXPECT_EQ(disk.contents(kFirstSegment), before) << "no byte of an existing segment is changed";
  bench.expect_promises("");
}

TEST(Journal, NewDirectoryHoldsLittle) {
  MemoryDisk disk;
  Bench bench(disk);
  ASSERT_TRUE(bench.open().has_value());
  EXPECT_EQ(disk.used_bytes(), 0U);
  for (uint32_t partition = 0; partition < 1000; ++partition) bench.journal().end(partition);
  bench.commit({{1, "entry"}}, "change");
  EXPECT_LT(disk.used_bytes(), 1000U);
  bench.close();
  EXPECT_LT(disk.used_bytes(), 2000U);
}

TEST(Journal, ThousandIdlePartitionsCostNothing) {
  MemoryDisk disk;
  Bench bench(disk);
  ASSERT_TRUE(bench.open().has_value());
  for (uint32_t partition = 0; partition < 1000; ++partition) bench.submit({{partition, "one entry"}});
  bench.journal().step();
  const uint64_t writes = disk.calls(DiskCall::kWrite), syncs = disk.calls(DiskCall::kSync), used = disk.used_bytes();
  for (int i = 0; i < 1000; ++i) bench.journal().step();
  EXPECT_EQ(disk.calls(DiskCall::kWrite), writes);
  EXPECT_EQ(disk.calls(DiskCall::kSync), syncs);
  EXPECT_EQ(disk.used_bytes(), used);
  EXPECT_LE(bench.journal().stats().segments, 1U);
}

TEST(Journal, SecondProcessIsRefused) {
  MemoryDisk disk;
  Bench first(disk), second(disk);
  ASSERT_TRUE(first.open().has_value());
  const Status refused = second.open();
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().kind(), ErrorKind::kFixInput);
  first.close();
  EXPECT_TRUE(second.open().has_value());
}

TEST(Journal, NewerFormatIsRefused) {
  for (const bool newer_checkpoint : {false, true}) {
    MemoryDisk disk;
    Bench bench(disk);
    ASSERT_TRUE(bench.open().has_value());
    bench.commit({{1, "entry"}});
    bench.close();
    const auto names = disk.list("/data/journal");
    for (const std::string& name : *names) {
      if (name.starts_with("checkpoint") != newer_checkpoint || name.ends_with("lock")) continue;
      const std::string path = "/data/journal/" + name;
      std::string bytes = disk.contents(path);
      bytes[8] = 2;
      if (newer_checkpoint) {
        bytes.resize(bytes.size() - 4);
        put(bytes, crc32c(bytes));
      } else {
        std::string copy = bytes.substr(0, kHeaderCopySizeBytes);
        std::fill_n(copy.begin() + 12, 4, '\0');
        const std::string seed(16, '\0');
        std::string crc;
        put(crc, crc32c(copy, crc32c(seed)));
        copy.replace(12, 4, crc);
        bytes.replace(0, kHeaderCopySizeBytes, copy);
      }
      disk.set_contents(path, bytes);
    }
    const Status refused = bench.open();
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().kind(), ErrorKind::kFixInput);
    EXPECT_NE(refused.error().text().find("has format 2"), std::string::npos) << refused.error().text();
  }
}

TEST(Journal, PendingBytesHoldWritersBack) {
  MemoryDisk disk;
  JournalOptions options = small_options();
  options.pending_size_max_bytes = 10'000;
  Bench bench(disk, options);
  ASSERT_TRUE(bench.open().has_value());
  int woken = 0;
  while (bench.journal().writable()) bench.submit({{1, std::string(1000, 'x')}});
  EXPECT_LT(bench.journal().stats().pending_bytes, 12'000U);
  bench.journal().notify_writable([&] { ++woken; });
  EXPECT_EQ(woken, 0);
  while (bench.journal().step() > 0) {
  }
  EXPECT_TRUE(bench.journal().writable());
  EXPECT_EQ(woken, 1);
  EXPECT_EQ(bench.journal().stats().pending_bytes, 0U);
}

TEST(Journal, IntervalModeSyncsByTheClock) {
  MemoryDisk disk;
  JournalOptions options = small_options();
  options.sync_mode = SyncMode::kInterval;
  Bench bench(disk, options);
  ASSERT_TRUE(bench.open().has_value());
  bench.commit({{1, "first"}});
  const uint64_t syncs = disk.calls(DiskCall::kSync);
  for (uint64_t i = 0; i < 50; ++i) bench.commit({{1, entry_bytes(i, 100)}});
  EXPECT_EQ(bench.promised()[1].size(), 51U) << "done comes before the sync";
  EXPECT_EQ(disk.calls(DiskCall::kSync), syncs);
  bench.clock().advance_ms(51);
  bench.journal().step();
  EXPECT_EQ(disk.calls(DiskCall::kSync), syncs + 1);
  disk.crash([](const std::string&, uint64_t, uint64_t) { return 0; });
  ASSERT_TRUE(bench.open().has_value());
  bench.expect_promises("all was synced");
}

TEST(Journal, TransactionThatIsTooLargeIsRefusedAlone) {
  MemoryDisk disk;
  Bench bench(disk);
  ASSERT_TRUE(bench.open().has_value());
  Transaction transaction;
  const SharedBytes entry(std::string(5'000'000, 'x'));
  for (int i = 0; i < 60; ++i) transaction.appends.push_back({1, 1, entry});
  std::optional<Error> error;
  bench.journal().submit(std::move(transaction), [&](const Result<Applied>& applied) {
    if (!applied) error = applied.error();
  });
  bench.submit({{2, "fine"}});
  while (bench.journal().step() > 0) {
  }
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->kind(), ErrorKind::kFixInput);
  EXPECT_EQ(bench.read_all(2), bench.promised()[2]);
}

TEST(Journal, CommitterThreadServesManyWriters) {
  MemoryDisk disk;
  JournalOptions options = small_options();
  options.own_thread = true;
  options.segment_size_bytes = 100'000;
  options.tail_cache_size_bytes = 10'000;
  options.checkpoint_every_bytes = 50'000;
  LedgerTables tables;
  SystemClock clock;
  constexpr uint64_t kWriters = 4, kEach = 500;
  {
    auto journal = Journal::open(disk, clock, options, tables);
    ASSERT_TRUE(journal.has_value());
    std::atomic<uint64_t> good = 0;
    std::vector<std::thread> threads;
    for (uint32_t writer = 0; writer < kWriters; ++writer) {
      threads.emplace_back([&, writer] {
        for (uint64_t i = 0; i < kEach; ++i)
          (*journal)->submit({{{writer, 1, SharedBytes(entry_bytes(i, 200))}}, {}},
                             [&, i](const Result<Applied>& applied) {
                               if (applied && applied->entry_numbers == std::vector<uint64_t>{i}) ++good;
                             });
        for (uint64_t next = 0; next < kEach;) {
          const auto entries = (*journal)->read(writer, next, 4000);
          ASSERT_TRUE(entries.has_value()) << entries.error().text();
          for (const SharedBytes& entry : *entries) ASSERT_EQ(entry.view(), entry_bytes(next++, 200));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_TRUE((*journal)->collect_garbage().has_value());
    EXPECT_EQ((*journal)->stats().transactions, kWriters * kEach);
    journal->reset();
    EXPECT_EQ(good, kWriters * kEach);
  }
  LedgerTables again;
  auto journal = Journal::open(disk, clock, options, again);
  ASSERT_TRUE(journal.has_value());
  EXPECT_EQ(again.records, tables.records);
}

}  // namespace
}  // namespace fmesh::stream::log
