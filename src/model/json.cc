#include "model/json.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <vector>

#include "model/scalar.h"

namespace fmesh::model {
namespace json = boost::json;

Json::Json(const json::value& value) : value_(std::make_shared<const json::value>(value)) {}
Json::Json(json::value&& value) : value_(std::make_shared<const json::value>(std::move(value))) {}

bool Json::operator==(const Json& other) const {
  if (value_ == other.value_) return true;
  return value_ && other.value_ && *value_ == *other.value_;
}

namespace {

constexpr char kHex[] = "0123456789abcdef";

void write_escape(std::string& out, unsigned code) {
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out += kHex[(code >> shift) & 0xF];
}

// The end of what is written as it is.
size_t plain_until(std::string_view text, size_t at, HtmlEscapes html) {
  for (; at < text.size(); ++at) {
    const unsigned char byte = static_cast<unsigned char>(text[at]);
    if (byte < 0x20 || byte == '"' || byte == '\\') break;
    if (html == HtmlEscapes::kGo && (byte == '<' || byte == '>' || byte == '&' || byte == 0xE2)) break;
  }
  return at;
}

void write_string(std::string& out, std::string_view text, HtmlEscapes html) {
  out += '"';
  for (size_t at = 0; at < text.size(); ++at) {
    const size_t plain = plain_until(text, at, html);
    out.append(text.substr(at, plain - at));
    at = plain;
    if (at == text.size()) break;
    const unsigned char byte = static_cast<unsigned char>(text[at]);
    switch (byte) {
      case '"':
        out += "\\\"";
        continue;
      case '\\':
        out += "\\\\";
        continue;
      case '\n':
        out += "\\n";
        continue;
      case '\r':
        out += "\\r";
        continue;
      case '\t':
        out += "\\t";
        continue;
      default:
        break;
    }
    const bool risky = html == HtmlEscapes::kGo && (byte == '<' || byte == '>' || byte == '&');
    if (byte < 0x20 || risky) {
      write_escape(out, byte);
    } else if (html == HtmlEscapes::kGo &&
               (text.substr(at, 3) == "\xE2\x80\xA8" || text.substr(at, 3) == "\xE2\x80\xA9")) {
      write_escape(out, text[at + 2] == '\xA8' ? 0x2028 : 0x2029);  // line separators, escaped by Go for JavaScript
      at += 2;
    } else {
      out += static_cast<char>(byte);
    }
  }
  out += '"';
}

std::vector<const json::key_value_pair*> sorted_members(const json::object& object) {
  std::vector<const json::key_value_pair*> list;
  list.reserve(object.size());
  for (const auto& member : object) list.push_back(&member);
  std::sort(list.begin(), list.end(), [](auto* a, auto* b) { return a->key() < b->key(); });
  return list;
}

class Writer {
 public:
  Writer(std::string& into, const JsonStyle& style) : out(into), style_(style) {}

  void write(const json::value& value, int depth) {
    switch (value.kind()) {
      case json::kind::null:
        out += "null";
        break;
      case json::kind::bool_:
        out += value.get_bool() ? "true" : "false";
        break;
      case json::kind::int64:
        out += std::to_string(value.get_int64());
        break;
      case json::kind::uint64:
        out += std::to_string(value.get_uint64());
        break;
      // JSON has no infinity; Go refuses it, and null is what other writers do.
      case json::kind::double_:
        out += std::isfinite(value.get_double()) ? print_float(value.get_double()) : "null";
        break;
      case json::kind::string:
        write_string(out, value.get_string(), style_.html);
        break;
      case json::kind::array:
        write_array(value.get_array(), depth);
        break;
      case json::kind::object:
        write_object(value.get_object(), depth);
        break;
    }
  }

 private:
  void line(int depth) {
    if (style_.indent > 0) out += "\n" + std::string(static_cast<size_t>(depth * style_.indent), ' ');
  }

  void write_array(const json::array& array, int depth) {
    out += '[';
    bool first = true;
    for (const json::value& item : array) {
      if (!first) out += ',';
      first = false;
      line(depth + 1);
      write(item, depth + 1);
    }
    if (!first) line(depth);
    out += ']';
  }

  void write_object(const json::object& object, int depth) {
    out += '{';
    bool first = true;
    const auto write_member = [&](const json::key_value_pair& member) {
      if (!first) out += ',';
      first = false;
      line(depth + 1);
      write_string(out, member.key(), style_.html);
      out += style_.indent > 0 ? ": " : ":";
      write(member.value(), depth + 1);
    };
    if (style_.order == KeyOrder::kSorted) {
      for (const json::key_value_pair* member : sorted_members(object)) write_member(*member);
    } else {
      for (const json::key_value_pair& member : object) write_member(member);
    }
    if (!first) line(depth);
    out += '}';
  }

  std::string& out;
  const JsonStyle& style_;
};

// Infinity, no number, times and dates of YAML 1.1, which kubectl and others may read as such.
bool is_odd_number(std::string_view text) {
  const bool sign = text.front() == '-' || text.front() == '+';
  const std::string_view body = text.substr(sign ? 1 : 0);
  for (const char* word : {".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"}) {
    if (body == word) return true;
  }
  return text.find_first_not_of("+-0123456789_:.TZtz ") == std::string_view::npos &&
         text.find_first_of(":-", 1) != std::string_view::npos;
}

// True if `text` reads back as the same string when it is written without quotes.
bool is_plain_yaml(std::string_view text) {
  if (text.empty() || text.front() == ' ' || text.back() == ' ' || text.back() == ':') return false;
  if (std::string_view("-?:,[]{}#&*!|>'\"%@`").find(text.front()) != std::string_view::npos) return false;
  for (size_t at = 0; at < text.size(); ++at) {
    const unsigned char byte = static_cast<unsigned char>(text[at]);
    if (byte < 0x20 || byte >= 0x7F) return false;
    if (text.substr(at, 2) == ": " || text.substr(at, 2) == " #") return false;
  }
  if (is_odd_number(text)) return false;
  Node node;
  node.text = std::string(text);
  return resolve_plain(std::move(node)).type == Node::Type::kString && text != "<<" && text != "=";
}

// True if `text` is lines that a literal block ("|") holds as they are.
bool fits_literal_block(std::string_view text) {
  if (text.find('\n') == std::string_view::npos || text.front() == '\n' || text.front() == ' ') return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return c == '\n' || (c >= 0x20 && c < 0x7F); });
}

// The code point of the two or three bytes at `at`, if YAML takes it neither as it is nor within quotes: it is no
// printable character there, or ends a line. 0 otherwise.
unsigned odd_in_yaml(std::string_view text, size_t at) {
  const auto byte = [&](size_t more) {
    return at + more < text.size() ? static_cast<unsigned char>(text[at + more]) : 0U;
  };
  if (byte(0) == 0x7F) return 0x7F;
  if (byte(0) == 0xC2 && byte(1) < 0xA0) return byte(1);  // U+0080 to U+009F
  const unsigned code = (byte(0) & 0x0FU) << 12 | (byte(1) & 0x3FU) << 6 | (byte(2) & 0x3FU);
  const bool three_bytes = byte(0) >= 0xE0 && byte(0) < 0xF0;
  const bool odd = code == 0x2028 || code == 0x2029 || code == 0xFEFF || code == 0xFFFE || code == 0xFFFF;
  return three_bytes && odd ? code : 0;
}

class YamlWriter {
 public:
  std::string out;

  // Writes `value` behind "key:" or "-", which stand at `indent` - 2.
  void write(const json::value& value, int indent, bool in_sequence) {
    if (value.is_object() && !value.get_object().empty()) {
      bool first = in_sequence;
      for (const auto& member : value.get_object()) {
        if (first) {
          out += ' ';
        } else {
          line(indent);
        }
        first = false;
        write_scalar_string(member.key());
        out += ':';
        // A list stands at the level of its key, as kubectl writes it.
        write(member.value(), member.value().is_array() ? indent : indent + 2, false);
      }
    } else if (value.is_array() && !value.get_array().empty()) {
      for (const json::value& item : value.get_array()) {
        line(indent);
        out += '-';
        write(item, indent + 2, true);
      }
    } else {
      out += ' ';
      if (value.is_string() && indent > 0 && fits_literal_block(value.get_string())) {
        write_literal_block(value.get_string(), indent);
      } else if (value.is_string()) {
        write_scalar_string(value.get_string());
      } else {
        out += write_json(value);
      }
    }
  }

 private:
  void line(int indent) {
    if (!out.empty()) out += '\n';
    out += std::string(static_cast<size_t>(indent), ' ');
  }
  // Behind the blank that follows "key:".
  void write_literal_block(std::string_view text, int indent) {
    const size_t end = text.find_last_not_of('\n') + 1;
    const size_t breaks = text.size() - end;
    out += breaks == 0 ? "|-" : breaks == 1 ? "|" : "|+";
    if (breaks > 0) text.remove_suffix(1);  // the last one ends the block's last line
    for (size_t at = 0; at <= text.size();) {
      const size_t next = std::min(text.find('\n', at), text.size());
      out += '\n';
      if (next > at) out.append(static_cast<size_t>(indent), ' ').append(text.substr(at, next - at));
      at = next + 1;
    }
  }
  void write_scalar_string(std::string_view text) {
    if (is_plain_yaml(text)) {
      out += text;
    } else {
      std::string quoted;
      write_string(quoted, text, HtmlEscapes::kNo);
      for (size_t at = 0; at < quoted.size(); ++at) {
        const unsigned odd = odd_in_yaml(quoted, at);
        if (odd == 0) {
          out += quoted[at];
          continue;
        }
        write_escape(out, odd);
        at += odd == 0x7F ? 0 : odd < 0x100 ? 1 : 2;
      }
    }
  }
};

}  // namespace

std::string write_json(const json::value& value, const JsonStyle& style) {
  std::string out;
  Writer(out, style).write(value, 0);
  return out;
}

void append_json(std::string& out, const json::value& value) { Writer(out, {}).write(value, 0); }

void append_json(std::string& out, std::string_view text) { write_string(out, text, HtmlEscapes::kNo); }

std::string write_yaml(const json::value& value) {
  YamlWriter writer;
  writer.write(value, 0, false);
  if (writer.out.starts_with(' ')) writer.out.erase(0, 1);  // a scalar or an empty collection alone
  return writer.out + "\n";
}

}  // namespace fmesh::model
