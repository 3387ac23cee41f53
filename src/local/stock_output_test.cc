#include "local/stock_output.h"

#include <gtest/gtest.h>

namespace fmesh::local {
namespace {

void expect_line(std::string_view line, std::string_view level, std::string_view text) {
  const StockLine read = read_stock_line(line);
  EXPECT_EQ(read.level, level) << line;
  EXPECT_EQ(read.text, text) << line;
}

TEST(StockLine, TellsTheLevelOfEveryRuntime) {
  expect_line("INFO ConsumerImpl - Subscribed", "info", "ConsumerImpl - Subscribed");
  expect_line("WARNING root - slow\r", "warn", "root - slow");
  expect_line("CRITICAL root - gone", "error", "root - gone");
  expect_line("FATAL", "error", "");
  expect_line("2026-12-01 00:12:50.985 INFO  [1397] ClientConnection:209 | connected", "info",
              "[1397] ClientConnection:209 | connected");
  expect_line("2026-12-01 00:12:50.985 what is this", "info", "2026-12-01 00:12:50.985 what is this");
  expect_line("time=\"2026-12-01T00:00:00Z\" level=warning msg=\"late\"", "warn",
              "time=\"2026-12-01T00:00:00Z\" level=warning msg=\"late\"");
  expect_line("time=\"x\" level=panic msg=y", "error", "time=\"x\" level=panic msg=y");
  expect_line("\tat org.example.F.process(F.java:3)", "info", "\tat org.example.F.process(F.java:3)");
  expect_line("INFORMATION is no level", "info", "INFORMATION is no level");
  expect_line("", "info", "");
}

TEST(StockMetrics, AddsUpFunctionsSourcesAndSinks) {
  const StockCounters function = read_stock_metrics(
      "# TYPE pulsar_function_received_total counter\n"
      "pulsar_function_received_total{tenant=\"a }b\",name=\"f\",} 12.0\n"
      "pulsar_function_received_1min_total{name=\"f\",} 5.0\n"
      "pulsar_function_processed_successfully_total{name=\"f\"} 1.1E1\n"
      "pulsar_function_user_exceptions_total{name=\"f\"} 1\n"
      "pulsar_function_system_exceptions_total{name=\"f\"} 2\n"
      "pulsar_function_process_latency_ms_sum{name=\"f\"} 0.5\n"
      "pulsar_function_process_latency_ms{name=\"f\",quantile=\"0.5\"} NaN\n"
      "pulsar_function_last_invocation{name=\"f\"} 1.7E12\n"
      "jvm_threads_current 12\n");
  EXPECT_EQ(function.received, 12);
  EXPECT_EQ(function.processed, 11);
  EXPECT_EQ(function.user_exceptions, 1);
  EXPECT_EQ(function.system_exceptions, 2);
  EXPECT_EQ(function.last_invocation_ms, 1'700'000'000'000);
  EXPECT_EQ(function.latency_ns_sum, 500'000);
  const StockCounters sink = read_stock_metrics(
      "pulsar_sink_received_total{a=\"b\",} 3.0\npulsar_sink_written_total{a=\"b\",} 2.0\n"
      "pulsar_sink_sink_exceptions_total 1");
  EXPECT_EQ(sink.received, 3);
  EXPECT_EQ(sink.written, 2);
}

TEST(StockMetrics, TakesWhateverComes) {
  for (const char* text : {"", "\n\n", "pulsar_function_received_total", "pulsar_function_received_total{",
                           "pulsar_function_received_total{} x", "pulsar_function_received_total -4", "} 5",
                           "pulsar_function_received_total{} 1e999"})
    EXPECT_EQ(read_stock_metrics(text), StockCounters()) << text;
}

}  // namespace
}  // namespace fmesh::local
