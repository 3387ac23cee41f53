#include "local/stock_output.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <utility>

namespace fmesh::local {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kLevels = {{{"TRACE", "trace"},
                                                                                   {"DEBUG", "debug"},
                                                                                   {"INFO", "info"},
                                                                                   {"WARN", "warn"},
                                                                                   {"WARNING", "warn"},
                                                                                   {"ERROR", "error"},
                                                                                   {"CRITICAL", "error"},
                                                                                   {"FATAL", "error"},
                                                                                   {"SEVERE", "error"}}};

std::string_view level_named(std::string_view word) {
  for (const auto& [name, level] : kLevels)
    if (name == word) return level;
  return {};
}

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ') || text.ends_with('\r')) text.remove_suffix(1);
  return text;
}

// Takes the first word off `rest`.
std::string_view next_word(std::string_view& rest) {
  rest = trimmed(rest);
  const size_t end = std::min(rest.find(' '), rest.size());
  const std::string_view word = rest.substr(0, end);
  rest.remove_prefix(end);
  return word;
}

bool is_date(std::string_view word) { return word.size() == 10 && word[4] == '-' && word[7] == '-'; }

std::string_view go_level(std::string_view line) {
  constexpr std::string_view kMember = "level=";
  const size_t at = line.find(kMember);
  if (!line.starts_with("time=") || at == std::string_view::npos) return {};
  const std::string_view value = line.substr(at + kMember.size());
  const std::string_view word = value.substr(0, value.find(' '));
  if (word == "warning") return "warn";
  if (word == "fatal" || word == "panic") return "error";
  for (const auto& [name, level] : kLevels)
    if (level == word) return level;
  return {};
}

}  // namespace

StockLine read_stock_line(std::string_view line) {
  line = trimmed(line);
  std::string_view rest = line;
  const std::string_view first = next_word(rest);
  if (const std::string_view level = level_named(first); !level.empty()) return {level, trimmed(rest)};
  if (is_date(first)) {
    next_word(rest);
    if (const std::string_view level = level_named(next_word(rest)); !level.empty()) return {level, trimmed(rest)};
  }
  if (const std::string_view level = go_level(line); !level.empty()) return {level, line};
  return {"info", line};
}

StockCounters read_stock_metrics(std::string_view text) {
  StockCounters counters;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    std::string_view name = line.substr(0, line.find_first_of("{ "));
    bool known = false;
    for (const std::string_view kind : {"pulsar_function_", "pulsar_source_", "pulsar_sink_"}) {
      if (!name.starts_with(kind)) continue;
      name.remove_prefix(kind.size());
      known = true;
      break;
    }
    if (!known) continue;
    const size_t labels_end = line.rfind('}');
    const size_t number_at = labels_end == std::string_view::npos ? line.find(' ') : labels_end + 1;
    if (number_at >= line.size()) continue;
    const std::string number(trimmed(line.substr(number_at)));
    const double value = std::strtod(number.c_str(), nullptr);
    if (!std::isfinite(value) || value < 0) continue;
    const auto whole = static_cast<int64_t>(value);
    if (name == "received_total") {
      counters.received += whole;
    } else if (name == "processed_successfully_total") {
      counters.processed += whole;
    } else if (name == "written_total") {
      counters.written += whole;
    } else if (name == "user_exceptions_total") {
      counters.user_exceptions += whole;
    } else if (name == "system_exceptions_total" || name == "source_exceptions_total" ||
               name == "sink_exceptions_total") {
      counters.system_exceptions += whole;
    } else if (name == "last_invocation") {
      counters.last_invocation_ms = whole;
    } else if (name == "process_latency_ms_sum") {
      counters.latency_ns_sum = static_cast<int64_t>(value * 1e6);
    }
  }
  return counters;
}

}  // namespace fmesh::local
