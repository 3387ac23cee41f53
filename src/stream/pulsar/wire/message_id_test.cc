// Ids of messages as clients write them down: MessageIdData of the protocol.
#include <gtest/gtest.h>
#include <stream/pulsar/wire/commands.pb.h>

#include <limits>
#include <string>

namespace fmesh::stream::pulsar::wire {
namespace {

proto::MessageIdData id_of(int64_t ledger, int64_t entry, int32_t batch_size) {
  proto::MessageIdData id;
  id.set_ledgerid(static_cast<uint64_t>(ledger));
  id.set_entryid(static_cast<uint64_t>(entry));
  id.set_batch_size(batch_size);
  return id;
}

std::string hex(const proto::MessageIdData& id) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text;
  for (const char c : id.SerializeAsString()) {
    text += kDigits[static_cast<unsigned char>(c) >> 4];
    text += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return text;
}

// Vectors computed with Pulsar's own classes (facts: pulsar.md 10).
TEST(MessageIdBytes, AreThoseOfPulsarsClients) {
  EXPECT_EQ(hex(id_of(123, 45, 0)), "087b102d3000");
  proto::MessageIdData partitioned = id_of(123, 45, 0);
  partitioned.set_partition(3);
  EXPECT_EQ(hex(partitioned), "087b102d18033000");
  proto::MessageIdData batched = id_of(123, 45, 5);
  batched.set_partition(3);
  batched.set_batch_index(2);
  EXPECT_EQ(hex(batched), "087b102d180320023005");
  EXPECT_EQ(hex(id_of(-1, -1, 0)), "08ffffffffffffffffff0110ffffffffffffffffff013000");
  constexpr int64_t kLast = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(hex(id_of(kLast, kLast, 0)), "08ffffffffffffffff7f10ffffffffffffffff7f3000");
}

}  // namespace
}  // namespace fmesh::stream::pulsar::wire
