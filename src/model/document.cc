#include "model/document.h"

#include <boost/json.hpp>

namespace fmesh::model {

const Entry* Node::entry(std::string_view key) const {
  for (const Entry& candidate : entries) {
    if (candidate.key == key) return &candidate;
  }
  return nullptr;
}

const Node* Node::find(std::string_view key) const {
  const Entry* found = entry(key);
  return found ? &found->value : nullptr;
}

std::string describe(const Node& node) {
  const auto shown = [&] {
    constexpr size_t kShownMaxBytes = 60;
    if (node.text.size() <= kShownMaxBytes) return node.text;
    size_t end = kShownMaxBytes;
    while (end > 0 && (static_cast<unsigned char>(node.text[end]) & 0xC0) == 0x80) --end;
    return node.text.substr(0, end) + "...";
  };
  switch (node.type) {
    case Node::Type::kNull:
      return "nothing";
    case Node::Type::kBool:
      return "the boolean " + shown();
    case Node::Type::kInt:
    case Node::Type::kUint:
    case Node::Type::kFloat:
      return "the number " + shown();
    case Node::Type::kString:
      return "the string \"" + shown() + "\"";
    case Node::Type::kSequence:
      return "a list";
    case Node::Type::kMapping:
      return "a mapping";
  }
  return "something";
}

boost::json::value to_json(const Node& node) {
  switch (node.type) {
    case Node::Type::kNull:
      return nullptr;
    case Node::Type::kBool:
      return node.boolean;
    case Node::Type::kInt:
      return node.integer;
    case Node::Type::kUint:
      return node.unsigned_integer;
    case Node::Type::kFloat:
      return node.real;
    case Node::Type::kString:
      return boost::json::value(node.text);
    case Node::Type::kSequence: {
      boost::json::array array;
      array.reserve(node.items.size());
      for (const Node& item : node.items) array.push_back(to_json(item));
      return array;
    }
    case Node::Type::kMapping: {
      boost::json::object object;
      object.reserve(node.entries.size());
      for (const Entry& entry : node.entries) object.emplace(entry.key, to_json(entry.value));
      return object;
    }
  }
  return nullptr;
}

Path Path::of(std::string_view dotted) {
  Path path;
  while (!dotted.empty()) {
    const size_t dot = dotted.find('.');
    path.steps_.emplace_back(std::string(dotted.substr(0, dot)));
    if (dot == std::string_view::npos) break;
    dotted.remove_prefix(dot + 1);
  }
  return path;
}

Path Path::operator/(std::string_view key) const {
  Path path = *this;
  path.steps_.emplace_back(std::string(key));
  return path;
}

Path Path::operator[](size_t index) const {
  Path path = *this;
  path.steps_.emplace_back(index);
  return path;
}

std::string Path::to_string() const {
  std::string out;
  for (const Step& step : steps_) {
    if (const size_t* index = std::get_if<size_t>(&step)) {
      out += "[" + std::to_string(*index) + "]";
      continue;
    }
    const std::string& key = std::get<std::string>(step);
    const bool plain = !key.empty() && key.find_first_not_of(
                                           "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                           "0123456789_-") == std::string::npos;
    if (plain) {
      out += (out.empty() ? "" : ".") + key;
    } else {
      out += "[\"" + key + "\"]";
    }
  }
  return out;
}

}  // namespace fmesh::model
