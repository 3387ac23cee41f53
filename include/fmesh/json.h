// JSON for function authors: structs that are described once with FMESH_JSON read themselves from a payload and write
// themselves to one. json_path.h reads and changes parts of a text without a struct.
//
//   struct Order { std::string id; double amount = 0; std::vector<std::string> items; };
//   FMESH_JSON(Order, id, amount, items)
//
// Self-contained: it needs no running fmesh, so that unit tests use it as it is. Integers of 64 bits are exact, members
// that the struct does not have are skipped, missing ones keep their defaults. Errors are thrown as JsonError with the
// path of the member; function.h turns them into a failed record.
#pragma once

#include <fmesh/json_text.h>

#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

namespace fmesh::json {

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

// Reads a part of a value; `step()` names the part for an error.
template <class T, class Step>
void read_at(Reader& reader, T& value, int depth, Step&& step) {
  try {
    read(reader, value, depth);
  } catch (const JsonError& error) {
    throw error.within(step());
  }
}

template <class T>
void read_fields(Reader& reader, T& value, int depth) {
  reader.object([&](std::string_view name) {
    bool found = false;
    Fields<T>::visit(value, [&](std::string_view field, auto& member) {
      if (found || field != name) return;
      found = true;
      read_at(reader, member, depth + 1, [field] { return std::string(field); });
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
    const auto step = [&] { return "[" + std::to_string(value.size()) + "]"; };
    reader.array([&] {
      typename T::value_type element{};  // not in place: a vector of bool has no references to its elements
      read_at(reader, element, depth + 1, step);
      value.push_back(std::move(element));
      ;
    });
  } else if constexpr (IsMap<T>::value) {
    value.clear();
    reader.object([&](std::string_view name) {
      std::string key(name);
      read_at(reader, value[key], depth + 1, [&key] { return key; });
    });
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

}  // namespace fmesh::json

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
