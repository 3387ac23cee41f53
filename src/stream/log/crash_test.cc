// The log over the real journal on a disk in memory that fails and loses power.
#include <gmock/gmock.h>

#include <algorithm>

#include "base/rng.h"
#include "sim/memory_disk.h"
#include "stream/log/log_test_support.h"

namespace fmesh::stream::log::test {
namespace {

using sim::DiskCall;
using sim::MemoryDisk;

class CrashedLog {
 public:
  explicit CrashedLog(SubscriptionType type = SubscriptionType::kExclusive) : type_(type) {}

  bool open() {
    LogOptions options;
    options.directory = "/data";
    options.state_directory = directory_.path();
    options.journal.own_thread = false;
    options.journal.segment_size_bytes = 64 * 1024;
    options.journal.checkpoint_every_bytes = 16 * 1024;
    auto opened = Log::open(*disk, clock, std::move(options));
    if (!opened) return false;
    log = std::move(*opened);
    return true;
  }
  void crash(Rng& rng) {
    input.reset();
    output.reset();
    state.reset();
    disk->crash(rng);
    // What the old process still does as it is torn down here must not reach the disk that is opened next.
    auto after = disk->copy();
    log.reset();
    disk = std::move(after);
  }
  // Opens the ends of one function: reads "in", writes "out", counts in its state.
  bool open_ends() {
    ProducerOptions producing;
    producing.topic = "out";
    producing.name = "function";
    producing.deduplicate = true;
    auto producer = log->open_producer(producing);
    ConsumerOptions consuming;
    consuming.topics = {"in"};
    consuming.subscription = "function";
    consuming.type = type_;
    consuming.nack_delay_min_ms = 0;
    auto consumer = log->open_consumer(consuming);
    auto table = log->open_state("t/n/f");
    if (!producer || !consumer || !table) return false;
    output = *producer;
    input = *consumer;
    state = *table;
    return true;
  }
  static SharedBytes entry_of(const std::vector<std::string>& texts) {
    EntryBuilder builder("crash", Compression::kNone);
    for (const std::string& text : texts) {
      RecordView record;
      const std::string key = key_of(text);
      record.payload = text;
      record.key = key;
      record.has_key = true;
      builder.add(record);
    }
    return builder.finish(1);
  }
  bool commit(Commit one) {
    std::optional<bool> durable;
    log->commit(std::move(one), [&](const Result<Receipt>& receipt) { durable = receipt.has_value(); });
    log->step();
    return durable.value_or(false);
  }
  std::vector<std::string> read_all(const std::string& topic) {
    ConsumerOptions options;
    options.topics = {topic};
    options.read_only = true;
    std::vector<std::string> texts;
    auto reader = log->open_consumer(options);
    if (!reader) return texts;
    for (auto got = (*reader)->poll({}); got && !got->empty(); got = (*reader)->poll({})) {
      for (const ReceivedEntry& entry : *got) {
        auto records = EntryReader::open(entry.bytes);
        EXPECT_TRUE(records);
        RecordView record;
        while (records && records->next(record)) texts.emplace_back(record.payload);
      }
    }
    return texts;
  }

  std::unique_ptr<MemoryDisk> disk = std::make_unique<MemoryDisk>();
  ManualClock clock;
  std::unique_ptr<Log> log;
  std::shared_ptr<Producer> output;
  std::shared_ptr<Consumer> input;
  std::shared_ptr<StateTable> state;

 private:
  const SubscriptionType type_;
  TemporaryDirectory directory_;
};

constexpr int kInputs = 12;

// Moves one input to the output, its state along, in one commit. Nothing if no input is left.
std::optional<bool> move_one(CrashedLog& test) {
  auto got = test.input->poll({.records_max = 1});
  if (!got || got->empty()) return std::nullopt;
  const std::string before = test.state->get("count")->value_or("0");
  const std::string count = std::to_string(std::stoi(before) + 1);
  Commit one;
  one.appends.push_back({test.output, 0, CrashedLog::entry_of({count}), 1, std::stoull(count)});
  one.acks.push_back({test.input, (*got)[0].id, AckSet::all(), false});
  EXPECT_TRUE(test.state->put("count", count));
  one.changes.push_back({test.state, "count", count});
  return test.commit(std::move(one));
}

void expect_all_or_nothing(DiskCall call, uint64_t nth, ErrorKind kind) {
  SCOPED_TRACE(testing::Message() << "call " << static_cast<int>(call) << " nth " << nth);
  CrashedLog test;
  ASSERT_TRUE(test.open());
  {
    ProducerOptions producing;
    producing.topic = "in";
    auto producer = *test.log->open_producer(producing);
    for (int i = 0; i < kInputs; ++i) {
      Commit one;
      one.appends.push_back({producer, 0, CrashedLog::entry_of({std::to_string(i)}), 1, 0});
      ASSERT_TRUE(test.commit(std::move(one)));
    }
  }
  ASSERT_TRUE(test.open_ends());
  test.log->step();
  test.disk->fail_call(call, nth, kind);
  int promised = 0;
  for (int i = 0; i < kInputs; ++i) {
    const auto moved = move_one(test);
    if (!moved || !*moved) break;
    ++promised;
  }
  Rng rng(nth);
  test.crash(rng);
  ASSERT_TRUE(test.open());
  ASSERT_TRUE(test.open_ends());
  const auto outputs = static_cast<int>(test.read_all("out").size());
  EXPECT_GE(outputs, promised);
  EXPECT_EQ(test.input->stats().backlog_records, kInputs - outputs);
  EXPECT_EQ(test.state->get("count")->value_or("0"), std::to_string(outputs));
  while (move_one(test).value_or(false)) {
  }
  std::vector<std::string> wanted;
  for (int i = 1; i <= kInputs; ++i) wanted.push_back(std::to_string(i));
  EXPECT_EQ(test.read_all("out"), wanted);
  EXPECT_TRUE(test.input->drained());
}

TEST(LogAfterACrash, HasOutputsAcksAndStateOfACommitOrNoneOfThem) {
  for (uint64_t nth = 1; nth <= 2 * kInputs; ++nth) {
    expect_all_or_nothing(DiskCall::kWrite, nth, ErrorKind::kRetryLater);
    expect_all_or_nothing(DiskCall::kWrite, nth, ErrorKind::kCorrupt);
    expect_all_or_nothing(DiskCall::kSync, nth, ErrorKind::kCorrupt);
  }
}

// A consumer under crashes against an oracle that knows what is acknowledged. The oracle is right because every
// answered commit is durable and every other one is made certain by looking at what is there after the crash.
class ModelRun {
 public:
  ModelRun(uint64_t seed, SubscriptionType type) : rng_(seed), test_(type) {}

  void run() {
    ASSERT_TRUE(test_.open());
    ASSERT_TRUE(open_all());
    for (int step = 0; step < 150 && !testing::Test::HasFailure(); ++step) {
      switch (rng_.below(10)) {
        case 0:
        case 1:
        case 2:
          produce();
          break;
        case 3:
        case 4:
          take();
          break;
        case 5:
        case 6:
          acknowledge();
          break;
        case 7:
          refuse();
          break;
        case 8:
          rest();
          break;
        default:
          crash();
          break;
      }
      EXPECT_EQ(test_.input->stats().backlog_records, static_cast<int64_t>(left_.size()));
    }
    crash();
    while (!testing::Test::HasFailure() && take() > 0) acknowledge(true);
    EXPECT_TRUE(left_.empty()) << left_.size() << " records were never delivered, one is " << left_.begin()->first;
    EXPECT_TRUE(test_.input->drained());
  }

 private:
  struct Held {
    MessageId id;
    AckSet records;
    uint32_t record_count = 0;
    std::vector<std::string> texts;  // all of the entry
  };

  bool open_all() {
    if (!test_.open_ends()) return false;
    ProducerOptions producing;
    producing.topic = "in";
    producing.name = "model";
    producing.deduplicate = true;
    auto producer = test_.log->open_producer(producing);
    if (producer) in_ = *producer;
    return producer.has_value();
  }
  void produce() {
    std::vector<std::string> texts;
    for (uint64_t count = 1 + rng_.below(5); count > 0; --count)
      texts.push_back("k" + std::to_string(rng_.below(6)) + ":" + std::to_string(++last_number_));
    Commit one;
    one.appends.push_back({in_, 0, CrashedLog::entry_of(texts), static_cast<uint32_t>(texts.size()), ++sequence_id_});
    Commit again = one;
    if (!test_.commit(std::move(one))) {
      ADD_FAILURE() << "nothing was to fail here";
      return;
    }
    for (const std::string& text : texts) left_[text] = true;
    if (rng_.below(4) != 0) return;
    EXPECT_TRUE(test_.commit(std::move(again)));  // a duplicate
  }
  size_t take() {
    auto got = test_.input->poll({.records_max = static_cast<uint32_t>(1 + rng_.below(20))});
    EXPECT_TRUE(got) << got.error().to_string();
    size_t count = 0;
    for (const ReceivedEntry& entry : *got) {
      Held held{entry.id, entry.records, entry.record_count, {}};
      auto reader = EntryReader::open(entry.bytes);
      RecordView record;
      while (reader->next(record)) held.texts.emplace_back(record.payload);
      for (uint32_t i = 0; i < entry.record_count; ++i) {
        if (!entry.records.has(i)) continue;
        ++count;
        EXPECT_TRUE(left_.contains(held.texts[i])) << held.texts[i] << " was acknowledged and came again";
        EXPECT_FALSE(is_held(held.texts[i])) << held.texts[i] << " was handed out twice";
      }
      held_.push_back(std::move(held));
    }
    return count;
  }
  bool is_held(const std::string& text) const {
    return std::ranges::any_of(held_, [&](const Held& held) {
      for (uint32_t i = 0; i < held.record_count; ++i)
        if (held.records.has(i) && held.texts[i] == text) return true;
      return false;
    });
  }
  void acknowledge(bool everything = false) {
    Commit one;
    std::vector<Held> kept;
    for (Held& held : held_) {
      if (!everything && rng_.below(4) == 0) {
        kept.push_back(std::move(held));
        continue;
      }
      AckSet acked = AckSet::none(held.record_count);
      AckSet rest = AckSet::none(held.record_count);
      const bool partly = !everything && rng_.below(3) == 0;
      for (uint32_t i = 0; i < held.record_count; ++i) {
        if (!held.records.has(i)) continue;
        if (partly && rng_.below(2) == 0) {
          rest.add(i);
        } else {
          acked.add(i);
          left_.erase(held.texts[i]);
        }
      }
      one.acks.push_back({test_.input, held.id, acked, false});
      if (rest.count(held.record_count) > 0) kept.push_back({held.id, rest, held.record_count, held.texts});
    }
    held_ = std::move(kept);
    if (one.empty()) return;
    EXPECT_TRUE(test_.commit(std::move(one)));
  }
  void refuse() {
    if (held_.empty()) return;
    // An ordered subscription rewinds, so everything from there on is void.
    const size_t index = rng_.below(held_.size());
    test_.input->negative_ack(held_[index].id, held_[index].records);
    held_.erase(held_.begin() + static_cast<ptrdiff_t>(index));
  }
  void rest() {
    test_.clock.advance_ms(100);
    test_.log->step();
    EXPECT_TRUE(test_.log->collect_garbage());
  }
  void crash() {
    Commit lost;  // submitted, never written
    lost.appends.push_back({in_, 0, CrashedLog::entry_of({"lost"}), 1, sequence_id_ + 1});
    if (rng_.below(2) == 0) test_.log->commit(std::move(lost), nullptr);
    in_.reset();
    test_.crash(rng_);
    held_.clear();
    ASSERT_TRUE(test_.open());
    ASSERT_TRUE(open_all());
  }

  Rng rng_;
  CrashedLog test_;
  std::shared_ptr<Producer> in_;
  std::map<std::string, bool> left_;  // durable and not acknowledged
  std::vector<Held> held_;
  int last_number_ = 0;
  uint64_t sequence_id_ = 0;
};

TEST(LogAfterACrash, DeliversExactlyWhatIsNotAcknowledgedUnderAnySeed) {
  uint64_t first = 1;
  uint64_t count = 30;
  if (const char* replay = std::getenv("FMESH_SEED")) {
    first = std::stoull(replay);
    count = 1;
  }
  for (uint64_t seed = first; seed < first + count; ++seed) {
    const auto type = seed % 2 == 0 ? SubscriptionType::kShared : SubscriptionType::kKeyShared;
    ModelRun(seed, type).run();
    ASSERT_FALSE(HasFailure()) << "replay: FMESH_SEED=" << seed
                               << " stream_log_test --gtest_filter=LogAfterACrash.Delivers*";
  }
}

}  // namespace
}  // namespace fmesh::stream::log::test
