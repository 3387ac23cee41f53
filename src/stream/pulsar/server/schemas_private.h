// Schemas of topics, kept as notes of their streams: one note per version, counted from 0. A topic takes a new version
// if data of either can be read with the other (FULL, Pulsar's default): the same type; of records (JSON, Avro) the
// fields that come or go have defaults and those that stay keep their type; other types have one definition. What a
// topic without schema is given first is its version 0, whoever is connected to it.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "stream/pulsar/server/broker_private.h"

namespace fmesh::stream::pulsar::server {

struct StoredSchema {
  uint64_t version = 0;
  int64_t time_ms = 0;
  proto::Schema schema;
};

// A version as clients have it: 8 bytes, big endian.
std::string version_bytes(uint64_t version);
// Errors: IncompatibleSchema if these are no version.
Answer<uint64_t> read_version(const std::string& bytes);

// All versions of a stream, in order.
Answer<std::vector<StoredSchema>> read_schemas(Store& store, const std::string& stream);
// The newest version as clients have it; empty if there is no schema.
Answer<std::string> latest_schema_version(Store& store, const std::string& stream);
// Nothing if data of either can be read with the other, else why not.
std::optional<std::string> incompatibility(const proto::Schema& older, const proto::Schema& newer);
// Takes `schema` as a version, or finds that it is one. `done` comes on the loop, perhaps at once.
void register_schema(Broker& broker, const std::string& stream, const proto::Schema& schema,
                     std::function<void(Answer<std::string>)> done);
// The same in place: waits for the disk, so on the worker.
Answer<std::string> register_schema_now(Store& store, const std::string& stream, const proto::Schema& schema,
                                        int64_t now_ms);
// Forgets them all; waits for the disk.
Status remove_schemas(Store& store, const std::string& stream);

// Whether producers of a stream that name themselves are deduplicated.
bool deduplicates_stream(Broker& broker, const std::string& stream);

}  // namespace fmesh::stream::pulsar::server
