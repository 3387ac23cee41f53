// Appending alone: entries of 1,000 records of 100 B through the log's door with group commit, against batched raw
// writes of the same number of bytes to preallocated files with the same number of fsyncs. Prints `name value unit`.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <semaphore>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/disk.h"
#include "stream/client.h"
#include "stream/entry.h"
#include "stream/log/log.h"

namespace {

using namespace fmesh;

constexpr size_t kRecordSizeBytes = 100;
constexpr size_t kRecordsPerEntry = 1000;
constexpr size_t kEntries = 5000;  // 5 million records, 500 MB
constexpr size_t kEntriesInFlight = 64;
constexpr size_t kRawFileSizeBytes = 128 * 1024 * 1024;  // as the log's segments

[[noreturn]] void stop(const std::string& what) {
  std::fprintf(stderr, "append: %s\n", what.c_str());
  std::exit(1);
}

template <class T>
T value_of(Result<T> result) {
  if (!result) stop(result.error().to_string());
  return std::move(*result);
}

void check(Status status) {
  if (!status) stop(status.error().to_string());
}

struct Times {
  double wall_s;
  double cpu_s;
};

Times now(const Clock& clock) {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return {1e-9 * static_cast<double>(clock.monotonic_ns()), seconds(usage.ru_utime) + seconds(usage.ru_stime)};
}

struct Appended {
  Times took;
  uint64_t bytes;
  uint64_t syncs;
};

SharedBytes make_entry(const std::string& producer_name) {
  stream::EntryBuilder builder(producer_name, stream::Compression::kNone);
  const std::string payload(kRecordSizeBytes, 'x');
  for (size_t i = 0; i < kRecordsPerEntry; ++i) {
    stream::RecordView record;
    record.payload = payload;
    record.sequence_id = i;
    builder.add(record);
  }
  return builder.finish(1'700'000'000'000);
}

Appended append_to_log(Disk& disk, const Clock& clock) {
  stream::log::LogOptions options;
  options.directory = "append-log";
  std::unique_ptr<stream::log::Log> log = value_of(stream::log::Log::open(disk, clock, options));
  // Nothing reads the stream, so nothing is acknowledged: without a subscription the entries are kept by retention
  // only.
  const std::string topic = "persistent://public/default/append";
  check(log->create_stream(topic, {}));
  stream::ProducerOptions producer_options;
  producer_options.topic = topic;
  const std::shared_ptr<stream::Producer> producer = value_of(log->open_producer(producer_options));
  const SharedBytes entry = make_entry(producer->name());

  std::counting_semaphore<kEntriesInFlight> room(kEntriesInFlight);
  std::atomic<bool> failed = false;
  const Times before = now(clock);
  for (size_t i = 0; i < kEntries; ++i) {
    room.acquire();
    stream::Commit commit;
    commit.appends.push_back({producer, 0, entry, kRecordsPerEntry, 0});
    log->commit(std::move(commit), [&](Result<stream::Receipt> receipt) {
      if (!receipt) failed = true;
      room.release();
    });
  }
  for (size_t i = 0; i < kEntriesInFlight; ++i) room.acquire();
  const Times after = now(clock);
  if (failed) stop("a commit failed");
  const stream::log::JournalStats stats = log->journal_stats();
  return {{after.wall_s - before.wall_s, after.cpu_s - before.cpu_s}, stats.bytes_written, stats.syncs};
}

// Writes as many bytes with as many fsyncs, evenly spread, to files as large as the log's segments.
Appended append_raw(Disk& disk, const Clock& clock, uint64_t bytes, uint64_t syncs) {
  const uint64_t chunk_bytes = std::max<uint64_t>(1, bytes / std::max<uint64_t>(1, syncs));
  const std::string chunk(chunk_bytes, 'x');
  check(disk.make_directories("append-raw"));
  std::unique_ptr<File> file;
  uint64_t offset = kRawFileSizeBytes;
  int files = 0;
  const Times before = now(clock);
  for (uint64_t done = 0; done < bytes; done += chunk_bytes) {
    if (offset + chunk_bytes > kRawFileSizeBytes) {
      file = value_of(disk.open(fmt::format("append-raw/{}", files++), OpenMode::kCreateNew));
      check(file->reserve(std::max<uint64_t>(kRawFileSizeBytes, chunk_bytes)));
      offset = 0;
    }
    const std::string_view piece = chunk;
    check(file->write(offset, std::span(&piece, 1)));
    check(file->sync());
    offset += chunk_bytes;
  }
  const Times after = now(clock);
  return {{after.wall_s - before.wall_s, after.cpu_s - before.cpu_s}, bytes, syncs};
}

}  // namespace

int main() {
  const std::unique_ptr<Disk> disk = make_posix_disk();
  const SystemClock clock;
  const Appended log = append_to_log(*disk, clock);
  const Appended raw = append_raw(*disk, clock, log.bytes, log.syncs);
  constexpr double kRecords = static_cast<double>(kEntries * kRecordsPerEntry);
  fmt::print("log_append_wall {:.0f} records/s\n", kRecords / log.took.wall_s);
  fmt::print("raw_write_wall {:.0f} records/s\n", kRecords / raw.took.wall_s);
  fmt::print("log_to_raw_wall {:.1f} % (goal: at least 70 %)\n", 100 * raw.took.wall_s / log.took.wall_s);
  fmt::print("log_append_cpu {:.0f} records per CPU second\n", kRecords / log.took.cpu_s);
  fmt::print("raw_write_cpu {:.0f} records per CPU second\n", kRecords / raw.took.cpu_s);
  fmt::print("log_bytes {:.0f} MB\n", static_cast<double>(log.bytes) / 1e6);
  fmt::print("log_syncs {} fsyncs\n", log.syncs);
}
