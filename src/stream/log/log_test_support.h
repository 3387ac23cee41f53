// What the tests of the log share: a journal in memory that can be told to fail, and a log with a clock that stands
// still, no thread of its own, and shorthands for producing and consuming records that are just their text.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "stream/log/core.h"
#include "stream/log/log.h"

namespace fmesh::stream::log::test {

// What survives a restart.
struct FakeStore {
  struct Written {
    Transaction transaction;
    Applied applied;
  };
  std::vector<Written> written;
  std::string checkpoint;
  size_t checkpoint_at = 0;  // transactions that the checkpoint covers
  std::map<PartitionId, std::vector<SharedBytes>> entries;
  std::map<PartitionId, uint64_t> begins;
  std::set<std::pair<PartitionId, uint64_t>> damaged;
};

class FakeJournal final : public Journal {
 public:
  FakeJournal(FakeStore& store, Tables& tables) : store_(store), tables_(tables) {
    EXPECT_TRUE(tables.restore(store.checkpoint));
    for (size_t i = store.checkpoint_at; i < store.written.size(); ++i) {
      Transaction replayed = store.written[i].transaction;
      for (JournalAppend& append : replayed.appends) append.entry = {};
      tables.apply(replayed, store.written[i].applied, true);
    }
  }
  ~FakeJournal() override {
    while (!waiting_.empty()) step();
  }
  void submit(Transaction transaction, Done done) override {
    waiting_.push_back({std::move(transaction), std::move(done)});
  }
  bool writable() const override { return !full; }
  void notify_writable(std::function<void()> wake) override { wake_ = std::move(wake); }
  void make_room() {
    full = false;
    if (wake_) std::exchange(wake_, nullptr)();
  }
  uint64_t end(PartitionId id) const override {
    const auto found = store_.entries.find(id);
    return found == store_.entries.end() ? 0 : found->second.size();
  }
  uint64_t begin(PartitionId id) const override {
    const auto found = store_.begins.find(id);
    return found == store_.begins.end() ? 0 : found->second;
  }
  Result<std::vector<SharedBytes>> read(PartitionId id, uint64_t first, size_t size_max_bytes) override {
    ++reads;
    if (store_.damaged.contains({id, first})) return fail(ErrorKind::kCorrupt, "journal-1 at 42: damaged");
    std::vector<SharedBytes> found;
    size_t bytes = 0;
    for (uint64_t entry = first; entry < end(id); ++entry) {
      const SharedBytes& next = store_.entries[id][entry];
      if (store_.damaged.contains({id, entry}) || (!found.empty() && bytes + next.size() > size_max_bytes)) break;
      bytes += next.size();
      found.push_back(next);
    }
    return found;
  }
  size_t step() override {
    size_t count = 0;
    while (!waiting_.empty()) {
      auto [transaction, done] = std::move(waiting_.front());
      waiting_.pop_front();
      ++count;
      if (failing > 0) {
        --failing;
        done(fail(ErrorKind::kRetryLater, "the disk is full"));
        continue;
      }
      Applied applied;
      applied.lsn = store_.written.size() + 1;
      for (const JournalAppend& append : transaction.appends) {
        applied.entry_numbers.push_back(end(append.partition));
        store_.entries[append.partition].push_back(append.entry);
      }
      tables_.apply(transaction, applied, false);
      store_.written.push_back({std::move(transaction), applied});
      done(applied);
    }
    return count;
  }
  Status collect_garbage() override {
    for (auto& [id, entries] : store_.entries)
      store_.begins[id] = std::min<uint64_t>(std::max(begin(id), tables_.first_wanted(id)), entries.size());
    return {};
  }
  Status take_checkpoint() {
    FMESH_TRY(store_.checkpoint, tables_.checkpoint());
    store_.checkpoint_at = store_.written.size();
    return {};
  }
  JournalStats stats() const override { return {}; }
  std::vector<Damage> damages() const override { return {}; }

  int failing = 0;  // so many transactions fail
  bool full = false;
  int reads = 0;

 private:
  FakeStore& store_;
  Tables& tables_;
  std::deque<std::pair<Transaction, Done>> waiting_;
  std::function<void()> wake_;
};

// A directory that is gone with the test.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = std::filesystem::temp_directory_path() / "fmesh-log-test-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline std::string key_of(const std::string& text) { return text.substr(0, text.find(':')); }

class LogTest : public ::testing::Test {
 protected:
  LogTest() { open(); }

  void open() {
    auto core = std::make_shared<Core>(clock, defaults, directory.path() + "/state.db", false);
    auto made = std::make_unique<FakeJournal>(store, *core);
    journal = made.get();
    core->start(std::move(made));
    log = make_log(std::move(core));
  }
  void reopen() {
    log.reset();
    open();
  }

  std::shared_ptr<Producer> producer(const std::string& topic, const std::string& name = "", bool deduplicate = false) {
    ProducerOptions options;
    options.topic = topic;
    options.name = name;
    options.deduplicate = deduplicate;
    auto opened = log->open_producer(options);
    EXPECT_TRUE(opened) << opened.error().to_string();
    return *opened;
  }
  static ConsumerOptions reading(std::vector<std::string> topics, SubscriptionType type = SubscriptionType::kShared,
                                 const std::string& name = "") {
    ConsumerOptions options;
    options.topics = std::move(topics);
    options.subscription = "sub";
    options.type = type;
    options.name = name;
    return options;
  }
  std::shared_ptr<Consumer> consumer(ConsumerOptions options) {
    auto opened = log->open_consumer(std::move(options));
    EXPECT_TRUE(opened) << opened.error().to_string();
    return *opened;
  }

  // An entry of records "text"; what is before a colon is the key.
  SharedBytes entry_of(const std::vector<std::string>& texts, uint64_t first_sequence_id = 0) {
    EntryBuilder builder("tester", Compression::kNone);
    for (const std::string& text : texts) {
      RecordView record;
      const std::string key = key_of(text);
      record.payload = text;
      record.has_key = text.find(':') != std::string::npos;
      record.key = key;
      record.sequence_id = first_sequence_id++;
      builder.add(record);
    }
    return builder.finish(clock.wall_ms());
  }
  static Append append_to(const std::shared_ptr<Producer>& producer, SharedBytes entry, size_t record_count,
                          int32_t partition = 0, uint64_t last_sequence_id = 0) {
    return {producer, partition, std::move(entry), static_cast<uint32_t>(record_count), last_sequence_id};
  }
  // Commits and runs the committer until it is done.
  Result<Receipt> commit(Commit commit) {
    std::optional<Result<Receipt>> answer;
    log->commit(std::move(commit), [&](Result<Receipt> receipt) { answer = std::move(receipt); });
    log->step();
    EXPECT_TRUE(answer.has_value());
    return answer ? std::move(*answer) : Result<Receipt>(fail(ErrorKind::kBug, "no answer"));
  }
  MessageId produce(const std::shared_ptr<Producer>& producer, const std::vector<std::string>& texts,
                    int32_t partition = 0) {
    Commit one;
    one.appends.push_back(append_to(producer, entry_of(texts), texts.size(), partition));
    auto receipt = commit(std::move(one));
    EXPECT_TRUE(receipt) << receipt.error().to_string();
    return receipt ? receipt->ids.at(0) : MessageId();
  }
  Result<Receipt> acknowledge(const std::shared_ptr<Consumer>& consumer, const MessageId& id,
                              AckSet records = AckSet::all(), bool cumulative = false) {
    Commit one;
    one.acks.push_back({consumer, id, std::move(records), cumulative});
    return commit(std::move(one));
  }
  Result<Receipt> acknowledge(const std::shared_ptr<Consumer>& consumer, const std::vector<ReceivedEntry>& entries) {
    Commit one;
    for (const ReceivedEntry& entry : entries) one.acks.push_back({consumer, entry.id, entry.records, false});
    return commit(std::move(one));
  }
  static std::vector<ReceivedEntry> poll(const std::shared_ptr<Consumer>& consumer, PollLimits limits = {}) {
    auto received = consumer->poll(limits);
    EXPECT_TRUE(received) << received.error().to_string();
    return received ? std::move(*received) : std::vector<ReceivedEntry>();
  }
  // The texts of the records that are for the consumer.
  static std::vector<std::string> texts_of(const std::vector<ReceivedEntry>& entries) {
    std::vector<std::string> texts;
    for (const ReceivedEntry& entry : entries) {
      auto reader = EntryReader::open(entry.bytes);
      EXPECT_TRUE(reader) << reader.error().to_string();
      RecordView record;
      for (uint32_t index = 0; reader && reader->next(record); ++index)
        if (entry.records.has(index)) texts.emplace_back(record.payload);
    }
    return texts;
  }
  static std::vector<std::string> take(const std::shared_ptr<Consumer>& consumer, PollLimits limits = {}) {
    return texts_of(poll(consumer, limits));
  }
  static AckSet only(uint32_t record_count, std::initializer_list<uint32_t> indexes) {
    AckSet set = AckSet::none(record_count);
    for (const uint32_t index : indexes) set.add(index);
    return set;
  }

  ManualClock clock;
  TemporaryDirectory directory;
  StreamOptions defaults;
  FakeStore store;
  std::unique_ptr<Log> log;
  FakeJournal* journal = nullptr;
};

}  // namespace fmesh::stream::log::test
