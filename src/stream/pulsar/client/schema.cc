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

void set_schema(const PulsarOptions& options, wire::proto::Schema& schema) {
  switch (options.schema) {
    case SchemaType::kBytes:
      return;
    case SchemaType::kString:
      schema.set_name("String");
      schema.set_type(wire::proto::Schema::String);
      schema.set_schema_data("");
      return add(schema, "__charset", "UTF-8");
    case SchemaType::kJson:
      schema.set_name("");
      schema.set_type(wire::proto::Schema::Json);
      schema.set_schema_data(options.schema_definition);
      add(schema, "__alwaysAllowNull", "true");
      return add(schema, "__jsr310ConversionEnabled", "false");
  }
}

}  // namespace fmesh::stream::pulsar
