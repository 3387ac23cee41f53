// The list of connectors lives in another room; the unit tests of this one run without any.
#include "runtime/connector.h"

namespace fmesh::runtime {

std::span<const ConnectorKind> connector_kinds() { return {}; }

}  // namespace fmesh::runtime
