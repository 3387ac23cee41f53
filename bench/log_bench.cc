// Produce and consume through the embedded log on a real disk with group commit: records of 100 bytes in entries of
// about 64 KiB, a producer and an exclusive consumer of one stream at once. Rates are records per second of CPU time
// (user and system of the whole process), and each record crosses one durable stream.
//
// log_bench [records] [directory]
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>

#include "stream/log/log.h"

namespace fmesh::stream {
namespace {

constexpr uint32_t kBatchRecords = 600;
constexpr int kEntriesUnderWay = 64;

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Run {
  log::Log& log;
  const Clock& clock;
  uint64_t records;
  std::atomic<int> under_way{0};
  std::atomic<uint64_t> acknowledged{0};

  void produce() {
    auto producer = *log.open_producer({.topic = "bench", .name = {}});
    EntryBuilder builder(producer->name(), Compression::kNone);
    const std::string payload(100, 'x');
    for (uint64_t sent = 0; sent < records;) {
      if (under_way >= kEntriesUnderWay) {
        under_way.wait(kEntriesUnderWay);
        continue;
      }
      for (uint32_t i = 0; i < kBatchRecords; ++i) {
        RecordView record;
        record.payload = payload;
        record.sequence_id = sent++;
        builder.add(record);
      }
      ++under_way;
      Commit commit;
      commit.appends.push_back({producer, 0, builder.finish(clock.wall_ms()), kBatchRecords, sent});
      log.commit(std::move(commit), [this](const Result<Receipt>& receipt) {
        if (!receipt) std::abort();
        --under_way;
        under_way.notify_one();
      });
    }
  }

  void consume() {
    ConsumerOptions options;
    options.topics = {"bench"};
    options.subscription = "bench";
    options.type = SubscriptionType::kExclusive;
    auto consumer = *log.open_consumer(options);
    std::atomic<int> woken{0};
    uint64_t read = 0;
    while (read < records) {
      auto got = consumer->poll({});
      if (!got) std::abort();
      if (got->empty()) {
        const int before = woken;
        consumer->notify([&] {
          ++woken;
          woken.notify_one();
        });
        woken.wait(before);
        continue;
      }
      Commit commit;
      uint64_t count = 0;
      for (const ReceivedEntry& entry : *got) {
        auto reader = EntryReader::open(entry.bytes);
        RecordView record;
        while (reader->next(record)) ++count;
        commit.acks.push_back({consumer, entry.id, entry.records, false});
      }
      read += count;
      log.commit(std::move(commit), [this, count](const Result<Receipt>& receipt) {
        if (!receipt) std::abort();
        acknowledged += count;
        acknowledged.notify_one();
      });
    }
    for (uint64_t done = acknowledged; done < records; done = acknowledged) acknowledged.wait(done);
    consumer->close();
  }
};

int run(uint64_t records, const std::string& directory) {
  const auto disk = make_posix_disk();
  const SystemClock clock;
  log::LogOptions options;
  options.directory = directory;
  auto opened = log::Log::open(*disk, clock, options);
  if (!opened) {
    fmt::print(stderr, "{}\n", opened.error().to_string());
    return 1;
  }
  Run bench{**opened, clock, records / kBatchRecords * kBatchRecords};
  const double cpu_before = cpu_seconds();
  const auto begin = std::chrono::steady_clock::now();
  std::thread consumer([&] { bench.consume(); });
  bench.produce();
  consumer.join();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const double cpu = cpu_seconds() - cpu_before;
  const auto stats = (*opened)->journal_stats();
  const auto done = static_cast<double>(bench.records);
  fmt::print("log_produce_and_consume {:.0f} records/CPU-s\n", done / cpu);
  fmt::print("log_produce_and_consume_wall {:.0f} records/s\n", done / seconds);
  fmt::print("log_records_per_fsync {:.0f} records\n", done / static_cast<double>(std::max<uint64_t>(stats.syncs, 1)));
  return 0;
}

}  // namespace
}  // namespace fmesh::stream

int main(int argc, char** argv) {
  const uint64_t records = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 5'000'000;
  std::string pattern = argc > 2 ? std::string(argv[2]) + "/log_bench-XXXXXX" : "log_bench-XXXXXX";
  const std::string directory = mkdtemp(pattern.data());
  const int status = fmesh::stream::run(records, directory);
  std::error_code ignored;
  std::filesystem::remove_all(directory, ignored);
  return status;
}
