#include <gmock/gmock.h>

#include <algorithm>

#include "stream/batcher.h"
#include "stream/log/log_test_support.h"

namespace fmesh::stream::log::test {
namespace {

class BatcherOverLog : public LogTest {
 protected:
  static RecordView record_of(std::string_view text, std::string_view key = {}) {
    RecordView record;
    record.payload = text;
    record.key = key;
    record.has_key = !key.empty();
    return record;
  }
  void settle() {
    log->step();
    loop.run_ready();
  }

  ManualLoop loop{clock};
  std::vector<BatchResult> results;
  std::function<void(BatchResult)> collect = [this](BatchResult result) { results.push_back(std::move(result)); };
};

TEST_F(BatcherOverLog, SendsAtTheCountTheSizeAndTheDelay) {
  BatcherOptions options;
  options.batch_records_max = 3;
  options.batch_size_max_bytes = 1'000;
  options.batch_delay_max_ms = 5;
  Batcher batcher(*log, producer("orders"), loop, options, collect);
  for (const char* text : {"a", "b", "c", "d"}) ASSERT_TRUE(batcher.add(record_of(text)));
  settle();
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].record_count, 3u);
  EXPECT_EQ(batcher.pending_records(), 1u);
  clock.advance_ms(5);
  loop.run_ready();
  settle();
  ASSERT_EQ(results.size(), 2u);
  EXPECT_TRUE(batcher.idle());
  ASSERT_TRUE(batcher.add(record_of(std::string(600, 'x'))));
  ASSERT_TRUE(batcher.add(record_of(std::string(600, 'y'))));
  settle();
  EXPECT_EQ(results.size(), 3u) << "the second would have made the first too large";
  batcher.flush();
  settle();
  EXPECT_EQ(results.size(), 4u);
  auto in = consumer(reading({"orders"}));
  EXPECT_EQ(take(in).size(), 6u);
}

TEST_F(BatcherOverLog, RoutesByKeyAndElseSticksToAPartitionPerBatch) {
  ASSERT_TRUE(log->create_stream("orders", {.partitions = 4}));
  BatcherOptions options;
  options.batch_records_max = 10;
  Batcher batcher(*log, producer("orders"), loop, options, collect);
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(batcher.add(record_of("x")));
  settle();
  std::vector<int32_t> partitions;
  for (const BatchResult& result : results) partitions.push_back(result.partition);
  EXPECT_THAT(partitions, ::testing::ElementsAre(0, 1, 2, 3));
  results.clear();
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(batcher.add(record_of("x", i % 2 == 0 ? "even" : "odd")));
  settle();
  for (const BatchResult& result : results)
    EXPECT_TRUE(result.partition == partition_of_key("even", 4) || result.partition == partition_of_key("odd", 4));
  EXPECT_EQ(results.size(), 4u);
}

TEST_F(BatcherOverLog, RefusesBeyondItsBoundAndSaysWhenThereIsRoom) {
  BatcherOptions options;
  options.batch_records_max = 1;
  options.pending_size_max_bytes = 2'000;
  Batcher batcher(*log, producer("orders"), loop, options, collect);
  Status added;
  int count = 0;
  while ((added = batcher.add(record_of(std::string(300, 'x'))))) ++count;
  EXPECT_EQ(added.error().kind(), ErrorKind::kRetryLater);
  EXPECT_LE(count, 6);
  int wakes = 0;
  batcher.notify_room([&] { ++wakes; });
  loop.run_ready();
  EXPECT_EQ(wakes, 0);
  settle();
  EXPECT_EQ(wakes, 1);
  EXPECT_TRUE(batcher.add(record_of("x")));
}

TEST_F(BatcherOverLog, TellsOfAFailedBatch) {
  BatcherOptions options;
  options.batch_records_max = 2;
  auto out = producer("orders");
  log->step();
  Batcher batcher(*log, out, loop, options, collect);
  journal->failing = 1;
  ASSERT_TRUE(batcher.add(record_of("a")));
  ASSERT_TRUE(batcher.add(record_of("b")));
  settle();
  ASSERT_EQ(results.size(), 1u);
  EXPECT_FALSE(results[0].id);
  EXPECT_TRUE(batcher.idle());
}

}  // namespace
}  // namespace fmesh::stream::log::test
