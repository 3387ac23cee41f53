#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <utility>

#include "stream/pulsar/server/schemas_private.h"

namespace fmesh::stream::pulsar::server {
namespace {

namespace json = boost::json;

// Notes are sorted by key, so versions are written with leading zeros.
constexpr std::string_view kNotePrefix = "schema/";
constexpr size_t kVersionSizeBytes = 8;
// Records inside records of a definition.
constexpr int kDepthMax = 32;

std::string note_key(uint64_t version) { return fmt::format("{}{:010}", kNotePrefix, version); }

bool same_schema(const proto::Schema& left, const proto::Schema& right) {
  return left.type() == right.type() && left.schema_data() == right.schema_data();
}

// The note of a version: the time in ms, a space, the schema as the protocol has it.
std::string to_note(const proto::Schema& schema, int64_t time_ms) {
  return std::to_string(time_ms) + " " + schema.SerializeAsString();
}

std::optional<StoredSchema> from_note(std::string_view key, std::string_view value) {
  StoredSchema stored;
  const std::string_view digits = key.substr(kNotePrefix.size());
  const size_t space = value.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  std::from_chars(digits.data(), digits.data() + digits.size(), stored.version);
  std::from_chars(value.data(), value.data() + space, stored.time_ms);
  const std::string_view bytes = value.substr(space + 1);
  if (!stored.schema.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return std::nullopt;
  return stored;
}

std::optional<std::string> type_difference(const json::value& older, const json::value& newer, const std::string& where,
                                           int depth);

const json::array* fields_of(const json::object& record) {
  const json::value* fields = record.if_contains("fields");
  return fields != nullptr ? fields->if_array() : nullptr;
}

const json::object* field_named(const json::array& fields, const json::value& name) {
  for (const json::value& field : fields) {
    const json::object* object = field.if_object();
    if (object != nullptr && object->if_contains("name") != nullptr && object->at("name") == name) return object;
  }
  return nullptr;
}

// Fields of `some` that `others` lacks must have a default; those of both must have the same type.
std::optional<std::string> field_difference(const json::array& some, const json::array& others,
                                            const std::string& where, const char* what, int depth) {
  for (const json::value& field : some) {
    const json::object* object = field.if_object();
    if (object == nullptr || object->if_contains("name") == nullptr || object->if_contains("type") == nullptr)
      return where + ": a field without name or type";
    const std::string name = where + "." + json::serialize(object->at("name"));
    const json::object* other = field_named(others, object->at("name"));
    if (other == nullptr) {
      if (object->if_contains("default") == nullptr) return fmt::format("field {} {} and has no default", name, what);
      continue;
    }
    if (other->if_contains("type") == nullptr) return name + ": a field without type";
    if (auto difference = type_difference(other->at("type"), object->at("type"), name, depth + 1)) return difference;
  }
  return std::nullopt;
}

std::optional<std::string> type_difference(const json::value& older, const json::value& newer, const std::string& where,
                                           int depth) {
  if (older == newer) return std::nullopt;
  if (depth > kDepthMax) return where + ": too many records inside each other";
  const json::object* left = older.if_object();
  const json::object* right = newer.if_object();
  if (left != nullptr && right != nullptr && fields_of(*left) != nullptr && fields_of(*right) != nullptr) {
    if (auto added = field_difference(*fields_of(*right), *fields_of(*left), where, "is new", depth)) return added;
    return field_difference(*fields_of(*left), *fields_of(*right), where, "is gone", depth);
  }
  return where + ": its type has changed";
}

std::optional<std::string> record_incompatibility(const proto::Schema& older, const proto::Schema& newer) {
  boost::system::error_code ignored;
  const json::value left = json::parse(older.schema_data(), ignored);
  const json::value right = json::parse(newer.schema_data(), ignored);
  if (right.if_object() == nullptr) return "its definition is not JSON";
  return type_difference(left, right, "record", 0);
}

}  // namespace

std::string version_bytes(uint64_t version) {
  std::string bytes(kVersionSizeBytes, '\0');
  for (size_t i = 0; i < kVersionSizeBytes; ++i)
    bytes[kVersionSizeBytes - 1 - i] = static_cast<char>(version >> (8 * i));
  return bytes;
}

Answer<uint64_t> read_version(const std::string& bytes) {
  if (bytes.size() != kVersionSizeBytes)
    return refuse(proto::IncompatibleSchema,
                  fmt::format("a schema version has {} bytes, this one has {}", kVersionSizeBytes, bytes.size()));
  uint64_t version = 0;
  for (const char byte : bytes) version = version << 8 | static_cast<unsigned char>(byte);
  return version;
}

Answer<std::vector<StoredSchema>> read_schemas(Store& store, const std::string& stream) {
  const auto notes = store.notes(stream);
  if (!notes) return refuse(proto::TopicNotFound, notes.error().text());
  std::vector<StoredSchema> schemas;
  for (const auto& [key, value] : *notes) {
    if (!key.starts_with(kNotePrefix)) continue;
    if (auto stored = from_note(key, value)) schemas.push_back(std::move(*stored));
  }
  return schemas;
}

Answer<std::string> latest_schema_version(Store& store, const std::string& stream) {
  const auto schemas = read_schemas(store, stream);
  // Whoever asks is about to make the topic.
  if (!schemas || schemas->empty()) return std::string();
  return version_bytes(schemas->back().version);
}

std::optional<std::string> incompatibility(const proto::Schema& older, const proto::Schema& newer) {
  if (!newer.has_type()) return "it has no type that is known here";
  if (older.type() != newer.type())
    return fmt::format("its type is {}, the other's {}", proto::Schema::Type_Name(newer.type()),
                       proto::Schema::Type_Name(older.type()));
  const bool is_record = newer.type() == proto::Schema::Json || newer.type() == proto::Schema::Avro;
  if (is_record) return record_incompatibility(older, newer);
  if (older.schema_data() != newer.schema_data())
    return fmt::format("{} schemas of one topic have one definition", proto::Schema::Type_Name(newer.type()));
  return std::nullopt;
}

Answer<std::string> register_schema_now(Store& store, const std::string& stream, const proto::Schema& schema,
                                        int64_t now_ms) {
  auto schemas = read_schemas(store, stream);
  if (!schemas) return std::unexpected(schemas.error());
  for (const StoredSchema& stored : *schemas)
    if (same_schema(stored.schema, schema)) return version_bytes(stored.version);
  uint64_t version = 0;
  if (!schemas->empty()) {
    version = schemas->back().version + 1;
    if (const auto why = incompatibility(schemas->back().schema, schema))
      return refuse(proto::IncompatibleSchema,
                    fmt::format("topic {} has a schema (version {}) that this one does not fit: {}", stream,
                                schemas->back().version, *why));
  } else if (const auto why = incompatibility(schema, schema)) {
    return refuse(proto::IncompatibleSchema, fmt::format("topic {}: {}", stream, *why));
  }
  if (const auto put = store.put_note(stream, note_key(version), to_note(schema, now_ms)); !put)
    return std::unexpected(refusal_of(put.error()));
  return version_bytes(version);
}

void register_schema(Broker& broker, const std::string& stream, const proto::Schema& schema,
                     std::function<void(Answer<std::string>)> done) {
  Store& store = broker.store();
  // AUTO_CONSUME and none say that the client takes whatever is there.
  if (schema.type() == proto::Schema::AutoConsume || (schema.has_type() && schema.type() == proto::Schema::None))
    return done(latest_schema_version(store, stream));
  if (const auto schemas = read_schemas(store, stream))
    for (const StoredSchema& stored : *schemas)
      if (same_schema(stored.schema, schema)) return done(version_bytes(stored.version));
  broker.run_blocking<Answer<std::string>>(
      [&store, stream, schema, now_ms = broker.clock().wall_ms()] {
        return register_schema_now(store, stream, schema, now_ms);
      },
      std::move(done));
}

Status remove_schemas(Store& store, const std::string& stream) {
  FMESH_TRY(const auto notes, store.notes(stream));
  for (const auto& [key, value] : notes)
    if (key.starts_with(kNotePrefix)) FMESH_CHECK(store.put_note(stream, key, ""));
  return {};
}

bool deduplicates_stream(Broker& broker, const std::string& stream) {
  const auto notes = broker.store().notes(stream);
  if (!notes) return broker.options().deduplicate;
  const auto found = notes->find(kDeduplicationNote);
  return found == notes->end() ? broker.options().deduplicate : found->second == "true";
}

}  // namespace fmesh::stream::pulsar::server
