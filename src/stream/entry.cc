#include "stream/entry.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/proto_wire.h"
#include "stream/compression.h"

namespace fmesh::stream {
namespace {

using proto::WireType;

// Field numbers of MessageMetadata and SingleMessageMetadata (facts: pulsar.md 2.1).
namespace field {
enum Metadata : uint32_t {
  kProducerName = 1,
  kSequenceId = 2,
  kPublishTime = 3,
  kProperties = 4,
  kPartitionKey = 6,
  kCompression = 8,
  kUncompressedSize = 9,
  kBatchSize = 11,
  kEventTime = 12,
  kEncryptionKeys = 13,
  kSchemaVersion = 16,
  kKeyIsBase64 = 17,
  kOrderingKey = 18,
  kDeliverAt = 19,
  kHighestSequenceId = 24,
  kNullValue = 25,
  kChunkCount = 27,
};
enum Single : uint32_t {
  kSingleProperties = 1,
  kSinglePartitionKey = 2,
  kSinglePayloadSize = 3,
  kSingleCompactedOut = 4,
  kSingleEventTime = 5,
  kSingleKeyIsBase64 = 6,
  kSingleOrderingKey = 7,
  kSingleSequenceId = 8,
  kSingleNullValue = 9,
};
}  // namespace field

// Room that the metadata of a batch entry takes beyond its names and keys.
constexpr size_t kMetadataSizeMaxBytes = 160;
// Room that the framing of a record takes beyond its keys, properties and payload, and that of a property.
constexpr size_t kSingleSizeMaxBytes = 96;
constexpr size_t kPropertySizeMaxBytes = 36;
constexpr size_t kPropertyBlock = 64;

uint32_t load_big_endian(const char* at) {
  uint32_t value;
  std::memcpy(&value, at, 4);
  return std::endian::native == std::endian::little ? std::byteswap(value) : value;
}
void store_big_endian(char* at, uint32_t value) {
  if (std::endian::native == std::endian::little) value = std::byteswap(value);
  std::memcpy(at, &value, 4);
}

bool is_ascii(std::string_view text) {
  const char* at = text.data();
  size_t left = text.size();
  for (; left >= 8; at += 8, left -= 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    if ((word & 0x8080808080808080ULL) != 0) return false;
  }
  for (; left > 0; ++at, --left)
    if ((*at & 0x80) != 0) return false;
  return true;
}

bool is_utf8(std::string_view text) {
  if (is_ascii(text)) return true;
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t size = lead < 0x80                   ? 1
                        : lead >= 0xc2 && lead < 0xe0 ? 2
                        : lead >= 0xe0 && lead < 0xf0 ? 3
                        : lead >= 0xf0 && lead < 0xf5 ? 4
                                                      : 0;
    if (size == 0 || i + size > text.size()) return false;
    uint32_t code = size == 1 ? lead : lead & (0xffU >> (size + 1));
    for (size_t k = 1; k < size; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if ((next & 0xc0) != 0x80) return false;
      code = code << 6 | (next & 0x3f);
    }
    if ((size == 3 && code < 0x800) || (size == 4 && (code < 0x10000 || code > 0x10ffff))) return false;
    if (code >= 0xd800 && code < 0xe000) return false;
    i += size;
  }
  return true;
}

constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string to_base64(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k) group = group << 8 | (k < count ? static_cast<unsigned char>(bytes[i + k]) : 0);
    for (size_t k = 0; k < 4; ++k) text += k <= count ? kBase64[group >> (18 - 6 * k) & 63] : '=';
  }
  return text;
}

// Nothing at malformed text.
std::unique_ptr<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return nullptr;
  auto bytes = std::make_unique<std::string>();
  for (size_t i = 0; i < text.size(); i += 4) {
    const size_t padding = i + 4 == text.size() ? (text[i + 3] == '=') + (text[i + 3] == '=' && text[i + 2] == '=') : 0;
    uint32_t group = 0;
    for (size_t k = 0; k < 4; ++k) {
      const size_t digit = k + padding >= 4 ? 0 : kBase64.find(text[i + k]);
      if (digit == std::string_view::npos) return nullptr;
      group = group << 6 | static_cast<uint32_t>(digit);
    }
    for (size_t k = 0; k + padding < 3; ++k) *bytes += static_cast<char>(group >> (16 - 8 * k));
  }
  return bytes;
}

size_t size_bound(const RecordView& record) {
  size_t bound = kSingleSizeMaxBytes + record.payload.size() + record.ordering_key.size();
  if (record.has_key) bound += record.key.size() + record.key.size() / 2;  // in case it becomes base64
  for (const Property& property : record.properties)
    bound += kPropertySizeMaxBytes + property.key.size() + property.value.size();
  return bound;
}

char* write_property(char* at, const Property& property) {
  const size_t size = 2 + proto::varint_size(property.key.size()) + property.key.size() +
                      proto::varint_size(property.value.size()) + property.value.size();
  at = proto::write_varint(proto::write_tag(at, field::kSingleProperties, WireType::kBytes), size);
  return proto::write_bytes(proto::write_bytes(at, 1, property.key), 2, property.value);
}

char* write_record(char* at, const RecordView& record) {
  char* const start = at;
  at += 4;
  for (const Property& property : record.properties) at = write_property(at, property);
  bool base64 = false;
  if (record.has_key) {
    base64 = !is_utf8(record.key);
    at = base64 ? proto::write_bytes(at, field::kSinglePartitionKey, to_base64(record.key))
                : proto::write_bytes(at, field::kSinglePartitionKey, record.key);
  }
  const std::string_view payload = record.null_value ? std::string_view() : record.payload;
  at = proto::write_uint(at, field::kSinglePayloadSize, payload.size());
  if (record.event_time_ms != 0)
    at = proto::write_uint(at, field::kSingleEventTime, static_cast<uint64_t>(record.event_time_ms));
  if (base64) at = proto::write_uint(at, field::kSingleKeyIsBase64, 1);
  if (!record.ordering_key.empty()) at = proto::write_bytes(at, field::kSingleOrderingKey, record.ordering_key);
  at = proto::write_uint(at, field::kSingleSequenceId, record.sequence_id);
  if (record.null_value) at = proto::write_uint(at, field::kSingleNullValue, 1);
  store_big_endian(start, static_cast<uint32_t>(at - start - 4));
  return proto::write_raw(at, payload);
}

Error corrupt(const std::string& what) { return Error(ErrorKind::kCorrupt, "entry: " + what); }

// Everything the reader needs of the metadata; EntryInfo is the part that callers see.
struct Metadata {
  EntryInfo info;
  std::string_view message;  // the metadata's bytes
  size_t property_count = 0;
  bool null_value = false;
  bool encrypted = false;
  bool chunk = false;
};

// Takes the value of the field that `reader` stands at.
void take_field(proto::Reader& reader, Metadata& metadata, uint32_t& seen) {
  EntryInfo& info = metadata.info;
  switch (reader.field()) {
    case field::kProducerName:
      info.producer_name = reader.bytes();
      seen |= 1;
      return;
    case field::kSequenceId:
      info.sequence_id = reader.varint();
      seen |= 2;
      return;
    case field::kPublishTime:
      info.publish_time_ms = static_cast<int64_t>(reader.varint());
      seen |= 4;
      return;
    case field::kProperties:
      reader.bytes();
      ++metadata.property_count;
      return;
    case field::kPartitionKey:
      metadata.info.partition_key = reader.bytes();
      metadata.info.has_key = true;
      return;
    case field::kCompression:
      info.compression = static_cast<Compression>(std::min<uint64_t>(reader.varint(), 255));
      return;
    case field::kUncompressedSize: {
      const uint64_t value = reader.varint();
      info.uncompressed_size = static_cast<uint32_t>(std::min<uint64_t>(value, UINT32_MAX));
      return;
    }
    case field::kBatchSize: {
      const uint64_t value = reader.varint();
      info.record_count = static_cast<uint32_t>(std::min<uint64_t>(value, UINT32_MAX));
      info.batched = true;
      return;
    }
    case field::kEventTime:
      info.event_time_ms = static_cast<int64_t>(reader.varint());
      return;
    case field::kEncryptionKeys:
      reader.bytes();
      metadata.encrypted = true;
      return;
    case field::kSchemaVersion:
      info.schema_version = reader.bytes();
      return;
    case field::kKeyIsBase64:
      metadata.info.key_is_base64 = reader.varint() != 0;
      return;
    case field::kOrderingKey:
      metadata.info.ordering_key = reader.bytes();
      return;
    case field::kDeliverAt:
      info.deliver_at_ms = static_cast<int64_t>(reader.varint());
      return;
    case field::kHighestSequenceId:
      info.highest_sequence_id = reader.varint();
      return;
    case field::kNullValue:
      metadata.null_value = reader.varint() != 0;
      return;
    case field::kChunkCount:
      metadata.chunk = reader.varint() > 1;
      return;
    default:
      reader.skip();
  }
}

Result<Metadata> read_metadata(std::string_view bytes) {
  if (bytes.size() < 4) return fail(corrupt(std::to_string(bytes.size()) + " bytes are too few for an entry"));
  const uint32_t size = load_big_endian(bytes.data());
  if (size > bytes.size() - 4)
    return fail(
        corrupt("metadata of " + std::to_string(size) + " bytes in an entry of " + std::to_string(bytes.size())));
  Metadata metadata;
  metadata.message = bytes.substr(4, size);
  metadata.info.payload = bytes.substr(4 + size);
  uint32_t seen = 0;
  proto::Reader reader(metadata.message);
  while (reader.next()) take_field(reader, metadata, seen);
  if (!reader.ok()) return fail(corrupt("malformed metadata"));
  if (seen != 7) return fail(corrupt("metadata lacks producer name, sequence id or publish time"));

  EntryInfo& info = metadata.info;
  if (info.compression > Compression::kSnappy) return fail(corrupt("unknown compression"));
  const bool compressed = info.compression != Compression::kNone;
  // A chunk states the size of the whole message, which nobody unpacks here.
  if (compressed && !metadata.chunk && info.uncompressed_size > kEntrySizeMaxBytes)
    return fail(corrupt("states " + std::to_string(info.uncompressed_size) + " uncompressed bytes, more than the " +
                        std::to_string(kEntrySizeMaxBytes) + " allowed"));
  // A record takes at least its size field; this also bounds what callers allocate per record.
  const size_t unpacked = compressed ? info.uncompressed_size : info.payload.size();
  if (info.batched && (info.record_count == 0 || info.record_count > unpacked / 4))
    return fail(
        corrupt("states " + std::to_string(info.record_count) + " records in " + std::to_string(unpacked) + " bytes"));
  if (info.highest_sequence_id == 0) info.highest_sequence_id = info.sequence_id;
  return metadata;
}

// What the fields of a SingleMessageMetadata say.
struct Single {
  uint64_t payload_size = 0;
  size_t property_count = 0;
  bool has_payload_size = false;
  bool key_is_base64 = false;
  bool compacted_out = false;
};

bool read_single(std::string_view message, Single& single, RecordView& record) {
  proto::Reader reader(message);
  while (reader.next()) {
    switch (reader.field()) {
      case field::kSingleProperties:
        reader.bytes();
        ++single.property_count;
        break;
      case field::kSinglePartitionKey:
        record.key = reader.bytes();
        record.has_key = true;
        break;
      case field::kSinglePayloadSize:
        single.payload_size = reader.varint();
        single.has_payload_size = true;
        break;
      case field::kSingleCompactedOut:
        single.compacted_out = reader.varint() != 0;
        break;
      case field::kSingleEventTime:
        record.event_time_ms = static_cast<int64_t>(reader.varint());
        break;
      case field::kSingleKeyIsBase64:
        single.key_is_base64 = reader.varint() != 0;
        break;
      case field::kSingleOrderingKey:
        record.ordering_key = reader.bytes();
        break;
      case field::kSingleSequenceId:
        record.sequence_id = reader.varint();
        break;
      case field::kSingleNullValue:
        record.null_value = reader.varint() != 0;
        break;
      default:
        reader.skip();
    }
  }
  return reader.ok() && single.has_payload_size;
}

}  // namespace

EntryBuilder::EntryBuilder(std::string producer_name, Compression compression)
    : producer_name_(std::move(producer_name)), compression_(compression) {}

bool EntryBuilder::fits(const RecordView& record) const {
  const RecordView no_payload{.key = record.key, .ordering_key = record.ordering_key, .has_key = record.has_key};
  // The metadata repeats the keys of the first record.
  const size_t keys =
      count_ == 0 ? size_bound(no_payload) : first_key_.size() + first_key_.size() / 2 + first_ordering_key_.size();
  const size_t metadata = kMetadataSizeMaxBytes + producer_name_.size() + keys;
  return body_.size() + size_bound(record) + metadata <= kEntrySizeMaxBytes;
}

void EntryBuilder::add(const RecordView& record) {
  if (count_ == 0) {
    first_sequence_id_ = record.sequence_id;
    first_has_key_ = record.has_key;
    first_key_ = record.has_key ? record.key : std::string_view();
    first_ordering_key_ = record.ordering_key;
  }
  last_sequence_id_ = record.sequence_id;
  ++count_;
  const size_t used = body_.size();
  body_.resize_and_overwrite(used + size_bound(record), [&](char* body, size_t) {
    return static_cast<size_t>(write_record(body + used, record) - body);
  });
}

SharedBytes EntryBuilder::finish(int64_t publish_time_ms) {
  std::string_view payload = body_;
  Compression compression = compression_;
  if (compression != Compression::kNone) {
    compressed_ = compress(compression, body_, std::move(compressed_));
    // What does not shrink is stored as it is; readers go by the entry's own metadata.
    if (!compressed_.empty() && compressed_.size() < body_.size())
      payload = compressed_;
    else
      compression = Compression::kNone;
  }
  const bool base64 = first_has_key_ && !is_utf8(first_key_);
  if (base64) first_key_ = to_base64(first_key_);
  const size_t bound = kMetadataSizeMaxBytes + producer_name_.size() + first_key_.size() + first_ordering_key_.size();
  auto buffer = std::make_shared_for_overwrite<char[]>(4 + bound + payload.size());
  char* const start = buffer.get();
  char* at = proto::write_bytes(start + 4, field::kProducerName, producer_name_);
  at = proto::write_uint(at, field::kSequenceId, first_sequence_id_);
  at = proto::write_uint(at, field::kPublishTime, static_cast<uint64_t>(publish_time_ms));
  if (first_has_key_) at = proto::write_bytes(at, field::kPartitionKey, first_key_);
  if (compression != Compression::kNone) {
    at = proto::write_uint(at, field::kCompression, static_cast<uint64_t>(compression));
    at = proto::write_uint(at, field::kUncompressedSize, body_.size());
  }
  at = proto::write_uint(at, field::kBatchSize, count_);
  if (base64) at = proto::write_uint(at, field::kKeyIsBase64, 1);
  if (!first_ordering_key_.empty()) at = proto::write_bytes(at, field::kOrderingKey, first_ordering_key_);
  at = proto::write_uint(at, field::kHighestSequenceId, last_sequence_id_);
  store_big_endian(start, static_cast<uint32_t>(at - start - 4));
  at = proto::write_raw(at, payload);
  count_ = 0;
  body_.clear();
  return SharedBytes(std::move(buffer), std::string_view(start, static_cast<size_t>(at - start)));
}

Result<EntryInfo> read_entry_info(std::string_view bytes) {
  FMESH_TRY(const Metadata metadata, read_metadata(bytes));
  return metadata.info;
}

std::string sticky_key(const EntryInfo& info) {
  if (!info.ordering_key.empty()) return std::string(info.ordering_key);
  if (!info.has_key) return std::string(info.producer_name) + "-" + std::to_string(info.sequence_id);
  const auto decoded = info.key_is_base64 ? from_base64(info.partition_key) : nullptr;
  return decoded ? *decoded : std::string(info.partition_key);
}

Result<EntryReader> EntryReader::open(SharedBytes bytes) {
  FMESH_TRY(const Metadata metadata, read_metadata(bytes.view()));
  if (metadata.encrypted)
    return fail(ErrorKind::kFixInput, "entry of producer " + std::string(metadata.info.producer_name) +
                                          " is encrypted; fmesh has no key to read it");
  if (metadata.chunk)
    return fail(ErrorKind::kFixInput, "entry of producer " + std::string(metadata.info.producer_name) +
                                          " is a chunk of a larger message; let the producer turn chunking off");
  EntryReader reader;
  reader.bytes_ = std::move(bytes);
  reader.info_ = metadata.info;
  reader.rest_ = metadata.info.payload;
  if (metadata.info.compression != Compression::kNone) {
    FMESH_TRY(reader.uncompressed_,
              decompress(metadata.info.compression, metadata.info.payload, metadata.info.uncompressed_size));
    reader.rest_ = reader.uncompressed_.view();
  }
  return reader;
}

bool EntryReader::next(RecordView& record) {
  if (!info_.batched) return next_single(record);
  while (!malformed_ && index_ < info_.record_count) {
    const size_t size = rest_.size() < 4 ? SIZE_MAX : load_big_endian(rest_.data());
    record = RecordView{};
    Single single;
    malformed_ = size > rest_.size() - 4 || rest_.size() < 4 || !read_single(rest_.substr(4, size), single, record) ||
                 single.payload_size > rest_.size() - 4 - size;
    if (malformed_) return false;
    const std::string_view message = rest_.substr(4, size);
    record.payload = rest_.substr(4 + size, single.payload_size);
    record.publish_time_ms = info_.publish_time_ms;
    record.batch_index = static_cast<int32_t>(index_);
    rest_.remove_prefix(4 + size + single.payload_size);
    ++index_;
    if (single.compacted_out) continue;
    if (record.null_value) record.payload = {};
    malformed_ = (single.key_is_base64 && !decode_key(record)) ||
                 (single.property_count > 0 && !add_properties(message, single.property_count, record));
    return !malformed_;
  }
  return false;
}

bool EntryReader::next_single(RecordView& record) {
  if (malformed_ || index_ > 0) return false;
  const auto metadata = read_metadata(bytes_.view());
  if (!metadata) return false;  // cannot be: open() read the same bytes
  ++index_;
  record = RecordView{.payload = rest_,
                      .key = metadata->info.partition_key,
                      .ordering_key = metadata->info.ordering_key,
                      .properties = {},
                      .event_time_ms = info_.event_time_ms,
                      .publish_time_ms = info_.publish_time_ms,
                      .sequence_id = info_.sequence_id,
                      .batch_index = -1,
                      .has_key = metadata->info.has_key,
                      .null_value = metadata->null_value};
  if (record.null_value) record.payload = {};
  malformed_ = (metadata->info.key_is_base64 && !decode_key(record)) ||
               (metadata->property_count > 0 && !add_properties(metadata->message, metadata->property_count, record));
  return !malformed_;
}

// Fills `record.properties` from the KeyValue fields of `message`: field 1 of a batched record, 4 of an entry's
// metadata.
bool EntryReader::add_properties(std::string_view message, size_t count, RecordView& record) {
  if (properties_left_ < count) {
    properties_left_ = std::max(count, kPropertyBlock);
    property_blocks_.push_back(std::make_unique<Property[]>(properties_left_));
    properties_next_ = property_blocks_.back().get();
  }
  Property* const first = properties_next_;
  const uint32_t wanted =
      info_.batched ? static_cast<uint32_t>(field::kSingleProperties) : static_cast<uint32_t>(field::kProperties);
  proto::Reader reader(message);
  while (reader.next()) {
    if (reader.field() != wanted) {
      reader.skip();
      continue;
    }
    proto::Reader pair(reader.bytes());
    Property property;
    while (pair.next()) {
      if (pair.field() == 1)
        property.key = pair.bytes();
      else if (pair.field() == 2)
        property.value = pair.bytes();
      else
        pair.skip();
    }
    if (!pair.ok()) return false;
    *properties_next_++ = property;
    --properties_left_;
  }
  record.properties = std::span<const Property>(first, count);
  return true;
}

bool EntryReader::decode_key(RecordView& record) {
  if (!record.has_key) return true;
  auto bytes = from_base64(record.key);
  if (bytes == nullptr) return false;
  record.key = *bytes;
  decoded_keys_.push_back(std::move(bytes));
  return true;
}

Status EntryReader::status() const {
  if (!malformed_) return {};
  return fail(corrupt("record " + std::to_string(index_) + " of " + std::to_string(info_.record_count) +
                      " of producer " + std::string(info_.producer_name) + " is malformed"));
}

}  // namespace fmesh::stream
