// An instance that is a process of Pulsar's own: Java, Python or Go. It reads and writes the streams itself, by
// Pulsar's protocol; here it is started, watched, started again with backoff, and ended in order (SIGTERM, then within
// the limit SIGKILL). Its counters are those it tells on its metrics port.
//
// Its subscription is made before the process is, so that nothing is lost while a JVM starts. State is the process's
// own affair: on the log there is no service for it, so such a component is refused.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "local/stock_parts.h"
#include "plan/stock_command.h"
#include "runtime/instance.h"

namespace fmesh::local {

// A process that does not tell its metrics yet is asked again after this long, one that does after the second.
inline constexpr int64_t kStockStartingLookMs = 200;
inline constexpr int64_t kStockLookMs = 500;
inline constexpr int64_t kStockMetricsTimeoutMs = 2'000;
inline constexpr size_t kStockMetricsMaxBytes = 4 * 1024 * 1024;
// Of what it said last, so many lines are told with its end.
inline constexpr size_t kStockLastLines = 3;
inline constexpr size_t kStockLastLineMaxBytes = 400;

// All outlive the instances.
struct StockEnvironment {
  StockPrograms programs;
  std::string folder;          // for files of instances and unpacked NARs
  plan::StockStreams streams;  // set before the first of them starts
  bool on_log = true;          // false: the streams are a cluster's
  // Records of its subscription that are not acknowledged; from any thread. Waits for the network if the streams do.
  std::function<Result<int64_t>(const model::InstanceSpec&)> backlog;
};

// Errors: kFixInput if something it needs is missing, with how to get it.
Result<std::unique_ptr<runtime::Instance>> make_stock_instance(model::InstanceSpec spec,
                                                               runtime::InstanceEnvironment environment,
                                                               const StockEnvironment& stock);

}  // namespace fmesh::local
