// The ports of every pod of a component and of its Service: upstream's numbers and names.
#pragma once

namespace fmesh::plan {

inline constexpr int kGrpcPort = 9093, kMetricsPort = 9094;
inline constexpr const char* kGrpcPortName = "tcp-grpc";
inline constexpr const char* kMetricsPortName = "http-metrics";

}  // namespace fmesh::plan
