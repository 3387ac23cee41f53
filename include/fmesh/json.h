// JSON for function authors: structs that are described once with FMESH_JSON read themselves from a payload and write
// themselves to one. set_field() changes one member of a text and leaves every other byte as it is.
//
//   struct Order { std::string id; double amount = 0; std::vector<std::string> items; };
//   FMESH_JSON(Order, id, amount, items)
//
// Self-contained: it needs no running fmesh, so that unit tests use it as it is. Integers of 64 bits are exact, members
// that the struct does not have are skipped, missing ones keep their defaults. Errors are thrown as JsonError with the
// path of the member; function.h turns them into a failed record.
#pragma once

#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <vector>

namespace fmesh {

class JsonError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

namespace json {

// Nesting beyond this is refused, as it would fill the stack.
inline constexpr int kDepthMax = 100;

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
    while (at_ != end_ && *at_ != '"' && *at_ != '\\') {
      if (static_cast<unsigned char>(*at_) < 0x20) fail("a control character in a string");
      ++at_;
    }
    if (at_ == end_) fail("the string does not end");
    if (*at_ == '"') return {start, static_cast<size_t>(at_++ - start)};
    buffer.assign(start, at_);
    while (true) {
      if (at_ == end_) fail("the string does not end");
      const char c = *at_++;
      if (c == '"') return buffer;
      if (static_cast<unsigned char>(c) < 0x20) fail("a control character in a string");
      if (c == '\\') {
        escape(buffer);
      } else {
        buffer += c;
      }
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
    while (i < text.size() && text[i] != '"' && text[i] != '\\' && static_cast<unsigned char>(text[i]) >= 0x20) ++i;
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

// What FMESH_JSON specialises: Fields<T>::visit(value, visitor) calls visitor(name, member) for each member.
template <class T>
struct Fields;

template <class T, class = void>
struct IsDescribed : std::false_type {};
template <class T>
struct IsDescribed<T, std::void_t<decltype(Fields<T>::kDescribed)>> : std::true_type {};

template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <class T>
struct IsVector : std::false_type {};
template <class T, class A>
struct IsVector<std::vector<T, A>> : std::true_type {};
template <class T>
struct IsMap : std::false_type {};
template <class T, class C, class A>
struct IsMap<std::map<std::string, T, C, A>> : std::true_type {};
template <class T, class H, class E, class A>
struct IsMap<std::unordered_map<std::string, T, H, E, A>> : std::true_type {};

template <class T>
void read(Reader& reader, T& value, int depth = 0);

template <class T>
void read_number(Reader& reader, T& value) {
  const std::string_view text = reader.number();
  const auto [stop, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code == std::errc() && stop == text.data() + text.size()) return;
  if constexpr (std::is_integral_v<T>) {
    // 12.0 and 1e3 are integers too.
    double wide = 0;
    std::from_chars(text.data(), text.data() + text.size(), wide);
    if (wide == std::floor(wide) && std::fabs(wide) < 9007199254740992.0 &&
        wide >= static_cast<double>(std::numeric_limits<T>::lowest()) &&
        wide <= static_cast<double>(std::numeric_limits<T>::max())) {
      value = static_cast<T>(wide);
      return;
    }
  }
  reader.fail("the number " + std::string(text) + " does not fit its field");
}

template <class T>
void read_fields(Reader& reader, T& value, int depth) {
  reader.object([&](std::string_view name) {
    bool found = false;
    Fields<T>::visit(value, [&](std::string_view field, auto& member) {
      if (found || field != name) return;
      found = true;
      try {
        read(reader, member, depth + 1);
      } catch (const JsonError& error) {
        throw JsonError(std::string(field) + ": " + error.what());
      }
    });
    if (!found) reader.skip(depth + 1);
  });
}

template <class T>
void read(Reader& reader, T& value, int depth) {
  if (depth > kDepthMax) reader.fail("nested deeper than 100");
  if constexpr (std::is_same_v<T, bool>) {
    value = reader.boolean();
  } else if constexpr (std::is_arithmetic_v<T>) {
    read_number(reader, value);
  } else if constexpr (std::is_same_v<T, std::string>) {
    std::string buffer;
    value = reader.string(buffer);
  } else if constexpr (IsOptional<T>::value) {
    if (reader.null()) {
      value.reset();
    } else {
      read(reader, value.emplace(), depth + 1);
    }
  } else if constexpr (IsVector<T>::value) {
    value.clear();
    reader.array([&] { read(reader, value.emplace_back(), depth + 1); });
  } else if constexpr (IsMap<T>::value) {
    value.clear();
    reader.object([&](std::string_view name) { read(reader, value[std::string(name)], depth + 1); });
  } else {
    static_assert(IsDescribed<T>::value, "describe this struct with FMESH_JSON(Type, members...)");
    read_fields(reader, value, depth);
  }
}

template <class T>
void write(std::string& out, const T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    out += value ? "true" : "false";
  } else if constexpr (std::is_floating_point_v<T>) {
    if (!std::isfinite(value)) throw JsonError("JSON has no way to write a number that is not finite");
    char buffer[32];
    out.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr);
  } else if constexpr (std::is_arithmetic_v<T>) {
    char buffer[24];
    out.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr);
  } else if constexpr (std::is_same_v<T, std::string>) {
    write_string(out, value);
  } else if constexpr (IsOptional<T>::value) {
    if (value) {
      write(out, *value);
    } else {
      out += "null";
    }
  } else if constexpr (IsVector<T>::value) {
    out += '[';
    bool first = true;
    for (const auto& element : value) {
      if (!first) out += ',';
      first = false;
      write(out, element);
    }
    out += ']';
  } else if constexpr (IsMap<T>::value) {
    out += '{';
    bool first = true;
    for (const auto& [name, element] : value) {
      if (!first) out += ',';
      first = false;
      write_string(out, name);
      out += ':';
      write(out, element);
    }
    out += '}';
  } else {
    static_assert(IsDescribed<T>::value, "describe this struct with FMESH_JSON(Type, members...)");
    out += '{';
    bool first = true;
    Fields<T>::visit(value, [&](std::string_view name, const auto& member) {
      if constexpr (IsOptional<std::decay_t<decltype(member)>>::value) {
        if (!member) return;  // an absent member is left out
      }
      if (!first) out += ',';
      first = false;
      write_string(out, name);
      out += ':';
      write(out, member);
    });
    out += '}';
  }
}

template <class T>
T parse(std::string_view text) {
  T value{};
  Reader reader(text);
  read(reader, value);
  reader.finish();
  return value;
}

template <class T>
std::string dump(const T& value) {
  std::string out;
  write(out, value);
  return out;
}

// The text of a top-level member, or nothing. Throws JsonError if `text` is not an object.
inline std::optional<std::string_view> field(std::string_view text, std::string_view name) {
  std::optional<std::string_view> found;
  Reader reader(text);
  reader.object([&](std::string_view member) {
    const bool match = member == name;
    const std::string_view value = reader.skip();
    if (match) found = value;
  });
  return found;
}

// `text` with the top-level member `name` set to `value`, which is JSON text; all other bytes stay as they are. The
// member is added at the end if it is not there. Throws JsonError if `text` is not an object.
inline void set_field(std::string& out, std::string_view text, std::string_view name, std::string_view value) {
  Reader reader(text);
  std::optional<std::string_view> found;
  bool empty = true;
  reader.object([&](std::string_view member) {
    empty = false;
    const bool match = member == name;
    const std::string_view old = reader.skip();
    if (match) found = old;
  });
  const char* const close = reader.position() - 1;
  const char* const from = found ? found->data() : close;
  const char* const to = found ? found->data() + found->size() : close;
  out.clear();
  out.append(text.data(), from);
  if (!found) {
    if (!empty) out += ',';
    write_string(out, name);
    out += ':';
  }
  out.append(value);
  out.append(to, text.data() + text.size());
}

}  // namespace json
}  // namespace fmesh

#define FMESH_JSON_EACH_1(m) visitor(#m, value.m);
#define FMESH_JSON_EACH_2(m, ...) \
  visitor(#m, value.m);           \
  FMESH_JSON_EACH_1(__VA_ARGS__)
#define FMESH_JSON_EACH_3(m, ...) \
  visitor(#m, value.m);           \
  FMESH_JSON_EACH_2(__VA_ARGS__)
#define FMESH_JSON_EACH_4(m, ...) \
  visitor(#m, value.m);           \
  FMESH_JSON_EACH_3(__VA_ARGS__)
#define FMESH_JSON_EACH_5(m, ...) \
  visitor(#m, value.m);           \
  FMESH_JSON_EACH_4(__VA_ARGS__)
#define FMESH_JSON_EACH_6(m, ...) \
  visitor(#m, value.m);           \
  FMESH_JSON_EACH_5(__VA_ARGS__)
#define FMESH_JSON_EACH_7(m, ...) \
  visitor(#m, value.m);           \
  FMESH_JSON_EACH_6(__VA_ARGS__)
#define FMESH_JSON_EACH_8(m, ...) \
  visitor(#m, value.m);           \
  FMESH_JSON_EACH_7(__VA_ARGS__)
#define FMESH_JSON_EACH_9(m, ...) \
  visitor(#m, value.m);           \
  FMESH_JSON_EACH_8(__VA_ARGS__)
#define FMESH_JSON_EACH_10(m, ...) \
  visitor(#m, value.m);            \
  FMESH_JSON_EACH_9(__VA_ARGS__)
#define FMESH_JSON_EACH_11(m, ...) \
  visitor(#m, value.m);            \
  FMESH_JSON_EACH_10(__VA_ARGS__)
#define FMESH_JSON_EACH_12(m, ...) \
  visitor(#m, value.m);            \
  FMESH_JSON_EACH_11(__VA_ARGS__)
#define FMESH_JSON_EACH_13(m, ...) \
  visitor(#m, value.m);            \
  FMESH_JSON_EACH_12(__VA_ARGS__)
#define FMESH_JSON_EACH_14(m, ...) \
  visitor(#m, value.m);            \
  FMESH_JSON_EACH_13(__VA_ARGS__)
#define FMESH_JSON_EACH_15(m, ...) \
  visitor(#m, value.m);            \
  FMESH_JSON_EACH_14(__VA_ARGS__)
#define FMESH_JSON_EACH_16(m, ...) \
  visitor(#m, value.m);            \
  FMESH_JSON_EACH_15(__VA_ARGS__)
#define FMESH_JSON_PICK(_1, _2, _3, _4, _5, _6, _7, _8, _9, _10, _11, _12, _13, _14, _15, _16, NAME, ...) NAME
#define FMESH_JSON_EACH(...)                                                                                        \
  FMESH_JSON_PICK(__VA_ARGS__, FMESH_JSON_EACH_16, FMESH_JSON_EACH_15, FMESH_JSON_EACH_14, FMESH_JSON_EACH_13,      \
                  FMESH_JSON_EACH_12, FMESH_JSON_EACH_11, FMESH_JSON_EACH_10, FMESH_JSON_EACH_9, FMESH_JSON_EACH_8, \
                  FMESH_JSON_EACH_7, FMESH_JSON_EACH_6, FMESH_JSON_EACH_5, FMESH_JSON_EACH_4, FMESH_JSON_EACH_3,    \
                  FMESH_JSON_EACH_2, FMESH_JSON_EACH_1)(__VA_ARGS__)

// Describes up to 16 members of a struct. At namespace scope, outside of any other namespace than the global one.
#define FMESH_JSON(Type, ...)                            \
  template <>                                            \
  struct fmesh::json::Fields<Type> {                     \
    static constexpr bool kDescribed = true;             \
    template <class Value, class Visitor>                \
    static void visit(Value& value, Visitor&& visitor) { \
      FMESH_JSON_EACH(__VA_ARGS__)                       \
    }                                                    \
  };
