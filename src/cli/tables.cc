#include "cli/tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "cli/units.h"
#include "observe/json.h"
#include "stream/topic_name.h"

namespace fmesh::cli {
namespace {

constexpr std::string_view kBold = "\x1b[1m", kDim = "\x1b[2m", kRed = "\x1b[31m", kYellow = "\x1b[33m",
                           kGreen = "\x1b[32m", kPlain = "\x1b[0m";

std::string coloured(std::string_view colour, const std::string& text, bool colours) {
  return colours && !text.empty() ? std::string(colour) + text + std::string(kPlain) : text;
}

// The bytes of the character at `at`, or of a colour sequence there (then it has no width).
size_t step(std::string_view text, size_t at, bool& has_width) {
  has_width = true;
  if (text[at] == '\x1b') {
    has_width = false;
    const size_t end = text.find('m', at);
    return end == std::string_view::npos ? text.size() - at : end - at + 1;
  }
  size_t size = 1;
  while (at + size < text.size() && (static_cast<unsigned char>(text[at + size]) & 0xc0) == 0x80) ++size;
  return size;
}

std::string cut(const std::string& text, size_t width) {
  if (width == 0 || shown_width(text) <= width) return text;
  std::string kept;
  size_t columns = 0;
  bool colour = false;
  for (size_t at = 0; at < text.size();) {
    bool has_width = true;
    const size_t size = step(text, at, has_width);
    if (has_width && columns + 1 >= width) break;
    kept += text.substr(at, size);
    columns += has_width ? 1 : 0;
    colour = colour || !has_width;
    at += size;
  }
  return kept + "…" + (colour ? std::string(kPlain) : "");
}

bool is_number(std::string_view text) {
  return !text.empty() && (std::isdigit(static_cast<unsigned char>(text[0])) != 0 || text == "-");
}

}  // namespace

std::string harmless(std::string_view text) {
  std::string kept;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      kept += c == '\t' ? "\t" : fmt::format("\\x{:02x}", byte);
    } else {
      kept += c;
    }
  }
  return kept;
}

namespace {

std::string_view colour_of(const std::string& state) {
  if (state == "running" || state == "finished") return kGreen;
  if (state == "failed" || state == "stuck") return kRed;
  return kYellow;
}

std::string head_line(const observe::MeshState& state, int64_t now_ms, bool colours) {
  std::string head = coloured(kBold, state.name.empty() ? state.data_directory : state.name, colours) + "  " +
                     coloured(state.state == "running" ? kGreen : kYellow, state.state, colours);
  if (state.started_ms != 0) head += "  up " + show_duration(std::max<int64_t>(0, now_ms - state.started_ms));
  if (state.process_id != 0) head += fmt::format("  pid {}", state.process_id);
  if (state.memory_bytes != 0) head += "  memory " + show_bytes(state.memory_bytes);
  if (state.host_restarts != 0) head += coloured(kRed, fmt::format("  crashed {} times", state.host_restarts), colours);
  return head;
}

}  // namespace

size_t shown_width(std::string_view text) {
  size_t width = 0;
  for (size_t at = 0; at < text.size();) {
    bool has_width = true;
    at += step(text, at, has_width);
    width += has_width ? 1 : 0;
  }
  return width;
}

std::string render_table(const std::vector<std::vector<std::string>>& rows, const Look& look) {
  std::vector<size_t> widths;
  std::vector<bool> numbers;
  for (size_t r = 0; r < rows.size(); ++r) {
    for (size_t c = 0; c < rows[r].size(); ++c) {
      if (c == widths.size()) {
        widths.push_back(0);
        numbers.push_back(rows.size() > 1);
      }
      widths[c] = std::max(widths[c], shown_width(rows[r][c]));
      if (r > 0 && !is_number(rows[r][c]) && !rows[r][c].empty()) numbers[c] = false;
    }
  }
  std::string text;
  for (size_t r = 0; r < rows.size(); ++r) {
    std::string line;
    for (size_t c = 0; c < rows[r].size(); ++c) {
      const std::string blanks(widths[c] - shown_width(rows[r][c]), ' ');
      line += numbers[c] ? blanks + rows[r][c] : rows[r][c] + blanks;
      if (c + 1 < rows[r].size()) line += "  ";
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    text += (r == 0 ? coloured(kDim, cut(line, look.width), look.colours) : cut(line, look.width)) + "\n";
  }
  return text;
}

namespace {

// Makes a table of components narrow enough: leaves columns out, those first that are missed least, then cuts names.
void make_fit(std::vector<std::vector<std::string>>& rows, size_t width) {
  constexpr std::string_view kMissedLeast[] = {"RUNS", "IN", "OUT", "REPLICAS", "DEAD", "CPU%", "OUT/S", "BACKLOG"};
  constexpr size_t kNameMinColumns = 12, kGapColumns = 2;
  const auto too_wide = [&]() -> size_t {
    size_t sum = 0;
    for (size_t c = 0; c < rows[0].size(); ++c) {
      size_t widest = 0;
      for (const std::vector<std::string>& row : rows) widest = std::max(widest, shown_width(row[c]));
      sum += widest + (c == 0 ? 0 : kGapColumns);
    }
    return sum > width ? sum - width : 0;
  };
  size_t name_columns = 0;
  for (const std::vector<std::string>& row : rows) name_columns = std::max(name_columns, shown_width(row[0]));
  const size_t spare = name_columns > kNameMinColumns ? name_columns - kNameMinColumns : 0;
  for (const std::string_view heading : kMissedLeast) {
    if (width == 0 || too_wide() <= spare) break;
    const auto column = std::ranges::find(rows[0], heading) - rows[0].begin();
    for (std::vector<std::string>& row : rows) row.erase(row.begin() + column);
  }
  if (width == 0) return;
  const size_t name_max = name_columns - std::min(spare, too_wide());
  for (std::vector<std::string>& row : rows) row[0] = cut(row[0], name_max);
}

}  // namespace

std::string render_mesh(const observe::MeshState& state, int64_t now_ms, const Look& look) {
  std::string text = cut(head_line(state, now_ms, look.colours), look.width) + "\n";
  if (!state.reload_error.empty()) {
    text +=
        coloured(kRed, "the files as they are now were not taken:", look.colours) + "\n" + state.reload_error + "\n";
  }
  std::vector<std::vector<std::string>> rows = {
      {"NAME", "RUNS", "STATE", "REPLICAS", "IN/S", "OUT/S", "IN", "OUT", "BACKLOG", "ERRORS", "DEAD", "CPU%"}};
  std::string problems;
  const size_t shown =
      look.lines_max == 0 ? state.components.size() : std::min(look.lines_max, state.components.size());
  for (size_t i = 0; i < state.components.size(); ++i) {
    const observe::ComponentView& c = state.components[i];
    if (!c.last_error.empty() && (c.state == "failed" || c.state == "backoff" || c.state == "stuck")) {
      problems += cut(coloured(kRed, c.name, look.colours) + ": " + harmless(c.last_error), look.width) + "\n";
    }
    if (i >= shown) continue;
    rows.push_back({c.name, c.runs, coloured(colour_of(c.state), c.state, look.colours), std::to_string(c.replicas),
                    show_rate(c.received_per_s), show_rate(c.written_per_s), show_count(c.received_total),
                    show_count(c.written_total), c.inputs.empty() ? "-" : show_count(c.backlog_records),
                    show_count(c.errors_total), show_count(c.dead_letters_total),
                    fmt::format("{:.0f}", c.cpu_percent)});
  }
  make_fit(rows, look.width);
  if (rows.size() > 1) text += render_table(rows, look);
  if (shown < state.components.size())
    text += cut(fmt::format("... and {} more components", state.components.size() - shown), look.width) + "\n";
  return text + problems;
}

std::string render_streams(const std::vector<observe::StreamView>& streams, const Look& look) {
  std::vector<std::vector<std::string>> rows = {
      {"STREAM", "PARTITIONS", "RECORDS", "SIZE", "SUBSCRIPTION", "TYPE", "BACKLOG"}};
  for (const observe::StreamView& stream : streams) {
    std::vector<std::string> row = {stream::short_topic_name(stream.topic), std::to_string(stream.partitions),
                                    show_count(stream.records), show_bytes(stream.bytes)};
    if (stream.subscriptions.empty()) rows.push_back(row);
    for (const observe::SubscriptionView& s : stream.subscriptions) {
      std::vector<std::string> line = row;
      line.insert(line.end(), {s.name, s.type, show_count(s.backlog_records)});
      rows.push_back(std::move(line));
      row.assign(4, "");
    }
  }
  return rows.size() == 1 ? "no streams\n" : render_table(rows, look);
}

std::string render_log_line(const observe::LogEntry& line, bool colours) {
  const time_t seconds = line.time_ms / 1'000;
  tm local{};
  ::localtime_r(&seconds, &local);
  std::array<char, 16> time{};
  std::strftime(time.data(), time.size(), "%H:%M:%S", &local);
  const std::string_view colour = line.level == "error" ? kRed : line.level == "warn" ? kYellow : kDim;
  return fmt::format("{}.{:03} {} {} {}", time.data(), line.time_ms % 1'000,
                     coloured(colour, fmt::format("{:<5}", line.level), colours), line.instance_id,
                     harmless(line.text));
}

std::string render_record(const observe::RecordLine& record, bool with_topic) {
  if (!record.damage.empty()) return "damaged: " + harmless(record.damage);
  std::string text = record.id;
  if (with_topic) text += "  " + stream::short_topic_name(record.topic);
  if (record.key) text += "  " + harmless(*record.key);
  for (const auto& [key, value] : record.properties) text += "  " + harmless(key) + "=" + harmless(value);
  return text + "  " + (record.null_value ? "(deleted)" : harmless(record.payload));
}

}  // namespace fmesh::cli
