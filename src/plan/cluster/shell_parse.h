// A shell command as words: quotes are gone, expansions are marks. Reads what pod commands are made of (simple
// commands,
// &&, ||, redirections, if), to compare two of them; it runs nothing. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fmesh::plan {

// Around an expansion in a word: kExpansionBegin + "HOME" + kExpansionEnd, the same for $HOME, ${HOME} and "$HOME".
// Private-use characters, so that no text of a user looks like one.
inline constexpr std::string_view kExpansionBegin = "\xEE\x80\x80", kExpansionEnd = "\xEE\x80\x81";

struct ShellToken {
  std::string text;
  bool is_operator = false;  // && || | ; > < ( ) and a line's end, which is ";"
  bool operator==(const ShellToken&) const = default;
};

// What the kubelet makes of `text` first: $$ is $, and $(NAME), which it may replace by a variable, is a mark.
std::string kubelet_reduced(std::string_view text);

// None if a quote or a bracket is not closed.
std::optional<std::vector<ShellToken>> parse_shell(std::string_view text);

}  // namespace fmesh::plan
