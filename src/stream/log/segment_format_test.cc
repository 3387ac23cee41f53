#include "stream/log/segment_format.h"

#include <gtest/gtest.h>

#include "base/hash.h"

namespace fmesh::stream::log {
namespace {

constexpr uint64_t kSalt = 0x0123456789abcdef;
constexpr uint64_t kPosition = 128;
constexpr uint32_t kGoldenFrame = 1253367332;
constexpr uint32_t kGoldenHeader = 3072981139;

Transaction sample() {
  Transaction transaction;
  transaction.appends.push_back({7, 3, SharedBytes(std::string(5, 'a'))});
  transaction.appends.push_back({8, 1, SharedBytes(std::string(4099, 'b'))});
  transaction.appends.push_back({9, 1, SharedBytes()});
  transaction.ops.push_back({2, "change"});
  transaction.ops.push_back({3, ""});
  return transaction;
}

std::string sample_bytes(std::vector<uint64_t>& places) {
  const Transaction transaction = sample();
  std::vector<uint32_t> crcs;
  for (const JournalAppend& append : transaction.appends) crcs.push_back(crc32c(append.entry.view()));
  FrameWriter writer(kSalt, kPosition, 64);
  places = writer.add(FrameKind::kTransaction, 42, transaction, std::vector<uint64_t>{10, 20, 30}, crcs);
  std::string bytes;
  for (std::string_view piece : writer.pieces()) bytes += piece;
  EXPECT_EQ(writer.end(), kPosition + bytes.size());
  EXPECT_EQ(bytes.size(), frame_size_bytes(transaction));
  return bytes;
}

TEST(SegmentFormat, FrameReadsBackAsWritten) {
  std::vector<uint64_t> places;
  const std::string bytes = sample_bytes(places);
  const auto frame = decode_frame_header(bytes, kSalt, kPosition);
  ASSERT_TRUE(frame.has_value());
  EXPECT_EQ(frame->size_bytes, bytes.size());
  EXPECT_EQ(frame->lsn, 42U);
  EXPECT_EQ(frame->commit_mark, 64U);
  EXPECT_EQ(frame->append_count, 3U);
  const auto ops =
      decode_ops(std::string_view(bytes).substr(kFrameHeaderSizeBytes, frame->ops_size_bytes), frame->op_count);
  ASSERT_TRUE(ops.has_value());
  EXPECT_EQ((*ops)[0].bytes, "change");
  EXPECT_EQ((*ops)[1].table, 3);
  ASSERT_EQ(places.size(), 3U);
  for (size_t i = 0; i < places.size(); ++i) {
    EXPECT_EQ(places[i] % kAlignmentBytes, 0U);
    const std::string_view at = std::string_view(bytes).substr(places[i] - kPosition);
    const auto append = decode_append_header(at, kSalt, places[i]);
    ASSERT_TRUE(append.has_value());
    EXPECT_EQ(append->entry_number, 10 * (i + 1));
    EXPECT_EQ(at.substr(kAppendHeaderSizeBytes, append->size_bytes), sample().appends[i].entry.view());
    EXPECT_EQ(append->data_crc, crc32c(sample().appends[i].entry.view()));
  }
}

TEST(SegmentFormat, HeadersPassAtTheirOwnPlaceOnly) {
  std::vector<uint64_t> places;
  const std::string bytes = sample_bytes(places);
  EXPECT_FALSE(decode_frame_header(bytes, kSalt, kPosition + 8).has_value());
  EXPECT_FALSE(decode_frame_header(bytes, kSalt + 1, kPosition).has_value());
  EXPECT_FALSE(
      decode_append_header(std::string_view(bytes).substr(places[1] - kPosition), kSalt, places[0]).has_value());
  for (size_t at = 0; at < kFrameHeaderSizeBytes; ++at) {
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 0x10);
    EXPECT_FALSE(decode_frame_header(changed, kSalt, kPosition).has_value()) << at;
  }
}

// Stored bytes outlive the program: a change here needs a new format version and a reader for this one.
TEST(SegmentFormat, BytesStayAsTheyAreInVersion1) {
  std::vector<uint64_t> places;
  EXPECT_EQ(kFormatVersion, 1U);
  EXPECT_EQ(crc32c(sample_bytes(places)), kGoldenFrame);
  EXPECT_EQ(crc32c(encode(SegmentHeader{5, kSalt, 77, 4, 4096})), kGoldenHeader);
}

TEST(SegmentFormat, SecondCopySavesTheHeader) {
  std::string bytes = encode(SegmentHeader{5, kSalt, 77, 4, 4096});
  bytes[20] = '!';
  const auto header = decode_segment_header(bytes);
  ASSERT_TRUE(header.has_value());
  EXPECT_EQ(header->salt, kSalt);
  EXPECT_EQ(header->previous_valid_end, 4096U);
  bytes[84] = '!';
  EXPECT_EQ(decode_segment_header(bytes).error().kind(), ErrorKind::kCorrupt);
}

}  // namespace
}  // namespace fmesh::stream::log
