// State kept in a changelog stream, on the embedded log: what another process would find after a crash.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <future>

#include "base/clock.h"
#include "base/disk.h"
#include "base/loop.h"
#include "stream/changelog/changelog_client.h"
#include "stream/log/log.h"

namespace fmesh::stream {
namespace {

using testing::HasSubstr;

constexpr const char* kTable = "public/default/count";

class ChangelogTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "fmesh-changelog-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    client_ = open();
  }
  void TearDown() override {
    client_.reset();
    loop_.stop();
    std::filesystem::remove_all(directory_);
  }
  std::unique_ptr<Client> open(ChangelogOptions options = {}) {
    log::LogOptions log_options;
    log_options.directory = directory_ + "/data";
    auto log = log::Log::open(*disk_, clock_, log_options);
    EXPECT_TRUE(log.has_value()) << log.error().text();
    log_ = log->get();
    return with_changelog(std::move(*log), loop_, options);
  }
  void reopen(ChangelogOptions options = {}) {
    client_.reset();
    client_ = open(options);
  }
  Result<Receipt> commit(Commit commit) {
    std::promise<Result<Receipt>> answer;
    client_->commit(std::move(commit), [&answer](Result<Receipt> receipt) { answer.set_value(std::move(receipt)); });
    return answer.get_future().get();
  }
  std::shared_ptr<StateTable> table() {
    auto opened = client_->open_state(kTable);
    EXPECT_TRUE(opened.has_value()) << opened.error().text();
    return *opened;
  }
  static StateChange put(const std::shared_ptr<StateTable>& table, const std::string& key,
                         std::optional<std::string> value) {
    EXPECT_TRUE(table->put(key, value ? std::optional<std::string_view>(*value) : std::nullopt));
    return {table, key, std::move(value)};
  }
  static std::map<std::string, std::string> all(StateTable& table, std::string_view prefix = "") {
    std::map<std::string, std::string> found;
    EXPECT_TRUE(table.scan(prefix, [&](std::string_view key, std::string_view value) {
      found.emplace(key, value);
      return true;
    }));
    return found;
  }

  SystemClock clock_;
  std::unique_ptr<Disk> disk_ = make_posix_disk();
  ThreadLoop loop_{clock_, "changelog"};
  std::string directory_;
  std::unique_ptr<Client> client_;
  Client* log_ = nullptr;  // the one behind client_
};

TEST_F(ChangelogTest, StateIsThereAfterARestart) {
  const std::string binary("\xff\0key", 5);
  {
    const auto state = table();
    Commit first;
    first.changes.push_back(put(state, "a", "1"));
    first.changes.push_back(put(state, "b", "2"));
    first.changes.push_back(put(state, binary, std::string("\0\xfe", 2)));
    ASSERT_TRUE(commit(std::move(first)));
    Commit second;
    second.changes.push_back(put(state, "a", std::nullopt));
    second.changes.push_back(put(state, "b", "3"));
    ASSERT_TRUE(commit(std::move(second)));
  }
  reopen();
  const auto state = table();
  EXPECT_EQ(all(*state), (std::map<std::string, std::string>{{"b", "3"}, {binary, std::string("\0\xfe", 2)}}));
  EXPECT_EQ(state->get("a").value(), std::nullopt);
}

TEST_F(ChangelogTest, WhatIsPutIsSeenAtOnceAndGoneIfNothingCommitsIt) {
  const auto state = table();
  put(state, "a", "1");
  EXPECT_EQ(state->get("a").value(), "1");
  reopen();
  EXPECT_EQ(table()->get("a").value(), std::nullopt);
}

TEST_F(ChangelogTest, OutputsKeepTheirReceipts) {
  const auto state = table();
  auto producer = client_->open_producer({.topic = "out", .name = {}}).value();
  EntryBuilder builder(producer->name(), Compression::kNone);
  builder.add({.payload = "x"});
  Commit both;
  both.appends.push_back({producer, 0, builder.finish(1), 1, 0});
  both.changes.push_back(put(state, "a", "1"));
  const Result<Receipt> receipt = commit(std::move(both));
  ASSERT_TRUE(receipt);
  ASSERT_EQ(receipt->ids.size(), 1U);
  EXPECT_EQ(receipt->ids[0].entry, 0);
}

TEST_F(ChangelogTest, ACommitThatFailsVoidsWhatWasStaged) {
  const auto state = table();
  Commit good;
  good.changes.push_back(put(state, "a", "1"));
  ASSERT_TRUE(commit(std::move(good)));
  auto producer = client_->open_producer({.topic = "out", .name = {}}).value();
  Commit bad;
  bad.appends.push_back({producer, 7, SharedBytes(std::string("no entry")), 1, 0});  // there is no partition 7
  bad.changes.push_back(put(state, "a", "2"));
  const auto order = state->order();
  ASSERT_FALSE(commit(std::move(bad)));
  EXPECT_TRUE(order->is_broken);
  EXPECT_EQ(state->get("a").value(), "1");
  reopen();
  EXPECT_EQ(table()->get("a").value(), "1");
}

TEST_F(ChangelogTest, ChangesBeyondAnEntryTakeSeveral) {
  const auto state = table();
  Commit large;
  for (int i = 0; i < 12; ++i) {
    large.changes.push_back(put(state, "key" + std::to_string(i), std::string(kStateValueSizeMaxBytes, 'x')));
  }
  ASSERT_TRUE(commit(std::move(large)));
  reopen();
  EXPECT_EQ(all(*table()).size(), 12U);
}

TEST_F(ChangelogTest, WhatAnotherProcessChangesArrives) {
  const auto state = table();
  const std::string topic = changelog_topic(kTable).value();
  auto other = log_->open_producer({.topic = topic, .name = {}}).value();
  EntryBuilder builder(other->name(), Compression::kZstd);
  builder.add({.payload = "from afar", .key = "a", .has_key = true});
  builder.add({.payload = "nobody's"});
  std::promise<bool> written;
  Commit appended;
  appended.appends.push_back({other, 0, builder.finish(1), 2, 0});
  log_->commit(std::move(appended), [&](const Result<Receipt>& receipt) { written.set_value(receipt.has_value()); });
  ASSERT_TRUE(written.get_future().get());
  for (int i = 0; i < 1'000 && !state->get("a").value(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(state->get("a").value(), "from afar");
}

TEST_F(ChangelogTest, MoreThanMemoryIsMeantToHoldIsRefusedWithTheWayOut) {
  reopen({.values_size_max_bytes = 1'000});
  const auto state = table();
  Commit first;
  first.changes.push_back(put(state, "a", std::string(2'000, 'x')));
  ASSERT_TRUE(commit(std::move(first)));
  Commit second;
  second.changes.push_back(put(state, "b", "1"));
  const auto refused = commit(std::move(second));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kFixInput);
  EXPECT_THAT(refused.error().text(), HasSubstr("1000 bytes of memory"));
}

TEST_F(ChangelogTest, ATableHasAFullName) {
  const auto wrong = client_->open_state("count");
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().text(), HasSubstr("tenant/namespace/function"));
}

}  // namespace
}  // namespace fmesh::stream
