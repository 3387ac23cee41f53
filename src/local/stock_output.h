// What Pulsar's own instances say, read: lines of their logs and their metrics (facts: pulsar.md 5.6). Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace fmesh::local {

struct StockLine {
  std::string_view level;  // trace, debug, info, warn, error
  std::string_view text;
};
// The level is the first word of a line of Java or Python as they are configured here, the third of the clients' own,
// and a member of a line of Go. What has none is a part of the line before, and told as "info".
StockLine read_stock_line(std::string_view line);

// Since the process began. Names as in runtime::InstanceStats.
struct StockCounters {
  int64_t received = 0, processed = 0, written = 0, user_exceptions = 0, system_exceptions = 0;
  int64_t last_invocation_ms = 0;
  int64_t latency_ns_sum = 0;
  bool operator==(const StockCounters&) const = default;
};
// Prometheus' text, of a function, source or sink. What is not there is 0.
StockCounters read_stock_metrics(std::string_view text);

}  // namespace fmesh::local
