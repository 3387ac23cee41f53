#include "stream/log/entry_index.h"

#include <algorithm>

#include "base/hash.h"
#include "stream/log/little_endian.h"
#include "stream/log/segment_format.h"

namespace fmesh::stream::log {
namespace {

constexpr std::string_view kIndexMagic = "FMESHIDX";
constexpr size_t kRunSizeBytes = 32;

// What an entry costs in the tail beyond its bytes: its slot and its owner.
constexpr size_t kTailSlotSizeBytes = 96;

}  // namespace

Result<IndexFile> decode_index_file(std::string_view bytes) {
  const auto bad = [] { return fail(ErrorKind::kCorrupt, "index file is damaged"); };
  if (bytes.size() < kIndexHeaderSizeBytes + 4 || !bytes.starts_with(kIndexMagic)) return bad();
  if (crc32c(bytes.substr(0, bytes.size() - 4)) != get<uint32_t>(bytes, bytes.size() - 4)) return bad();
  if (get<uint32_t>(bytes, 8) != kFormatVersion) return bad();  // another format: rebuilt from the segment
  IndexFile file{get<uint64_t>(bytes, 16), get<uint64_t>(bytes, 24), get<uint64_t>(bytes, 32), {}};
  const auto count = get<uint32_t>(bytes, 12);
  if (count > (bytes.size() - kIndexHeaderSizeBytes) / kRunSizeBytes) return bad();
  ByteReader reader(bytes.substr(kIndexHeaderSizeBytes));
  for (uint32_t i = 0; i < count; ++i) {
    PartitionRun each;
    each.partition = reader.take<uint32_t>();
    each.run.count = reader.take<uint32_t>();
    each.run.first = reader.take<uint64_t>();
    each.run.size_bytes = reader.take<uint64_t>();
    each.run.index_position = reader.take<uint32_t>();
    reader.take<uint32_t>();
    each.run.segment = file.segment;
    file.runs.push_back(each);
  }
  if (!reader.ok()) return bad();
  return file;
}

void EntryIndex::add(PartitionId id, uint64_t entry, uint64_t offset, uint64_t size_bytes) {
  Partition& partition = partitions_[id];
  const bool here = !partition.active.empty() && partition.active.back().segment == active_;
  if (!here) touched_[active_].push_back(id);
  if (!here || partition.active.back().first + partition.active.back().offsets.size() != entry)
    partition.active.push_back({active_, entry, 0, {}});
  partition.active.back().offsets.push_back(static_cast<uint32_t>(offset / kAlignmentBytes));
  partition.active.back().size_bytes += size_bytes;
  partition.end = std::max(partition.end, entry + 1);
}

std::string EntryIndex::encode_index_file(uint64_t segment, uint64_t salt, uint64_t valid_end) const {
  std::vector<std::pair<PartitionId, const ActiveRun*>> runs;
  if (const auto touched = touched_.find(segment); touched != touched_.end()) {
    for (PartitionId id : touched->second)
      for (const ActiveRun& run : partitions_.at(id).active)
        if (run.segment == segment) runs.emplace_back(id, &run);
  }
  std::string bytes(kIndexMagic);
  put(bytes, kFormatVersion);
  put(bytes, static_cast<uint32_t>(runs.size()));
  put(bytes, segment);
  put(bytes, salt);
  put(bytes, valid_end);
  // Positions count from the begin of the file, in units of an offset.
  size_t position = (kIndexHeaderSizeBytes + runs.size() * kRunSizeBytes) / sizeof(uint32_t);
  for (const auto& [id, run] : runs) {
    put(bytes, id);
    put(bytes, static_cast<uint32_t>(run->offsets.size()));
    put(bytes, run->first);
    put(bytes, run->size_bytes);
    put(bytes, static_cast<uint32_t>(position));
    put(bytes, uint32_t{0});
    position += run->offsets.size();
  }
  for (const auto& [id, run] : runs)
    bytes.append(reinterpret_cast<const char*>(run->offsets.data()), run->offsets.size() * sizeof(uint32_t));
  put(bytes, crc32c(bytes));
  return bytes;
}

void EntryIndex::seal(const IndexFile& file) {
  for (PartitionId id : touched_[file.segment])
    std::erase_if(partitions_[id].active, [&](const ActiveRun& run) { return run.segment == file.segment; });
  touched_.erase(file.segment);
  add_sealed(file);
}

void EntryIndex::insert(Partition& partition, const Run& run) {
  const auto later = [](const Run& a, const Run& b) {
    return a.first != b.first ? a.first < b.first : a.segment < b.segment;
  };
  partition.runs.insert(std::upper_bound(partition.runs.begin(), partition.runs.end(), run, later), run);
  partition.end = std::max(partition.end, run.first + run.count);
}

void EntryIndex::add_sealed(const IndexFile& file) {
  for (const PartitionRun& each : file.runs) insert(partitions_[each.partition], each.run);
}

void EntryIndex::drop_segment(uint64_t number) {
  for (auto& [id, partition] : partitions_)
    std::erase_if(partition.runs, [&](const Run& run) { return run.segment == number; });
}

uint64_t EntryIndex::end(PartitionId id) const {
  const auto found = partitions_.find(id);
  return found == partitions_.end() ? 0 : found->second.end;
}

uint64_t EntryIndex::begin(PartitionId id) const {
  const auto found = partitions_.find(id);
  if (found == partitions_.end()) return 0;
  const Partition& partition = found->second;
  uint64_t first = partition.runs.empty() ? partition.end : partition.runs.front().first;
  for (const ActiveRun& run : partition.active) first = std::min(first, run.first);
  return first;
}

void EntryIndex::raise_end(PartitionId id, uint64_t end) {
  Partition& partition = partitions_[id];
  partition.end = std::max(partition.end, end);
}

std::vector<std::pair<PartitionId, uint64_t>> EntryIndex::ends() const {
  std::vector<std::pair<PartitionId, uint64_t>> ends;
  ends.reserve(partitions_.size());
  for (const auto& [id, partition] : partitions_) ends.emplace_back(id, partition.end);
  std::sort(ends.begin(), ends.end());
  return ends;
}

std::optional<Places> EntryIndex::find(PartitionId id, uint64_t entry, uint32_t count_max) const {
  const auto found = partitions_.find(id);
  if (found == partitions_.end()) return std::nullopt;
  const Partition& partition = found->second;
  for (const ActiveRun& run : partition.active) {
    if (entry < run.first || entry - run.first >= run.offsets.size()) continue;
    const uint64_t skip = entry - run.first;
    Places places{run.segment, {}, 0, 0};
    places.count = static_cast<uint32_t>(std::min<uint64_t>(count_max, run.offsets.size() - skip));
    for (uint32_t i = 0; i < places.count; ++i)
      places.offsets.push_back(uint64_t{run.offsets[skip + i]} * kAlignmentBytes);
    return places;
  }
  auto run = std::upper_bound(partition.runs.begin(), partition.runs.end(), entry,
                              [](uint64_t wanted, const Run& each) { return wanted < each.first; });
  // As a rule the run just before holds it; relocated runs may overlap the one they came from.
  while (run != partition.runs.begin()) {
    --run;
    if (entry - run->first >= run->count) continue;
    const uint64_t skip = entry - run->first;
    return Places{run->segment,
                  {},
                  (run->index_position + skip) * sizeof(uint32_t),
                  static_cast<uint32_t>(std::min<uint64_t>(count_max, run->count - skip))};
  }
  return std::nullopt;
}

std::map<uint64_t, EntryIndex::Live> EntryIndex::live(const Tables& tables) const {
  std::map<uint64_t, Live> live;
  for (const auto& [id, partition] : partitions_) {
    if (partition.runs.empty()) continue;
    const uint64_t wanted = tables.first_wanted(id);
    for (const Run& run : partition.runs) {
      Live& segment = live[run.segment];
      segment.total_bytes += run.size_bytes;
      if (wanted <= run.first)
        segment.wanted_bytes += std::max<uint64_t>(run.size_bytes, 1);
      else if (wanted - run.first < run.count)
        segment.wanted_bytes += std::max<uint64_t>(run.size_bytes / run.count * (run.count - (wanted - run.first)), 1);
    }
  }
  return live;
}

std::vector<PartitionRun> EntryIndex::runs_of(uint64_t segment) const {
  std::vector<PartitionRun> runs;
  for (const auto& [id, partition] : partitions_)
    for (const Run& run : partition.runs)
      if (run.segment == segment) runs.push_back({id, run});
  std::sort(runs.begin(), runs.end(), [](const PartitionRun& a, const PartitionRun& b) {
    return a.partition != b.partition ? a.partition < b.partition : a.run.first < b.run.first;
  });
  return runs;
}

size_t EntryIndex::offsets_in_memory() const {
  size_t count = 0;
  for (const auto& [id, partition] : partitions_)
    for (const ActiveRun& run : partition.active) count += run.offsets.capacity();
  return count;
}

void EntryIndex::remember(PartitionId id, uint64_t entry, SharedBytes bytes) {
  Partition& partition = partitions_[id];
  if (partition.tail.empty() || partition.tail_first + partition.tail.size() != entry) {
    for (const SharedBytes& old : partition.tail) tail_size_bytes_ -= old.size() + kTailSlotSizeBytes;
    partition.tail.clear();
    partition.tail_first = entry;
  }
  tail_size_bytes_ += bytes.size() + kTailSlotSizeBytes;
  partition.tail.push_back(std::move(bytes));
  tail_order_.push_back(id);
  while (tail_size_bytes_ > tail_size_max_bytes_ && !tail_order_.empty()) {
    Partition& oldest = partitions_[tail_order_.front()];
    tail_order_.pop_front();
    if (oldest.tail.empty()) continue;
    tail_size_bytes_ -= oldest.tail.front().size() + kTailSlotSizeBytes;
    oldest.tail.pop_front();
    ++oldest.tail_first;
  }
}

std::vector<SharedBytes> EntryIndex::recent(PartitionId id, uint64_t first, size_t size_max_bytes) const {
  std::vector<SharedBytes> entries;
  const auto found = partitions_.find(id);
  if (found == partitions_.end()) return entries;
  const Partition& partition = found->second;
  if (first < partition.tail_first) return entries;
  size_t size = 0;
  for (uint64_t i = first - partition.tail_first; i < partition.tail.size(); ++i) {
    if (!entries.empty() && size + partition.tail[i].size() > size_max_bytes) break;
    size += partition.tail[i].size();
    entries.push_back(partition.tail[i]);
  }
  return entries;
}

}  // namespace fmesh::stream::log
