// Times as Kubernetes writes them: RFC 3339 in UTC, to the second or (MicroTime of leases and events) to the
// microsecond.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace fmesh::kube {

std::string time_text(int64_t wall_ms);        // "2026-01-31T23:59:59Z"
std::string micro_time_text(int64_t wall_ms);  // "2026-01-31T23:59:59.123000Z"
// Milliseconds of any RFC 3339 time, with fractions and offsets from UTC. None if it is none.
std::optional<int64_t> read_time(const std::string& text);

}  // namespace fmesh::kube
