#include "plan/cluster/shell.h"

#include <algorithm>
#include <optional>
#include <vector>

namespace fmesh::plan {
namespace {

constexpr bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
constexpr bool is_name_character(char c) { return is_name_start(c) || (c >= '0' && c <= '9'); }

// Means nothing to a shell anywhere in a word.
constexpr bool is_plain(char c) {
  return is_name_character(c) || std::string_view("-./:@%+=,").find(c) != std::string_view::npos;
}
bool all_plain(std::string_view text) { return std::all_of(text.begin(), text.end(), is_plain); }

// The length of the $NAME or ${NAME} that `text` begins with; 0: none.
size_t expansion_length(std::string_view text) {
  if (!text.starts_with('$')) return 0;
  const bool braces = text.substr(1).starts_with('{');
  const size_t begin = braces ? 2 : 1;
  size_t end = begin;
  while (end < text.size() && (end == begin ? is_name_start(text[end]) : is_name_character(text[end]))) ++end;
  if (end == begin) return 0;
  if (!braces) return end;
  return end < text.size() && text[end] == '}' ? end + 1 : 0;
}

// The kubelet would take a `$` and this character for its own.
constexpr bool kubelet_reads(char next) { return next == '$' || next == '('; }

// A word of shell_options: parts in single quotes are literal, in the others $NAME expands.
struct Part {
  std::string text;
  bool literal = false;
};

struct OptionWord {
  std::string written;  // as the user wrote it
  std::vector<Part> parts;
  void add(char c, bool literal) {
    if (parts.empty() || parts.back().literal != literal) parts.push_back({.text = "", .literal = literal});
    parts.back().text += c;
  }
  void begin_quotes(bool literal) {
    if (parts.empty()) parts.push_back({.text = "", .literal = literal});
  }
};

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// None if a quote is not closed.
std::optional<std::vector<OptionWord>> split_options(std::string_view text) {
  std::vector<OptionWord> words;
  bool in_word = false;
  char quote = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote == 0 && is_blank(c)) {
      in_word = false;
      continue;
    }
    if (!in_word) words.emplace_back();
    in_word = true;
    OptionWord& word = words.back();
    word.written += c;
    const bool escapes = c == '\\' && quote != '\'' && i + 1 < text.size() &&
                         (quote == 0 || std::string_view("\\\"$`").find(text[i + 1]) != std::string_view::npos);
    if (escapes) {
      word.written += text[++i];
      word.add(text[i], true);
    } else if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
      word.begin_quotes(c == '\'');
    } else if (c == quote) {
      quote = 0;
    } else {
      word.add(c, quote == '\'');
    }
  }
  if (quote != 0) return std::nullopt;
  return words;
}

// Text whose quotes are not closed, which no shell would run: quotes are characters.
std::vector<OptionWord> split_at_blanks(std::string_view text) {
  std::vector<OptionWord> words;
  for (size_t i = 0; i < text.size(); ++i) {
    if (is_blank(text[i])) continue;
    if (i == 0 || is_blank(text[i - 1])) words.emplace_back();
    words.back().written += text[i];
    words.back().add(text[i], false);
  }
  return words;
}

// True if a shell reads the word as it is meant, so that it can stay as the user wrote it. `word` has no open quotes.
bool stays_as_written(std::string_view word) {
  const bool option = word.starts_with('-');  // no file is called like an option, so its wildcards match nothing
  char quote = 0;
  for (size_t i = 0; i < word.size();) {
    const char c = word[i];
    const bool hidden = c == '$' && i + 1 < word.size() && kubelet_reads(word[i + 1]);
    const size_t length = quote == '\'' ? 0 : expansion_length(word.substr(i));
    if (hidden) return false;
    if (length > 0) {
      i += length;
      continue;
    }
    ++i;
    if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
    } else if (c == quote) {
      quote = 0;
    } else if (quote == 0 && !is_plain(c) && !(option && (c == '*' || c == '?'))) {
      return false;
    } else if (quote == '"' && (c == '$' || c == '`' || c == '\\')) {
      return false;
    }
  }
  return true;
}

std::string join_parts(const OptionWord& word) {
  const auto expands = [](const Part& part) { return !part.literal && shell_expands(part.text); };
  std::string whole, pieces;
  for (const Part& part : word.parts) {
    whole += part.text;
    pieces += expands(part) ? "\"" + shell_double_quoted(part.text, true) + "\"" : shell_literal(part.text);
  }
  return std::any_of(word.parts.begin(), word.parts.end(), expands) ? pieces : shell_text(whole);
}

}  // namespace

std::string shell_literal(std::string_view text) {
  std::string out = "'";
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\'') {
      out += R"('"'"')";
    } else {
      out += text[i];
    }
    if (text[i] == '$' && i + 1 < text.size() && kubelet_reads(text[i + 1])) out += "''";
  }
  return out + "'";
}

std::string shell_text(std::string_view text) {
  return !text.empty() && all_plain(text) ? std::string(text) : shell_literal(text);
}

std::string shell_word(std::string_view text) {
  return shell_expands(text) ? "\"" + shell_double_quoted(text, true) + "\"" : shell_text(text);
}

std::string shell_options(std::string_view text) {
  const std::optional<std::vector<OptionWord>> read = split_options(text);
  const std::vector<OptionWord> words = read ? *read : split_at_blanks(text);
  const auto stays = [&](const OptionWord& word) { return read && stays_as_written(word.written); };
  const bool one_line = text.find_first_of("\r\n") == std::string_view::npos;
  if (one_line && std::all_of(words.begin(), words.end(), stays)) return std::string(text);
  std::string out;
  for (const OptionWord& word : words) {
    if (!out.empty()) out += ' ';
    out += stays(word) ? word.written : join_parts(word);
  }
  return out;
}

std::string shell_double_quoted(std::string_view text, bool expand) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const size_t length = expand ? expansion_length(text.substr(i)) : 0;
    if (length > 0) {
      out += text.substr(i, length);
      i += length;
      continue;
    }
    const char c = text[i++];
    if (c == '\\' || c == '"' || c == '`' || c == '$') out += '\\';
    out += c;
    const bool escape_follows = i < text.size() && text[i] == '$' && !(expand && expansion_length(text.substr(i)) > 0);
    if (c == '$' && i < text.size() && kubelet_reads(text[i]) && !escape_follows) out += "\"\"";
  }
  return out;
}

bool shell_expands(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (expansion_length(text.substr(i)) > 0) return true;
  }
  return false;
}

}  // namespace fmesh::plan
