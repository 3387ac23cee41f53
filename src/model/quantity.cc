#include "model/quantity.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <utility>

namespace fmesh::model {
namespace {

constexpr __int128 kNano = 1'000'000'000;
constexpr __int128 kLargest = static_cast<__int128>(std::numeric_limits<int64_t>::max()) * kNano;

struct Scale {
  int base = 10;
  int exponent = 0;
};

std::optional<Scale> parse_suffix(std::string_view suffix) {
  static constexpr std::array<std::pair<std::string_view, Scale>, 16> kSuffixes = {{{"", {10, 0}},
                                                                                    {"n", {10, -9}},
                                                                                    {"u", {10, -6}},
                                                                                    {"m", {10, -3}},
                                                                                    {"k", {10, 3}},
                                                                                    {"M", {10, 6}},
                                                                                    {"G", {10, 9}},
                                                                                    {"T", {10, 12}},
                                                                                    {"P", {10, 15}},
                                                                                    {"E", {10, 18}},
                                                                                    {"Ki", {2, 10}},
                                                                                    {"Mi", {2, 20}},
                                                                                    {"Gi", {2, 30}},
                                                                                    {"Ti", {2, 40}},
                                                                                    {"Pi", {2, 50}},
                                                                                    {"Ei", {2, 60}}}};
  for (const auto& [name, scale] : kSuffixes) {
    if (name == suffix) return scale;
  }
  if (suffix.size() < 2 || (suffix[0] != 'e' && suffix[0] != 'E')) return std::nullopt;
  suffix.remove_prefix(suffix[1] == '+' ? 2 : 1);
  int exponent = 0;
  const auto [end, error] = std::from_chars(suffix.data(), suffix.data() + suffix.size(), exponent);
  if (error != std::errc() || end != suffix.data() + suffix.size() || exponent < -30 || exponent > 30)
    return std::nullopt;
  return Scale{10, exponent};
}

}  // namespace

std::optional<Quantity> parse_quantity(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  const size_t number_end = std::min(text.find_first_not_of("0123456789."), text.size());
  const std::string_view number = text.substr(0, number_end);
  const auto scale = parse_suffix(text.substr(number_end));
  if (!scale || number.empty() || number == "." || std::count(number.begin(), number.end(), '.') > 1)
    return std::nullopt;

  // The digits as one integer, and how many of them stand behind the point. Digits too small to matter only round up.
  __int128 digits = 0;
  int behind = 0;
  bool point = false, rest = false;
  for (const char byte : number) {
    if (byte == '.') {
      point = true;
    } else if (point && behind >= 18) {
      rest = rest || byte != '0';
    } else {
      digits = digits * 10 + (byte - '0');
      behind += point;
      if (digits > kLargest) return std::nullopt;
    }
  }
  int exponent = 9 - behind + (scale->base == 10 ? scale->exponent : 0);
  __int128 nanos = digits;
  constexpr __int128 kRoom = static_cast<__int128>(1) << 120;
  for (int bit = 0; scale->base == 2 && bit < scale->exponent; ++bit) {
    if (nanos > kRoom / 2) return std::nullopt;
    nanos *= 2;
  }
  for (; exponent > 0; --exponent) {
    if (nanos > kRoom / 10) return std::nullopt;
    nanos *= 10;
  }
  for (; exponent < 0; ++exponent) {
    rest = rest || nanos % 10 != 0;
    nanos /= 10;
  }
  if (rest) ++nanos;
  if (nanos > kLargest) return std::nullopt;
  return Quantity{negative ? -nanos : nanos};
}

namespace {

std::string digits_of(__int128 value) {
  std::string out;
  do {
    out.insert(out.begin(), static_cast<char>('0' + static_cast<int>(value % 10)));
    value /= 10;
  } while (value > 0);
  return out;
}

}  // namespace

std::string canonical_quantity(std::string_view text) {
  const auto quantity = parse_quantity(text);
  if (!quantity) return std::string(text);
  if (quantity->nanos == 0) return "0";
  const bool negative = quantity->nanos < 0;
  __int128 amount = negative ? -quantity->nanos : quantity->nanos;
  const std::string sign = negative ? "-" : "";
  constexpr __int128 kBinaryLeast = 1024 * kNano;
  if (text.ends_with('i') && amount >= kBinaryLeast && amount % kNano == 0) {
    static constexpr std::array<std::string_view, 7> kBinary = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
    amount /= kNano;
    size_t step = 0;
    for (; step + 1 < kBinary.size() && amount % 1024 == 0; ++step) amount /= 1024;
    return sign + digits_of(amount) + std::string(kBinary[step]);
  }
  static constexpr std::array<std::string_view, 10> kDecimal = {"n", "u", "m", "", "k", "M", "G", "T", "P", "E"};
  size_t step = 0;
  for (; step + 1 < kDecimal.size() && amount % 1000 == 0; ++step) amount /= 1000;
  const bool exponent = text.find_first_of("eE") < text.size() - 1;  // 2e3; E at the end is a suffix
  std::string suffix(kDecimal[step]);
  if (exponent) suffix = step == 3 ? "" : "e" + std::to_string(3 * (static_cast<int>(step) - 3));
  return sign + digits_of(amount) + suffix;
}

double Quantity::value() const { return static_cast<double>(nanos) / 1e9; }

int64_t Quantity::whole() const {
  const __int128 rounded = nanos >= 0 ? (nanos + kNano - 1) / kNano : nanos / kNano;
  return static_cast<int64_t>(rounded);
}

}  // namespace fmesh::model
