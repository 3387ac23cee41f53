#include "model/diagnostics.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <tuple>
#include <utility>

#include "model/json.h"
#include "model/utf8.h"

namespace fmesh::model {

const char* to_string(Severity severity) {
  switch (severity) {
    case Severity::kError:
      return "error";
    case Severity::kWarning:
      return "warning";
    case Severity::kNote:
      return "note";
  }
  return "unknown";
}

void Diagnostics::add(Diagnostic diagnostic) {
  if (list_.size() < kFindingsMax) list_.push_back(std::move(diagnostic));
}

void Diagnostics::append(Diagnostics other) {
  list_.insert(list_.end(), std::make_move_iterator(other.list_.begin()), std::make_move_iterator(other.list_.end()));
}

size_t Diagnostics::count(Severity severity) const {
  return static_cast<size_t>(
      std::count_if(list_.begin(), list_.end(), [&](const Diagnostic& one) { return one.severity == severity; }));
}

void Diagnostics::sort() {
  std::map<std::string, size_t> order;
  for (const Diagnostic& one : list_) order.emplace(one.place.file, order.size());
  std::stable_sort(list_.begin(), list_.end(), [&](const Diagnostic& a, const Diagnostic& b) {
    return std::tuple(order[a.place.file], a.place.line, a.place.column) <
           std::tuple(order[b.place.file], b.place.line, b.place.column);
  });
  std::vector<Diagnostic> unique;
  for (Diagnostic& one : list_) {
    bool seen = false;
    for (auto other = unique.rbegin(); !seen && other != unique.rend() && other->place == one.place; ++other) {
      seen = *other == one;
    }
    if (!seen) unique.push_back(std::move(one));
  }
  list_ = std::move(unique);
}

namespace {

constexpr size_t kExcerptMaxCharacters = 160;  // longer source lines are not shown: a one-line JSON file is no help

// Line `number` of `text`, without its end.
std::string_view line_of(std::string_view text, int32_t number) {
  size_t start = 0;
  for (int32_t line = 1; line < number; ++line) {
    const size_t end = text.find('\n', start);
    if (end == std::string_view::npos) return {};
    start = end + 1;
  }
  std::string_view line = text.substr(start, text.find('\n', start) - start);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

std::string excerpt(const Diagnostic& one, const Sources& sources) {
  const auto source = sources.find(one.place.file);
  if (one.quiet || source == sources.end() || one.place.line <= 0 || one.place.column <= 0) return {};
  const std::string_view line = line_of(*source->second, one.place.line);
  if (line.empty() || first_bad_utf8(line)) return {};
  const size_t characters = count_characters(line);
  if (characters > kExcerptMaxCharacters) return {};
  const size_t start = static_cast<size_t>(one.place.column - 1);
  // A tab before the caret stays a tab, so that the caret stands below its character.
  std::string lead;
  for (size_t byte = 0, seen = 0; byte < line.size() && seen < start; ++byte) {
    if ((static_cast<unsigned char>(line[byte]) & 0xC0) == 0x80) continue;
    lead += line[byte] == '\t' ? '\t' : ' ';
    ++seen;
  }
  const size_t room = characters > start ? characters - start : 1;
  const size_t length = std::clamp<size_t>(static_cast<size_t>(std::max(one.length, 1)), 1, room);
  return fmt::format("{:5} | {}\n      | {}^{}\n", one.place.line, line, lead, std::string(length - 1, '~'));
}

std::string headline(const Diagnostic& one) {
  std::string out = Error(ErrorKind::kFixInput, "", one.place).to_string();
  if (one.severity != Severity::kError) out += std::string(to_string(one.severity)) + ": ";
  if (!one.path.empty()) out += one.path + ": ";
  return out + one.text;
}

}  // namespace

std::string render(const Diagnostics& diagnostics, const Sources& sources) {
  std::string out;
  size_t shown = 0;
  for (const Diagnostic& one : diagnostics.list()) {
    if (++shown > kShownMax) {
      out += fmt::format("... and {} more.\n", diagnostics.list().size() - kShownMax);
      break;
    }
    out += headline(one) + "\n" + excerpt(one, sources);
  }
  return out;
}

std::string count_line(const Diagnostics& diagnostics) {
  const size_t errors = diagnostics.errors(), warnings = diagnostics.warnings();
  return fmt::format("{} error{}, {} warning{}.", errors, errors == 1 ? "" : "s", warnings, warnings == 1 ? "" : "s");
}

std::string to_json(const Diagnostics& diagnostics) {
  boost::json::array list;
  for (const Diagnostic& one : diagnostics.list()) {
    boost::json::object item{{"severity", to_string(one.severity)},
                             {"file", one.place.file},
                             {"line", one.place.line},
                             {"column", one.place.column},
                             {"path", one.path},
                             {"field", one.field},
                             {"text", one.text}};
    list.push_back(std::move(item));
  }
  return write_json(list, {.indent = 2});
}

Error to_error(const Diagnostics& diagnostics, const Sources& sources) {
  Diagnostics errors;
  for (const Diagnostic& one : diagnostics.list()) {
    if (one.severity == Severity::kError) errors.add(one);
  }
  if (errors.list().size() == 1) {
    const Diagnostic& one = errors.list().front();
    return Error(ErrorKind::kFixInput, one.path.empty() ? one.text : one.path + ": " + one.text, one.place);
  }
  return Error(ErrorKind::kFixInput, count_line(errors) + "\n" + render(errors, sources));
}

namespace {

char lower(char byte) { return byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte + 32) : byte; }

// Levenshtein, with two neighbours swapped counted as one mistake.
size_t distance(std::string_view a, std::string_view b) {
  const auto same = [&](size_t line, size_t column) { return lower(a[line - 1]) == lower(b[column - 1]); };
  std::vector<size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  for (size_t column = 0; column <= b.size(); ++column) row[column] = column;
  for (size_t line = 1; line <= a.size(); ++line) {
    before = std::exchange(above, row);
    row[0] = line;
    for (size_t column = 1; column <= b.size(); ++column) {
      row[column] = std::min({above[column - 1] + !same(line, column), above[column] + 1, row[column - 1] + 1});
      if (line > 1 && column > 1 && same(line, column - 1) && same(line - 1, column)) {
        row[column] = std::min(row[column], before[column - 2] + 1);
      }
    }
  }
  return row[b.size()];
}

}  // namespace

std::string_view closest(std::string_view found, const std::vector<std::string_view>& candidates) {
  constexpr size_t kWordMaxBytes = 64;  // no field name is longer; keeps this cheap on any input
  if (found.empty() || found.size() > kWordMaxBytes) return {};
  std::string_view best;
  size_t best_distance = std::max<size_t>(1, found.size() / 3) + 1;
  for (const std::string_view candidate : candidates) {
    const size_t far = distance(found, candidate);
    if (far < best_distance) {
      best = candidate;
      best_distance = far;
    }
  }
  return best;
}

}  // namespace fmesh::model
