// The parts of the log's hot path alone. Journal: 64 KiB entries of 100-byte records with group commit, against the
// same bytes with the same number of syncs written by hand to preallocated files, both in one run and in turns. Codec:
// time per record to build and to walk entries. Prints `name value unit`; argument: a directory to write in.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <semaphore>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/disk.h"
#include "stream/entry.h"
#include "stream/log/journal.h"

namespace {

using namespace fmesh;
using namespace fmesh::stream;

constexpr size_t kRecordSizeBytes = 100;
constexpr size_t kEntrySizeBytes = 64 * 1024;
constexpr size_t kEntries = 6000;  // about 400 MB
constexpr std::ptrdiff_t kInFlight = 64;
constexpr uint64_t kFileSizeBytes = 128 * 1024 * 1024;
constexpr int kRounds = 3;

[[noreturn]] void stop(const std::string& what) {
  std::fprintf(stderr, "append_bench: %s\n", what.c_str());
  std::exit(1);
}
template <class T>
T value_of(Result<T> result) {
  if (!result) stop(result.error().to_string());
  return std::move(*result);
}
void check(const Status& status) {
  if (!status) stop(status.error().to_string());
}

class NoTables final : public log::Tables {
 public:
  Status restore(std::string_view) override { return {}; }
  void apply(const log::Transaction&, const log::Applied&, bool) override {}
  Result<std::string> checkpoint() override { return std::string(); }
  uint64_t first_wanted(log::PartitionId) const override { return log::kNothingWanted; }
};

struct Times {
  double wall_s = 0, cpu_s = 0;
};
Times now(const Clock& clock) {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return {1e-9 * static_cast<double>(clock.monotonic_ns()), seconds(usage.ru_utime) + seconds(usage.ru_stime)};
}
Times operator-(const Times& a, const Times& b) { return {a.wall_s - b.wall_s, a.cpu_s - b.cpu_s}; }

SharedBytes build_entry(EntryBuilder& builder, const std::string& payload, uint64_t& sequence_id) {
  while (builder.estimated_size_bytes() + kRecordSizeBytes + 32 < kEntrySizeBytes)
    builder.add({.payload = payload, .sequence_id = sequence_id++});
  return builder.finish(1'700'000'000'000);
}

struct Outcome {
  Times took;
  uint64_t bytes = 0, syncs = 0;
};

Outcome append_to_journal(Disk& disk, const Clock& clock, const std::string& directory, const SharedBytes& entry) {
  NoTables tables;
  log::JournalOptions options;
  options.directory = directory;
  auto journal = value_of(log::Journal::open(disk, clock, options, tables));
  std::counting_semaphore<kInFlight> room(kInFlight);
  std::atomic<bool> failed = false;
  const Times before = now(clock);
  for (size_t i = 0; i < kEntries; ++i) {
    room.acquire();
    journal->submit({{{1, 600, entry}}, {}}, [&](const Result<log::Applied>& applied) {
      if (!applied) failed = true;
      room.release();
    });
  }
  for (std::ptrdiff_t i = 0; i < kInFlight; ++i) room.acquire();
  const Times after = now(clock);
  if (failed) stop("a transaction failed");
  return {after - before, journal->stats().bytes_written, journal->stats().syncs};
}

// The same bytes, entry by entry in one vectored write per sync.
Outcome append_raw(Disk& disk, const Clock& clock, const std::string& directory, const SharedBytes& entry,
                   uint64_t syncs) {
  check(disk.make_directories(directory));
  const size_t per_sync = std::max<size_t>(1, kEntries / std::max<uint64_t>(1, syncs));
  std::unique_ptr<File> file;
  uint64_t offset = kFileSizeBytes, done = 0;
  int files = 0;
  Outcome outcome;
  const Times before = now(clock);
  while (done < kEntries) {
    const std::vector<std::string_view> pieces(std::min<uint64_t>(per_sync, kEntries - done), entry.view());
    const uint64_t size = pieces.size() * entry.size();
    if (offset + size > kFileSizeBytes) {
      file = value_of(disk.open(fmt::format("{}/{}", directory, files++), OpenMode::kCreateNew));
      check(file->reserve(std::max(size, kFileSizeBytes)));
      offset = 0;
    }
    check(file->write(offset, pieces));
    check(file->sync());
    offset += size;
    done += pieces.size();
    outcome.bytes += size;
    ++outcome.syncs;
  }
  outcome.took = now(clock) - before;
  return outcome;
}

void measure_codec(const Clock& clock) {
  const std::string payload(kRecordSizeBytes, 'x');
  constexpr size_t kBuilds = 3000;
  EntryBuilder builder("producer", Compression::kNone);
  uint64_t records = 0;
  Times before = now(clock);
  SharedBytes entry;
  for (size_t i = 0; i < kBuilds; ++i) entry = build_entry(builder, payload, records);
  fmt::print("codec_encode {:.1f} ns/record\n", 1e9 * (now(clock) - before).cpu_s / static_cast<double>(records));
  before = now(clock);
  uint64_t read = 0, bytes = 0;
  for (size_t i = 0; i < kBuilds; ++i) {
    auto reader = value_of(EntryReader::open(entry));
    for (RecordView record; reader.next(record); ++read) bytes += record.payload.size();
  }
  if (bytes != read * kRecordSizeBytes) stop("records differ");
  fmt::print("codec_decode {:.1f} ns/record\n", 1e9 * (now(clock) - before).cpu_s / static_cast<double>(read));
}

void remove_all(Disk& disk, const std::string& directory) {
  const auto names = value_of(disk.list(directory));
  for (const std::string& name : names) check(disk.remove(directory + "/" + name));
}

}  // namespace

int main(int argc, char** argv) {
  const SystemClock clock;
  const auto disk = make_posix_disk();
  measure_codec(clock);
  const std::string directory = argc > 1 ? argv[1] : "append-bench";
  EntryBuilder builder("producer", Compression::kNone);
  uint64_t sequence_id = 0;
  const SharedBytes entry = build_entry(builder, std::string(kRecordSizeBytes, 'x'), sequence_id);
  std::vector<double> wall, cpu;
  for (int round = 0; round < kRounds; ++round) {
    const std::string journal_directory = fmt::format("{}/journal{}", directory, round);
    const std::string raw_directory = fmt::format("{}/raw{}", directory, round);
    const Outcome journal = append_to_journal(*disk, clock, journal_directory, entry);
    const Outcome raw = append_raw(*disk, clock, raw_directory, entry, journal.syncs);
    remove_all(*disk, journal_directory);
    remove_all(*disk, raw_directory);
    wall.push_back(raw.took.wall_s / journal.took.wall_s * 100);
    cpu.push_back(raw.took.cpu_s / journal.took.cpu_s * 100);
    fmt::print("round {}: journal {:.0f} MB/s, {} syncs, {:.2f} s CPU; raw {:.0f} MB/s, {} syncs, {:.2f} s CPU\n",
               round, static_cast<double>(journal.bytes) / 1e6 / journal.took.wall_s, journal.syncs, journal.took.cpu_s,
               static_cast<double>(raw.bytes) / 1e6 / raw.took.wall_s, raw.syncs, raw.took.cpu_s);
  }
  std::sort(wall.begin(), wall.end());
  std::sort(cpu.begin(), cpu.end());
  fmt::print("journal_to_raw_wall {:.0f} % (median of {}; goal: at least 70 %)\n", wall[kRounds / 2], kRounds);
  fmt::print("journal_to_raw_cpu {:.0f} % (median of {})\n", cpu[kRounds / 2], kRounds);
}
