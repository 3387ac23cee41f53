// The configuration of connectors, described once per field: from a table of fields come reading, errors that name the
// path with the closest spelling, and the page in docs/connectors. Values; used while a connector opens.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/instance_spec.h"

namespace boost::json {
class value;
}

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

// Values by field name, defaults filled in. Asking for a name that is not in the table is a bug.
class Config {
 public:
  // `where` is how errors call the object, e.g. "sources[0].sourceConfig". Strings that are wholly "${NAME}" are
  // replaced by the secret of that name. Errors: kFixInput for unknown fields, wrong types, values out of limits,
  // missing secrets.
  static Result<Config> read(std::span<const Field> fields, std::string_view json, const std::string& where,
                             const std::map<std::string, std::string>& secrets);

  const std::string& text(std::string_view name) const;
  int64_t integer(std::string_view name) const;
  double number(std::string_view name) const;
  bool flag(std::string_view name) const;
  const std::map<std::string, std::string>& texts(std::string_view name) const;

 private:
  // One of these counts, as the field's type says.
  struct Value {
    std::string text;
    int64_t integer = 0;
    double number = 0;
    bool flag = false;
    std::map<std::string, std::string> texts;
  };
  friend Result<Value> convert(const Field& field, const boost::json::value& value, const std::string& path,
                               const std::map<std::string, std::string>& secrets);
  std::map<std::string, Value, std::less<>> values_;
};

// The configuration of a source or sink from its instance spec.
Result<Config> read_config(std::span<const Field> fields, const model::InstanceSpec& spec);

// The table of a connector, as Markdown for docs/connectors.
std::string markdown(std::span<const Field> fields);

}  // namespace fmesh::connect
