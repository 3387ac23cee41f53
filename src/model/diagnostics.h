// What a person is told about the files they wrote: errors, warnings and notes with path, place and source line.
// Findings are collected, never thrown at the first; a file's errors are all reported at once. Values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fmesh::model {

enum class Severity { kError, kWarning, kNote };
const char* to_string(Severity severity);

struct Diagnostic {
  Severity severity = Severity::kError;
  Place place;         // line 0: the whole file, or no file
  int32_t length = 1;  // characters the caret line underlines
  std::string path;    // exact: spec.functions[1].input.topics[0]; empty: none
  std::string field;   // the path as upstream's webhook spells it: spec.input
  std::string text;    // what was found, what was expected, the way out
  bool quiet = false;  // its source line is not shown: it may hold a secret
  bool operator==(const Diagnostic&) const = default;
};

inline constexpr size_t kFindingsMax = 10'000;  // a file with more is no file of resources
inline constexpr size_t kShownMax = 100;        // of render(): more than a person reads

class Diagnostics {
 public:
  // Findings beyond kFindingsMax are dropped.
  void add(Diagnostic diagnostic);
  void append(Diagnostics other);
  const std::vector<Diagnostic>& list() const { return list_; }
  size_t errors() const { return count(Severity::kError); }
  size_t warnings() const { return count(Severity::kWarning); }
  bool ok() const { return errors() == 0; }
  bool empty() const { return list_.empty(); }
  // By file in the order of first mention, then line and column; equal findings appear once.
  void sort();

 private:
  size_t count(Severity severity) const;
  std::vector<Diagnostic> list_;
};

// The text of each file by name, for the excerpts.
using Sources = std::map<std::string, std::shared_ptr<const std::string>>;

// Each finding as "mesh.yaml:14:7: path: text", source line and underline, for a terminal.
std::string render(const Diagnostics& diagnostics, const Sources& sources);
// "1 error, 0 warnings."
std::string count_line(const Diagnostics& diagnostics);
// A JSON array of the findings.
std::string to_json(const Diagnostics& diagnostics);
// All errors as one Error for callers that have no terminal: kFixInput, the place of the first. REQUIRES: !ok().
Error to_error(const Diagnostics& diagnostics, const Sources& sources);

// The candidate closest to `found` (Levenshtein distance of at most a third of its length, case ignored), or "".
std::string_view closest(std::string_view found, const std::vector<std::string_view>& candidates);

}  // namespace fmesh::model
