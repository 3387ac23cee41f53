#include "model/scalar.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <string>

namespace fmesh::model {
namespace {

template <size_t N>
bool one_of(std::string_view text, const std::array<std::string_view, N>& words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

constexpr std::array<std::string_view, 5> kNulls = {"", "~", "null", "Null", "NULL"};
// Without the y and n of YAML 1.1: kubectl's library takes them for booleans, and hardly anyone else does. A key `n` or
// a tenant `y` is meant as it stands; fields of type boolean still take them (fields.cc).
constexpr std::array<std::string_view, 9> kTrue = {"yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"};
constexpr std::array<std::string_view, 9> kFalse = {"no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"};

// [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
bool is_float(std::string_view text) {
  size_t at = 0;
  const auto digits = [&] {
    const size_t start = at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
    return at - start;
  };
  if (at < text.size() && (text[at] == '-' || text[at] == '+')) ++at;
  const size_t whole = digits();
  size_t fraction = 0;
  if (at < text.size() && text[at] == '.') {
    ++at;
    fraction = digits();
  }
  if (whole + fraction == 0) return false;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '-' || text[at] == '+')) ++at;
    if (digits() == 0) return false;
  }
  return at == text.size();
}

std::optional<double> parse_double(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  // A value out of range stays a string, as in Go, where it would be an error.
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Sets an integer written with base 0 rules: 0x, 0o, 0b or a leading 0 for octal, underscores already gone.
bool set_integer(Node& node, std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  int base = 10;
  if (text.size() > 1 && text[0] == '0') {
    const char mark = static_cast<char>(text[1] | 0x20);
    base = mark == 'x' ? 16 : mark == 'b' ? 2 : 8;
    text.remove_prefix(mark == 'x' || mark == 'b' || mark == 'o' ? 2 : 1);
  }
  if (text.empty() || text[0] == '-') return false;
  uint64_t magnitude = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), magnitude, base);
  if (error != std::errc() || end != text.data() + text.size()) return false;
  constexpr uint64_t kInt64Max = std::numeric_limits<int64_t>::max();
  if (negative && magnitude > kInt64Max + 1) return false;
  if (!negative && magnitude > kInt64Max) {
    node.type = Node::Type::kUint;
    node.unsigned_integer = magnitude;
    return true;
  }
  node.type = Node::Type::kInt;
  node.integer = static_cast<int64_t>(negative ? 0 - magnitude : magnitude);
  return true;
}

void set_float(Node& node, double value) {
  node.type = Node::Type::kFloat;
  node.real = value;
}

}  // namespace

Node resolve_plain(Node node) {
  const std::string_view text = node.text;
  node.type = Node::Type::kString;
  if (one_of(text, kNulls)) {
    node.type = Node::Type::kNull;
    return node;
  }
  const char first = text[0];
  const bool numeric = (first >= '0' && first <= '9') || first == '+' || first == '-';
  if (one_of(text, kTrue) || one_of(text, kFalse)) {
    node.type = Node::Type::kBool;
    node.boolean = one_of(text, kTrue);
    return node;
  }
  if (first == '.') {
    if (const auto value = is_float(text) ? parse_double(text) : std::nullopt) set_float(node, *value);
    return node;
  }
  if (!numeric) return node;
  std::string plain(text);
  std::erase(plain, '_');
  if (set_integer(node, plain)) return node;
  if (is_float(plain)) {
    if (const auto value = parse_double(plain)) set_float(node, *value);
  }
  return node;
}

Node resolve_json_number(Node node) {
  const std::string_view text = node.text;
  const bool whole = text.find_first_of(".eE") == std::string_view::npos;
  if (whole && set_integer(node, text)) return node;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  static_cast<void>(end);
  if (error == std::errc()) {
    set_float(node, value);
  } else {
    node.type = Node::Type::kString;  // out of range: no field takes it, and the finding shows it as written
  }
  return node;
}

std::string print_float(double value) {
  if (value == 0) return std::signbit(value) ? "-0" : "0";
  const double magnitude = std::fabs(value);
  const bool exponent = magnitude < 1e-6 || magnitude >= 1e21;
  std::array<char, 64> buffer;
  const auto format = exponent ? std::chars_format::scientific : std::chars_format::fixed;
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, format);
  static_cast<void>(error);
  std::string text(buffer.data(), end);
  // Go drops the zero of a one-digit negative exponent: 1e-07 is 1e-7, while 1e+21 has two digits anyway.
  const size_t mark = text.find("e-0");
  if (mark != std::string::npos) text.erase(mark + 2, 1);
  return text;
}

}  // namespace fmesh::model
