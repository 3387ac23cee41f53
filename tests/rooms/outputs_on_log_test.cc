// Entries that an instance's outputs become: numbered by where they come from, and kept to one key each.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <future>

#include "base/clock.h"
#include "base/disk.h"
#include "runtime/consumer_options.h"
#include "runtime/outputs.h"
#include "stream/log/log.h"

namespace fmesh::runtime {
namespace {

using stream::MessageId;
using testing::ElementsAre;

constexpr const char* kInput = "persistent://public/default/in";

class OutputsTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "fmesh-outputs-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    stream::log::LogOptions options;
    options.directory = directory_;
    log_ = stream::log::Log::open(*disk_, clock_, options).value();
  }
  void TearDown() override {
    log_.reset();
    std::filesystem::remove_all(directory_);
  }
  Outputs replaying(bool split_by_key = false) const {
    OutputsOptions options;
    options.replay_prefix = "fmesh/public/default/f";
    options.split_by_key = split_by_key;
    return {*log_, options};
  }
  static MessageId id(int64_t entry, int32_t index, int64_t ledger = 1) {
    MessageId id;
    id.ledger = ledger;
    id.entry = entry;
    id.batch_index = index;
    return id;
  }
  // Each word is a record of the input record `id`.
  static void write(Outputs& outputs, const MessageId& id, const std::vector<std::string>& words,
                    const std::string& key = "") {
    outputs.begin_record(Origin::of(kInput, id).value());
    for (const std::string& word : words) add(outputs, word, key);
  }
  static void add(Outputs& outputs, const std::string& word, const std::string& key = "") {
    stream::RecordView record;
    record.payload = word;
    record.has_key = !key.empty();
    record.key = key;
    const Status added = outputs.add("out", record);
    ASSERT_TRUE(added) << added.error().text();
  }
  void commit(Outputs& outputs) {
    stream::Commit commit;
    commit.appends = outputs.finish();
    std::promise<bool> done;
    log_->commit(std::move(commit), [&done](const Result<stream::Receipt>& receipt) { done.set_value(!!receipt); });
    ASSERT_TRUE(done.get_future().get());
  }
  // The payloads of each append.
  static std::vector<std::vector<std::string>> words_of(const std::vector<stream::Append>& appends) {
    std::vector<std::vector<std::string>> found;
    for (const stream::Append& append : appends) {
      auto reader = stream::EntryReader::open(append.entry).value();
      stream::RecordView record;
      found.emplace_back();
      while (reader.next(record)) found.back().emplace_back(record.payload);
    }
    return found;
  }

  SystemClock clock_;
  std::unique_ptr<Disk> disk_ = make_posix_disk();
  std::string directory_;
  std::unique_ptr<stream::log::Log> log_;
};

TEST_F(OutputsTest, WhatWasWrittenIsNotWrittenAgainWhateverTheBatchesAre) {
  {
    Outputs first = replaying();
    write(first, id(7, 0), {"a", "b"});
    write(first, id(7, 1), {"c"});
    commit(first);
  }
  Outputs again = replaying();
  write(again, id(7, 0), {"a", "b"});
  write(again, id(7, 1), {"c", "d"});  // it came to its end this time
  write(again, id(7, 2), {"e"});
  EXPECT_THAT(words_of(again.finish()), ElementsAre(ElementsAre("d", "e")));
}

TEST_F(OutputsTest, LedgersAndInputsAreNumberedApart) {
  Outputs first = replaying();
  write(first, id(50'000, 0, 1), {"a"});
  write(first, id(0, 0, 2), {"b"});
  const auto appends = first.finish();
  ASSERT_EQ(appends.size(), 2U);
  EXPECT_EQ(appends[0].producer->name(), "fmesh/public/default/f/persistent://public/default/in/1");
  EXPECT_EQ(appends[1].producer->name(), "fmesh/public/default/f/persistent://public/default/in/2");
  EXPECT_EQ(appends[1].last_sequence_id, 0U);
}

TEST_F(OutputsTest, ARecordThatIsTakenBackGetsItsNumbersAgain) {
  Outputs outputs = replaying();
  write(outputs, id(1, 0), {"a"});
  write(outputs, id(1, 1), {"x", "y", "z"});
  ASSERT_TRUE(outputs.undo_record());
  write(outputs, id(1, 1), {"b"});
  const auto appends = outputs.finish();
  ASSERT_EQ(appends.size(), 1U);
  EXPECT_EQ(appends[0].last_sequence_id, Origin::of(kInput, id(1, 1))->number);
  EXPECT_THAT(words_of(appends), ElementsAre(ElementsAre("a", "b")));
}

TEST_F(OutputsTest, NothingIsWrittenForARecordOnceALaterOneHas) {
  Outputs outputs = replaying();
  write(outputs, id(1, 1), {"b"});
  outputs.begin_record(Origin::of(kInput, id(1, 0)).value());
  const Status added = outputs.add("out", {.payload = "a"});
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().kind(), ErrorKind::kFixInput);
}

TEST_F(OutputsTest, NumbersThatDoNotFitAreRefused) {
  EXPECT_TRUE(Origin::of(kInput, id((int64_t{1} << Origin::kEntryBits) - 1, (1 << Origin::kIndexBits) - 1)));
  EXPECT_FALSE(Origin::of(kInput, id(int64_t{1} << Origin::kEntryBits, 0)));
  EXPECT_FALSE(Origin::of(kInput, id(0, 1 << Origin::kIndexBits)));
  EXPECT_LE(Origin::of(kInput, id((int64_t{1} << Origin::kEntryBits) - 1, (1 << Origin::kIndexBits) - 1))->number +
                (1U << Origin::kOrdinalBits) - 1,
            static_cast<uint64_t>(INT64_MAX));
}

TEST_F(OutputsTest, EntriesHoldOneKeyEach) {
  OutputsOptions options;
  options.split_by_key = true;
  Outputs outputs(*log_, options);
  outputs.begin_record();
  for (const char* word : {"a1", "b1", "a2", "b2"}) add(outputs, word, std::string(1, word[0]));
  add(outputs, "none");
  EXPECT_THAT(words_of(outputs.finish()),
              testing::UnorderedElementsAre(ElementsAre("a1", "a2"), ElementsAre("b1", "b2"), ElementsAre("none")));
}

TEST_F(OutputsTest, WhoeverMayReadDecidesHowEntriesAreSplit) {
  model::InstanceSpec spec;
  EXPECT_FALSE(outputs_options(spec, *log_).split_by_key) << "the log splits entries itself";
  log_->deal_whole_entries();
  EXPECT_TRUE(outputs_options(spec, *log_).split_by_key);
  spec.details.sink.emplace().producer_spec.emplace().batch_builder = "DEFAULT";
  EXPECT_FALSE(outputs_options(spec, *log_).split_by_key);
}

TEST_F(OutputsTest, NumbersRiseWhereEntriesHoldOneKeyEach) {
  Outputs outputs = replaying(true);
  write(outputs, id(1, 0), {"a1"}, "a");
  write(outputs, id(1, 1), {"a2"}, "a");
  write(outputs, id(1, 2), {"b1"}, "b");
  write(outputs, id(1, 3), {"a3"}, "a");
  const auto appends = outputs.finish();
  EXPECT_THAT(words_of(appends), ElementsAre(ElementsAre("a1", "a2"), ElementsAre("b1"), ElementsAre("a3")));
  for (size_t i = 1; i < appends.size(); ++i) EXPECT_GT(appends[i].last_sequence_id, appends[i - 1].last_sequence_id);
}

}  // namespace
}  // namespace fmesh::runtime
