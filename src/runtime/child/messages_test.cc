#include "runtime/child/messages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/logic_testing.h"

namespace fmesh::runtime {
namespace {

TEST(ChildMessages, DamagedBytesAreRefusedAndNothingIsReadBeyondThem) {
  Writer out;
  const std::vector<std::string> payloads = {"abc", "de"};
  std::vector<LogicRecord> records = records_of(payloads);
  const std::vector<stream::Property> properties = {{"k", "v"}, {"x", ""}};
  records[0].record.properties = properties;
  write_records(out, records);
  for (size_t size = 0; size < out.size(); ++size) {
    const std::string cut = out.bytes().substr(0, size);
    Reader in(cut);
    EXPECT_FALSE(ReadRecords().read(in)) << size;
  }
  Reader whole(out.bytes());
  ReadRecords read;
  ASSERT_TRUE(read.read(whole));
  EXPECT_EQ(read.records()[0].record.properties[1].key, "x");
  EXPECT_EQ(read.records()[1].record.payload, "de");
  Writer effects;
  effects.number(EffectKind::kPublish);
  effects.number(uint32_t{1});
  effects.text("t");
  write_output(effects, records[0].record);
  for (size_t size = 1; size < effects.size(); ++size) {
    FakeBatch batch;
    EXPECT_FALSE(apply_effects(std::string_view(effects.bytes()).substr(0, size), 0, 2, batch)) << size;
  }
  FakeBatch batch;
  EXPECT_FALSE(apply_effects(effects.bytes(), 0, 1, batch));  // there is no record 1
  EXPECT_TRUE(apply_effects(effects.bytes(), 0, 2, batch));
  EXPECT_EQ(batch.written.at(0).properties.at("k"), "v");
}

TEST(ChildMessages, ASpecComesAsItWent) {
  OpenRequest request;
  request.spec.details.name = "shop";
  request.spec.details.user_config = R"({"a":1})";
  request.spec.details.source.emplace().input_specs["persistent://public/default/in"].serde_class_name = "x.Y";
  request.spec.host = model::HostKind::kPython;
  request.spec.component = "shop";
  request.spec.library_path = "/shop.py";
  request.spec.secrets = {{"password", std::string("a\0b", 3)}, {"empty", ""}};
  request.spec.instance_id = 3;
  request.spec.instance_count = 4;
  request.inputs = {"persistent://public/default/in"};
  request.output = "persistent://public/default/out";
  request.cache_directory = "/cache";
  Writer out;
  write_open(out, request);
  const auto read = read_open(out.bytes());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->spec, request.spec);
  EXPECT_EQ(read->inputs, request.inputs);
  EXPECT_EQ(read->output, request.output);
  EXPECT_EQ(read->cache_directory, request.cache_directory);
  for (size_t size = 0; size < out.size(); ++size) EXPECT_FALSE(read_open(out.bytes().substr(0, size))) << size;
}

TEST(ChildMessages, EveryEffectIsGivenToItsRecord) {
  Writer out;
  const auto head = [&](EffectKind kind, uint32_t index) {
    out.number(kind);
    out.number(index);
  };
  head(EffectKind::kStatePut, 0);
  out.text("k");
  out.text("v");
  head(EffectKind::kCounterAdd, 0);
  out.text("n");
  out.number(int64_t{-3});
  head(EffectKind::kStateDelete, 1);
  out.text("gone");
  head(EffectKind::kAck, 1);
  head(EffectKind::kAckId, 1);
  out.text("t");
  out.number(stream::MessageId{1, 2, 3, 4});
  head(EffectKind::kPublish, 1);
  out.text("");  // a stream without a name
  write_output(out, {});
  FakeBatch batch;
  batch.state["gone"] = "x";
  ASSERT_TRUE(apply_effects(out.bytes(), 10, 2, batch));
  EXPECT_EQ(batch.state, (std::map<std::string, std::string>{{"k", "v"}}));
  EXPECT_EQ(batch.counters.at("n"), -3);
  EXPECT_THAT(batch.acked, testing::ElementsAre(11U));
  EXPECT_THAT(batch.acked_ids, testing::ElementsAre(stream::MessageId{1, 2, 3, 4}));
  EXPECT_THAT(batch.failures.at(11), testing::HasSubstr("needs a name"));
}

}  // namespace
}  // namespace fmesh::runtime
