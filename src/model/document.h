// A document as it was written: a tree of mappings, sequences and scalars, each node with its line and column. YAML and
// JSON both end here, with scalars typed as kubectl's YAML library types them (YAML 1.1: yes and on are true, 010 is
// eight). Reading is bounded and never crashes on any input. Values; a tree is shared by what was read from it.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "model/diagnostics.h"

namespace fmesh::model {

inline constexpr size_t kFileSizeMaxBytes = 16 * 1024 * 1024;  // a mesh of 10,000 components is about 10 MiB
inline constexpr int kDepthMax = 100;                          // nesting; recursion over a tree is bounded by it
inline constexpr size_t kNodesMax = 1'000'000;                 // of one file, aliases expanded; ends "billion laughs"

struct Node;

struct Entry;

struct Node {
  enum class Type : uint8_t { kNull, kBool, kInt, kUint, kFloat, kString, kSequence, kMapping };
  Type type = Type::kNull;
  bool boolean = false;
  int32_t line = 0, column = 0;  // from 1
  int32_t length = 0;            // characters it takes on its first line
  union {
    int64_t integer = 0;
    uint64_t unsigned_integer;  // kUint: above the range of int64
    double real;
  };
  std::string text;            // a scalar as written, quotes and escapes resolved
  std::vector<Node> items;     // of a sequence
  std::vector<Entry> entries;  // of a mapping, in the order written; keys are unique

  const Node* find(std::string_view key) const;
  const Entry* entry(std::string_view key) const;
};

struct Entry {
  std::string key;
  int32_t line = 0, column = 0, length = 0;  // of the key
  Node value;
};

// "a string", "the number 3", "a mapping": how a finding calls what it met.
std::string describe(const Node& node);
boost::json::value to_json(const Node& node);

// Where something is within a document: spec.functions[1].input.topics[0]. Keys that are no plain words are quoted.
class Path {
 public:
  using Step = std::variant<std::string, size_t>;
  Path() = default;
  static Path of(std::string_view dotted);  // plain keys only: "spec.input"

  Path operator/(std::string_view key) const;
  Path operator[](size_t index) const;
  const std::vector<Step>& steps() const { return steps_; }
  std::string to_string() const;
  bool operator==(const Path&) const = default;

 private:
  std::vector<Step> steps_;
};

struct DocumentList {
  std::vector<std::shared_ptr<const Node>> documents;  // empty documents are left out
  Diagnostics findings;  // errors of syntax; reading ends at the first, duplicate keys are all reported
};

// Errors: too large, too deep, too many nodes, broken UTF-8, syntax, duplicate keys; each with its place in `file`.
DocumentList read_yaml(const std::string& file, std::string_view text);
// Strict JSON (RFC 8259): one value.
DocumentList read_json(const std::string& file, std::string_view text);

}  // namespace fmesh::model
