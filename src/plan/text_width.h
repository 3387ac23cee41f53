// How many columns a terminal needs for a text; each character counts as one, which is wrong for East Asian wide ones
// and good enough for names of components. A pure function.
#pragma once

#include <string_view>

#include "model/utf8.h"

namespace fmesh::plan {

inline int text_width(std::string_view text) { return static_cast<int>(model::count_characters(text)); }

}  // namespace fmesh::plan
