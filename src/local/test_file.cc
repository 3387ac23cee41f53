#include "local/test_file.h"

#include <boost/json.hpp>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <sstream>
#include <string_view>

#include "local/stream_tools.h"
#include "model/document.h"
#include "observe/json.h"

namespace fmesh::local {
namespace {

using model::Node;
using Type = model::Node::Type;

// Collects findings while it walks the tree.
class Reader {
 public:
  explicit Reader(std::string file) : file_(std::move(file)) {}

  TestFile read(const Node& root) {
    TestFile test;
    check_fields(root, "", {"mesh", "tests"});
    const std::filesystem::path folder = std::filesystem::path(file_).parent_path();
    for (const std::string& mesh : texts(root, "mesh", "mesh")) test.mesh_files.push_back((folder / mesh).string());
    if (test.mesh_files.empty()) error(root, "mesh", "missing: the file of the mesh, relative to this one");
    const Node* tests = root.find("tests");
    if (tests == nullptr || tests->type != Type::kSequence) {
      error(tests == nullptr ? root : *tests, "tests", "expected a list of tests");
      return test;
    }
    for (size_t i = 0; i < tests->items.size(); ++i) {
      test.cases.push_back(read_case(tests->items[i], "tests[" + std::to_string(i) + "]"));
    }
    return test;
  }

  model::Diagnostics findings;

 private:
  void error(const Node& node, const std::string& path, const std::string& text) {
    findings.add(
        {model::Severity::kError, {file_, node.line, node.column}, std::max(1, node.length), path, path, text});
  }

  void check_fields(const Node& node, const std::string& path, std::initializer_list<std::string_view> known) {
    if (node.type != Type::kMapping) return error(node, path, "expected a mapping, found " + model::describe(node));
    for (const model::Entry& entry : node.entries) {
      if (std::ranges::find(known, entry.key) != known.end()) continue;
      const std::string_view near = model::closest(entry.key, known);
      findings.add({model::Severity::kError,
                    {file_, entry.line, entry.column},
                    std::max(1, entry.length),
                    join(path, entry.key),
                    join(path, entry.key),
                    "no such field" + (near.empty() ? "" : "; did you mean " + std::string(near) + "?")});
    }
  }

  static std::string join(const std::string& path, const std::string& key) {
    return path.empty() ? key : path + "." + key;
  }

  // One text or a list of them.
  std::vector<std::string> texts(const Node& node, std::string_view key, const std::string& path) {
    const Node* found = node.find(key);
    if (found == nullptr) return {};
    if (found->type == Type::kString) return {found->text};
    std::vector<std::string> list;
    if (found->type != Type::kSequence)
      error(*found, path, "expected a text or a list of texts, found " + model::describe(*found));
    for (const Node& item : found->items) {
      if (item.type != Type::kString) error(item, path, "expected a text, found " + model::describe(item));
      list.push_back(item.text);
    }
    return list;
  }

  std::optional<int64_t> integer(const Node& node, std::string_view key, const std::string& path) {
    const Node* found = node.find(key);
    if (found == nullptr) return std::nullopt;
    if (found->type == Type::kInt) return found->integer;
    error(*found, path + "." + std::string(key), "expected a whole number, found " + model::describe(*found));
    return std::nullopt;
  }

  std::string topic(const Node& node, const std::string& path) {
    const Node* found = node.find("stream");
    if (found == nullptr || found->type != Type::kString) {
      error(found == nullptr ? node : *found, path + ".stream", "expected the name of a stream");
      return "";
    }
    const auto name = full_name(found->text);
    if (!name) error(*found, path + ".stream", name.error().text());
    return name.value_or("");
  }

  TestCase read_case(const Node& node, const std::string& path) {
    TestCase test;
    check_fields(node, path, {"name", "only", "startTimeMs", "advanceMs", "given", "expect"});
    const Node* name = node.find("name");
    if (name == nullptr || name->type != Type::kString) {
      error(node, path + ".name", "expected a text that says what is promised");
    } else {
      test.name = name->text;
    }
    test.only = texts(node, "only", path + ".only");
    test.start_time_ms = integer(node, "startTimeMs", path).value_or(test.start_time_ms);
    test.advance_ms = integer(node, "advanceMs", path).value_or(0);
    each(node, "given", path, [&](const Node& item, const std::string& at) {
      check_fields(item, at, {"stream", "records"});
      GivenStream given{topic(item, at), {}};
      each(item, "records", at, [&](const Node& record, const std::string& place) {
        const ExpectedRecord read = read_record(record, place);
        observe::NewRecord made{read.key, "", read.properties, read.event_time_ms.value_or(0)};
        if (read.value) made.payload = observe::to_text(*read.value);
        if (read.text) made.payload = *read.text;
        if (!read.value && !read.text) error(record, place, "expected one of value and text");
        given.records.push_back(std::move(made));
      });
      test.given.push_back(std::move(given));
    });
    each(node, "expect", path, [&](const Node& item, const std::string& at) {
      check_fields(item, at, {"stream", "ordered", "records"});
      ExpectedStream expected{topic(item, at), true, {}};
      if (const Node* ordered = item.find("ordered")) {
        if (ordered->type != Type::kBool) error(*ordered, at + ".ordered", "expected true or false");
        expected.ordered = ordered->boolean;
      }
      each(item, "records", at, [&](const Node& record, const std::string& place) {
        expected.records.push_back(read_record(record, place));
      });
      test.expect.push_back(std::move(expected));
    });
    if (test.expect.empty())
      error(node, path + ".expect", "missing: a test expects something, be it that a stream is empty");
    return test;
  }

  template <class Visit>
  void each(const Node& node, std::string_view key, const std::string& path, Visit visit) {
    const std::string at = path + "." + std::string(key);
    const Node* list = node.find(key);
    if (list == nullptr || list->type == Type::kNull) return;
    if (list->type != Type::kSequence) return error(*list, at, "expected a list, found " + model::describe(*list));
    for (size_t i = 0; i < list->items.size(); ++i) visit(list->items[i], at + "[" + std::to_string(i) + "]");
  }

  ExpectedRecord read_record(const Node& node, const std::string& path) {
    ExpectedRecord record;
    check_fields(node, path, {"key", "value", "text", "properties", "eventTimeMs"});
    if (node.type != Type::kMapping) return record;
    if (const Node* key = node.find("key")) record.key = key->text;
    if (const Node* value = node.find("value")) record.value = model::to_json(*value);
    if (const Node* text = node.find("text")) record.text = text->text;
    if (record.value && record.text) error(node, path, "value and text exclude each other");
    record.event_time_ms = integer(node, "eventTimeMs", path);
    if (const Node* properties = node.find("properties")) {
      for (const model::Entry& entry : properties->entries) record.properties.emplace_back(entry.key, entry.value.text);
    }
    return record;
  }

  std::string file_;
};

bool same(const boost::json::value& a, const boost::json::value& b) {
  if (a.is_number() && b.is_number()) {
    return a.is_double() || b.is_double() ? a.to_number<double>() == b.to_number<double>() : a == b;
  }
  if (a.is_array() && b.is_array()) {
    return std::ranges::equal(a.get_array(), b.get_array(), same);
  }
  if (a.is_object() && b.is_object()) {
    const auto& right = b.get_object();
    return a.get_object().size() == right.size() && std::ranges::all_of(a.get_object(), [&](const auto& member) {
             const boost::json::value* other = right.if_contains(member.key());
             return other != nullptr && same(member.value(), *other);
           });
  }
  return a == b;
}

std::string shown(const ExpectedRecord& record) {
  std::string text = record.value ? observe::to_text(*record.value) : record.text ? *record.text : "any payload";
  return record.key ? text + " with key " + *record.key : text;
}

std::string shown(const observe::RecordLine& record) {
  return record.key ? record.payload + " with key " + *record.key : record.payload;
}

}  // namespace

Result<TestFile> read_test_text(const std::string& path, const std::string& text) {
  const model::DocumentList documents = model::read_yaml(path, text);
  Reader reader(path);
  TestFile test;
  reader.findings.append(documents.findings);
  if (reader.findings.ok() && documents.documents.size() != 1) {
    return fail(ErrorKind::kFixInput,
                path + ": expected one YAML document, found " + std::to_string(documents.documents.size()));
  }
  if (reader.findings.ok()) test = reader.read(*documents.documents.front());
  if (reader.findings.ok()) return test;
  const model::Sources sources = {{path, std::make_shared<const std::string>(text)}};
  return fail(ErrorKind::kFixInput, model::render(reader.findings, sources) + model::count_line(reader.findings));
}

Result<TestFile> read_test_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) return fail(ErrorKind::kFixInput, path + ": no such file, or it can't be read");
  std::stringstream text;
  text << file.rdbuf();
  return read_test_text(path, text.str());
}

std::optional<std::string> difference(const ExpectedRecord& expected, const observe::RecordLine& found) {
  const auto differs = [](const std::string& what, const std::string& wanted, const std::string& got) {
    return what + "expected " + wanted + ", found " + got;
  };
  if (expected.value) {
    const auto value = observe::parse_json(found.payload);
    if (!value || !same(*expected.value, *value)) return differs("", observe::to_text(*expected.value), found.payload);
  }
  if (expected.text && *expected.text != found.payload) return differs("", *expected.text, found.payload);
  if (expected.key && expected.key != found.key) return differs("key: ", *expected.key, found.key.value_or("none"));
  if (expected.event_time_ms && *expected.event_time_ms != found.event_time_ms) {
    return differs("eventTimeMs: ", std::to_string(*expected.event_time_ms), std::to_string(found.event_time_ms));
  }
  for (const auto& property : expected.properties) {
    const auto same_key = [&](const auto& one) { return one.first == property.first; };
    const auto other = std::ranges::find_if(found.properties, same_key);
    const std::string got = other == found.properties.end() ? "none" : other->second;
    if (other == found.properties.end() || got != property.second) {
      return differs("property " + property.first + ": ", property.second, got);
    }
  }
  return std::nullopt;
}

std::vector<std::string> differences(const ExpectedStream& expected, const std::vector<observe::RecordLine>& found) {
  std::vector<std::string> lines;
  std::vector<bool> used(found.size(), false);
  for (size_t i = 0; i < expected.records.size(); ++i) {
    const ExpectedRecord& record = expected.records[i];
    if (expected.ordered) {
      if (i >= found.size()) {
        lines.push_back("record " + std::to_string(i) + " is missing: " + shown(record));
        continue;
      }
      used[i] = true;
      if (const auto text = difference(record, found[i])) lines.push_back("record " + std::to_string(i) + ": " + *text);
      continue;
    }
    size_t match = 0;
    while (match < found.size() && (used[match] || difference(record, found[match]))) ++match;
    if (match < found.size()) {
      used[match] = true;
    } else {
      lines.push_back("missing: " + shown(record));
    }
  }
  for (size_t i = 0; i < found.size(); ++i) {
    if (!used[i]) lines.push_back("not expected: " + shown(found[i]));
  }
  return lines;
}

}  // namespace fmesh::local
