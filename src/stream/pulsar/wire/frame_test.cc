#include "stream/pulsar/wire/frame.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stream/pulsar/wire/commands.pb.h>

#include <cstring>
#include <vector>

namespace fmesh::stream::pulsar::wire {
namespace {

using proto::BaseCommand;

void feed(FrameReader& reader, std::string_view bytes) {
  while (!bytes.empty()) {
    const std::span<char> room = reader.room();
    ASSERT_FALSE(room.empty());
    const size_t count = std::min(room.size(), bytes.size());
    std::memcpy(room.data(), bytes.data(), count);
    reader.received(count);
    bytes.remove_prefix(count);
  }
}

SharedBytes entry_of(const std::string& payload) {
  EntryBuilder builder("p", Compression::kNone);
  builder.add({.payload = payload});
  return builder.finish(1);
}

std::string send_frame(uint64_t sequence_id, const SharedBytes& entry) {
  BaseCommand command;
  command.set_type(BaseCommand::SEND);
  command.mutable_send()->set_producer_id(7);
  command.mutable_send()->set_sequence_id(sequence_id);
  std::string bytes = frame_head(command, entry.view());
  bytes += entry.view();
  return bytes;
}

std::string flow_frame(uint32_t permits) {
  BaseCommand command;
  command.set_type(BaseCommand::FLOW);
  command.mutable_flow()->set_consumer_id(1);
  command.mutable_flow()->set_messagepermits(permits);
  std::string bytes;
  append_frame(bytes, command);
  return bytes;
}

TEST(Frame, HasTheBytesOfTheProtocol) {
  BaseCommand command;
  command.set_type(BaseCommand::PING);
  command.mutable_ping();
  std::string bytes;
  append_frame(bytes, command);
  EXPECT_EQ(bytes, std::string("\0\0\0\x09\0\0\0\x05\x08\x12\x92\x01\0", 13));
}

// The layout of facts: pulsar.md 1.1 written out by hand, the checksum by the definition of CRC-32C bit by bit.
TEST(Frame, OfASendHasTheBytesOfTheProtocol) {
  BaseCommand command;
  command.set_type(BaseCommand::SEND);
  command.mutable_send()->set_producer_id(1);
  command.mutable_send()->set_sequence_id(7);
  const std::string entry("\0\0\0\x07\x0a\x01p\x10\x07\x18\x09hello", 16);
  const std::string expected("\0\0\0\x22\0\0\0\x08\x08\x06\x32\x04\x08\x01\x10\x07\x0e\x01\x08\x92\x2d\x17", 22);
  EXPECT_EQ(frame_head(command, entry), expected);
  FrameReader reader;
  feed(reader, expected + entry);
  Frame frame;
  ASSERT_TRUE(reader.next(frame).value());
  EXPECT_TRUE(frame.intact);
  EXPECT_EQ(frame.command->send().sequence_id(), 7U);
  EXPECT_EQ(frame.entry.view(), entry);
}

TEST(Frame, ComesBackHoweverTheBytesAreCut) {
  const SharedBytes entry = entry_of("hello");
  const std::string bytes = flow_frame(3) + send_frame(5, entry) + flow_frame(4);
  for (size_t cut = 1; cut < bytes.size(); ++cut) {
    FrameReader reader;
    std::vector<std::string> seen;
    for (size_t at = 0; at < bytes.size(); at += cut) {
      feed(reader, std::string_view(bytes).substr(at, cut));
      Frame frame;
      while (reader.next(frame).value()) {
        ASSERT_NE(frame.command, nullptr);
        EXPECT_TRUE(frame.intact);
        seen.push_back(frame.command->type() == BaseCommand::SEND
                           ? "send " + std::to_string(frame.command->send().sequence_id())
                           : "flow " + std::to_string(frame.command->flow().messagepermits()));
        if (frame.command->type() == BaseCommand::SEND) {
          EXPECT_EQ(frame.entry.view(), entry.view());
        }
      }
    }
    EXPECT_EQ(seen, (std::vector<std::string>{"flow 3", "send 5", "flow 4"})) << "cut every " << cut;
  }
}

TEST(Frame, AnEntryKeepsItsBytesWhileTheReaderGoesOn) {
  FrameReader reader;
  std::vector<SharedBytes> kept;
  std::vector<std::string> sent;
  for (int i = 0; i < 2'000; ++i) {
    sent.push_back(std::string(static_cast<size_t>(i % 700), static_cast<char>('a' + i % 26)));
    feed(reader, send_frame(static_cast<uint64_t>(i), entry_of(sent.back())));
    Frame frame;
    ASSERT_TRUE(reader.next(frame).value());
    kept.push_back(frame.entry);
  }
  for (size_t i = 0; i < kept.size(); ++i) {
    auto entry = EntryReader::open(kept[i]);
    ASSERT_TRUE(entry.has_value());
    RecordView record;
    ASSERT_TRUE(entry->next(record));
    ASSERT_EQ(record.payload, sent[i]);
  }
}

TEST(Frame, ALargeEntryFitsThoughItIsLargerThanABlock) {
  const SharedBytes entry = entry_of(std::string(3 * kReadBlockSizeBytes, 'x'));
  FrameReader reader;
  feed(reader, send_frame(1, entry));
  Frame frame;
  ASSERT_TRUE(reader.next(frame).value());
  EXPECT_EQ(frame.entry.view(), entry.view());
}

TEST(Frame, ADamagedEntryIsToldAndDoesNotEndTheConnection) {
  std::string bytes = send_frame(1, entry_of("hello"));
  bytes.back() ^= 1;
  FrameReader reader;
  feed(reader, bytes + flow_frame(9));
  Frame frame;
  ASSERT_TRUE(reader.next(frame).value());
  EXPECT_FALSE(frame.intact);
  ASSERT_TRUE(reader.next(frame).value());
  EXPECT_EQ(frame.command->flow().messagepermits(), 9U);
}

TEST(Frame, MetadataOfTheBrokerAndAMissingChecksumArePassedOver) {
  BaseCommand command;
  command.set_type(BaseCommand::MESSAGE);
  command.mutable_message()->set_consumer_id(1);
  command.mutable_message()->mutable_message_id()->set_ledgerid(1);
  command.mutable_message()->mutable_message_id()->set_entryid(2);
  const SharedBytes entry = entry_of("hello");
  std::string simple;
  append_frame(simple, command);
  // The frame's first size counts everything behind it.
  const std::string broker("\x0e\x02\0\0\0\x02\x08\x05", 8);
  std::string bytes = simple + broker + std::string(entry.view());
  const size_t total = bytes.size() - 4;
  for (int i = 0; i < 4; ++i) bytes[static_cast<size_t>(i)] = static_cast<char>(total >> (8 * (3 - i)));
  FrameReader reader;
  feed(reader, bytes);
  Frame frame;
  ASSERT_TRUE(reader.next(frame).value());
  EXPECT_TRUE(frame.intact);
  EXPECT_EQ(frame.entry.view(), entry.view());
}

// Pitfall 14: a newer peer's command must not end the connection.
TEST(Frame, ACommandOfAnUnknownTypeIsPassedOver) {
  const std::string unknown("\0\0\0\x09\0\0\0\x05\x08\x63\x9a\x06\0", 13);  // type 99, field 99
  FrameReader reader;
  feed(reader, unknown + flow_frame(2));
  Frame frame;
  ASSERT_TRUE(reader.next(frame).value());
  EXPECT_EQ(frame.command, nullptr);
  ASSERT_TRUE(reader.next(frame).value());
  ASSERT_NE(frame.command, nullptr);
  EXPECT_EQ(frame.command->flow().messagepermits(), 2U);
}

TEST(Frame, WhatIsNotTheProtocolIsAnError) {
  const std::vector<std::string> wrong = {
      "GET / HTTP/1.1\r\n\r\n",                                  // a size of 1.2 GB
      std::string("\0\0\0\x03\0\0\0", 7),                        // shorter than its own size field
      std::string("\0\0\0\x06\0\0\0\x05\x08\x12", 10),           // a command that is longer than its frame
      std::string("\0\0\0\x09\0\0\0\x05\xff\xff\xff\xff\0", 13)  // no protobuf
  };
  for (const std::string& bytes : wrong) {
    FrameReader reader;
    feed(reader, bytes);
    Frame frame;
    const Result<bool> result = reader.next(frame);
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().kind(), ErrorKind::kCorrupt);
    EXPECT_THAT(result.error().text(), testing::HasSubstr("not Pulsar's binary protocol"));
  }
}

TEST(Frame, ASendWithoutItsEntryIsAnError) {
  BaseCommand command;
  command.set_type(BaseCommand::SEND);
  command.mutable_send()->set_producer_id(7);
  command.mutable_send()->set_sequence_id(1);
  std::string bytes;
  append_frame(bytes, command);
  FrameReader reader;
  feed(reader, bytes);
  Frame frame;
  EXPECT_FALSE(reader.next(frame).has_value());
}

}  // namespace
}  // namespace fmesh::stream::pulsar::wire
