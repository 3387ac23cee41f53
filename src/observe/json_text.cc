#include <boost/json.hpp>
#include <charconv>
#include <cmath>

#include "observe/json.h"

namespace fmesh::observe {
namespace {

namespace json = boost::json;

void append_string(std::string& text, std::string_view value) {
  static constexpr char kHex[] = "0123456789abcdef";
  text += '"';
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    switch (c) {
      case '"':
        text += "\\\"";
        break;
      case '\\':
        text += "\\\\";
        break;
      case '\n':
        text += "\\n";
        break;
      case '\r':
        text += "\\r";
        break;
      case '\t':
        text += "\\t";
        break;
      default:
        if (byte < 0x20 || byte == 0x7f) {
          text += "\\u00";
          text += kHex[byte >> 4];
          text += kHex[byte & 15];
        } else {
          text += c;
        }
    }
  }
  text += '"';
}

void append_number(std::string& text, double value) {
  if (!std::isfinite(value)) {  // JSON has no word for it
    text += "null";
    return;
  }
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value);
  text.append(buffer, end.ptr);
}

// `indent` < 0: compact.
void append(std::string& text, const json::value& value, int indent) {
  const auto line = [&](int level) {
    if (indent < 0) return;
    text += '\n';
    text.append(static_cast<size_t>(level) * 2, ' ');
  };
  const int inner = indent < 0 ? indent : indent + 1;
  switch (value.kind()) {
    case json::kind::null:
      text += "null";
      break;
    case json::kind::bool_:
      text += value.get_bool() ? "true" : "false";
      break;
    case json::kind::int64:
      text += std::to_string(value.get_int64());
      break;
    case json::kind::uint64:
      text += std::to_string(value.get_uint64());
      break;
    case json::kind::double_:
      append_number(text, value.get_double());
      break;
    case json::kind::string:
      append_string(text, std::string_view(value.get_string().data(), value.get_string().size()));
      break;
    case json::kind::array: {
      const json::array& items = value.get_array();
      text += '[';
      for (size_t i = 0; i < items.size(); ++i) {
        if (i != 0) text += ',';
        line(inner);
        append(text, items[i], inner);
      }
      if (!items.empty()) line(indent);
      text += ']';
      break;
    }
    case json::kind::object: {
      text += '{';
      bool first = true;
      for (const auto& member : value.get_object()) {
        if (!first) text += ',';
        first = false;
        line(inner);
        append_string(text, std::string_view(member.key().data(), member.key().size()));
        text += indent < 0 ? ":" : ": ";
        append(text, member.value(), inner);
      }
      if (!first) line(indent);
      text += '}';
      break;
    }
  }
}

constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::string to_text(const json::value& value) {
  std::string text;
  append(text, value, -1);
  return text;
}

std::string to_pretty_text(const json::value& value) {
  std::string text;
  append(text, value, 0);
  text += '\n';
  return text;
}

Result<json::value> parse_json(std::string_view text) {
  json::error_code error;
  json::stream_parser parser;
  const size_t read = parser.write_some(text.data(), text.size(), error);
  if (!error && read < text.size() && text.find_first_not_of(" \t\r\n", read) != std::string_view::npos) {
    return fail(ErrorKind::kFixInput, "not JSON: more text after the value, at byte " + std::to_string(read));
  }
  if (!error) parser.finish(error);
  if (error) {
    return fail(ErrorKind::kFixInput, "not JSON: " + error.message() + " at byte " + std::to_string(read));
  }
  return parser.release();
}

std::string to_base64(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k) group = group << 8 | (k < count ? static_cast<unsigned char>(bytes[i + k]) : 0);
    for (size_t k = 0; k < 4; ++k) text += k <= count ? kBase64[group >> (18 - 6 * k) & 63] : '=';
  }
  return text;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::string bytes;
  for (size_t i = 0; i < text.size(); i += 4) {
    uint32_t group = 0;
    size_t padding = 0;
    for (size_t k = 0; k < 4; ++k) {
      const char c = text[i + k];
      if (c == '=' && i + 4 == text.size() && k >= 2) {
        ++padding;
        group <<= 6;
        continue;
      }
      const size_t digit = kBase64.find(c);
      if (digit == std::string_view::npos || padding != 0) return std::nullopt;
      group = group << 6 | static_cast<uint32_t>(digit);
    }
    for (size_t k = 0; k + padding < 3; ++k) bytes += static_cast<char>(group >> (16 - 8 * k) & 255);
  }
  return bytes;
}

}  // namespace fmesh::observe
