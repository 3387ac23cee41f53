// What is said to the broker about the records' schema. Pure.
#pragma once

#include "stream/pulsar/client/pulsar.h"

namespace fmesh::stream::pulsar {

namespace wire::proto {
class Schema;
}

// Leaves `schema` without a name if records are plain bytes, of which nothing is said.
void set_schema(const PulsarOptions& options, wire::proto::Schema& schema);

}  // namespace fmesh::stream::pulsar
