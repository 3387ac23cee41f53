// The configuration of connectors, described once per field: from a table of fields come reading, errors that name the
// path with the closest spelling, what `fmesh validate` says, and the pages in docs/connectors. Values; used while a
// connector opens and while files are checked.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/instance_spec.h"

namespace fmesh::connect {

enum class FieldType { kString, kInteger, kNumber, kBool, kChoice, kStringMap };

struct Field {
  std::string_view name;
  FieldType type;
  std::string_view default_text;               // as in the docs; JSON; empty: the field is required
  std::string_view meaning;                    // one line
  std::vector<std::string_view> choices = {};  // kChoice
  double minimum = -1e18;
  double maximum = 1e18;
};

// Something a person has to change, and where below the configuration: a field, or a member of a field that is a map.
struct Problem {
  std::vector<std::string> path;  // empty: the whole configuration
  std::string text;
};

class Problems {
 public:
  // `field` empty: the whole configuration. Dropped if the field is closed.
  void add(std::string_view field, std::string text);
  void add(std::string_view field, std::string_view member, std::string text);
  // Nothing more is said about `field`: its value is wrong already, or not known while files are checked.
  void close(std::string_view field) { closed_.emplace(field); }
  const std::vector<Problem>& list() const { return list_; }
  // All of them: "<where>.rate: expected ...; <where>.count: ...". REQUIRES: !list().empty().
  Error to_error(const std::string& where) const;

 private:
  std::vector<Problem> list_;
  std::set<std::string, std::less<>> closed_;
};

using Secrets = std::map<std::string, std::string>;

struct ConfigTable;
struct ConfigReading;

// Values by field name, defaults filled in. Asking for a name that is not in the table is a bug.
class Config {
 public:
  // Every "${NAME}" in a string is replaced by the secret of that name; "$${" stands for "${". Without `secrets` (null)
  // all are taken as present, their names stay in the text, and nothing is said about the values that hold them.
  // Problems: unknown fields, missing ones, wrong types, values out of limits, missing secrets, and what the table's
  // check finds. A field with a problem has the value of its default, or an empty one.
  static ConfigReading read(const ConfigTable& table, std::string_view json, int32_t instance_count,
                            const Secrets* secrets);

  const std::string& text(std::string_view name) const;
  int64_t integer(std::string_view name) const;
  double number(std::string_view name) const;
  bool flag(std::string_view name) const;
  const std::map<std::string, std::string>& texts(std::string_view name) const;

  // One of these counts, as the field's type says.
  struct Value {
    std::string text;
    int64_t integer = 0;
    double number = 0;
    bool flag = false;
    std::map<std::string, std::string> texts;
  };

 private:
  std::map<std::string, Value, std::less<>> values_;
};

struct ConfigReading {
  Config config;
  Problems problems;
};

// What a connector takes: its fields, and the rules that go beyond one field's type and limits (null: none).
struct ConfigTable {
  std::span<const Field> fields = {};
  void (*check)(const Config& config, int32_t instance_count, Problems& problems) = nullptr;
};

// The configuration of a source or sink from its instance spec. Errors: kFixInput with all problems.
Result<Config> read_config(const ConfigTable& table, const model::InstanceSpec& spec);

// A path of a configuration: relative ones begin in the folder of the YAML file. Empty stays empty.
std::string file_path(const model::InstanceSpec& spec, const std::string& path);

// The table of a connector, as Markdown for docs/connectors.
std::string markdown(std::span<const Field> fields);

}  // namespace fmesh::connect
