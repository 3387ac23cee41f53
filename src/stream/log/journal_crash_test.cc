// What the journal promises when the disk fails, fills up, tears, flips bits or loses power. The oracle is the ledger
// of what was promised: `done` without an error.
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

#include "stream/log/entry_index.h"
#include "stream/log/journal_testing.h"
#include "stream/log/segment_format.h"

namespace fmesh::stream::log {
namespace {

using sim::DiskCall;
using sim::MemoryDisk;

constexpr const char* kDirectory = "/data/journal";
constexpr const char* kFirstSegment = "/data/journal/segment-0000000001.log";

JournalOptions tight_options() {
  JournalOptions options = small_options();
  options.segment_size_bytes = 6'000;
  options.checkpoint_every_bytes = 4'000;
  options.tail_cache_size_bytes = 1'000;
  return options;
}

// Groups of transactions over three partitions, with a clean stop in the middle. Goes on after errors, as a client that
// tries again would. Returns the entries that were refused, by content.
std::set<std::string> run_scenario(Bench& bench) {
  std::set<std::string> tried;
  uint64_t number = 0;
  for (int part = 0; part < 2; ++part) {
    if (!bench.open()) continue;
    for (uint64_t group = 0; group < 12; ++group) {
      for (uint64_t k = 0; k <= group % 3; ++k) {
        ++number;
        const std::string bytes = entry_bytes(number, 50 + 150 * (number % 5));
        tried.insert(bytes);
        bench.submit({{static_cast<PartitionId>(number % 3), bytes}}, "change " + std::to_string(number));
      }
      bench.journal().step();
      if (group == 8) static_cast<void>(bench.journal().collect_garbage().has_value());
    }
    bench.close();
  }
  for (const auto& [partition, entries] : bench.promised())
    for (const auto& [entry, bytes] : entries) tried.erase(bytes);
  return tried;
}

// Nothing is there that was refused, and nothing that was never given.
void expect_no_strangers(Bench& bench, const std::set<std::string>& refused, const std::string& replay) {
  for (PartitionId partition = 0; partition < 3; ++partition) {
    for (const auto& [entry, bytes] : bench.read_all(partition)) {
      const auto promised = bench.promised()[partition].find(entry);
      if (promised != bench.promised()[partition].end()) {
        ASSERT_EQ(promised->second, bytes) << replay;
        continue;
      }
      // What was refused may come to light only if the journal had no chance to write after it.
      ASSERT_TRUE(refused.contains(bytes)) << "entry " << entry << " of " << partition << "; " << replay;
      ASSERT_TRUE(bench.promised()[partition].empty() || bench.promised()[partition].rbegin()->first < entry) << replay;
    }
  }
}

void fail_each_call(DiskCall call, ErrorKind kind, bool lose_unsynced) {
  uint64_t last = 0;
  {
    MemoryDisk disk;
    Bench bench(disk, tight_options());
    EXPECT_TRUE(run_scenario(bench).empty());
    last = disk.calls(call);
    ASSERT_GT(last, 0U);
  }
  for (uint64_t nth = 1; nth <= last; ++nth) {
    const std::string replay = "call " + std::to_string(static_cast<int>(call)) + " nth " + std::to_string(nth);
    MemoryDisk disk;
    disk.fail_call(call, nth, kind);
    Bench bench(disk, tight_options());
    const std::set<std::string> refused = run_scenario(bench);
    for (const Error& error : bench.errors())
      ASSERT_TRUE(error.kind() == ErrorKind::kRetryLater || error.kind() == ErrorKind::kCorrupt) << replay;
    if (lose_unsynced)
      disk.crash([](const std::string&, uint64_t, uint64_t) { return 0; });
    else
      disk.kill();
    const Status opened = bench.open();
    ASSERT_TRUE(opened.has_value()) << opened.error().text() << "; " << replay;
    ASSERT_NO_FATAL_FAILURE(bench.expect_promises(replay));
    ASSERT_NO_FATAL_FAILURE(expect_no_strangers(bench, refused, replay));
    EXPECT_TRUE(bench.journal().damages().empty()) << bench.journal().damages().front().text << "; " << replay;
    bench.commit({{0, "after"}});
    ASSERT_EQ(bench.promised()[0].rbegin()->second, "after") << replay;
    disk.crash([](const std::string&, uint64_t, uint64_t) { return 0; });
    ASSERT_TRUE(bench.open().has_value()) << replay;
    ASSERT_NO_FATAL_FAILURE(bench.expect_promises(replay + ", second start"));
  }
}

TEST(JournalCrash, KeepsEveryPromiseWhenTheNthWriteFails) {
  for (ErrorKind kind : {ErrorKind::kCorrupt, ErrorKind::kRetryLater})
    for (bool lose : {false, true}) ASSERT_NO_FATAL_FAILURE(fail_each_call(DiskCall::kWrite, kind, lose));
}
TEST(JournalCrash, KeepsEveryPromiseWhenTheNthSyncFails) {
  for (bool lose : {false, true}) ASSERT_NO_FATAL_FAILURE(fail_each_call(DiskCall::kSync, ErrorKind::kCorrupt, lose));
}
TEST(JournalCrash, KeepsEveryPromiseWhenTheNthOpenFails) {
  for (ErrorKind kind : {ErrorKind::kCorrupt, ErrorKind::kRetryLater})
    ASSERT_NO_FATAL_FAILURE(fail_each_call(DiskCall::kOpen, kind, true));
}
TEST(JournalCrash, KeepsEveryPromiseWhenTheNthRenameFails) {
  ASSERT_NO_FATAL_FAILURE(fail_each_call(DiskCall::kRename, ErrorKind::kCorrupt, true));
}

TEST(JournalCrash, EachByteWhereTheTailTearsLeavesWhatWasPromised) {
  MemoryDisk disk;
  Bench bench(disk);
  ASSERT_TRUE(bench.open().has_value());
  for (uint64_t i = 0; i < 3; ++i) bench.commit({{1, entry_bytes(i, 60)}, {2, "x"}}, "promised");
  const auto promised = bench.promised();
  const auto changes = bench.promised_changes();
  const size_t synced = disk.contents(kFirstSegment).size() - kFrameHeaderSizeBytes;  // without the mark
  for (uint64_t i = 3; i < 5; ++i) bench.submit({{1, entry_bytes(i, 60)}, {2, "x"}}, "torn");
  bench.journal().step();
  const auto all = bench.promised();
  const std::string bytes = disk.contents(kFirstSegment);
  for (size_t cut = synced; cut < bytes.size(); ++cut) {
    for (size_t zeros : {0, 5000}) {
      const std::string replay = "cut at " + std::to_string(cut);
      const auto torn = disk.copy();
      torn->set_contents(kFirstSegment, bytes.substr(0, cut) + std::string(zeros, '\0'));
      Bench after(*torn);
      ASSERT_TRUE(after.open().has_value()) << replay;
      ASSERT_TRUE(after.journal().damages().empty()) << replay;
      after.promised() = promised;
      after.promised_changes() = changes;
      ASSERT_NO_FATAL_FAILURE(after.expect_promises(replay));
      const auto content = after.read_all(1);
      ASSERT_EQ(content.size(), after.read_all(2).size()) << "a transaction is there in part; " << replay;
      ASSERT_EQ(content.size(), after.tables().changes.size()) << replay;
      for (const auto& [entry, text] : content) ASSERT_EQ(text, all.at(1).at(entry)) << replay;
      after.commit({{1, "next"}});
      torn->crash([](const std::string&, uint64_t, uint64_t) { return 0; });
      ASSERT_TRUE(after.open().has_value()) << replay;
      ASSERT_NO_FATAL_FAILURE(after.expect_promises(replay));
      ASSERT_EQ(after.read_all(1).size(), content.size() + 1) << replay;
    }
  }
}

// Flips one bit of each byte of each file; at most one transaction may suffer, and never in silence.
void flip_each_byte(bool clean) {
  MemoryDisk disk;
  JournalOptions options = tight_options();
  options.tail_cache_size_bytes = 0;
  Bench bench(disk, options);
  ASSERT_TRUE(bench.open().has_value());
  for (uint64_t i = 0; i < 16; ++i)
    bench.commit({{1, entry_bytes(i, 100)}, {2, entry_bytes(i, 300)}}, "change " + std::to_string(i));
  if (clean)
    bench.close();
  else
    disk.kill();
  Rng rng(7);
  const auto names = disk.list(kDirectory);
  ASSERT_GT(names->size(), 3U);
  for (const std::string& name : *names) {
    const std::string path = std::string(kDirectory) + "/" + name;
    const std::string bytes = disk.contents(path);
    for (size_t at = 0; at < bytes.size(); ++at) {
      const std::string replay = name + " byte " + std::to_string(at);
      const auto flipped = disk.copy();
      std::string changed = bytes;
      changed[at] = static_cast<char>(changed[at] ^ (1 << rng.below(8)));
      flipped->set_contents(path, changed);
      Bench after(*flipped, options);
      const Status opened = after.open();
      ASSERT_TRUE(opened.has_value()) << opened.error().text() << "; " << replay;
      size_t missing = 0, reported = 0;
      for (PartitionId partition = 1; partition <= 2; ++partition) {
        const auto content = after.read_all(partition);
        reported += after.damaged();
        for (const auto& [entry, text] : bench.promised()[partition]) {
          const auto found = content.find(entry);
          if (found == content.end())
            ++missing;
          else
            ASSERT_EQ(found->second, text) << replay;
        }
      }
      const size_t changes_missing = bench.promised_changes().size() - after.tables().changes.size();
      ASSERT_LE(missing, 2U) << replay;
      ASSERT_LE(changes_missing, 1U) << replay;
      if (missing + changes_missing > 0) {
        ASSERT_TRUE(reported > 0 || !after.journal().damages().empty()) << replay;
      }
    }
  }
}

TEST(JournalCrash, EachFlippedBitIsListedOrHarmlessAfterACleanStop) { flip_each_byte(true); }
TEST(JournalCrash, EachFlippedBitIsListedOrHarmlessAfterAKill) { flip_each_byte(false); }

TEST(JournalCrash, DamagedEntryIsNamedWithFileAndOffsetAndSkipped) {
  MemoryDisk disk;
  Bench bench(disk);
  ASSERT_TRUE(bench.open().has_value());
  for (uint64_t i = 0; i < 3; ++i) bench.commit({{1, entry_bytes(i, 200)}});
  disk.kill();
  std::string bytes = disk.contents(kFirstSegment);
  const size_t place = bytes.find("entry 1 ");
  bytes[place] = '!';
  disk.set_contents(kFirstSegment, bytes);
  ASSERT_TRUE(bench.open().has_value());
  ASSERT_EQ(bench.journal().damages().size(), 1U);
  EXPECT_EQ(bench.journal().damages()[0].file, kFirstSegment);
  EXPECT_EQ(bench.journal().damages()[0].offset, place - kAppendHeaderSizeBytes);
  EXPECT_EQ(bench.journal().read(1, 0, 1 << 20)->size(), 1U);
  const auto damaged = bench.journal().read(1, 1, 1 << 20);
  ASSERT_FALSE(damaged.has_value());
  EXPECT_EQ(damaged.error().kind(), ErrorKind::kCorrupt);
  EXPECT_NE(damaged.error().text().find(kFirstSegment), std::string::npos);
  EXPECT_NE(damaged.error().text().find(std::to_string(place - kAppendHeaderSizeBytes)), std::string::npos);
  EXPECT_EQ(bench.journal().read(1, 2, 1 << 20)->size(), 1U);
  EXPECT_EQ(bench.journal().end(1), 3U);
}

TEST(JournalCrash, LostEntryNumbersAreKnownAndReadAsDamagedAfterEachStart) {
  MemoryDisk disk;
  Bench bench(disk);
  ASSERT_TRUE(bench.open().has_value());
  for (uint64_t i = 0; i < 3; ++i) bench.commit({{1, entry_bytes(i, 200)}});
  disk.kill();
  std::string bytes = disk.contents(kFirstSegment);
  const size_t header = bytes.find("entry 1 ") - kAppendHeaderSizeBytes;
  bytes[header] = '!';
  disk.set_contents(kFirstSegment, bytes);
  for (int start = 0; start < 3; ++start) {
    ASSERT_TRUE(bench.open().has_value());
    EXPECT_EQ(bench.journal().damages().size(), 1U);
    EXPECT_EQ(bench.journal().end(1), 3U + static_cast<uint64_t>(start));
    EXPECT_EQ(bench.journal().read(1, 0, 1 << 20)->size(), 1U);
    const auto lost = bench.journal().read(1, 1, 1 << 20);
    ASSERT_FALSE(lost.has_value());
    EXPECT_EQ(lost.error().kind(), ErrorKind::kCorrupt);
    EXPECT_NE(lost.error().text().find(std::string(kFirstSegment) + " at offset "), std::string::npos);
    EXPECT_EQ(bench.journal().read(1, 2, 1 << 20)->size(), 1U + static_cast<size_t>(start));
    bench.commit({{1, "more"}});
    bench.close();
  }
}

TEST(JournalCrash, MissingSegmentIsListed) {
  MemoryDisk disk;
  JournalOptions options = tight_options();
  options.checkpoint_every_bytes = 1 << 20;
  Bench bench(disk, options);
  ASSERT_TRUE(bench.open().has_value());
  for (uint64_t i = 0; i < 30; ++i) bench.commit({{1, entry_bytes(i, 500)}});
  disk.kill();
  ASSERT_TRUE(disk.remove("/data/journal/segment-0000000002.log").has_value());
  ASSERT_TRUE(bench.open().has_value());
  ASSERT_EQ(bench.journal().damages().size(), 1U);
  EXPECT_EQ(bench.journal().damages()[0].file, "/data/journal/segment-0000000002.log");
  EXPECT_EQ(bench.journal().end(1), 30U);
  EXPECT_GT(bench.read_all(1).size(), 10U);
  EXPECT_GT(bench.damaged(), 5U);
}

TEST(JournalCrash, BothCheckpointsDamagedStillServesTheEntries) {
  MemoryDisk disk;
  Bench bench(disk, tight_options());
  ASSERT_TRUE(bench.open().has_value());
  for (uint64_t i = 0; i < 30; ++i) bench.commit({{1, entry_bytes(i, 500)}}, "change");
  bench.close();
  const auto names = disk.list(kDirectory);
  for (const std::string& name : *names)
    if (name.starts_with("checkpoint-")) disk.set_contents(std::string(kDirectory) + "/" + name, "damaged");
  ASSERT_TRUE(bench.open().has_value());
  EXPECT_EQ(bench.journal().damages().size(), 2U);
  bench.expect_promises("replayed from the first segment");
}

TEST(JournalCrash, ClosingOnAFullDiskEndsThoughWritersTryAgain) {
  MemoryDisk disk;
  Bench bench(disk, tight_options());
  ASSERT_TRUE(bench.open().has_value());
  bench.commit({{1, "first"}});
  disk.set_capacity_bytes(disk.used_bytes());
  std::vector<ErrorKind> errors;
  Journal* const journal = &bench.journal();
  std::function<void()> submit = [&] {
    journal->submit({{{1, 1, SharedBytes(std::string(100'000, 'x'))}}, {}}, [&](const Result<Applied>& applied) {
      ASSERT_FALSE(applied.has_value());
      errors.push_back(applied.error().kind());
      if (applied.error().kind() == ErrorKind::kRetryLater) submit();
    });
  };
  submit();
  bench.close();
  EXPECT_EQ(errors, (std::vector<ErrorKind>{ErrorKind::kRetryLater, ErrorKind::kClosed}));
}

TEST(JournalCrash, FullDiskIsToldAndWorksAgainWithSpace) {
  MemoryDisk disk;
  Bench bench(disk, tight_options());
  ASSERT_TRUE(bench.open().has_value());
  bench.commit({{1, "first"}});
  for (int round = 0; round < 5; ++round) {
    disk.set_capacity_bytes(disk.used_bytes() + 3'000);
    for (uint64_t i = 0; i < 20; ++i) bench.commit({{1, entry_bytes(i, 1000)}}, "change");
    ASSERT_FALSE(bench.errors().empty());
    for (const Error& error : bench.errors()) EXPECT_EQ(error.kind(), ErrorKind::kRetryLater) << error.text();
    bench.expect_promises("full");
    bench.errors().clear();
    disk.set_capacity_bytes(UINT64_MAX);
    bench.commit({{1, "again"}});
    ASSERT_TRUE(bench.errors().empty()) << bench.errors().front().text();
  }
  EXPECT_LT(disk.list(kDirectory)->size(), 60U) << "a full disk must not fill with empty segments";
  disk.crash([](const std::string&, uint64_t, uint64_t) { return 0; });
  ASSERT_TRUE(bench.open().has_value());
  bench.expect_promises("after a crash");
  EXPECT_EQ(bench.journal().end(1), bench.promised()[1].size());
}

// FMESH_CRASH_SEEDS runs more of them; a failure names its seed.
TEST(JournalCrash, PowerLossAtRandomPointsKeepsEveryPromise) {
  const char* wanted = std::getenv("FMESH_CRASH_SEEDS");
  const uint64_t seeds = wanted == nullptr ? 100 : std::strtoull(wanted, nullptr, 10);
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    const std::string replay = "seed " + std::to_string(seed);
    Rng rng(seed);
    MemoryDisk disk;
    // In interval mode a promise outlives the process, not the power.
    const bool interval = seed % 4 == 0;
    JournalOptions options = tight_options();
    if (interval) options.sync_mode = SyncMode::kInterval;
    Bench bench(disk, options);
    uint64_t number = 0;
    for (int life = 0; life < 8; ++life) {
      // The power goes at some call of this life.
      bool dead = false;
      const Status opened = bench.open();
      ASSERT_TRUE(opened.has_value()) << opened.error().text() << "; " << replay << " life " << life;
      ASSERT_NO_FATAL_FAILURE(bench.expect_promises(replay + " life " + std::to_string(life)));
      ASSERT_TRUE(bench.journal().damages().empty())
          << bench.journal().damages().front().file << " at " << bench.journal().damages().front().offset << ": "
          << bench.journal().damages().front().text << "; " << replay << " life " << life;
      if (rng.below(2) == 0)
        disk.fail_call(rng.below(2) == 0 ? DiskCall::kWrite : DiskCall::kSync, 1 + rng.below(20), ErrorKind::kCorrupt);
      for (uint64_t steps = rng.below(20); steps > 0 && !dead; --steps) {
        for (uint64_t k = rng.below(4); k > 0; --k)
          bench.submit({{static_cast<PartitionId>(rng.below(3)), entry_bytes(++number, 10 + rng.below(2500))},
                        {static_cast<PartitionId>(rng.below(3)), entry_bytes(++number, 10)}},
                       "change " + std::to_string(number));
        bench.clock().advance_ms(static_cast<int64_t>(rng.below(30)));
        bench.journal().step();
        if (rng.below(8) == 0) {
          for (PartitionId partition = 0; partition < 3; ++partition) {
            const uint64_t end = bench.journal().end(partition);
            if (end > 0 && rng.below(2) == 0)
              bench.want_from(partition, end - rng.below(std::min<uint64_t>(end, 6) + 1));
          }
          static_cast<void>(bench.journal().collect_garbage().has_value());
          ASSERT_NO_FATAL_FAILURE(bench.expect_promises(replay + " after garbage, life " + std::to_string(life)));
        }
      }
      switch (rng.below(interval ? 2 : 3)) {
        case 0:
          bench.close();
          disk.kill();
          break;
        case 1:
          disk.kill();
          break;
        case 2:
          disk.crash(rng);
          break;
      }
    }
  }
}

TEST(JournalCrash, KillRightAfterACommitCannotHideCorruption) {
  MemoryDisk disk;
  Bench bench(disk);
  ASSERT_TRUE(bench.open().has_value());
  bench.commit({{1, entry_bytes(1, 100)}});
  disk.kill();
  std::string bytes = disk.contents(kFirstSegment);
  bytes[bytes.find("entry 1 ")] = '!';
  disk.set_contents(kFirstSegment, bytes);
  ASSERT_TRUE(bench.open().has_value());
  EXPECT_EQ(bench.journal().damages().size(), 1U) << "the mark behind the entry says that it was promised";
  EXPECT_EQ(bench.journal().end(1), 1U);
}

TEST(JournalGarbage, SegmentsInWhichNothingIsWantedGo) {
  MemoryDisk disk;
  Bench bench(disk, tight_options());
  ASSERT_TRUE(bench.open().has_value());
  for (uint64_t i = 0; i < 100; ++i) bench.commit({{1, entry_bytes(i, 500)}}, "change");
  const uint64_t before = bench.journal().stats().segments;
  ASSERT_GT(before, 8U);
  ASSERT_TRUE(bench.journal().collect_garbage().has_value());
  EXPECT_EQ(bench.journal().stats().segments, before) << "all of it is wanted";
  bench.want_from(1, 95);
  ASSERT_TRUE(bench.journal().collect_garbage().has_value());
  EXPECT_LE(bench.journal().stats().segments, 3U);
  bench.expect_promises("");
  EXPECT_GE(bench.journal().begin(1), 80U);
  const auto gone = bench.journal().read(1, 0, 100);
  ASSERT_FALSE(gone.has_value());
  EXPECT_EQ(gone.error().kind(), ErrorKind::kFixInput);
  bench.want_from(1, kNothingWanted);
  ASSERT_TRUE(bench.journal().collect_garbage().has_value());
  disk.crash([](const std::string&, uint64_t, uint64_t) { return 0; });
  ASSERT_TRUE(bench.open().has_value());
  EXPECT_EQ(bench.journal().end(1), 100U) << "entry numbers are never used again";
  bench.commit({{1, "next"}});
  EXPECT_EQ(bench.promised()[1].rbegin()->first, 100U);
}

TEST(JournalGarbage, FewLiveEntriesMoveForwardAndKeepTheirNumbers) {
  MemoryDisk disk;
  Bench bench(disk, tight_options());
  ASSERT_TRUE(bench.open().has_value());
  for (uint64_t i = 0; i < 100; ++i) {
    if (i % 20 == 0) bench.commit({{7, entry_bytes(1000 + i, 100)}});
    bench.commit({{1, entry_bytes(i, 500)}});
  }
  const uint64_t records = bench.tables().records[7];
  bench.want_from(1, 100);
  ASSERT_TRUE(bench.journal().collect_garbage().has_value());
  EXPECT_LE(bench.journal().stats().segments, 3U);
  EXPECT_EQ(bench.read_all(7), bench.promised()[7]);
  for (int i = 0; i < 2; ++i) {
    disk.crash([](const std::string&, uint64_t, uint64_t) { return 0; });
    ASSERT_TRUE(bench.open().has_value());
    EXPECT_EQ(bench.read_all(7), bench.promised()[7]);
    EXPECT_EQ(bench.tables().records[7], records) << "a moved entry is not counted again";
  }
}

TEST(JournalGarbage, CommitterCollectsByItself) {
  MemoryDisk disk;
  Bench bench(disk, tight_options());
  ASSERT_TRUE(bench.open().has_value());
  for (uint64_t i = 0; i < 1000; ++i) {
    bench.commit({{1, entry_bytes(i, 500)}});
    bench.want_from(1, i);
  }
  EXPECT_LE(bench.journal().stats().segments, 6U);
  EXPECT_LT(disk.used_bytes(), 200'000U);
}

TEST(EntryIndex, MemoryGrowsWithSegmentsAndNotWithEntries) {
  EntryIndex index(0);
  for (uint64_t segment = 1; segment <= 50; ++segment) {
    index.begin_segment(segment);
    for (uint64_t i = 0; i < 10'000; ++i) index.add(1, (segment - 1) * 10'000 + i, 128 + i * 64, 32);
    EXPECT_GE(index.offsets_in_memory(), 10'000U);
    const auto file = decode_index_file(index.encode_index_file(segment, 1, 1'000'000));
    ASSERT_TRUE(file.has_value());
    index.seal(*file);
    EXPECT_EQ(index.offsets_in_memory(), 0U);
    EXPECT_EQ(index.runs_of(segment).size(), 1U);
  }
  EXPECT_EQ(index.end(1), 500'000U);
  EXPECT_EQ(index.find(1, 123'456, 10)->segment, 13U);
}

}  // namespace
}  // namespace fmesh::stream::log
