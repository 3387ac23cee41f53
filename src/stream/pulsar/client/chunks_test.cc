#include "stream/pulsar/client/chunks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/proto_wire.h"
#include "stream/entry.h"

namespace fmesh::stream::pulsar {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::string chunk(uint64_t index, uint64_t count, const std::string& payload, const std::string& uuid = "p-7",
                  uint64_t total = 6) {
  std::string metadata;
  fmesh::proto::put_bytes(metadata, 1, "p");
  fmesh::proto::put_uint(metadata, 2, 7);
  fmesh::proto::put_uint(metadata, 3, 1'700'000'000'000);
  fmesh::proto::put_bytes(metadata, 6, "key");
  fmesh::proto::put_bytes(metadata, 26, uuid);
  fmesh::proto::put_uint(metadata, 27, count);
  fmesh::proto::put_uint(metadata, 28, total);
  fmesh::proto::put_uint(metadata, 29, index);
  std::string entry(3, '\0');
  entry += static_cast<char>(metadata.size());
  return entry + metadata + payload;
}

class Chunks : public testing::Test {
 protected:
  std::string add(int64_t entry, const std::string& bytes, int64_t now_ms = 0) {
    const auto info = chunk_of(bytes);
    if (!info) return "no chunk";
    outcome_ = assembler_.add({1, entry, -1, -1}, bytes, *info, now_ms * 1'000'000);
    if (outcome_.whole.empty()) return "";
    auto reader = EntryReader::open(outcome_.whole);
    RecordView record;
    if (!reader || !reader->next(record)) return "unreadable";
    return std::string(record.key) + ":" + std::string(record.payload);
  }
  std::vector<int64_t> acknowledged() const {
    std::vector<int64_t> entries;
    for (const MessageId& id : outcome_.acknowledge) entries.push_back(id.entry);
    return entries;
  }
  ChunkAssembler assembler_;
  ChunkAssembler::Outcome outcome_;
};

TEST_F(Chunks, ArePutTogether) {
  EXPECT_EQ(add(0, chunk(0, 3, "ab")), "");
  EXPECT_EQ(add(1, chunk(1, 3, "cd")), "");
  EXPECT_EQ(add(2, chunk(2, 3, "ef")), "key:abcdef");
  EXPECT_EQ(outcome_.ids.size(), 3U);
  EXPECT_EQ(assembler_.messages(), 0U);
}

TEST_F(Chunks, OfSeveralMessagesMayAlternate) {
  add(0, chunk(0, 2, "abc", "x"));
  add(1, chunk(0, 2, "ghi", "y"));
  EXPECT_EQ(add(2, chunk(1, 2, "def", "x")), "key:abcdef");
  EXPECT_EQ(add(3, chunk(1, 2, "jkl", "y")), "key:ghijkl");
}

// Pitfall 36: a producer that reconnects sends chunks again.
TEST_F(Chunks, ThatWereSentTwiceAreAcknowledged) {
  add(0, chunk(0, 3, "ab"));
  add(1, chunk(1, 3, "cd"));
  EXPECT_EQ(add(2, chunk(1, 3, "cd")), "");
  EXPECT_THAT(acknowledged(), ElementsAre(2));
  EXPECT_EQ(add(3, chunk(2, 3, "ef")), "key:abcdef");
}

TEST_F(Chunks, ThatBeginAnewReplaceWhatWasBegun) {
  add(0, chunk(0, 3, "ab"));
  add(1, chunk(1, 3, "cd"));
  EXPECT_EQ(add(2, chunk(0, 3, "ab")), "");
  EXPECT_THAT(acknowledged(), ElementsAre(0, 1));
  add(3, chunk(1, 3, "cd"));
  EXPECT_EQ(add(4, chunk(2, 3, "ef")), "key:abcdef");
}

TEST_F(Chunks, BehindAGapAreNotPutTogether) {
  add(0, chunk(0, 3, "ab"));
  EXPECT_EQ(add(2, chunk(2, 3, "ef")), "");
  EXPECT_EQ(add(3, chunk(1, 3, "cd")), "");
  EXPECT_EQ(add(4, chunk(2, 3, "ef")), "");
  EXPECT_EQ(assembler_.messages(), 0U);
}

// Pitfall 7.
TEST_F(Chunks, OfMessagesThatNeverEndGoAfterAWhile) {
  for (int64_t entry = 0; entry < 1'000; ++entry) {
    add(entry, chunk(0, 2, "abc", "u" + std::to_string(entry)));
    EXPECT_LE(assembler_.messages(), kChunkedMessagesMax);
  }
  add(5'000, chunk(0, 2, "abc", "late"), kChunkedWaitMs + 1);
  EXPECT_EQ(acknowledged().size(), kChunkedMessagesMax);
  EXPECT_EQ(assembler_.messages(), 1U);
}

TEST_F(Chunks, ThatLieAboutTheirSizeAreDropped) {
  add(0, chunk(0, 2, "abcd"));
  EXPECT_EQ(add(1, chunk(1, 2, "efgh")), "");
  EXPECT_EQ(assembler_.messages(), 0U);
  EXPECT_EQ(add(2, chunk(0, 2, "ab", "u", uint64_t{1} << 40)), "no chunk");
  EXPECT_EQ(add(3, chunk(5, 2, "ab")), "no chunk");
  EXPECT_EQ(add(4, chunk(0, 1, "ab")), "no chunk");
}

TEST(ChunkOf, OtherEntriesAreNoChunks) {
  EntryBuilder builder("p", Compression::kNone);
  RecordView record;
  record.payload = "x";
  builder.add(record);
  EXPECT_FALSE(chunk_of(builder.finish(1).view()));
  for (const std::string& bytes : {std::string(), std::string("\0\0", 2), std::string("\xff\xff\xff\xff", 4)}) {
    EXPECT_FALSE(chunk_of(bytes));
  }
}

}  // namespace
}  // namespace fmesh::stream::pulsar
