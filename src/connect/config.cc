#include "connect/config.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <optional>

#include "model/diagnostics.h"

namespace fmesh::connect {
namespace {

namespace bj = boost::json;

constexpr double kNoLimit = 1e18;

std::string list_of(const std::vector<std::string_view>& names) {
  std::string text;
  for (const std::string_view name : names) text += (text.empty() ? "" : ", ") + std::string(name);
  return text;
}

std::string number_text(double value) { return bj::serialize(bj::value(static_cast<int64_t>(value))); }

// " from 1 to 10", " of at least 1" or nothing.
std::string limits(const Field& field) {
  if (field.minimum <= -kNoLimit) return "";
  if (field.maximum >= kNoLimit) return " of at least " + number_text(field.minimum);
  return " from " + number_text(field.minimum) + " to " + number_text(field.maximum);
}

std::string type_text(const Field& field) {
  switch (field.type) {
    case FieldType::kString:
      return "string";
    case FieldType::kInteger:
      return "integer" + limits(field);
    case FieldType::kNumber:
      return "number" + limits(field);
    case FieldType::kBool:
      return "true or false";
    case FieldType::kChoice:
      return "one of " + list_of(field.choices);
    case FieldType::kStringMap:
      return "map of strings";
  }
  return "";
}

std::string expected(const Field& field) {
  switch (field.type) {
    case FieldType::kInteger:
      return "an " + type_text(field);
    case FieldType::kString:
    case FieldType::kNumber:
    case FieldType::kStringMap:
      return "a " + type_text(field);
    case FieldType::kBool:
    case FieldType::kChoice:
      return type_text(field);
  }
  return "";
}

std::string shown(const bj::value& value) {
  constexpr size_t kShownMax = 80;
  std::string text = bj::serialize(value);
  if (text.size() > kShownMax) {
    text.resize(kShownMax);
    while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0x80) != 0) text.pop_back();
    text += "...";
  }
  return text;
}

bool is_name(std::string_view text) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (text.empty() || !letter(text[0])) return false;
  return std::ranges::all_of(text, [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '.' || c == '-'; });
}

// Reads the values of one configuration.
class Reader {
 public:
  Reader(const Secrets* secrets, Problems& problems) : secrets_(secrets), problems_(problems) {}

  Config::Value convert(const Field& field, const bj::value& value) {
    Config::Value converted;
    switch (field.type) {
      case FieldType::kString:
      case FieldType::kChoice:
        if (!value.is_string()) {
          wrong(field, value);
          break;
        }
        converted.text = resolve(field, "", value.as_string());
        if (field.type == FieldType::kChoice && std::ranges::find(field.choices, converted.text) == field.choices.end())
          wrong_choice(field, converted.text);
        break;
      case FieldType::kInteger:
      case FieldType::kNumber:
        read_number(field, value, converted);
        break;
      case FieldType::kBool:
        if (value.is_bool()) {
          converted.flag = value.as_bool();
        } else {
          wrong(field, value);
        }
        break;
      case FieldType::kStringMap:
        read_map(field, value, converted);
        break;
    }
    return converted;
  }

 private:
  void wrong(const Field& field, const bj::value& value) {
    problems_.add(field.name, "expected " + expected(field) + ", found " + shown(value));
    problems_.close(field.name);
  }

  void wrong_choice(const Field& field, const std::string& found) {
    const std::string_view near = model::closest(found, field.choices);
    problems_.add(field.name, "expected " + expected(field) + ", found " + shown(bj::string(found)) +
                                  (near.empty() ? "" : "; did you mean " + std::string(near) + "?"));
    problems_.close(field.name);
  }

  void read_number(const Field& field, const bj::value& value, Config::Value& converted) {
    if (!value.is_number()) return wrong(field, value);
    const auto number = value.to_number<double>();
    if (number < field.minimum || number > field.maximum) return wrong(field, value);
    if (field.type == FieldType::kInteger && number != std::floor(number)) return wrong(field, value);
    converted.number = number;
    if (field.type == FieldType::kInteger)
      converted.integer = value.is_double() ? static_cast<int64_t>(number) : value.to_number<int64_t>();
  }

  void read_map(const Field& field, const bj::value& value, Config::Value& converted) {
    if (!value.is_object()) return wrong(field, value);
    for (const auto& [key, item] : value.as_object()) {
      const std::string member(key);
      if (!item.is_string()) {
        problems_.add(field.name, member, "expected a string, found " + shown(item));
      } else {
        converted.texts[member] = resolve(field, member, item.as_string());
      }
    }
  }

  // The text with its secrets.
  std::string resolve(const Field& field, const std::string& member, std::string_view text) {
    std::string resolved;
    while (!text.empty()) {
      const size_t open = text.find("${");
      const size_t close = open == std::string_view::npos ? open : text.find('}', open);
      if (close == std::string_view::npos) break;
      const std::string name(text.substr(open + 2, close - open - 2));
      if (open > 0 && text[open - 1] == '$') {  // "$${": the text "${"
        resolved += text.substr(0, open - 1);
        resolved += "${";
        text.remove_prefix(open + 2);
        continue;
      }
      if (!is_name(name)) {
        resolved += text.substr(0, open + 2);
        text.remove_prefix(open + 2);
        continue;
      }
      resolved += text.substr(0, open);
      text.remove_prefix(close + 1);
      if (secrets_ == nullptr) {
        problems_.close(field.name);
        resolved += "${" + name + "}";
        continue;
      }
      const auto found = secrets_->find(name);
      if (found != secrets_->end()) {
        resolved += found->second;
        continue;
      }
      problems_.add(field.name, member,
                    "there is no secret \"" + name + "\"; add it to secretsMap, or write $${ for ${ itself");
      problems_.close(field.name);
    }
    return resolved.append(text);
  }

  const Secrets* secrets_;
  Problems& problems_;
};

bj::value parsed_default(const Field& field) {
  return bj::parse(bj::string_view(field.default_text.data(), field.default_text.size()));
}

}  // namespace

void Problems::add(std::string_view field, std::string text) { add(field, "", std::move(text)); }

void Problems::add(std::string_view field, std::string_view member, std::string text) {
  if (closed_.contains(field)) return;
  Problem problem;
  if (!field.empty()) problem.path.emplace_back(field);
  if (!member.empty()) problem.path.emplace_back(member);
  problem.text = std::move(text);
  list_.push_back(std::move(problem));
}

Error Problems::to_error(const std::string& where) const {
  std::string text;
  for (const Problem& problem : list_) {
    if (!text.empty()) text += "; ";
    text += where;
    for (const std::string& step : problem.path) text += "." + step;
    text += ": " + problem.text;
  }
  return {ErrorKind::kFixInput, std::move(text)};
}

ConfigReading Config::read(const ConfigTable& table, std::string_view json, int32_t instance_count,
                           const Secrets* secrets) {
  ConfigReading reading;
  Problems& problems = reading.problems;
  boost::system::error_code code;
  bj::value parsed = bj::parse(json.empty() ? "{}" : bj::string_view(json.data(), json.size()), code);
  if (!code && parsed.is_null()) parsed = bj::object();
  if (code || !parsed.is_object()) {
    problems.add("", "expected a map of fields");
    parsed = bj::object();
  }
  std::vector<std::string_view> names;
  for (const Field& field : table.fields) names.push_back(field.name);
  for (const auto& [key, value] : parsed.as_object()) {
    const std::string_view given(key.data(), key.size());
    if (std::ranges::find(names, given) != names.end()) continue;
    const std::string_view near = model::closest(given, names);
    problems.add(given, "no such field; " + (!near.empty()   ? "did you mean " + std::string(near) + "?"
                                             : names.empty() ? "there are none"
                                                             : "there are " + list_of(names)));
    if (!near.empty() && !parsed.as_object().contains(near)) problems.close(near);  // it is not missing but misspelt
  }
  Reader reader(secrets, problems);
  for (const Field& field : table.fields) {
    const bj::value* given = parsed.as_object().if_contains(field.name);
    Value value;
    if (given != nullptr) {
      value = reader.convert(field, *given);
    } else if (!field.default_text.empty()) {
      value = reader.convert(field, parsed_default(field));
    } else {
      problems.add(field.name, "is missing: " + std::string(field.meaning));
      problems.close(field.name);
    }
    reading.config.values_.emplace(field.name, std::move(value));
  }
  if (table.check != nullptr) table.check(reading.config, instance_count, problems);
  return reading;
}

// Asking for a field that is not in the table is a bug that the first test of a connector finds.
const std::string& Config::text(std::string_view name) const { return values_.find(name)->second.text; }
int64_t Config::integer(std::string_view name) const { return values_.find(name)->second.integer; }
double Config::number(std::string_view name) const { return values_.find(name)->second.number; }
bool Config::flag(std::string_view name) const { return values_.find(name)->second.flag; }
const std::map<std::string, std::string>& Config::texts(std::string_view name) const {
  return values_.find(name)->second.texts;
}

Result<Config> read_config(const ConfigTable& table, const model::InstanceSpec& spec) {
  const bool source = spec.host == model::HostKind::kSource;
  const std::string& json = source ? spec.details.source->configs : spec.details.sink->configs;
  ConfigReading reading = Config::read(table, json, spec.instance_count, &spec.secrets);
  if (reading.problems.list().empty()) return std::move(reading.config);
  return fail(reading.problems.to_error(spec.component + (source ? ".sourceConfig" : ".sinkConfig")));
}

std::string file_path(const model::InstanceSpec& spec, const std::string& path) {
  if (path.empty() || path[0] == '/') return path;
  return (spec.base_directory.empty() ? "." : spec.base_directory) + "/" + path;
}

std::string markdown(std::span<const Field> fields) {
  std::string text = "| field | type | default | meaning |\n|---|---|---|---|\n";
  for (const Field& field : fields) {
    // A bar would end the cell, also within code.
    const auto cell = [](std::string_view from) {
      std::string cell;
      for (const char c : from) cell += c == '|' ? "\\|" : std::string(1, c);
      return cell;
    };
    text += "| `" + std::string(field.name) + "` | " + type_text(field) + " | ";
    text += field.default_text.empty() ? "required" : "`" + cell(field.default_text) + "`";
    text += " | " + cell(field.meaning) + " |\n";
  }
  return text;
}

}  // namespace fmesh::connect
