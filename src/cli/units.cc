#include "cli/units.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <span>

namespace fmesh::cli {
namespace {

struct Unit {
  std::string_view name;
  int64_t factor;
};

Result<int64_t> parse_with_units(std::string_view text, std::span<const Unit> units, std::string_view expected) {
  double number = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view rest = text.substr(static_cast<size_t>(end.ptr - text.data()));
  if (end.ec == std::errc() && number >= 0) {
    for (const Unit& unit : units) {
      if (rest != unit.name) continue;
      const double value = number * static_cast<double>(unit.factor);
      if (value < 9.2e18) return static_cast<int64_t>(value);
    }
  }
  return fail(ErrorKind::kFixInput, fmt::format("found '{}', expected {}", text, expected));
}

// Three digits that mean something: 1.23, 12.3, 123.
std::string three_digits(double value) {
  return value < 9.995   ? fmt::format("{:.2f}", value)
         : value < 99.95 ? fmt::format("{:.1f}", value)
                         : fmt::format("{:.0f}", value);
}

}  // namespace

Result<int64_t> parse_size(std::string_view text) {
  static constexpr std::array kUnits = {
      Unit{"", 1},          Unit{"B", 1},           Unit{"K", 1LL << 10}, Unit{"KiB", 1LL << 10},
      Unit{"M", 1LL << 20}, Unit{"MiB", 1LL << 20}, Unit{"G", 1LL << 30}, Unit{"GiB", 1LL << 30},
      Unit{"T", 1LL << 40}, Unit{"TiB", 1LL << 40}};
  return parse_with_units(text, kUnits, "a size such as 512, 64K, 10M or 2G");
}

Result<int64_t> parse_duration_ms(std::string_view text) {
  static constexpr std::array kUnits = {Unit{"", 1'000},   Unit{"ms", 1},        Unit{"s", 1'000},
                                        Unit{"m", 60'000}, Unit{"h", 3'600'000}, Unit{"d", 86'400'000}};
  return parse_with_units(text, kUnits, "a time such as 500ms, 10s, 5m, 2h or 7d");
}

Result<std::pair<std::string, int32_t>> parse_replicas(std::string_view text) {
  const size_t equals = text.rfind('=');
  int32_t count = -1;
  if (equals != std::string_view::npos && equals != 0) {
    const std::string_view number = text.substr(equals + 1);
    const auto end = std::from_chars(number.data(), number.data() + number.size(), count);
    if (end.ec != std::errc() || end.ptr != number.data() + number.size()) count = -1;
  }
  if (count < 0 || count > 1'024) {
    return fail(ErrorKind::kFixInput, fmt::format("--replicas {}: expected NAME=N with N from 0 to 1024", text));
  }
  return std::pair(std::string(text.substr(0, equals)), count);
}

std::string show_count(int64_t count) {
  const double value = static_cast<double>(count);
  if (count < 10'000) return std::to_string(count);
  if (value < 999'500) return three_digits(value / 1e3) + "k";
  if (value < 999'500'000) return three_digits(value / 1e6) + "M";
  return three_digits(value / 1e9) + "G";
}

std::string show_rate(double per_second) {
  if (per_second <= 0) return "0";
  if (per_second < 10) return fmt::format("{:.1f}", per_second);
  return show_count(std::llround(per_second));
}

std::string show_bytes(int64_t bytes) {
  static constexpr std::array<std::string_view, 5> kNames = {"B", "KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1'024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1'023.5 && unit + 1 < kNames.size()) {
    value /= 1'024;
    ++unit;
  }
  return three_digits(value) + " " + std::string(kNames[unit]);
}

std::string show_duration(int64_t ms) {
  const int64_t seconds = ms / 1'000;
  if (seconds < 60) return fmt::format("{} s", seconds);
  if (seconds < 3'600) return fmt::format("{} m {:02} s", seconds / 60, seconds % 60);
  if (seconds < 86'400) return fmt::format("{} h {:02} m", seconds / 3'600, seconds / 60 % 60);
  return fmt::format("{} d {} h", seconds / 86'400, seconds / 3'600 % 24);
}

}  // namespace fmesh::cli
