#include <gtest/gtest.h>

#include "stream/pulsar/server/topics_private.h"

namespace fmesh::stream::pulsar::server {
namespace {

// Vectors computed with Pulsar's own classes (facts: pulsar.md 10). The bytes of the checksum are written lowest first.
TEST(TopicsHash, GivesPulsarsValues) {
  EXPECT_EQ(topics_hash({"persistent://public/default/b", "persistent://public/default/a"}), "c7559e98");
  EXPECT_EQ(topics_hash({}), "00000000");
}

}  // namespace
}  // namespace fmesh::stream::pulsar::server
