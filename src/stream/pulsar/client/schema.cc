#include "stream/pulsar/client/schema.h"

#include <stream/pulsar/wire/commands.pb.h>

namespace fmesh::stream::pulsar {
namespace {

void add(wire::proto::Schema& schema, const char* key, const char* value) {
  auto* property = schema.add_properties();
  property->set_key(key);
  property->set_value(value);
}

}  // namespace

bool set_schema(const PulsarOptions& options, wire::proto::Schema& schema) {
  switch (options.schema) {
    case SchemaType::kBytes:
      return false;
    case SchemaType::kString:
      schema.set_name("String");
      schema.set_type(wire::proto::Schema::String);
      schema.set_schema_data("");
      add(schema, "__charset", "UTF-8");
      return true;
    case SchemaType::kJson:
    case SchemaType::kAvro:
      schema.set_name("");
      schema.set_type(options.schema == SchemaType::kJson ? wire::proto::Schema::Json : wire::proto::Schema::Avro);
      schema.set_schema_data(options.schema_definition);
      add(schema, "__alwaysAllowNull", "true");
      add(schema, "__jsr310ConversionEnabled", "false");
      return true;
  }
  return false;
}

}  // namespace fmesh::stream::pulsar
