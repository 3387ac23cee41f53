// Parts of a JSON text by path, without a tree: find() and member() look a value up, next() walks members and elements,
// set() replaces one value and keeps every other byte. They read only as far as the value, so what lies behind it is
// neither checked nor changed.
//
// A path is member names and indexes: "customer.address", "items[2].id". A name with a dot or a bracket in it is
// quoted:
// ["a.b"]. The empty path is the whole text. If an object holds a name twice, the first counts.
//
// Views point into the text they were found in. Pure; used from any thread.
#pragma once

#include <fmesh/json_text.h>

#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace fmesh::json {

enum class Type { kNone, kNull, kBool, kNumber, kString, kArray, kObject, kInvalid };

// A value as the text it is. kNone: there is nothing at the path. kInvalid: the text is not JSON as far as it was read.
struct Value {
  Type type = Type::kNone;
  std::string_view raw;
};

namespace detail {

inline const char* skip_space(const char* at, const char* end) {
  while (at != end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r')) ++at;
  return at;
}

// `at` is behind the opening quote. Returns what is behind the closing one, or null.
inline const char* skip_string(const char* at, const char* end) {
  while (true) {
    at = plain_end(at, end);
    if (at == end) return nullptr;
    if (*at == '"') return at + 1;
    if (*at == '\\' && ++at == end) return nullptr;
    ++at;
  }
}

// Returns what is behind the value that begins at `at`, or null. Brackets inside are counted, not matched by kind.
inline const char* skip_value(const char* at, const char* end) {
  if (at == end) return nullptr;
  if (*at == '"') return skip_string(at + 1, end);
  if (*at != '{' && *at != '[') {
    const char* const begin = at;
    while (at != end && *at != ',' && *at != '}' && *at != ']' && static_cast<unsigned char>(*at) > ' ' && *at != '"')
      ++at;
    return at == begin ? nullptr : at;
  }
  size_t depth = 0;
  while (at != end) {
    const char c = *at++;
    if (c == '"') {
      at = skip_string(at, end);
      if (at == nullptr) return nullptr;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      if (--depth == 0) return at;
    }
  }
  return nullptr;
}

inline Type type_of(char first) {
  switch (first) {
    case '{':
      return Type::kObject;
    case '[':
      return Type::kArray;
    case '"':
      return Type::kString;
    case 't':
    case 'f':
      return Type::kBool;
    case 'n':
      return Type::kNull;
    default:
      return first == '-' || (first >= '0' && first <= '9') ? Type::kNumber : Type::kInvalid;
  }
}

inline Value value_at(const char* at, const char* end) {
  at = skip_space(at, end);
  if (at == end) return {Type::kInvalid, {}};
  const char* const stop = skip_value(at, end);
  if (stop == nullptr) return {Type::kInvalid, {}};
  return {type_of(*at), {at, static_cast<size_t>(stop - at)}};
}

// Whether the raw string `key`, with its quotes, stands for `name`.
inline bool is_name(std::string_view key, std::string_view name) {
  const std::string_view inside = key.substr(1, key.size() - 2);
  if (inside.find('\\') == std::string_view::npos) return inside == name;
  std::string buffer;
  try {
    return Reader(key).string(buffer) == name;
  } catch (const JsonError&) {
    return false;
  }
}

// One step of a path.
struct Step {
  std::string_view name;
  size_t index = 0;
  bool is_index = false;
  bool is_valid = true;
};

inline Step bad_step() {
  Step step;
  step.is_valid = false;
  return step;
}

// Takes the first step off `path`.
inline Step take_step(std::string_view& path) {
  Step step;
  if (path.front() != '[') {
    const size_t size = path.find_first_of(".[");
    step.name = path.substr(0, size);
    path.remove_prefix(step.name.size());
  } else if (path.size() > 1 && path[1] == '"') {
    const size_t close = path.find("\"]", 2);
    if (close == std::string_view::npos) return bad_step();
    step.name = path.substr(2, close - 2);
    path.remove_prefix(close + 2);
  } else {
    step.is_index = true;
    const auto [stop, code] = std::from_chars(path.data() + 1, path.data() + path.size(), step.index);
    if (code != std::errc() || stop == path.data() + path.size() || *stop != ']') return bad_step();
    path.remove_prefix(static_cast<size_t>(stop - path.data()) + 1);
  }
  if (!path.empty() && path.front() == '.') {
    path.remove_prefix(1);
    if (path.empty()) return bad_step();
  }
  return step;
}

}  // namespace detail

// Walks an object or an array: `cursor` starts at 0. 1: `key` (raw, with its quotes; empty in an array) and `value` are
// the next; 0: the end; -1: not JSON.
inline int next(std::string_view container, size_t& cursor, std::string_view& key, Value& value) {
  const char* const begin = container.data();
  const char* const end = begin + container.size();
  const char* at = detail::skip_space(begin + cursor, end);
  const bool first = cursor == 0;
  if (at == end) return -1;
  const char close = container.front() == '{' ? '}' : ']';
  if (first) {
    if (*at != '{' && *at != '[') return -1;
    at = detail::skip_space(at + 1, end);
    if (at == end) return -1;
    if (*at == close) return 0;
  } else {
    if (*at == close) return 0;
    if (*at != ',') return -1;
    at = detail::skip_space(at + 1, end);
  }
  key = {};
  if (close == '}') {
    if (at == end || *at != '"') return -1;
    const char* const stop = detail::skip_string(at + 1, end);
    if (stop == nullptr) return -1;
    key = {at, static_cast<size_t>(stop - at)};
    at = detail::skip_space(stop, end);
    if (at == end || *at != ':') return -1;
    ++at;
  }
  value = detail::value_at(at, end);
  if (value.type == Type::kInvalid) return -1;
  cursor = static_cast<size_t>(value.raw.data() + value.raw.size() - begin);
  return 1;
}

namespace detail {

// The child of `parent` that `step` means.
inline Value child(const Value& parent, const Step& step) {
  if (!step.is_valid || parent.type != (step.is_index ? Type::kArray : Type::kObject)) return {};
  size_t cursor = 0, index = 0;
  std::string_view key;
  Value value;
  while (true) {
    const int more = next(parent.raw, cursor, key, value);
    if (more <= 0) return {more == 0 ? Type::kNone : Type::kInvalid, {}};
    if (step.is_index ? index++ == step.index : is_name(key, step.name)) return value;
  }
}

// The outermost value without finding its end: steps into it stop where they are done.
inline Value whole(std::string_view text) {
  const char* const end = text.data() + text.size();
  const char* const at = skip_space(text.data(), end);
  if (at == end) return {Type::kInvalid, {}};
  return {type_of(*at), {at, static_cast<size_t>(end - at)}};
}

}  // namespace detail

inline Value find(std::string_view text, std::string_view path) {
  if (path.empty()) return detail::value_at(text.data(), text.data() + text.size());
  Value value = detail::whole(text);
  while (!path.empty() && value.type != Type::kNone && value.type != Type::kInvalid) {
    const detail::Step step = detail::take_step(path);
    value = detail::child(value, step);
  }
  return value;
}

// The member `name` of the object `text`, whatever characters the name has.
inline std::optional<std::string_view> member(std::string_view text, std::string_view name) {
  detail::Step step;
  step.name = name;
  const Value value = detail::child(detail::whole(text), step);
  if (value.type == Type::kNone || value.type == Type::kInvalid) return std::nullopt;
  return value.raw;
}

// `text` with the value at `path` replaced by the JSON text `value`. A last member that its object does not have is
// added behind the others. Throws JsonError: nothing on the way to it, or no JSON.
inline void set(std::string& out, std::string_view text, std::string_view path, std::string_view value) {
  const std::string_view whole_path = path;
  Value parent = detail::whole(text), found = parent;
  detail::Step step;
  if (path.empty()) found = detail::value_at(text.data(), text.data() + text.size());
  while (!path.empty()) {
    parent = found;
    step = detail::take_step(path);
    found = detail::child(parent, step);
    if (found.type == Type::kInvalid || (found.type == Type::kNone && !path.empty())) break;
  }
  const char* const end = text.data() + text.size();
  if (found.type != Type::kNone && found.type != Type::kInvalid) {
    out.assign(text.data(), found.raw.data());
    out.append(value);
    out.append(found.raw.data() + found.raw.size(), end);
    return;
  }
  if (found.type == Type::kInvalid) throw JsonError("set " + std::string(whole_path) + ": the text is not JSON");
  if (!path.empty() || !step.is_valid || step.is_index || parent.type != Type::kObject) {
    throw JsonError("set " + std::string(whole_path) +
                    ": there is nothing at this path, and no object to add a member to");
  }
  const char* const stop = detail::skip_value(parent.raw.data(), end);
  if (stop == nullptr) throw JsonError("set " + std::string(whole_path) + ": the text is not JSON");
  const bool is_empty = detail::skip_space(parent.raw.data() + 1, end) == stop - 1;
  out.assign(text.data(), stop - 1);
  if (!is_empty) out += ',';
  write_string(out, step.name);
  out += ':';
  out.append(value);
  out.append(stop - 1, end);
}

}  // namespace fmesh::json
