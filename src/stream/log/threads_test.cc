// The log with its own threads, on a real disk. Short; run under the thread sanitizer in CI.
#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "stream/log/log_test_support.h"

namespace fmesh::stream::log::test {
namespace {

class Threads : public ::testing::Test {
 protected:
  Threads() {
    LogOptions options;
    options.directory = directory.path();
    auto opened = Log::open(*disk, clock, std::move(options));
    EXPECT_TRUE(opened) << opened.error().to_string();
    log = std::move(*opened);
  }

  // Waits for a wake, as an instance's loop would.
  static bool wait(Consumer& consumer, int64_t limit_ms) {
    struct Woken {
      std::mutex mutex;
      std::condition_variable changed;
      bool done = false;
    };
    auto woken = std::make_shared<Woken>();
    consumer.notify([woken] {
      std::lock_guard guard(woken->mutex);
      woken->done = true;
      woken->changed.notify_all();
    });
    std::unique_lock guard(woken->mutex);
    return woken->changed.wait_for(guard, std::chrono::milliseconds(limit_ms), [&] { return woken->done; });
  }

  TemporaryDirectory directory;
  std::unique_ptr<Disk> disk = make_posix_disk();
  SystemClock clock;
  std::unique_ptr<Log> log;
};

TEST_F(Threads, KeepEachKeysOrderOverConsumersThatComeAndGo) {
  constexpr int kEntries = 200;
  constexpr int kKeys = 20;
  std::atomic<int> acknowledged{0};
  std::mutex mutex;
  std::map<int, int> last;  // key -> the highest number that was acknowledged
  std::atomic<bool> in_order{true};
  std::thread producing([&] {
    auto producer = *log->open_producer({.topic = "in", .name = {}});
    for (int entry = 0; entry < kEntries; ++entry) {
      EntryBuilder builder("p", Compression::kLz4);
      for (int key = 0; key < kKeys; ++key) {
        RecordView record;
        const std::string text = std::to_string(key);
        const std::string number = std::to_string(entry);
        record.key = text;
        record.has_key = true;
        record.payload = number;
        builder.add(record);
      }
      Commit one;
      one.appends.push_back({producer, 0, builder.finish(1), kKeys, 0});
      log->commit(std::move(one), [](const Result<Receipt>& receipt) { EXPECT_TRUE(receipt); });
      if (entry % 10 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  const auto consume = [&](const std::string& name) {
    for (int life = 0; acknowledged < kEntries * kKeys; ++life) {
      ConsumerOptions options;
      options.topics = {"in"};
      options.subscription = "sub";
      options.type = SubscriptionType::kKeyShared;
      options.name = name;
      auto consumer = *log->open_consumer(options);
      for (int polls = 0; polls < 20 && acknowledged < kEntries * kKeys; ++polls) {
        auto got = consumer->poll({.records_max = 50});
        ASSERT_TRUE(got);
        if (got->empty()) {
          wait(*consumer, 20);
          continue;
        }
        Commit one;
        int count = 0;
        for (const ReceivedEntry& entry : *got) {
          auto reader = EntryReader::open(entry.bytes);
          RecordView record;
          for (uint32_t i = 0; reader->next(record); ++i) {
            if (!entry.records.has(i)) continue;
            ++count;
            std::lock_guard guard(mutex);
            int& before = last.try_emplace(std::stoi(std::string(record.key)), -1).first->second;
            const int number = std::stoi(std::string(record.payload));
            if (number != before + 1) in_order = false;
            before = number;
          }
          one.acks.push_back({consumer, entry.id, entry.records, false});
        }
        std::atomic<bool> done{false};
        log->commit(std::move(one), [&](const Result<Receipt>& receipt) {
          EXPECT_TRUE(receipt);
          acknowledged += count;
          done = true;
          done.notify_one();
        });
        done.wait(false);
      }
      consumer->close();
    }
  };
  std::thread a([&] { consume("a"); });
  std::thread b([&] { consume("b"); });
  std::thread c([&] { consume("c"); });
  producing.join();
  a.join();
  b.join();
  c.join();
  EXPECT_TRUE(in_order);
  EXPECT_EQ(acknowledged, kEntries * kKeys);
}

TEST_F(Threads, WakeAConsumerWhenARetryComesDue) {
  auto producer = *log->open_producer({.topic = "in", .name = {}});
  ConsumerOptions options;
  options.topics = {"in"};
  options.subscription = "sub";
  options.nack_delay_min_ms = 30;
  auto consumer = *log->open_consumer(options);
  EntryBuilder builder("p", Compression::kNone);
  RecordView record;
  record.payload = "a";
  builder.add(record);
  Commit one;
  one.appends.push_back({producer, 0, builder.finish(1), 1, 0});
  log->commit(std::move(one), nullptr);
  ASSERT_TRUE(wait(*consumer, 5'000));
  auto got = consumer->poll({});
  ASSERT_TRUE(got && got->size() == 1);
  consumer->negative_ack((*got)[0].id, AckSet::all());
  EXPECT_FALSE(wait(*consumer, 5));
  EXPECT_TRUE(wait(*consumer, 5'000));
  got = consumer->poll({});
  ASSERT_TRUE(got && got->size() == 1);
  EXPECT_EQ((*got)[0].redelivery_count, 1u);
}

TEST_F(Threads, SeekAndDeleteWaitUntilTheyAreDurable) {
  auto producer = *log->open_producer({.topic = "in", .name = {}});
  ConsumerOptions options;
  options.topics = {"in"};
  options.subscription = "sub";
  auto consumer = *log->open_consumer(options);
  EXPECT_TRUE(consumer->seek(MessageId::latest()));
  consumer->close();
  EXPECT_TRUE(log->delete_subscription("in", "sub"));
  EXPECT_TRUE(log->delete_stream("in"));
  EXPECT_THAT(*log->list_streams(), ::testing::IsEmpty());
}

TEST_F(Threads, AnswerWhatIsUnderWayWhenTheLogIsClosed) {
  auto producer = *log->open_producer({.topic = "in", .name = {}});
  EntryBuilder builder("p", Compression::kNone);
  std::atomic<int> answers{0};
  for (int i = 0; i < 20; ++i) {
    RecordView record;
    record.payload = "a";
    builder.add(record);
    Commit one;
    one.appends.push_back({producer, 0, builder.finish(1), 1, 0});
    log->commit(std::move(one), [&](const Result<Receipt>&) { ++answers; });
  }
  log.reset();
  EXPECT_EQ(answers, 20);
  EXPECT_EQ(producer->last_sequence_id(0), -1) << "what is left of a closed log answers and does not crash";
}

}  // namespace
}  // namespace fmesh::stream::log::test
