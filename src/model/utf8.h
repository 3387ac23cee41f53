// UTF-8 as a reader of people's files needs it: is it whole, where is it broken, how many characters are there. Pure
// functions over bytes.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace fmesh::model {

// The offset of the first byte that is not well-formed UTF-8 (overlong forms and surrogates are not), or none.
std::optional<size_t> first_bad_utf8(std::string_view text);
// Characters (code points) in well-formed `text`.
size_t count_characters(std::string_view text);

}  // namespace fmesh::model
