#include "stream/log/checkpoint.h"

#include <array>
#include <cstdio>

#include "base/hash.h"
#include "stream/log/little_endian.h"
#include "stream/log/segment_format.h"

namespace fmesh::stream::log {
namespace {

constexpr std::string_view kMagic = "FMESHCPT";
constexpr std::string_view kPrefix = "checkpoint-";
constexpr size_t kLsnDigits = 20;

void put_string(std::string& out, std::string_view text) {
  put(out, static_cast<uint64_t>(text.size()));
  out += text;
}
std::string take_string(ByteReader& reader) { return std::string(reader.take_bytes(reader.take<uint64_t>())); }

std::string encode(const Checkpoint& checkpoint) {
  std::string bytes(kMagic);
  put(bytes, kFormatVersion);
  put(bytes, uint32_t{checkpoint.clean});
  put(bytes, checkpoint.lsn);
  put(bytes, checkpoint.segment);
  put(bytes, checkpoint.offset);
  put(bytes, static_cast<uint64_t>(checkpoint.ends.size()));
  for (const auto& [partition, end] : checkpoint.ends) {
    put(bytes, partition);
    put(bytes, end);
  }
  put(bytes, static_cast<uint64_t>(checkpoint.damages.size()));
  for (const Damage& damage : checkpoint.damages) {
    put_string(bytes, damage.file);
    put(bytes, damage.offset);
    put(bytes, damage.size_bytes);
    put_string(bytes, damage.text);
  }
  put(bytes, static_cast<uint64_t>(checkpoint.lost.size()));
  for (const Lost& lost : checkpoint.lost) {
    put(bytes, lost.partition);
    put(bytes, lost.first);
    put(bytes, lost.count);
    put_string(bytes, lost.file);
    put(bytes, lost.offset);
  }
  put_string(bytes, checkpoint.tables);
  put(bytes, crc32c(bytes));
  return bytes;
}

}  // namespace

std::string checkpoint_name(Lsn lsn) {
  std::array<char, 32> digits{};
  std::snprintf(digits.data(), digits.size(), "%020llu", static_cast<unsigned long long>(lsn));
  return std::string(kPrefix) + digits.data();
}

bool is_checkpoint_name(const std::string& name) {
  return name.starts_with(kPrefix) && name.size() == kPrefix.size() + kLsnDigits &&
         name.find_first_not_of("0123456789", kPrefix.size()) == std::string::npos;
}

Status write_checkpoint(Disk& disk, const std::string& directory, const Checkpoint& checkpoint) {
  const std::string path = directory + "/" + checkpoint_name(checkpoint.lsn);
  const std::string aside = path + ".new";
  FMESH_CHECK(disk.remove(aside));
  const auto written = [&]() -> Status {
    FMESH_TRY(const auto file, disk.open(aside, OpenMode::kCreateNew));
    const std::string bytes = encode(checkpoint);
    const std::array<std::string_view, 1> pieces = {bytes};
    FMESH_CHECK(file->write(0, pieces));
    FMESH_CHECK(file->sync());
    FMESH_CHECK(disk.rename(aside, path));
    return disk.sync_directory(directory);
  }();
  if (!written) static_cast<void>(disk.remove(aside).has_value());
  return written;
}

Result<std::string> read_file(const File& file) {
  FMESH_TRY(const uint64_t size, file.size());
  std::string bytes(size, '\0');
  FMESH_TRY(const size_t got, file.read(0, bytes.data(), bytes.size()));
  bytes.resize(got);
  return bytes;
}

Result<Checkpoint> read_checkpoint(Disk& disk, const std::string& path) {
  FMESH_TRY(const auto file, disk.open(path, OpenMode::kRead));
  FMESH_TRY(const std::string bytes, read_file(*file));
  const auto bad = [&] { return fail(ErrorKind::kCorrupt, path + ": checkpoint is damaged"); };
  if (bytes.size() < kMagic.size() + 8 || !bytes.starts_with(kMagic)) return bad();
  const std::string_view body = std::string_view(bytes).substr(0, bytes.size() - 4);
  if (crc32c(body) != get<uint32_t>(bytes, body.size())) return bad();
  ByteReader reader(body.substr(kMagic.size()));
  const auto version = reader.take<uint32_t>();
  if (version > kFormatVersion)
    return fail(ErrorKind::kFixInput, path + " has format " + std::to_string(version) + ", this program reads up to " +
                                          std::to_string(kFormatVersion) +
                                          "; use the newer fmesh that wrote it, or another directory with --data-dir");
  Checkpoint checkpoint;
  checkpoint.clean = reader.take<uint32_t>() != 0;
  checkpoint.lsn = reader.take<uint64_t>();
  checkpoint.segment = reader.take<uint64_t>();
  checkpoint.offset = reader.take<uint64_t>();
  for (auto count = reader.take<uint64_t>(); count > 0 && reader.ok(); --count) {
    const auto partition = reader.take<uint32_t>();
    checkpoint.ends.emplace_back(partition, reader.take<uint64_t>());
  }
  for (auto count = reader.take<uint64_t>(); count > 0 && reader.ok(); --count) {
    Damage damage;
    damage.file = take_string(reader);
    damage.offset = reader.take<uint64_t>();
    damage.size_bytes = reader.take<uint64_t>();
    damage.text = take_string(reader);
    checkpoint.damages.push_back(std::move(damage));
  }
  for (auto count = reader.take<uint64_t>(); count > 0 && reader.ok(); --count) {
    Lost lost;
    lost.partition = reader.take<uint32_t>();
    lost.first = reader.take<uint64_t>();
    lost.count = reader.take<uint64_t>();
    lost.file = take_string(reader);
    lost.offset = reader.take<uint64_t>();
    checkpoint.lost.push_back(std::move(lost));
  }
  checkpoint.tables = take_string(reader);
  if (!reader.ok()) return bad();
  return checkpoint;
}

}  // namespace fmesh::stream::log
