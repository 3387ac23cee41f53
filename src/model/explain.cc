#include "model/explain.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "model/schema.h"

namespace fmesh::model {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& byte : out) byte = byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte + 32) : byte;
  return out;
}

std::string default_text(const FieldInfo& field, Kinds kinds) {
  if (!field.default_note.empty()) return std::string(field.default_note);
  if (field.default_json.empty() || !(field.default_kinds & kinds)) return {};
  std::string_view text = field.default_json;
  if (text.starts_with('"')) text = text.substr(1, text.size() - 2);
  return std::string(text);
}

// "required; default 1; at least 0; one of a, b"
std::string limits(const FieldInfo& field, Kinds kinds) {
  std::vector<std::string> parts;
  if (field.required) parts.emplace_back("required");
  if (const std::string text = default_text(field, kinds); !text.empty()) parts.push_back("default: " + text);
  if (field.minimum) parts.push_back(fmt::format("at least {}", *field.minimum));
  if (!field.values.empty()) parts.push_back(fmt::format("one of {}", fmt::join(field.values, ", ")));
  return fmt::format("{}", fmt::join(parts, "; "));
}

void list_fields(const StructInfo& info, Kinds kinds, std::string& out) {
  out += "\nFIELDS:\n";
  for (const FieldInfo& field : info.fields) {
    if (!(field.kinds & kinds)) continue;
    out += fmt::format("  {:<36} <{}>\n      {}\n", field.name, type_name(field), field.meaning);
    const std::string more = limits(field, kinds);
    if (!more.empty()) out += fmt::format("      {}\n", more);
  }
}

Result<Kind> kind_of(std::string_view word) {
  const std::string name = lower(word);
  std::vector<std::string> names;
  for (const Kind kind : kKinds) {
    if (name == lower(to_string(kind)) || name == plural(kind)) return kind;
    names.push_back(lower(to_string(kind)));
  }
  const std::string_view near = closest(name, {names.begin(), names.end()});
  return fail(ErrorKind::kFixInput, fmt::format("there is no kind {}; {}", word,
                                                near.empty() ? fmt::format("there are {}", fmt::join(names, ", "))
                                                             : fmt::format("did you mean {}?", near)));
}

struct Found {
  const StructInfo* info = nullptr;  // fields below; null: none
  const FieldInfo* field = nullptr;  // null: spec or status itself
  Kinds kinds = 0;
};

Result<Found> descend(Found from, std::string_view name, std::string_view path) {
  if (!from.info) return fail(ErrorKind::kFixInput, fmt::format("{}: there are no fields below", path));
  const FieldInfo* field = from.info->find(name, from.kinds);
  if (field) return Found{field->storage->structure(), field, kinds_inside(from.kinds, name)};
  std::vector<std::string_view> names;
  for (const FieldInfo& other : from.info->fields) {
    if (other.kinds & from.kinds) names.push_back(other.name);
  }
  const std::string_view near = closest(name, names);
  return fail(ErrorKind::kFixInput, fmt::format("{} has no field {}{}", path, name,
                                                near.empty() ? "" : fmt::format("; did you mean {}?", near)));
}

}  // namespace

Result<std::string> explain(std::string_view what) {
  std::vector<std::string_view> words;
  for (size_t at = 0; at <= what.size();) {
    const size_t dot = std::min(what.find('.', at), what.size());
    words.push_back(what.substr(at, dot - at));
    at = dot + 1;
  }
  FMESH_TRY(const Kind kind, kind_of(words.front()));
  std::string out = fmt::format("KIND:     {}\nVERSION:  compute.functionmesh.io/v1alpha1\n", to_string(kind));
  const Kinds kinds = static_cast<Kinds>(kind);
  if (words.size() == 1) {
    out += fmt::format("\n{}\n\nFIELDS:\n  spec      what you write; fmesh explain {}.spec\n", kind_meaning(kind),
                       words.front());
    if (status_info(kind))
      out += fmt::format("  status    what the operator found; fmesh explain {}.status\n", words.front());
    return out;
  }
  Found found{&spec_info(kind), nullptr, kinds};
  if (words[1] == "status" && status_info(kind)) {
    found.info = status_info(kind);
  } else if (words[1] != "spec") {
    return fail(ErrorKind::kFixInput, fmt::format("{} has no field {}; there are spec and status", words[0], words[1]));
  }
  std::string path = std::string(words[0]) + "." + std::string(words[1]);
  for (size_t index = 2; index < words.size(); ++index) {
    FMESH_TRY(found, descend(found, words[index], path));
    path += "." + std::string(words[index]);
  }
  if (found.field) {
    out += fmt::format("\nFIELD:    {} <{}>\n\n{}\n", found.field->name, type_name(*found.field), found.field->meaning);
    const std::string more = limits(*found.field, found.kinds);
    if (!more.empty()) out += more + "\n";
  }
  if (found.info) list_fields(*found.info, found.kinds, out);
  return out;
}

std::string reference_file(Kind kind) { return lower(to_string(kind)) + ".md"; }

namespace {

std::string cell(std::string text) {
  for (size_t at = 0; (at = text.find_first_of("|<", at)) != std::string::npos;) {
    const std::string safe = text[at] == '|' ? "\\|" : "&lt;";
    text.replace(at, 1, safe);
    at += safe.size();
  }
  return text;
}

void table_rows(const StructInfo& info, Kinds kinds, const std::string& prefix, int depth, std::string& out) {
  constexpr int kDepthShownMax = 8;  // deeper than any table; guards against a table that holds itself
  for (const FieldInfo& field : info.fields) {
    if (!(field.kinds & kinds) || depth > kDepthShownMax) continue;
    out += fmt::format("| `{}{}` | {} | {} | {} |\n", prefix, field.name, type_name(field),
                       cell(std::string(field.meaning)), cell(limits(field, kinds)));
    if (!field.storage->structure()) continue;
    const bool many = field.type() == FieldType::kStructList;
    const bool keyed = field.type() == FieldType::kStructMap;
    table_rows(*field.storage->structure(), kinds_inside(kinds, field.name),
               fmt::format("{}{}{}.", prefix, field.name,
                           many    ? "[]"
                           : keyed ? ".<key>"
                                   : ""),
               depth + 1, out);
  }
}

}  // namespace

std::string reference_page(Kind kind) {
  std::string out = fmt::format(
      "# {}\n\n{}\n\n`apiVersion: compute.functionmesh.io/v1alpha1`, `kind: {}`. This page is made from the "
      "field tables by `fmesh explain --markdown`.\n\n",
      to_string(kind), kind_meaning(kind), to_string(kind));
  out += "| field | type | meaning | limits and default |\n|---|---|---|---|\n";
  if (kind == Kind::kFunctionMesh) {
    out +=
        "| `spec.sources[]` | list of objects | Sources of the mesh | fields of the spec of a [Source](source.md) |\n"
        "| `spec.functions[]` | list of objects | Functions of the mesh | fields of the spec of a "
        "[Function](function.md) |\n"
        "| `spec.sinks[]` | list of objects | Sinks of the mesh | fields of the spec of a [Sink](sink.md) |\n";
  } else {
    table_rows(spec_info(kind), static_cast<Kinds>(kind), "spec.", 0, out);
  }
  if (status_info(kind)) {
    out += "\n## Status\n\n| field | type | meaning | limits and default |\n|---|---|---|---|\n";
    table_rows(*status_info(kind), static_cast<Kinds>(kind), "status.", 0, out);
  }
  return out;
}

}  // namespace fmesh::model
