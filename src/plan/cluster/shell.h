// Shell text, quoted by what a field means (docs/internals/plan.md has the table). A pod's command is one string for
// bash or sh, as upstream makes it, so that a pod need not restart for a difference in quotes.
//
// plain text stays as it is; $NAME and ${NAME} still expand where upstream's users rely on it; all else is literal.
#pragma once

#include <string>
#include <string_view>

namespace fmesh::plan {

// One literal word in single quotes, always: '{"a":"it'"'"'s"}'.
std::string shell_literal(std::string_view text);
// One word in which $NAME and ${NAME} expand and nothing else happens. Text of plain characters is returned as it is.
std::string shell_word(std::string_view text);
// Within double quotes: \ " ` and $ are escaped, except that $NAME and ${NAME} stay if `expand`.
std::string shell_double_quoted(std::string_view text, bool expand);

}  // namespace fmesh::plan
