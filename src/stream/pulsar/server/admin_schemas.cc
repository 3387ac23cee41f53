// Schemas of the admin API.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "stream/pulsar/server/admin_answer_private.h"
#include "stream/pulsar/server/schemas_private.h"

namespace fmesh::stream::pulsar::server {
namespace {

struct TypeName {
  proto::Schema::Type type;
  const char* name;  // as the REST API spells it
};
constexpr TypeName kTypes[] = {
    {proto::Schema::None, "NONE"},
    {proto::Schema::String, "STRING"},
    {proto::Schema::Json, "JSON"},
    {proto::Schema::Protobuf, "PROTOBUF"},
    {proto::Schema::Avro, "AVRO"},
    {proto::Schema::Bool, "BOOLEAN"},
    {proto::Schema::Int8, "INT8"},
    {proto::Schema::Int16, "INT16"},
    {proto::Schema::Int32, "INT32"},
    {proto::Schema::Int64, "INT64"},
    {proto::Schema::Float, "FLOAT"},
    {proto::Schema::Double, "DOUBLE"},
    {proto::Schema::Date, "DATE"},
    {proto::Schema::Time, "TIME"},
    {proto::Schema::Timestamp, "TIMESTAMP"},
    {proto::Schema::KeyValue, "KEY_VALUE"},
    {proto::Schema::Instant, "INSTANT"},
    {proto::Schema::LocalDate, "LOCAL_DATE"},
    {proto::Schema::LocalTime, "LOCAL_TIME"},
    {proto::Schema::LocalDateTime, "LOCAL_DATE_TIME"},
    {proto::Schema::ProtobufNative, "PROTOBUF_NATIVE"},
};

json::object schema_json(const StoredSchema& stored) {
  const auto type = std::ranges::find(kTypes, stored.schema.type(), &TypeName::type);
  json::object properties;
  for (const auto& pair : stored.schema.properties()) properties[pair.key()] = pair.value();
  return {{"version", stored.version},
          {"type", type == std::end(kTypes) ? "NONE" : type->name},
          {"timestamp", stored.time_ms},
          {"data", stored.schema.schema_data()},
          {"properties", std::move(properties)}};
}

// {"type": "AVRO", "schema": "...", "properties": {}}
Result<proto::Schema> schema_of(const json::value& body) {
  const json::object* object = body.if_object();
  const json::value* type = object != nullptr ? object->if_contains("type") : nullptr;
  const json::value* data = object != nullptr ? object->if_contains("schema") : nullptr;
  if (type == nullptr || !type->is_string() || data == nullptr || !data->is_string())
    return fail(ErrorKind::kFixInput, "expected {\"type\": \"...\", \"schema\": \"...\", \"properties\": {}}");
  const auto known = std::ranges::find_if(kTypes, [&](const TypeName& one) { return type->as_string() == one.name; });
  if (known == std::end(kTypes))
    return fail(ErrorKind::kFixInput, "no such type of schemas: " + std::string(type->as_string()));
  proto::Schema schema;
  schema.set_name("");
  schema.set_type(known->type);
  schema.set_schema_data(std::string(data->as_string()));
  const json::value* properties = object->if_contains("properties");
  if (properties == nullptr || !properties->is_object()) return schema;
  for (const auto& [key, value] : properties->as_object()) {
    if (!value.is_string()) continue;
    auto& pair = *schema.add_properties();
    pair.set_key(std::string(key));
    pair.set_value(std::string(value.as_string()));
  }
  return schema;
}

net::HttpResponse problem_of(const Refusal& refusal) {
  return problem(refusal.code == proto::IncompatibleSchema ? 409
                 : refusal.code == proto::TopicNotFound    ? 404
                                                           : 500,
                 refusal.text);
}

}  // namespace

// schemas/{tenant}/{namespace}/{topic}/{schema[/version] | schemas | compatibility | version}
net::HttpResponse AdminApi::schemas(const net::HttpRequest& request, const Parts& parts) {
  if (parts.size() < 5) return problem(404, "name a topic and what of its schemas");
  const auto name = TopicName::parse("persistent://" + parts[1] + "/" + parts[2] + "/" + parts[3]);
  if (!name) return problem(412, name.error().text());
  std::string stream = name->full();
  if (const auto index = name->partition_index()) stream = stream.substr(0, stream.rfind("-partition-"));
  const std::string& what = parts[4];
  const bool get = request.method == "GET" || request.method == "HEAD";
  if (what == "schema" && request.method == "POST" && parts.size() == 5) {
    // As with a broker, a schema may come before its topic.
    if (const auto found = store_.find_stream(stream); found && !*found)
      if (const Status made = store_.create_stream(stream, {}); !made) return problem(500, made.error().text());
  }
  const auto stored = read_schemas(store_, stream);
  if (!stored) return problem_of(stored.error());
  if (what == "schemas" && get) {
    json::array all;
    for (const StoredSchema& schema : *stored) all.push_back(schema_json(schema));
    return json_answer(json::object{{"getSchemaResponses", std::move(all)}});
  }
  if (what == "schema" && get) {
    if (stored->empty()) return problem(404, "Schema not found");
    if (parts.size() == 5) return json_answer(schema_json(stored->back()));
    uint64_t version = 0;
    std::from_chars(parts[5].data(), parts[5].data() + parts[5].size(), version);
    const auto found = std::ranges::find(*stored, version, &StoredSchema::version);
    return found == stored->end() ? problem(404, "Schema not found") : json_answer(schema_json(*found));
  }
  if (what == "schema" && request.method == "DELETE") {
    const uint64_t version = stored->empty() ? 0 : stored->back().version;
    if (const Status removed = remove_schemas(store_, stream); !removed) return problem(500, removed.error().text());
    return json_answer(json::object{{"version", {{"version", version}}}});
  }
  const auto body = body_of(request);
  if (!body) return problem(400, body.error().text());
  const auto schema = schema_of(*body);
  if (!schema) return problem(422, schema.error().text());
  if (what == "schema" && request.method == "POST") {
    const auto version = register_schema_now(store_, stream, *schema, clock_.wall_ms());
    if (!version) return problem_of(version.error());
    return json_answer(json::object{{"version", {{"version", read_version(*version).value_or(0)}}}});
  }
  if (what == "compatibility" && request.method == "POST") {
    const auto why = stored->empty() ? std::nullopt : incompatibility(stored->back().schema, *schema);
    return json_answer(json::object{{"compatibility", !why}, {"schemaCompatibilityStrategy", "FULL"}});
  }
  if (what == "version" && request.method == "POST") {
    for (const StoredSchema& one : *stored)
      if (one.schema.type() == schema->type() && one.schema.schema_data() == schema->schema_data())
        return json_answer(json::object{{"version", one.version}});
    return problem(404, "Schema not found");
  }
  return not_offered("\"" + what + "\" of schemas");
}

}  // namespace fmesh::stream::pulsar::server
