// Shell text, quoted by what a field means (docs/internals/plan.md has the table). A pod's command is one string for
// bash or sh, as upstream makes it, so that a pod need not restart for a difference in quotes.
//
// plain text stays as it is; $NAME and ${NAME} still expand where upstream's users rely on it; all else is literal.
//
// Before a shell sees it, the kubelet replaces $(NAME) in a command by an environment variable and $$ by $. No text of
// a user comes out of here with either: their characters are parted by quotes, which the shell removes again.
#pragma once

#include <string>
#include <string_view>

namespace fmesh::plan {

// One literal word in single quotes, always: '{"a":"it'"'"'s"}'.
std::string shell_literal(std::string_view text);
// One literal word; text of plain characters is returned as it is.
std::string shell_text(std::string_view text);
// One word in which $NAME and ${NAME} expand and nothing else happens. Text of plain characters is returned as it is.
std::string shell_word(std::string_view text);
// Several words, as people write options: blanks and line ends separate, quotes and backslashes group, $NAME and
// ${NAME} expand (outside quotes into several words), all else is literal. Quotes that are not closed are characters.
std::string shell_options(std::string_view text);
// Within double quotes: \ " ` and $ are escaped, except that $NAME and ${NAME} stay if `expand`.
std::string shell_double_quoted(std::string_view text, bool expand);

// True if `text` has a $NAME or ${NAME}.
bool shell_expands(std::string_view text);

}  // namespace fmesh::plan
