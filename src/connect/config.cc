#include "connect/config.h"

#include <boost/json.hpp>
#include <cassert>
#include <cmath>
#include <optional>

#include "model/diagnostics.h"

namespace fmesh::connect {
namespace {

namespace bj = boost::json;

std::string_view type_name(FieldType type) {
  switch (type) {
    case FieldType::kString:
      return "string";
    case FieldType::kInteger:
      return "integer";
    case FieldType::kNumber:
      return "number";
    case FieldType::kBool:
      return "true or false";
    case FieldType::kChoice:
      return "choice";
    case FieldType::kStringMap:
      return "map of strings";
  }
  return "";
}

std::string expected(const Field& field) {
  if (field.type == FieldType::kChoice) {
    std::string text = "one of";
    for (size_t i = 0; i < field.choices.size(); ++i) text += (i == 0 ? " " : ", ") + std::string(field.choices[i]);
    return text;
  }
  std::string text = "a value of type " + std::string(type_name(field.type));
  if (field.minimum > -1e18) text += " >= " + bj::serialize(bj::value(static_cast<int64_t>(field.minimum)));
  if (field.maximum < 1e18) text += " <= " + bj::serialize(bj::value(static_cast<int64_t>(field.maximum)));
  return text;
}

// "${NAME}" as a whole names a secret.
std::optional<std::string> secret_name(std::string_view text) {
  if (text.size() < 4 || !text.starts_with("${") || text.back() != '}') return std::nullopt;
  return std::string(text.substr(2, text.size() - 3));
}

using Secrets = std::map<std::string, std::string>;

Result<std::string> resolve(std::string text, const std::string& path, const Secrets& secrets) {
  const std::optional<std::string> name = secret_name(text);
  if (!name) return text;
  const auto found = secrets.find(*name);
  if (found == secrets.end())
    return fail(ErrorKind::kFixInput, path + ": there is no secret \"" + *name + "\"; add it to secretsMap");
  return found->second;
}

}  // namespace

Result<Config::Value> convert(const Field& field, const bj::value& value, const std::string& path,
                              const Secrets& secrets) {
  const auto wrong = [&] {
    return fail(ErrorKind::kFixInput, path + ": expected " + expected(field) + ", found " + bj::serialize(value));
  };
  Config::Value converted;
  switch (field.type) {
    case FieldType::kString:
    case FieldType::kChoice: {
      if (!value.is_string()) return wrong();
      FMESH_TRY(converted.text, resolve(std::string(value.as_string()), path, secrets));
      if (field.type == FieldType::kChoice &&
          std::find(field.choices.begin(), field.choices.end(), converted.text) == field.choices.end())
        return wrong();
      return converted;
    }
    case FieldType::kInteger:
    case FieldType::kNumber:
      if (!value.is_number()) return wrong();
      converted.number = value.to_number<double>();
      if (converted.number < field.minimum || converted.number > field.maximum) return wrong();
      if (field.type == FieldType::kNumber) return converted;
      if (converted.number != std::floor(converted.number)) return wrong();
      converted.integer = value.is_double() ? static_cast<int64_t>(converted.number) : value.to_number<int64_t>();
      return converted;
    case FieldType::kBool:
      if (!value.is_bool()) return wrong();
      converted.flag = value.as_bool();
      return converted;
    case FieldType::kStringMap:
      if (!value.is_object()) return wrong();
      for (const auto& [name, item] : value.as_object()) {
        if (!item.is_string()) return wrong();
        const std::string member(name);
        FMESH_TRY(converted.texts[member], resolve(std::string(item.as_string()), path + "." + member, secrets));
      }
      return converted;
  }
  return wrong();
}

Result<Config> Config::read(std::span<const Field> fields, std::string_view json, const std::string& where,
                            const std::map<std::string, std::string>& secrets) {
  boost::system::error_code code;
  const bj::value parsed = bj::parse(json.empty() ? "{}" : bj::string_view(json.data(), json.size()), code);
  if (code || !parsed.is_object()) return fail(ErrorKind::kFixInput, where + ": expected an object");
  std::vector<std::string_view> names;
  for (const Field& field : fields) names.push_back(field.name);
  for (const auto& [name, value] : parsed.as_object()) {
    const std::string_view given(name.data(), name.size());
    if (std::find(names.begin(), names.end(), given) != names.end()) continue;
    std::string text = where + "." + std::string(given) + ": no such field";
    const std::string_view closest = model::closest(given, names);
    if (!closest.empty()) text += "; did you mean " + std::string(closest) + "?";
    return fail(ErrorKind::kFixInput, text);
  }
  Config config;
  for (const Field& field : fields) {
    const std::string path = where + "." + std::string(field.name);
    const bj::value* given = parsed.as_object().if_contains(field.name);
    if (given == nullptr && field.default_text.empty())
      return fail(ErrorKind::kFixInput, path + " is missing: " + std::string(field.meaning));
    const bj::value value =
        given != nullptr ? *given : bj::parse(bj::string_view(field.default_text.data(), field.default_text.size()));
    FMESH_TRY(Value converted, convert(field, value, path, secrets));
    config.values_.emplace(field.name, std::move(converted));
  }
  return config;
}

// Asking for a field that is not in the table is a bug that the first test of a connector finds.
const std::string& Config::text(std::string_view name) const { return values_.find(name)->second.text; }
int64_t Config::integer(std::string_view name) const { return values_.find(name)->second.integer; }
double Config::number(std::string_view name) const { return values_.find(name)->second.number; }
bool Config::flag(std::string_view name) const { return values_.find(name)->second.flag; }
const std::map<std::string, std::string>& Config::texts(std::string_view name) const {
  return values_.find(name)->second.texts;
}

Result<Config> read_config(std::span<const Field> fields, const model::InstanceSpec& spec) {
  const bool source = spec.host == model::HostKind::kSource;
  const std::string& json = source ? spec.details.source->configs : spec.details.sink->configs;
  return Config::read(fields, json, spec.component + (source ? ".sourceConfig" : ".sinkConfig"), spec.secrets);
}

std::string markdown(std::span<const Field> fields) {
  std::string text = "| field | type | default | meaning |\n|---|---|---|---|\n";
  for (const Field& field : fields) {
    text += "| " + std::string(field.name) + " | ";
    text += field.type == FieldType::kChoice ? expected(field) : std::string(type_name(field.type));
    text += " | " + (field.default_text.empty() ? "required" : "`" + std::string(field.default_text) + "`") + " | ";
    text += std::string(field.meaning) + " |\n";
  }
  return text;
}

}  // namespace fmesh::connect
