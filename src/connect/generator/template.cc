#include "connect/generator/template.h"

#include <array>
#include <charconv>

namespace fmesh::connect {
namespace {

template <class Number>
void append_number(std::string& out, Number value) {
  std::array<char, 32> text;
  out.append(text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr);
}

void append_hex(std::string& out, uint64_t value, int digits) {
  constexpr char kHex[] = "0123456789abcdef";
  for (int i = digits - 1; i >= 0; --i) out += kHex[value >> (4 * i) & 0xf];
}

// RFC 9562, version 4.
void append_uuid(std::string& out, Rng& rng) {
  const uint64_t high = (rng.next() & ~0xf000ULL) | 0x4000;
  const uint64_t low = (rng.next() & ~(3ULL << 62)) | 2ULL << 62;
  append_hex(out, high >> 32, 8);
  out += '-';
  append_hex(out, high >> 16, 4);
  out += '-';
  append_hex(out, high, 4);
  out += '-';
  append_hex(out, low >> 48, 4);
  out += '-';
  append_hex(out, low, 12);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t end = text.find(separator);
    if (separator != ' ' || end != 0) parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

template <class Number>
bool parse_number(std::string_view text, Number& value) {
  const auto [stop, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  return code == std::errc() && stop == text.data() + text.size();
}

}  // namespace

Result<Template::Piece> Template::placeholder(std::string_view inner) {
  while (inner.starts_with(' ')) inner.remove_prefix(1);
  while (inner.ends_with(' ')) inner.remove_suffix(1);
  const std::string_view name = inner.substr(0, inner.find(' '));
  const std::string_view rest = inner.size() > name.size() ? inner.substr(name.size() + 1) : std::string_view();
  const std::vector<std::string_view> words = split(rest, ' ');
  Piece piece;
  if (name == "seq" && rest.empty()) {
    piece.kind = Kind::kSequence;
  } else if (name == "uuid" && rest.empty()) {
    piece.kind = Kind::kUuid;
  } else if (name == "time" && rest.empty()) {
    piece.kind = Kind::kTime;
  } else if (name == "int" && words.size() == 2 && parse_number(words[0], piece.low) &&
             parse_number(words[1], piece.high) && piece.low <= piece.high) {
    piece.kind = Kind::kInteger;
  } else if (name == "float" && words.size() == 2 && parse_number(words[0], piece.float_low) &&
             parse_number(words[1], piece.float_high) && piece.float_low <= piece.float_high) {
    piece.kind = Kind::kFloat;
  } else if (name == "choice" && !rest.empty()) {
    piece.kind = Kind::kChoice;
    for (const std::string_view choice : split(rest, '|')) piece.choices.emplace_back(choice);
  } else if (name == "pad" && words.size() == 1 && parse_number(words[0], piece.low) && piece.low >= 0 &&
             piece.low <= 1'000'000) {
    piece.kind = Kind::kPad;
  } else {
    return fail(ErrorKind::kFixInput, "{{" + std::string(inner) +
                                          "}} is no placeholder; there are {{seq}}, {{uuid}}, {{time}}, {{int LOW "
                                          "HIGH}}, {{float LOW HIGH}}, {{choice A|B|C}} and {{pad BYTES}}");
  }
  return piece;
}

void Template::add_text(std::string_view text) {
  Piece piece;
  piece.text = text;
  pieces_.push_back(std::move(piece));
}

Result<Template> Template::compile(std::string_view text) {
  Template compiled;
  while (!text.empty()) {
    const size_t open = text.find("{{");
    // "{{" that no placeholder follows, as in nested JSON, is text.
    const size_t close = open == std::string_view::npos ? open : text.find("}}", open);
    if (close == std::string_view::npos) {
      compiled.add_text(text);
      break;
    }
    if (open > 0) compiled.add_text(text.substr(0, open));
    FMESH_TRY(Piece piece, placeholder(text.substr(open + 2, close - open - 2)));
    compiled.pieces_.push_back(std::move(piece));
    text.remove_prefix(close + 2);
  }
  return compiled;
}

void Template::fill(std::string& out, uint64_t sequence, int64_t now_ms, Rng& rng) const {
  for (const Piece& piece : pieces_) {
    switch (piece.kind) {
      case Kind::kText:
        out += piece.text;
        break;
      case Kind::kSequence:
        append_number(out, sequence);
        break;
      case Kind::kUuid:
        append_uuid(out, rng);
        break;
      case Kind::kInteger: {
        const auto span = static_cast<uint64_t>(piece.high) - static_cast<uint64_t>(piece.low) + 1;
        const uint64_t step = span == 0 ? rng.next() : rng.below(span);
        append_number(out, static_cast<int64_t>(static_cast<uint64_t>(piece.low) + step));
        break;
      }
      case Kind::kFloat: {
        // Two digits behind the point: what prices and readings look like.
        const double value = piece.float_low + rng.unit() * (piece.float_high - piece.float_low);
        append_number(out, static_cast<double>(static_cast<int64_t>(value * 100)) / 100);
        break;
      }
      case Kind::kChoice:
        out += piece.choices[rng.below(piece.choices.size())];
        break;
      case Kind::kTime:
        append_number(out, now_ms);
        break;
      case Kind::kPad:
        out.append(static_cast<size_t>(piece.low), 'x');
        break;
    }
  }
}

}  // namespace fmesh::connect
