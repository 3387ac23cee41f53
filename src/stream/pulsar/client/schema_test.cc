#include "stream/pulsar/client/schema.h"

#include <gtest/gtest.h>
#include <stream/pulsar/wire/commands.pb.h>

#include <map>
#include <string>

namespace fmesh::stream::pulsar {
namespace {

std::map<std::string, std::string> properties_of(const wire::proto::Schema& schema) {
  std::map<std::string, std::string> properties;
  for (const auto& property : schema.properties()) properties[property.key()] = property.value();
  return properties;
}

// Values as Pulsar's own classes give them (facts: pulsar.md 10, 3.11).
TEST(Schema, OfJsonIsDeclaredAsByPulsarsJavaClient) {
  PulsarOptions options;
  options.schema = SchemaType::kJson;
  options.schema_definition =
      R"({"type":"record","name":"P","namespace":"V","fields":[{"name":"a","type":"int"},{"name":"b","type":["null","string"],"default":null}]})";
  wire::proto::Schema schema;
  EXPECT_TRUE(set_schema(options, schema));
  EXPECT_EQ(schema.type(), wire::proto::Schema::Json);
  EXPECT_EQ(schema.name(), "");
  EXPECT_EQ(schema.schema_data(), options.schema_definition);
  EXPECT_EQ(properties_of(schema), (std::map<std::string, std::string>{{"__jsr310ConversionEnabled", "false"},
                                                                       {"__alwaysAllowNull", "true"}}));
}

TEST(Schema, OfAvroPassesItsDefinitionOn) {
  PulsarOptions options;
  options.schema = SchemaType::kAvro;
  options.schema_definition = R"({"type":"record","name":"P","fields":[]})";
  wire::proto::Schema schema;
  EXPECT_TRUE(set_schema(options, schema));
  EXPECT_EQ(schema.type(), wire::proto::Schema::Avro);
  EXPECT_EQ(schema.schema_data(), options.schema_definition);
}

TEST(Schema, OfPlainBytesIsNotDeclared) {
  wire::proto::Schema schema;
  EXPECT_FALSE(set_schema({}, schema));
}

TEST(Schema, OfStringsIsDeclaredAsByPulsarsJavaClient) {
  PulsarOptions options;
  options.schema = SchemaType::kString;
  wire::proto::Schema schema;
  EXPECT_TRUE(set_schema(options, schema));
  EXPECT_EQ(schema.type(), wire::proto::Schema::String);
  EXPECT_EQ(schema.name(), "String");
  EXPECT_EQ(schema.schema_data(), "");
  EXPECT_EQ(properties_of(schema), (std::map<std::string, std::string>{{"__charset", "UTF-8"}}));
}

}  // namespace
}  // namespace fmesh::stream::pulsar
