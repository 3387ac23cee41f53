#include "plan/cluster/shell_parse.h"

namespace fmesh::plan {
namespace {

bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name_character(char c) { return is_name_start(c) || (c >= '0' && c <= '9'); }
bool is_operator(char c) { return std::string_view("&|;<>()\n").find(c) != std::string_view::npos; }

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  std::optional<std::vector<ShellToken>> parse() {
    while (at_ < text_.size() && ok_) {
      const char c = text_[at_];
      if (c == ' ' || c == '\t') {
        end_word();
        ++at_;
      } else if (is_operator(c)) {
        end_word();
        read_operator();
      } else {
        in_word_ = true;
        read_unquoted();
      }
    }
    end_word();
    if (!ok_) return std::nullopt;
    return std::move(tokens_);
  }

 private:
  void end_word() {
    if (in_word_) tokens_.push_back({.text = std::move(word_), .is_operator = false});
    word_.clear();
    in_word_ = false;
  }

  void read_operator() {
    const char c = text_[at_++];
    std::string text(1, c == '\n' ? ';' : c);
    if ((c == '&' || c == '|' || c == '>') && at_ < text_.size() && text_[at_] == c) text += text_[at_++];
    tokens_.push_back({.text = std::move(text), .is_operator = true});
  }

  void read_unquoted() {
    const char c = text_[at_];
    if (c == '\'') {
      read_single_quotes();
    } else if (c == '"') {
      read_double_quotes();
    } else if (c == '\\') {
      if (at_ + 1 < text_.size()) word_ += text_[at_ + 1];
      at_ += 2;
    } else if (c == '$' || c == '`') {
      read_expansion();
    } else {
      word_ += c;
      ++at_;
    }
  }

  void read_single_quotes() {
    const size_t end = text_.find('\'', at_ + 1);
    ok_ = end != std::string_view::npos;
    if (!ok_) return;
    word_ += text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
  }

  void read_double_quotes() {
    ++at_;
    while (at_ < text_.size() && text_[at_] != '"' && ok_) {
      const char c = text_[at_];
      if (c == '$' || c == '`') {
        read_expansion();
      } else if (c == '\\' && at_ + 1 < text_.size() &&
                 std::string_view("\\\"$`").find(text_[at_ + 1]) != std::string_view::npos) {
        word_ += text_[at_ + 1];
        at_ += 2;
      } else {
        word_ += c;
        ++at_;
      }
    }
    ok_ = ok_ && at_ < text_.size();
    ++at_;
  }

  void add_expansion(std::string_view inside) { word_.append(kExpansionBegin).append(inside).append(kExpansionEnd); }

  // $NAME, ${...}, $(...), `...`, or a $ that means itself.
  void read_expansion() {
    const char c = text_[at_];
    const char next = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
    if (c == '`') {
      read_until_closed(at_ + 1, '\0', '`', "");
    } else if (next == '{') {
      read_until_closed(at_ + 2, '{', '}', "");
    } else if (next == '(') {
      read_until_closed(at_ + 2, '(', ')', "(");
    } else if (is_name_start(next)) {
      size_t end = at_ + 1;
      while (end < text_.size() && is_name_character(text_[end])) ++end;
      add_expansion(text_.substr(at_ + 1, end - at_ - 1));
      at_ = end;
    } else {
      word_ += c;
      ++at_;
    }
  }

  void read_until_closed(size_t begin, char open, char close, std::string_view mark) {
    int depth = 1;
    size_t end = begin;
    for (; end < text_.size(); ++end) {
      if (text_[end] == close && --depth == 0) break;
      if (text_[end] == open) ++depth;
    }
    ok_ = end < text_.size();
    if (!ok_) return;
    add_expansion(std::string(mark) + std::string(text_.substr(begin, end - begin)));
    at_ = end + 1;
  }

  std::string_view text_;
  size_t at_ = 0;
  bool ok_ = true, in_word_ = false;
  std::string word_;
  std::vector<ShellToken> tokens_;
};

}  // namespace

std::string kubelet_reduced(std::string_view text) {
  const auto in_name = [](char c) { return is_name_character(c) || c == '.' || c == '-'; };
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char next = text[i] == '$' && i + 1 < text.size() ? text[i + 1] : '\0';
    size_t end = i + 2;
    while (next == '(' && end < text.size() && in_name(text[end])) ++end;
    if (next == '(' && end > i + 2 && end < text.size() && text[end] == ')') {
      out.append(kExpansionBegin).append("kubelet:").append(text.substr(i + 2, end - i - 2)).append(kExpansionEnd);
      i = end;
      continue;
    }
    out += text[i];
    if (next == '$') ++i;
  }
  return out;
}

std::optional<std::vector<ShellToken>> parse_shell(std::string_view text) { return Parser(text).parse(); }

}  // namespace fmesh::plan
