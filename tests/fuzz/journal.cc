// A journal whose bytes were changed at any places opens or refuses, never crashes, and never hands out an entry that
// was not appended: what it reads is what was written, or it is reported as damaged.
//
// The input is a list of changes: file, offset, byte; an odd file number cuts the file at the offset instead.
#include "stream/log/journal.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "sim/memory_disk.h"

namespace {

using namespace fmesh;
using namespace fmesh::stream::log;

constexpr PartitionId kPartitions = 3;
constexpr uint64_t kEntriesPerPartition = 40;
constexpr size_t kChangeSizeBytes = 5;
constexpr size_t kChangesMax = 64;

class NoTables final : public Tables {
 public:
  Status restore(std::string_view) override { return {}; }
  void apply(const Transaction&, const Applied&, bool) override {}
  Result<std::string> checkpoint() override { return std::string("tables"); }
  uint64_t first_wanted(PartitionId) const override { return 0; }
};

JournalOptions options() {
  JournalOptions options;
  options.directory = "journal";
  options.segment_size_bytes = 4096;
  options.checkpoint_every_bytes = 8192;
  options.own_thread = false;
  return options;
}

// What entry `number` of `partition` was written as.
std::string entry_bytes(PartitionId partition, uint64_t number) {
  return std::to_string(partition) + ":" + std::to_string(number) + std::string(20 + number % 50, 'x');
}

std::unique_ptr<sim::MemoryDisk> written_disk() {
  auto disk = std::make_unique<sim::MemoryDisk>();
  const ManualClock clock;
  NoTables tables;
  auto journal = Journal::open(*disk, clock, options(), tables);
  if (!journal) __builtin_trap();
  for (uint64_t number = 0; number < kEntriesPerPartition; ++number) {
    Transaction transaction;
    for (PartitionId partition = 0; partition < kPartitions; ++partition) {
      transaction.appends.push_back({partition, 1, SharedBytes(entry_bytes(partition, number))});
    }
    transaction.ops.push_back({1, "op"});
    (*journal)->submit(std::move(transaction), [](Result<Applied> applied) {
      if (!applied) __builtin_trap();
    });
    (*journal)->step();
  }
  disk->kill();  // not a clean stop, so that opening has to look at the bytes
  return disk;
}

void change(sim::MemoryDisk& disk, const std::vector<std::string>& names, const uint8_t* data) {
  const std::string path = "journal/" + names[data[0] / 2 % names.size()];
  std::string bytes = disk.contents(path);
  if (bytes.empty()) return;
  const size_t offset = (data[1] | size_t{data[2]} << 8 | size_t{data[3]} << 16) % bytes.size();
  if (data[0] % 2 == 1) {
    bytes.resize(offset);
  } else {
    bytes[offset] = static_cast<char>(data[4]);
  }
  disk.set_contents(path, std::move(bytes));
}

void read_all(Journal& journal) {
  for (PartitionId partition = 0; partition < kPartitions; ++partition) {
    const uint64_t end = journal.end(partition);
    if (end > kEntriesPerPartition) __builtin_trap();
    for (uint64_t number = journal.begin(partition); number < end; ++number) {
      const auto entries = journal.read(partition, number, 1);
      if (entries && !entries->empty() && entries->front().view() != entry_bytes(partition, number)) __builtin_trap();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::unique_ptr<sim::MemoryDisk> kWritten = written_disk();
  static const std::vector<std::string> kNames = *kWritten->list("journal");
  const std::unique_ptr<sim::MemoryDisk> disk = kWritten->copy();
  for (size_t at = 0; at + kChangeSizeBytes <= size && at < kChangesMax * kChangeSizeBytes; at += kChangeSizeBytes) {
    change(*disk, kNames, data + at);
  }
  const ManualClock clock;
  NoTables tables;
  auto journal = Journal::open(*disk, clock, options(), tables);
  if (journal) read_all(**journal);
  return 0;
}
