#include "stream/pulsar/wire/frame.h"

#include <stream/pulsar/wire/commands.pb.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/hash.h"

namespace fmesh::stream::pulsar::wire {
namespace {

constexpr uint16_t kChecksumMagic = 0x0e01;
constexpr uint16_t kBrokerMetadataMagic = 0x0e02;
constexpr size_t kSizeBytes = 4;
// Less room than this is not worth a call to the system.
constexpr size_t kRoomMinBytes = 16 * 1024;

template <class Integer>
Integer load_big_endian(const char* at) {
  Integer value;
  std::memcpy(&value, at, sizeof value);
  return std::endian::native == std::endian::little ? std::byteswap(value) : value;
}
template <class Integer>
void append_big_endian(std::string& out, Integer value) {
  if (std::endian::native == std::endian::little) value = std::byteswap(value);
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

std::unexpected<Error> not_the_protocol(const std::string& why) {
  return fail(ErrorKind::kCorrupt, "not Pulsar's binary protocol: " + why);
}

bool starts_with_magic(std::string_view bytes, uint16_t magic) {
  return bytes.size() >= 2 && load_big_endian<uint16_t>(bytes.data()) == magic;
}

}  // namespace

FrameReader::FrameReader(size_t entry_size_max_bytes)
    : entry_size_max_bytes_(entry_size_max_bytes), command_(std::make_unique<proto::BaseCommand>()) {}
FrameReader::~FrameReader() = default;
FrameReader::FrameReader(FrameReader&&) noexcept = default;
FrameReader& FrameReader::operator=(FrameReader&&) noexcept = default;

std::span<char> FrameReader::room() {
  const size_t held = end_ - begin_;
  size_t wanted = kRoomMinBytes;
  if (held >= kSizeBytes) {
    const size_t frame_size = kSizeBytes + load_big_endian<uint32_t>(block_.get() + begin_);
    if (frame_size > held) wanted = std::max(wanted, std::min(frame_size, kSizeBytes + frame_size_max()) - held);
  }
  if (block_size_ - end_ < wanted) {
    const size_t size = std::max(kReadBlockSizeBytes, held + wanted);
    if (!lent_ && block_size_ >= held + wanted) {
      std::memmove(block_.get(), block_.get() + begin_, held);
    } else {
      auto fresh = std::make_shared_for_overwrite<char[]>(size);
      if (held > 0) std::memcpy(fresh.get(), block_.get() + begin_, held);
      block_ = std::move(fresh);
      block_size_ = size;
      lent_ = false;
    }
    begin_ = 0;
    end_ = held;
  }
  return {block_.get() + end_, block_size_ - end_};
}

Result<bool> FrameReader::next(Frame& frame) {
  if (end_ - begin_ < kSizeBytes) return false;
  const size_t total = load_big_endian<uint32_t>(block_.get() + begin_);
  if (total > frame_size_max()) {
    return not_the_protocol("a frame of " + std::to_string(total) + " bytes, where at most " +
                            std::to_string(frame_size_max()) + " are taken");
  }
  if (total < kSizeBytes) return not_the_protocol("a frame of " + std::to_string(total) + " bytes");
  if (end_ - begin_ < kSizeBytes + total) return false;
  FMESH_CHECK(parse(total, frame));
  begin_ += kSizeBytes + total;
  return true;
}

Status FrameReader::parse(size_t frame_size, Frame& frame) {
  const std::string_view bytes(block_.get() + begin_ + kSizeBytes, frame_size);
  const size_t command_size = load_big_endian<uint32_t>(bytes.data());
  if (command_size > bytes.size() - kSizeBytes) {
    return not_the_protocol("a command of " + std::to_string(command_size) + " bytes in a frame of " +
                            std::to_string(frame_size));
  }
  frame.command = command_.get();
  frame.entry = {};
  frame.intact = true;
  // Two commands with entries follow each other most of the time, so what the last one had is kept for reuse.
  if (!command_->ParseFromArray(bytes.data() + kSizeBytes, static_cast<int>(command_size))) {
    return not_the_protocol("a command that can't be read");
  }
  if (!command_->has_type()) frame.command = nullptr;
  const std::string_view rest = bytes.substr(kSizeBytes + command_size);
  const bool carries_entry =
      command_->type() == proto::BaseCommand::SEND || command_->type() == proto::BaseCommand::MESSAGE;
  return carries_entry && command_->has_type() ? take_entry(rest, frame) : Status();
}

Status FrameReader::take_entry(std::string_view rest, Frame& frame) {
  if (starts_with_magic(rest, kBrokerMetadataMagic)) {
    if (rest.size() < 2 + kSizeBytes) return not_the_protocol("metadata of the broker that break off");
    const size_t size = load_big_endian<uint32_t>(rest.data() + 2);
    if (size > rest.size() - 2 - kSizeBytes) return not_the_protocol("metadata of the broker that break off");
    rest.remove_prefix(2 + kSizeBytes + size);
  }
  if (starts_with_magic(rest, kChecksumMagic)) {
    if (rest.size() < 2 + kSizeBytes) return not_the_protocol("a checksum that breaks off");
    const uint32_t told = load_big_endian<uint32_t>(rest.data() + 2);
    rest.remove_prefix(2 + kSizeBytes);
    frame.intact = crc32c(rest) == told;
  }
  if (rest.size() < kSizeBytes) return not_the_protocol("a command without the entry that belongs to it");
  frame.entry = SharedBytes(block_, rest);
  lent_ = true;
  return {};
}

void append_frame(std::string& out, const proto::BaseCommand& command) {
  const auto size = static_cast<uint32_t>(command.ByteSizeLong());
  append_big_endian<uint32_t>(out, static_cast<uint32_t>(kSizeBytes) + size);
  append_big_endian<uint32_t>(out, size);
  command.AppendToString(&out);
}

std::string frame_head(const proto::BaseCommand& command, std::string_view entry) {
  const auto size = static_cast<uint32_t>(command.ByteSizeLong());
  constexpr size_t kChecksumBytes = 2 + kSizeBytes;
  std::string head;
  head.reserve(2 * kSizeBytes + size + kChecksumBytes);
  append_big_endian<uint32_t>(head, static_cast<uint32_t>(kSizeBytes + size + kChecksumBytes + entry.size()));
  append_big_endian<uint32_t>(head, size);
  command.AppendToString(&head);
  append_big_endian<uint16_t>(head, kChecksumMagic);
  append_big_endian<uint32_t>(head, crc32c(entry));
  return head;
}

}  // namespace fmesh::stream::pulsar::wire
