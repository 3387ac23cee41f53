// What is said to the broker about the records' schema. Pure.
#pragma once

#include "stream/pulsar/client/pulsar.h"

namespace fmesh::stream::pulsar {

namespace wire::proto {
class Schema;
}

// Leaves `schema` as it is and says false if records are plain bytes, of which nothing is said.
bool set_schema(const PulsarOptions& options, wire::proto::Schema& schema);

}  // namespace fmesh::stream::pulsar
