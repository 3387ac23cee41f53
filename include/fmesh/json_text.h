// JSON as text: a reader that goes from left to right (RFC 8259) and a writer of strings. json.h builds structs on it,
// json_path.h looks up parts; authors include one of those.
//
// Nothing is kept but positions in the text. Errors are thrown as JsonError; function.h turns them into failed records.
#pragma once

#include <charconv>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>

namespace fmesh {

// A text that is not the JSON that was expected. `path` is where in it, as far as it is known: "items[2].price".
class JsonError : public std::runtime_error {
 public:
  explicit JsonError(const std::string& text) : JsonError("", text) {}
  JsonError(const std::string& path, const std::string& text)
      : std::runtime_error(path.empty() ? text : path + ": " + text), path_(path), text_(text) {}
  const std::string& path() const { return path_; }
  // The same error seen from one level further out; `step` is a member's name or "[index]".
  JsonError within(const std::string& step) const {
    const bool joined = path_.empty() || path_.front() == '[';
    return {step + (joined ? "" : ".") + path_, text_};
  }

 private:
  std::string path_, text_;
};

namespace json {

// Nesting beyond this is refused, as it would fill the stack.
inline constexpr int kDepthMax = 100;

namespace detail {

// The first byte from `at` on that is not plain text of a string: '"', '\\' or a control character; `end` if there is
// none. Looks at eight bytes at a time.
inline const char* plain_end(const char* at, const char* end) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  constexpr uint64_t kOnes = 0x0101010101010101, kHighs = 0x8080808080808080;
  while (end - at >= 8) {
    uint64_t word = 0;
    std::memcpy(&word, at, sizeof word);
    const uint64_t quote = word ^ kOnes * '"', slash = word ^ kOnes * '\\';
    // The lowest bit that is set marks the first such byte; higher ones may be wrong.
    const uint64_t found =
        (((quote - kOnes) & ~quote) | ((slash - kOnes) & ~slash) | ((word - kOnes * 0x20) & ~word)) & kHighs;
    if (found != 0) return at + __builtin_ctzll(found) / 8;
    at += 8;
  }
#endif
  while (at != end && *at != '"' && *at != '\\' && static_cast<unsigned char>(*at) >= 0x20) ++at;
  return at;
}

}  // namespace detail

// Reads one JSON text from left to right (RFC 8259).
class Reader {
 public:
  explicit Reader(std::string_view text) : begin_(text.data()), at_(text.data()), end_(text.data() + text.size()) {}

  [[noreturn]] void fail(const std::string& what) const {
    throw JsonError("not the JSON that was expected, at byte " + std::to_string(at_ - begin_) + ": " + what);
  }

  char peek() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\t' || *at_ == '\r')) ++at_;
    if (at_ == end_) fail("the text ends here");
    return *at_;
  }
  void expect(char c) {
    if (peek() != c) fail(std::string("expected '") + c + "', found '" + *at_ + "'");
    ++at_;
  }
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void finish() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\t' || *at_ == '\r')) ++at_;
    if (at_ != end_) fail("more text behind the value");
  }
  const char* position() const { return at_; }

  // Calls `member(name)` for each member; it must read the value.
  template <class Member>
  void object(Member&& member) {
    expect('{');
    if (take('}')) return;
    std::string buffer;
    do {
      const std::string_view name = string(buffer);
      expect(':');
      member(name);
    } while (take(','));
    expect('}');
  }

  template <class Element>
  void array(Element&& element) {
    expect('[');
    if (take(']')) return;
    do {
      element();
    } while (take(','));
    expect(']');
  }

  // A view into the text if it holds no escapes, else into `buffer`.
  std::string_view string(std::string& buffer) {
    expect('"');
    const char* start = at_;
    at_ = detail::plain_end(at_, end_);
    if (at_ != end_ && *at_ == '"') return {start, static_cast<size_t>(at_++ - start)};
    buffer.assign(start, at_);
    while (true) {
      if (at_ == end_) fail("the string does not end");
      const char c = *at_;
      if (static_cast<unsigned char>(c) < 0x20) fail("a control character in a string");
      ++at_;
      if (c == '"') return buffer;
      escape(buffer);
      start = at_;
      at_ = detail::plain_end(at_, end_);
      buffer.append(start, at_);
    }
  }

  bool boolean() {
    if (peek() == 't') return literal("true"), true;
    literal("false");
    return false;
  }
  bool null() {
    if (peek() != 'n') return false;
    literal("null");
    return true;
  }
  // The text of a number.
  std::string_view number() {
    peek();
    const char* start = at_;
    if (at_ != end_ && *at_ == '-') ++at_;
    const char* digits = at_;
    while (at_ != end_ && *at_ >= '0' && *at_ <= '9') ++at_;
    if (at_ == digits) {
      at_ = start;
      fail(std::string("expected a number, found '") + *at_ + "'");
    }
    if (at_ != end_ && *at_ == '.')
      for (++at_; at_ != end_ && *at_ >= '0' && *at_ <= '9'; ++at_) {
      }
    if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
      ++at_;
      if (at_ != end_ && (*at_ == '+' || *at_ == '-')) ++at_;
      while (at_ != end_ && *at_ >= '0' && *at_ <= '9') ++at_;
    }
    return {start, static_cast<size_t>(at_ - start)};
  }
  // Passes over any value and returns its text.
  std::string_view skip(int depth = 0) {
    if (depth > kDepthMax) fail("nested deeper than 100");
    const char first = peek();
    const char* start = at_;
    std::string buffer;
    switch (first) {
      case '{':
        object([&](std::string_view) { skip(depth + 1); });
        break;
      case '[':
        array([&] { skip(depth + 1); });
        break;
      case '"':
        string(buffer);
        break;
      case 't':
        literal("true");
        break;
      case 'f':
        literal("false");
        break;
      case 'n':
        literal("null");
        break;
      default:
        number();
    }
    return {start, static_cast<size_t>(at_ - start)};
  }

 private:
  void literal(std::string_view word) {
    if (static_cast<size_t>(end_ - at_) < word.size() || std::memcmp(at_, word.data(), word.size()) != 0)
      fail("expected " + std::string(word));
    at_ += word.size();
  }
  uint32_t hex4() {
    uint32_t value = 0;
    const auto [stop, code] = std::from_chars(at_, end_ - at_ < 4 ? end_ : at_ + 4, value, 16);
    if (code != std::errc() || stop != at_ + 4) fail("expected four hexadecimal digits");
    at_ += 4;
    return value;
  }
  void escape(std::string& out) {
    if (at_ == end_) fail("the string does not end");
    switch (*at_++) {
      case '"':
        out += '"';
        return;
      case '\\':
        out += '\\';
        return;
      case '/':
        out += '/';
        return;
      case 'b':
        out += '\b';
        return;
      case 'f':
        out += '\f';
        return;
      case 'n':
        out += '\n';
        return;
      case 'r':
        out += '\r';
        return;
      case 't':
        out += '\t';
        return;
      case 'u':
        break;
      default:
        --at_, fail("unknown escape");
    }
    uint32_t code = hex4();
    if (code >= 0xd800 && code < 0xdc00) {
      if (end_ - at_ < 6 || at_[0] != '\\' || at_[1] != 'u') fail("half of a surrogate pair");
      at_ += 2;
      const uint32_t low = hex4();
      if (low < 0xdc00 || low > 0xdfff) fail("half of a surrogate pair");
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code < 0xe000) {
      fail("half of a surrogate pair");
    }
    if (code < 0x80) {
      out += static_cast<char>(code);
    } else if (code < 0x800) {
      out += static_cast<char>(0xc0 | code >> 6);
      out += static_cast<char>(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
      out += static_cast<char>(0xe0 | code >> 12);
      out += static_cast<char>(0x80 | (code >> 6 & 0x3f));
      out += static_cast<char>(0x80 | (code & 0x3f));
    } else {
      out += static_cast<char>(0xf0 | code >> 18);
      out += static_cast<char>(0x80 | (code >> 12 & 0x3f));
      out += static_cast<char>(0x80 | (code >> 6 & 0x3f));
      out += static_cast<char>(0x80 | (code & 0x3f));
    }
  }

  const char* begin_;
  const char* at_;
  const char* end_;
};

inline void write_string(std::string& out, std::string_view text) {
  out += '"';
  for (size_t i = 0; i < text.size();) {
    const size_t start = i;
    i = static_cast<size_t>(detail::plain_end(text.data() + i, text.data() + text.size()) - text.data());
    out.append(text, start, i - start);
    if (i == text.size()) break;
    const char c = text[i++];
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default: {
        constexpr char kHex[] = "0123456789abcdef";
        out += "\\u00";
        out += kHex[c >> 4 & 0xf];
        out += kHex[c & 0xf];
      }
    }
  }
  out += '"';
}

}  // namespace json
}  // namespace fmesh
