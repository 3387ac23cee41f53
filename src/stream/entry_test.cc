#include "stream/entry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <array>

#include "base/proto_wire.h"
#include "base/rng.h"
#include "stream/compression.h"

namespace fmesh::stream {
namespace {

constexpr std::array kCompressions = {Compression::kNone, Compression::kLz4, Compression::kZlib, Compression::kZstd,
                                      Compression::kSnappy};

std::string with_size(std::string_view bytes) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(bytes.size() >> shift);
  return out.append(bytes);
}

std::string plain_metadata() {
  std::string metadata;
  proto::put_bytes(metadata, 1, "p");
  proto::put_uint(metadata, 2, 7);
  proto::put_uint(metadata, 3, 1'700'000'000'000);
  return metadata;
}

SharedBytes shared(std::string bytes) { return SharedBytes(std::move(bytes)); }

SharedBytes build(Compression compression, size_t count) {
  EntryBuilder builder("producer", compression);
  for (size_t i = 0; i < count; ++i) {
    const std::string payload = "payload of record " + std::to_string(i);
    const std::string key = "key" + std::to_string(i);
    const std::array<Property, 2> properties = {Property{"a", payload}, Property{"", ""}};
    builder.add({.payload = payload,
                 .key = key,
                 .ordering_key = i % 2 == 0 ? "ordering" : "",
                 .properties = std::span(properties).first(i % 3),
                 .event_time_ms = static_cast<int64_t>(i * 1000),
                 .sequence_id = 100 + i,
                 .has_key = i % 4 != 3,
                 .null_value = i % 5 == 4});
  }
  return builder.finish(1'700'000'000'000);
}

TEST(Entry, GivesBackEachRecordUnderEachCompression) {
  for (Compression compression : kCompressions) {
    auto reader = EntryReader::open(build(compression, 200));
    ASSERT_TRUE(reader.has_value()) << reader.error().text();
    EXPECT_EQ(reader->info().record_count, 200U);
    EXPECT_EQ(reader->info().compression, compression);
    EXPECT_EQ(reader->info().sequence_id, 100U);
    EXPECT_EQ(reader->info().highest_sequence_id, 299U);
    EXPECT_EQ(reader->info().producer_name, "producer");
    std::vector<RecordView> records;
    for (RecordView record; reader->next(record);) records.push_back(record);
    ASSERT_TRUE(reader->status().has_value());
    ASSERT_EQ(records.size(), 200U);
    // All views are looked at after the last next(): none may have been overwritten.
    for (size_t i = 0; i < records.size(); ++i) {
      const RecordView& record = records[i];
      const std::string payload = "payload of record " + std::to_string(i);
      EXPECT_EQ(record.payload, i % 5 == 4 ? "" : payload);
      EXPECT_EQ(record.null_value, i % 5 == 4);
      EXPECT_EQ(record.has_key, i % 4 != 3);
      EXPECT_EQ(record.key, record.has_key ? "key" + std::to_string(i) : "");
      EXPECT_EQ(record.ordering_key, i % 2 == 0 ? "ordering" : "");
      EXPECT_EQ(record.event_time_ms, static_cast<int64_t>(i * 1000));
      EXPECT_EQ(record.publish_time_ms, 1'700'000'000'000);
      EXPECT_EQ(record.sequence_id, 100 + i);
      EXPECT_EQ(record.batch_index, static_cast<int32_t>(i));
      ASSERT_EQ(record.properties.size(), i % 3);
      EXPECT_EQ(record.properties.empty() ? payload : std::string(record.properties[0].value), payload);
    }
  }
}

TEST(Entry, LaysBytesOutAsPulsarDoes) {
  EntryBuilder builder("p", Compression::kNone);
  builder.add({.payload = "hi", .key = "k", .sequence_id = 5, .has_key = true});
  const SharedBytes entry = builder.finish(3);
  const std::string single = "\x12\x01k\x18\x02\x40\x05";  // partition_key 2, payload_size 3, sequence_id 8
  const std::string metadata =
      "\x0a\x01p\x10\x05\x18\x03\x32\x01k"  // producer_name, sequence_id, publish_time, key
      "\x58\x01\xc0\x01\x05";               // num_messages_in_batch 11, highest_sequence_id 24
  EXPECT_EQ(entry.view(), with_size(metadata) + with_size(single) + "hi");
}

TEST(Entry, BuilderStartsAnewAfterFinish) {
  EntryBuilder builder("p", Compression::kZstd);
  builder.add(
      {.payload = std::string(500, 'x'), .key = "old", .ordering_key = "old", .sequence_id = 1, .has_key = true});
  builder.finish(1);
  EXPECT_TRUE(builder.empty());
  builder.add({.payload = "y", .sequence_id = 9});
  const SharedBytes entry = builder.finish(2);
  EXPECT_EQ(entry.view().find("old"), std::string_view::npos);
  const auto info = read_entry_info(entry.view());
  ASSERT_TRUE(info.has_value());
  EXPECT_EQ(info->sequence_id, 9U);
  EXPECT_EQ(info->compression, Compression::kNone) << "one byte does not shrink, so it is stored as it is";
}

TEST(Entry, KeyThatIsNotTextTravelsAsBase64) {
  for (const std::string& key : {std::string("\xff"), std::string("\xff\x00", 2), std::string("\x80\x81\x82"),
                                 std::string("ok\xc3"), std::string("\xed\xa0\x80")}) {
    EntryBuilder builder("p", Compression::kNone);
    builder.add({.payload = "", .key = key, .has_key = true});
    auto reader = EntryReader::open(builder.finish(1));
    ASSERT_TRUE(reader.has_value());
    RecordView record;
    ASSERT_TRUE(reader->next(record));
    EXPECT_EQ(record.key, key);
    EXPECT_EQ(reader->info().payload.find(key), std::string_view::npos);
  }
}

TEST(Entry, ReadsAnEntryWithoutBatchFraming) {
  std::string metadata = plain_metadata();
  std::string property;
  proto::put_bytes(property, 1, "name");
  proto::put_bytes(property, 2, "value");
  proto::put_bytes(metadata, 4, property);
  proto::put_bytes(metadata, 6, "a2V5");
  proto::put_uint(metadata, 9, 5);  // as Java sets it without compression
  proto::put_uint(metadata, 12, 44);
  proto::put_uint(metadata, 17, 1);
  proto::put_bytes(metadata, 18, "order");
  proto::put_uint(metadata, 19, 99);
  auto reader = EntryReader::open(shared(with_size(metadata) + "hello"));
  ASSERT_TRUE(reader.has_value()) << reader.error().text();
  EXPECT_FALSE(reader->info().batched);
  EXPECT_EQ(reader->info().deliver_at_ms, 99);
  RecordView record;
  ASSERT_TRUE(reader->next(record));
  EXPECT_EQ(record.payload, "hello");
  EXPECT_EQ(record.key, "key");
  EXPECT_EQ(record.ordering_key, "order");
  EXPECT_EQ(record.event_time_ms, 44);
  EXPECT_EQ(record.sequence_id, 7U);
  EXPECT_EQ(record.batch_index, -1);
  ASSERT_EQ(record.properties.size(), 1U);
  EXPECT_EQ(record.properties[0].value, "value");
  EXPECT_FALSE(reader->next(record));
  EXPECT_TRUE(reader->status().has_value());
}

TEST(Entry, ReadsAZlibStreamWithoutTrailer) {
  const std::string text(10'000, 'z');
  std::string packed(1000, '\0');
  z_stream stream{};
  ASSERT_EQ(deflateInit(&stream, Z_DEFAULT_COMPRESSION), Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  ASSERT_EQ(deflate(&stream, Z_SYNC_FLUSH), Z_OK);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  std::string metadata = plain_metadata();
  proto::put_uint(metadata, 8, 2);
  proto::put_uint(metadata, 9, text.size());
  auto reader = EntryReader::open(shared(with_size(metadata) + packed));
  ASSERT_TRUE(reader.has_value()) << reader.error().text();
  RecordView record;
  ASSERT_TRUE(reader->next(record));
  EXPECT_EQ(record.payload, text);
}

// Smallest streams of each format, written from its specification: an LZ4 block and a Snappy block of one literal, a
// zstd frame of one raw block, a zlib stream of one stored block.
TEST(Compression, ReadsWhatTheFormatsFix) {
  const std::array<std::pair<Compression, std::string>, 4> streams = {{
      {Compression::kLz4, std::string("\x50hello", 6)},
      {Compression::kSnappy, std::string("\x05\x10hello", 7)},
      {Compression::kZstd, std::string("\x28\xb5\x2f\xfd\x20\x05\x29\0\0hello", 14)},
      {Compression::kZlib, std::string("\x78\x01\0\x05\0\xfa\xffhello", 12)},
  }};
  for (const auto& [compression, bytes] : streams) {
    const auto plain = decompress(compression, bytes, 5);
    ASSERT_TRUE(plain.has_value()) << to_string(compression) << ": " << plain.error().text();
    EXPECT_EQ(plain->view(), "hello") << to_string(compression);
    EXPECT_FALSE(decompress(compression, bytes, 6).has_value()) << to_string(compression);
    EXPECT_FALSE(decompress(compression, bytes, 4).has_value()) << to_string(compression);
  }
}

TEST(Entry, SkipsRecordsThatWereCompactedOut) {
  std::string metadata = plain_metadata();
  proto::put_uint(metadata, 11, 3);
  std::string body;
  for (uint64_t out : {1, 0, 1}) {
    std::string single;
    proto::put_uint(single, 3, 1);
    proto::put_uint(single, 4, out);
    body += with_size(single) + "x";
  }
  auto reader = EntryReader::open(shared(with_size(metadata) + body));
  ASSERT_TRUE(reader.has_value());
  RecordView record;
  ASSERT_TRUE(reader->next(record));
  EXPECT_EQ(record.batch_index, 1);
  EXPECT_FALSE(reader->next(record));
  EXPECT_TRUE(reader->status().has_value());
}

TEST(Entry, RefusesWhatItCannotRead) {
  std::string encrypted = plain_metadata();
  proto::put_bytes(encrypted, 13, "");
  EXPECT_EQ(EntryReader::open(shared(with_size(encrypted))).error().kind(), ErrorKind::kFixInput);
  std::string chunk = plain_metadata();
  proto::put_uint(chunk, 27, 3);
  EXPECT_EQ(EntryReader::open(shared(with_size(chunk))).error().kind(), ErrorKind::kFixInput);
  std::string large = plain_metadata();
  proto::put_uint(large, 8, 1);
  proto::put_uint(large, 9, kEntrySizeMaxBytes + 1);
  EXPECT_EQ(EntryReader::open(shared(with_size(large))).error().kind(), ErrorKind::kCorrupt);
  std::string many = plain_metadata();
  proto::put_uint(many, 11, 1'000'000);
  EXPECT_EQ(read_entry_info(with_size(many) + "abcd").error().kind(), ErrorKind::kCorrupt);
  std::string unknown = plain_metadata();
  proto::put_uint(unknown, 8, 256 + 1);
  EXPECT_EQ(read_entry_info(with_size(unknown)).error().kind(), ErrorKind::kCorrupt);
  EXPECT_EQ(read_entry_info("").error().kind(), ErrorKind::kCorrupt);
  EXPECT_EQ(read_entry_info("\xff\xff\xff\xff").error().kind(), ErrorKind::kCorrupt);
}

TEST(Entry, FitsKeepsAnEntryBelowTheLimit) {
  EntryBuilder builder(std::string(100, 'p'), Compression::kNone);
  const std::string payload(100'000, 'x');
  const std::string key(1000, '\xff');
  const RecordView record{.payload = payload, .key = key, .has_key = true};
  while (builder.fits(record)) builder.add(record);
  EXPECT_GE(builder.record_count(), 50U);
  EXPECT_LE(builder.finish(1).size(), kEntrySizeMaxBytes);
  const std::string huge(kEntrySizeMaxBytes, 'x');
  EXPECT_FALSE(builder.fits({.payload = huge}));
}

TEST(Entry, NoBytesMakeTheReaderCrash) {
  constexpr uint64_t kSeed = 1;
  Rng rng(kSeed);
  for (int round = 0; round < 30'000; ++round) {
    std::string bytes(build(kCompressions[rng.below(kCompressions.size())], 1 + rng.below(8)).view());
    for (uint64_t n = 1 + rng.below(4); n > 0; --n) {
      if (rng.below(8) == 0) bytes.resize(rng.below(bytes.size() + 1));
      if (bytes.empty()) break;
      bytes[rng.below(bytes.size())] = static_cast<char>(rng.next());
    }
    auto reader = EntryReader::open(shared(bytes));
    if (!reader) continue;
    size_t sum = 0, count = 0;
    for (RecordView record; reader->next(record); ++count) {
      for (char c : record.payload) sum += static_cast<unsigned char>(c);
      for (char c : record.key) sum += static_cast<unsigned char>(c);
      for (const Property& property : record.properties) sum += property.key.size() + property.value.size();
    }
    ASSERT_LE(count, reader->info().record_count) << "seed " << kSeed << " round " << round << " sum " << sum;
  }
}

}  // namespace
}  // namespace fmesh::stream
