// A record as one line of text, for sinks that write lines. Pure.
#pragma once

#include <string>
#include <string_view>

namespace fmesh::connect {

// Appends `payload` and a line break. Line breaks within a JSON text (object or array) become blanks, which changes
// nothing of its meaning. False if there are line breaks in another text; it is appended as it is.
bool append_line(std::string& out, std::string_view payload);

// True for a whole JSON text.
bool is_json(std::string_view text);

}  // namespace fmesh::connect
