// YAML through libyaml's events to the document tree.
#include <yaml.h>

#include <algorithm>
#include <map>
#include <unordered_set>

#include "model/document.h"
#include "model/scalar.h"

namespace fmesh::model {
namespace {

// A string counts as one node more per this many bytes, so that aliases of a long string end at the same bound.
constexpr size_t kBytesPerWeight = 100;

class Event {
 public:
  Event() = default;
  ~Event() { yaml_event_delete(&event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  yaml_event_t* get() { return &event_; }
  yaml_event_t* operator->() { return &event_; }

 private:
  yaml_event_t event_{};
};

size_t weight(const Node& node) {
  size_t sum = 1 + node.text.size() / kBytesPerWeight;
  for (const Node& item : node.items) sum += weight(item);
  for (const Entry& entry : node.entries) sum += entry.key.size() / kBytesPerWeight + weight(entry.value);
  return sum;
}

class YamlReader {
 public:
  YamlReader(const std::string& file, std::string_view text) : file_(file), text_(text) {
    yaml_parser_initialize(&parser_);
    yaml_parser_set_encoding(&parser_, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  }
  ~YamlReader() { yaml_parser_delete(&parser_); }
  YamlReader(const YamlReader&) = delete;
  YamlReader& operator=(const YamlReader&) = delete;

  DocumentList read() {
    while (!failed_) {
      Event event;
      if (!next(event)) break;
      if (event->type == YAML_STREAM_END_EVENT) break;
      if (event->type != YAML_DOCUMENT_START_EVENT) continue;
      read_document();
    }
    return std::move(list_);
  }

 private:
  void read_document() {
    anchors_.clear();
    Event first;
    if (!next(first)) return;
    Node root = read_node(first, 0);
    if (failed_) return;
    if (root.type != Node::Type::kNull) list_.documents.push_back(std::make_shared<const Node>(std::move(root)));
  }

  bool next(Event& event) {
    if (failed_) return false;
    if (yaml_parser_parse(&parser_, event.get())) return true;
    report_syntax();
    return false;
  }

  void report_syntax() {
    const yaml_mark_t mark = parser_.problem_mark;
    std::string text = parser_.problem ? parser_.problem : "this is not YAML";
    if (parser_.context) text += std::string(" ") + parser_.context;
    if (mark.index < text_.size() && is_tab(mark)) text = "a tab; YAML is indented with blanks";
    error(mark, 1, "not valid YAML: " + text);
  }

  // The character at a mark; marks count characters, so the line is looked up by number.
  bool is_tab(const yaml_mark_t& mark) const {
    size_t start = 0;
    for (size_t line = 0; line < mark.line; ++line) {
      start = text_.find('\n', start);
      if (start == std::string_view::npos) return false;
      ++start;
    }
    const std::string_view rest = text_.substr(start, mark.column + 1);
    return rest.size() > mark.column &&
           rest.substr(0, mark.column).find_first_not_of(" \t-") == std::string_view::npos &&
           rest.find('\t') != std::string_view::npos;
  }

  void error(const yaml_mark_t& mark, int32_t length, std::string text) {
    add(static_cast<int32_t>(mark.line) + 1, static_cast<int32_t>(mark.column) + 1, length, std::move(text));
    failed_ = true;
  }

  void add(int32_t line, int32_t column, int32_t length, std::string text) {
    Diagnostic diagnostic;
    diagnostic.place = {file_, line, column};
    diagnostic.length = length;
    diagnostic.text = std::move(text);
    list_.findings.add(std::move(diagnostic));
  }

  static Node at(const yaml_event_t& event) {
    Node node;
    node.line = static_cast<int32_t>(event.start_mark.line) + 1;
    node.column = static_cast<int32_t>(event.start_mark.column) + 1;
    const bool one_line = event.start_mark.line == event.end_mark.line;
    node.length = one_line ? static_cast<int32_t>(event.end_mark.column - event.start_mark.column) : 1;
    return node;
  }

  bool spend(const yaml_mark_t& mark, size_t amount) {
    spent_ += amount;
    if (spent_ <= kNodesMax) return true;
    error(mark, 1, "too much: a file may hold " + std::to_string(kNodesMax) + " values, aliases expanded");
    return false;
  }

  Node read_node(Event& event, int depth) {
    const bool collection = event->type == YAML_SEQUENCE_START_EVENT || event->type == YAML_MAPPING_START_EVENT;
    if (collection && depth >= kDepthMax) {
      error(event->start_mark, 1, "nested more than " + std::to_string(kDepthMax) + " levels deep");
      return {};
    }
    switch (event->type) {
      case YAML_ALIAS_EVENT:
        return read_alias(event);
      case YAML_SCALAR_EVENT:
        return read_scalar(event);
      case YAML_SEQUENCE_START_EVENT:
        return read_sequence(event, depth);
      case YAML_MAPPING_START_EVENT:
        return read_mapping(event, depth);
      default:
        error(event->start_mark, 1, "not valid YAML: a value is missing here");
        return {};
    }
  }

  Node read_alias(Event& event) {
    const std::string name = reinterpret_cast<const char*>(event->data.alias.anchor);
    const auto anchor = anchors_.find(name);
    if (anchor == anchors_.end()) {
      error(event->start_mark, at(*event.get()).length, "*" + name + " refers to no anchor &" + name + " above it");
      return {};
    }
    if (!spend(event->start_mark, anchor->second.weight)) return {};
    if (depth_of_alias_too_much(anchor->second.node)) {
      error(event->start_mark, 1, "nested more than " + std::to_string(kDepthMax) + " levels deep");
      return {};
    }
    return anchor->second.node;
  }

  bool depth_of_alias_too_much(const Node& node) const { return depth_of(node) + open_ > kDepthMax; }
  static int depth_of(const Node& node) {
    int deepest = 0;
    for (const Node& item : node.items) deepest = std::max(deepest, 1 + depth_of(item));
    for (const Entry& entry : node.entries) deepest = std::max(deepest, 1 + depth_of(entry.value));
    return deepest;
  }

  Node read_scalar(Event& event) {
    if (!spend(event->start_mark, 1)) return {};
    const auto& scalar = event->data.scalar;
    Node node = at(*event.get());
    node.text.assign(reinterpret_cast<const char*>(scalar.value), scalar.length);
    const std::string tag = scalar.tag ? reinterpret_cast<const char*>(scalar.tag) : "";
    const std::string_view core = "tag:yaml.org,2002:";
    node.type = Node::Type::kString;
    if (tag.empty() && scalar.plain_implicit) {
      node = resolve_plain(std::move(node));
    } else if (tag.starts_with(core)) {
      node = resolve_tagged(event, std::move(node), std::string_view(tag).substr(core.size()));
    }
    remember(scalar.anchor, node);
    return node;
  }

  Node resolve_tagged(Event& event, Node node, std::string_view tag) {
    if (tag != "null" && tag != "bool" && tag != "int" && tag != "float") return node;
    node = resolve_plain(std::move(node));
    using Type = Node::Type;
    if (tag == "float" && node.type == Type::kInt) {
      const int64_t whole = node.integer;
      node.type = Type::kFloat;
      node.real = static_cast<double>(whole);
    }
    const bool fits = (tag == "null" && node.type == Type::kNull) || (tag == "bool" && node.type == Type::kBool) ||
                      (tag == "int" && (node.type == Type::kInt || node.type == Type::kUint)) ||
                      (tag == "float" && node.type == Type::kFloat);
    if (!fits) error(event->start_mark, node.length, "not a !!" + std::string(tag) + ": " + describe(node));
    return node;
  }

  Node read_sequence(Event& event, int depth) {
    if (!spend(event->start_mark, 1)) return {};
    const std::string anchor = anchor_name(event->data.sequence_start.anchor);
    Node node = at(*event.get());
    node.length = 1;
    node.type = Node::Type::kSequence;
    ++open_;
    while (!failed_) {
      Event item;
      if (!next(item) || item->type == YAML_SEQUENCE_END_EVENT) break;
      node.items.push_back(read_node(item, depth + 1));
    }
    --open_;
    remember(anchor, node);
    return node;
  }

  Node read_mapping(Event& event, int depth) {
    if (!spend(event->start_mark, 1)) return {};
    const std::string anchor = anchor_name(event->data.mapping_start.anchor);
    Node node = at(*event.get());
    node.length = 1;
    node.type = Node::Type::kMapping;
    std::unordered_set<std::string> seen;
    std::vector<Node> merges;
    ++open_;
    while (!failed_) {
      Event key_event;
      if (!next(key_event) || key_event->type == YAML_MAPPING_END_EVENT) break;
      const bool merge = is_merge(key_event);
      Entry entry = read_key(key_event, depth);
      Event value_event;
      if (!next(value_event)) break;
      if (merge) {
        merges.push_back(read_node(value_event, depth + 1));
        check_merge(value_event, merges.back());
        continue;
      }
      entry.value = read_node(value_event, depth + 1);
      if (!seen.insert(entry.key).second) {
        add(entry.line, entry.column, entry.length, "the key " + entry.key + " stands here a second time");
        continue;
      }
      node.entries.push_back(std::move(entry));
    }
    --open_;
    if (!failed_) apply_merges(node, merges, seen);
    remember(anchor, node);
    return node;
  }

  static bool is_merge(Event& event) {
    if (event->type != YAML_SCALAR_EVENT) return false;
    const auto& scalar = event->data.scalar;
    const std::string_view value(reinterpret_cast<const char*>(scalar.value), scalar.length);
    return value == "<<" && scalar.plain_implicit && !scalar.tag;
  }

  // Keys of JSON are strings: numbers and booleans become their text, as kubectl does.
  Entry read_key(Event& event, int depth) {
    Node key = read_node(event, depth + 1);
    Entry entry;
    entry.line = key.line;
    entry.column = key.column;
    entry.length = key.length;
    switch (key.type) {
      case Node::Type::kString:
        entry.key = std::move(key.text);
        break;
      case Node::Type::kBool:
        entry.key = key.boolean ? "true" : "false";
        break;
      case Node::Type::kInt:
        entry.key = std::to_string(key.integer);
        break;
      case Node::Type::kUint:
        entry.key = std::to_string(key.unsigned_integer);
        break;
      case Node::Type::kFloat:
        entry.key = print_float(key.real);
        break;
      default:
        if (!failed_) error(event->start_mark, 1, "a key has to be a plain word, not " + describe(key));
    }
    return entry;
  }

  void check_merge(Event& event, const Node& value) {
    if (failed_ || value.type == Node::Type::kMapping) return;
    const bool all_mappings = value.type == Node::Type::kSequence &&
                              std::all_of(value.items.begin(), value.items.end(),
                                          [](auto& item) { return item.type == Node::Type::kMapping; });
    if (!all_mappings) error(event->start_mark, 1, "<< takes a mapping or a list of mappings, not " + describe(value));
  }

  // Keys written in the mapping win over merged ones, earlier merges over later ones.
  static void apply_merges(Node& node, const std::vector<Node>& merges, std::unordered_set<std::string>& seen) {
    const auto merge_one = [&](const Node& from) {
      for (const Entry& entry : from.entries) {
        if (seen.insert(entry.key).second) node.entries.push_back(entry);
      }
    };
    for (const Node& merge : merges) {
      if (merge.type == Node::Type::kMapping) merge_one(merge);
      for (const Node& item : merge.items) merge_one(item);
    }
  }

  static std::string anchor_name(const yaml_char_t* anchor) {
    return anchor ? reinterpret_cast<const char*>(anchor) : "";
  }
  void remember(const yaml_char_t* anchor, const Node& node) { remember(anchor_name(anchor), node); }
  void remember(const std::string& anchor, const Node& node) {
    if (anchor.empty() || failed_) return;
    const size_t node_weight = weight(node);
    spent_ += node_weight;  // the copy kept for aliases costs as much as the node
    anchors_[anchor] = {node, node_weight};
  }

  struct Anchor {
    Node node;
    size_t weight = 0;
  };

  const std::string& file_;
  std::string_view text_;
  yaml_parser_t parser_{};
  DocumentList list_;
  std::map<std::string, Anchor> anchors_;
  size_t spent_ = 0;
  int open_ = 0;  // collections around the current node
  bool failed_ = false;
};

}  // namespace

DocumentList read_yaml(const std::string& file, std::string_view text) { return YamlReader(file, text).read(); }

}  // namespace fmesh::model
