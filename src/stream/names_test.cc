#include <gtest/gtest.h>

#include "stream/message_id.h"
#include "stream/topic_name.h"

namespace fmesh::stream {
namespace {

TEST(MessageId, ReadsWhatItWrites) {
  for (const MessageId& id : {MessageId{123, 45, -1, -1}, MessageId{123, 45, 3, -1}, MessageId{123, 45, 3, 2},
                              MessageId{0, 0, -1, 0}, MessageId::earliest(), MessageId::latest()})
    EXPECT_EQ(parse_message_id(to_string(id)), id) << to_string(id);
  EXPECT_EQ(to_string(MessageId{123, 45, 3, 2}), "123:45:3:2");
  EXPECT_EQ(parse_message_id("earliest"), MessageId::earliest());
  EXPECT_EQ(parse_message_id("latest"), MessageId::latest());
}

TEST(MessageId, RefusesWhatIsNoMessageId) {
  for (const char* text : {"", ":", "1", "1:2", "1:2:", "1:2:3:4:5", "a:2:3", "1:2:3x", "1 :2:3", "-2:0:0",
                           "99999999999999999999:0:0", "1:2:4294967296"})
    EXPECT_EQ(parse_message_id(text), std::nullopt) << text;
}

TEST(TopicName, ReadsThreeForms) {
  for (const char* text : {"orders", "public/default/orders", "persistent://public/default/orders"}) {
    const auto name = TopicName::parse(text);
    ASSERT_TRUE(name.has_value()) << text;
    EXPECT_EQ(name->full(), "persistent://public/default/orders");
  }
  const auto name = TopicName::parse("non-persistent://a/b/c-partition-12");
  ASSERT_TRUE(name.has_value());
  EXPECT_EQ(name->full(), "non-persistent://a/b/c-partition-12");
  EXPECT_EQ(name->partition_index(), 12);
  EXPECT_EQ(name->partition(3), "non-persistent://a/b/c-partition-12-partition-3");
}

TEST(TopicName, SaysWhatIsWrong) {
  for (const char* text :
       {"", "a/b", "a/b/c/d", "kafka://a/b/c", "persistent://c", "/b/c", "a//c", "a/b/", "a b/c/d", "x y"}) {
    const auto name = TopicName::parse(text);
    ASSERT_FALSE(name.has_value()) << text;
    EXPECT_EQ(name.error().kind(), ErrorKind::kFixInput);
    EXPECT_NE(name.error().text().find("persistent://tenant/namespace/name"), std::string::npos);
  }
}

TEST(TopicName, PartitionIndexNeedsAWholeNumber) {
  for (const char* text :
       {"a", "a-partition-", "a-partition-x", "a-partition-01", "a-partition-1x", "a-partition-99999999999"})
    EXPECT_EQ(TopicName::parse(text)->partition_index(), std::nullopt) << text;
  EXPECT_EQ(TopicName::parse("a-partition-0")->partition_index(), 0);
}

}  // namespace
}  // namespace fmesh::stream
