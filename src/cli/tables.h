// What `status`, `top` and `stream ls` show, as text: values in, lines out. Colours and the width are parameters, so
// that the same table is drawn on a terminal and written to a file. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "observe/mesh_view.h"

namespace fmesh::cli {

struct Look {
  size_t width = 0;      // columns; longer lines are cut. 0: no limit
  size_t lines_max = 0;  // rows of components; 0: no limit
  bool colours = false;
};

// Columns side by side, the first row being the headings. Text is aligned left, numbers right.
std::string render_table(const std::vector<std::vector<std::string>>& rows, const Look& look);

// A head line and a table of components. `now_ms`: wall time, for the age.
std::string render_mesh(const observe::MeshState& state, int64_t now_ms, const Look& look);
std::string render_streams(const std::vector<observe::StreamView>& streams, const Look& look);
std::string render_log_line(const observe::LogEntry& line, bool colours);
// "key  {"a":1}" with what else there is; one line.
std::string render_record(const observe::RecordLine& record, bool with_topic);

// Control characters as "\\x1b", so that none of someone else's text reaches the terminal.
std::string harmless(std::string_view text);

// Columns that `text` takes on a terminal: UTF-8 is counted by characters, colours not at all.
size_t shown_width(std::string_view text);

}  // namespace fmesh::cli
