// Strict JSON (RFC 8259) to the document tree, with places.
#include <optional>
#include <string>
#include <unordered_set>

#include "model/document.h"
#include "model/scalar.h"

namespace fmesh::model {
namespace {

bool is_digit(char byte) { return byte >= '0' && byte <= '9'; }

void append_utf8(std::string& out, uint32_t code) {
  const auto put = [&](uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | (code >> 6));
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | (code >> 12));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | (code >> 18));
    put(0x80 | ((code >> 12) & 0x3F));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

class JsonReader {
 public:
  JsonReader(const std::string& file, std::string_view text) : file_(file), text_(text) {}

  DocumentList read() {
    if (text_.starts_with("\xEF\xBB\xBF")) at_ = counted_ = 3;
    skip_blanks();
    if (at_ == text_.size()) return std::move(list_);
    Node root = read_value(0);
    skip_blanks();
    if (!failed_ && at_ != text_.size()) error("something follows the end of the value; a JSON file holds one value");
    if (!failed_ && root.type != Node::Type::kNull) {
      list_.documents.push_back(std::make_shared<const Node>(std::move(root)));
    }
    return std::move(list_);
  }

 private:
  void skip_blanks() {
    while (at_ < text_.size()) {
      const char byte = text_[at_];
      if (byte != ' ' && byte != '\t' && byte != '\n' && byte != '\r') return;
      ++at_;
      if (byte == '\n') {
        ++line_;
        counted_ = at_;
        column_ = 1;
      }
    }
  }

  // The column of at_, counted on from the last one asked for on this line, so that long lines stay linear.
  int32_t column() {
    for (; counted_ < at_; ++counted_) column_ += (static_cast<unsigned char>(text_[counted_]) & 0xC0) != 0x80;
    return column_;
  }

  void add(int32_t line, int32_t column, int32_t length, std::string text) {
    Diagnostic diagnostic;
    diagnostic.place = {file_, line, column};
    diagnostic.length = length;
    diagnostic.text = std::move(text);
    list_.findings.add(std::move(diagnostic));
  }

  Node error(const std::string& text) {
    if (!failed_) add(line_, column(), 1, "not valid JSON: " + text);
    failed_ = true;
    return {};
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  std::string found() const {
    if (at_ >= text_.size()) return "the end of the file";
    const unsigned char byte = static_cast<unsigned char>(text_[at_]);
    if (byte < 0x20) return "a control character";
    return std::string("'") + (byte < 0x7F ? std::string(1, text_[at_]) : "a character that is not ASCII") + "'";
  }

  Node read_value(int depth) {
    if (depth >= kDepthMax && (peek() == '[' || peek() == '{'))
      return error("nested more than " + std::to_string(kDepthMax) + " levels deep");
    if (++spent_ > kNodesMax) return error("more than " + std::to_string(kNodesMax) + " values");
    Node node;
    node.line = line_;
    node.column = column();
    node.length = 1;
    switch (peek()) {
      case '{':
        return read_object(std::move(node), depth);
      case '[':
        return read_array(std::move(node), depth);
      case '"':
        node.type = Node::Type::kString;
        node.text = read_string();
        node.length = column() - node.column;
        return node;
      default:
        return read_word(std::move(node));
    }
  }

  Node read_word(Node node) {
    const size_t start = at_;
    if (peek() == '-' || is_digit(peek())) {
      if (!skip_number()) return error("this is not a number");
      node.text = std::string(text_.substr(start, at_ - start));
      node = resolve_json_number(std::move(node));
    } else {
      while (peek() >= 'a' && peek() <= 'z') ++at_;
      node.text = std::string(text_.substr(start, at_ - start));
      if (node.text == "true" || node.text == "false") {
        node.type = Node::Type::kBool;
        node.boolean = node.text == "true";
      } else if (node.text != "null") {
        at_ = start;
        return error("expected a value, found " + found());
      }
    }
    node.length = column() - node.column;
    return node;
  }

  bool skip_number() {
    const auto digits = [&] {
      const size_t start = at_;
      while (is_digit(peek())) ++at_;
      return at_ > start;
    };
    if (peek() == '-') ++at_;
    if (peek() == '0') {
      ++at_;
    } else if (!digits()) {
      return false;
    }
    if (is_digit(peek())) return false;  // 012
    if (peek() == '.') {
      ++at_;
      if (!digits()) return false;
    }
    if (peek() == 'e' || peek() == 'E') {
      ++at_;
      if (peek() == '-' || peek() == '+') ++at_;
      if (!digits()) return false;
    }
    return true;
  }

  Node read_array(Node node, int depth) {
    node.type = Node::Type::kSequence;
    ++at_;
    skip_blanks();
    if (peek() == ']') {
      ++at_;
      return node;
    }
    while (!failed_) {
      skip_blanks();
      node.items.push_back(read_value(depth + 1));
      skip_blanks();
      if (failed_) break;
      const char byte = peek();
      if (byte != ',' && byte != ']') return error("expected , or ], found " + found());
      ++at_;
      if (byte == ']') break;
    }
    return node;
  }

  Node read_object(Node node, int depth) {
    node.type = Node::Type::kMapping;
    std::unordered_set<std::string> seen;  // of a large mapping; small ones are looked through
    ++at_;
    skip_blanks();
    if (peek() == '}') {
      ++at_;
      return node;
    }
    while (!failed_) {
      skip_blanks();
      if (peek() != '"') return error("expected a key in double quotes, found " + found());
      Entry entry;
      entry.line = line_;
      entry.column = column();
      entry.key = read_string();
      entry.length = column() - entry.column;
      skip_blanks();
      if (failed_) break;
      if (peek() != ':') return error("expected : after the key, found " + found());
      ++at_;
      skip_blanks();
      entry.value = read_value(depth + 1);
      skip_blanks();
      if (failed_) break;
      if (is_new(entry.key, node, seen)) {
        node.entries.push_back(std::move(entry));
      } else {
        add(entry.line, entry.column, entry.length, "the key " + entry.key + " stands here a second time");
      }
      const char byte = peek();
      if (byte != ',' && byte != '}') return error("expected , or }, found " + found());
      ++at_;
      if (byte == '}') break;
    }
    return node;
  }

  static bool is_new(const std::string& key, const Node& node, std::unordered_set<std::string>& seen) {
    constexpr size_t kSmallMax = 24;
    if (node.entries.size() < kSmallMax) return !node.find(key);
    if (seen.empty()) {
      for (const Entry& entry : node.entries) seen.insert(entry.key);
    }
    return seen.insert(key).second;
  }

  // The four hex digits at at_, or none.
  std::optional<uint32_t> read_hex4() {
    uint32_t code = 0;
    for (int digit = 0; digit < 4; ++digit, ++at_) {
      const char byte = peek();
      const char lower = static_cast<char>(byte | 0x20);
      if (!is_digit(byte) && (lower < 'a' || lower > 'f')) return std::nullopt;
      code = code * 16 + static_cast<uint32_t>(is_digit(byte) ? byte - '0' : lower - 'a' + 10);
    }
    return code;
  }

  bool read_unicode(std::string& out) {
    const auto high = read_hex4();
    if (!high) return false;
    uint32_t code = *high;
    if (code >= 0xDC00 && code <= 0xDFFF) return false;
    if (code >= 0xD800 && code <= 0xDBFF) {
      if (text_.substr(at_, 2) != "\\u") return false;
      at_ += 2;
      const auto low = read_hex4();
      if (!low || *low < 0xDC00 || *low > 0xDFFF) return false;
      code = 0x10000 + ((code - 0xD800) << 10) + (*low - 0xDC00);
    }
    append_utf8(out, code);
    return true;
  }

  std::string read_string() {
    std::string out;
    ++at_;
    while (at_ < text_.size()) {
      const char byte = text_[at_];
      if (byte == '"') {
        ++at_;
        return out;
      }
      if (static_cast<unsigned char>(byte) < 0x20) {
        error("a control character in a string has to be written as \\n, \\t or \\u00..");
        return out;
      }
      ++at_;
      if (byte != '\\') {
        out += byte;
      } else if (!read_escape(out)) {
        error("this escape does not exist in JSON");
        return out;
      }
    }
    error("the string has no end");
    return out;
  }

  bool read_escape(std::string& out) {
    const char mark = peek();
    ++at_;
    switch (mark) {
      case '"':
      case '\\':
      case '/':
        out += mark;
        return true;
      case 'b':
        out += '\b';
        return true;
      case 'f':
        out += '\f';
        return true;
      case 'n':
        out += '\n';
        return true;
      case 'r':
        out += '\r';
        return true;
      case 't':
        out += '\t';
        return true;
      case 'u':
        return read_unicode(out);
      default:
        return false;
    }
  }

  const std::string& file_;
  std::string_view text_;
  DocumentList list_;
  size_t at_ = 0;
  int32_t line_ = 1, column_ = 1;
  size_t counted_ = 0;
  size_t spent_ = 0;
  bool failed_ = false;
};

}  // namespace

DocumentList read_json(const std::string& file, std::string_view text) { return JsonReader(file, text).read(); }

}  // namespace fmesh::model
