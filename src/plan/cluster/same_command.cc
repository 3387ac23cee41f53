#include <algorithm>
#include <boost/json.hpp>
#include <set>

#include "model/function_details.h"
#include "model/json.h"
#include "plan/cluster/command.h"
#include "plan/cluster/log_config.h"
#include "plan/cluster/shell_parse.h"

namespace fmesh::plan {
namespace {

namespace json = boost::json;

constexpr std::string_view kGoConfiguration = "GO_FUNCTION_CONF=";
constexpr std::string_view kFilebeatSuffix = "filebeat.yaml";

std::optional<json::value> parse_object(const std::string& text) {
  if (!text.starts_with("{")) return std::nullopt;
  boost::system::error_code error;
  json::value value = json::parse(text, error);
  if (error) return std::nullopt;
  return value;
}

// The same text for the same JSON object, whatever the order of its members; other text stays.
std::string canonical_json(const std::string& text) {
  const auto value = parse_object(text);
  return value ? model::write_json(*value, {.order = model::KeyOrder::kSorted}) : text;
}

void make_canonical(std::optional<model::CryptoSpec>& crypto) {
  if (crypto) crypto->crypto_key_reader_config = canonical_json(crypto->crypto_key_reader_config);
}

std::string canonical_details(const std::string& text) {
  Result<model::FunctionDetails> details = model::parse_function_details(text);
  if (!details) return text;
  details->user_config = canonical_json(details->user_config);
  details->secrets_map = canonical_json(details->secrets_map);
  if (details->source) {
    details->source->configs = canonical_json(details->source->configs);
    for (auto& [topic, spec] : details->source->input_specs) make_canonical(spec.crypto_spec);
  }
  if (details->sink) {
    details->sink->configs = canonical_json(details->sink->configs);
    if (details->sink->producer_spec) make_canonical(details->sink->producer_spec->crypto_spec);
  }
  return model::to_json(*details);
}

// A Go instance's configuration: expansions outside strings become strings, so that it is JSON.
std::string canonical_go(std::string_view text) {
  std::string out;
  bool in_string = false;
  for (size_t i = 0; i < text.size();) {
    const bool begins = text.substr(i).starts_with(kExpansionBegin), ends = text.substr(i).starts_with(kExpansionEnd);
    if (begins || ends) {
      const std::string_view mark = begins ? kExpansionBegin : kExpansionEnd;
      out += begins && !in_string ? "\"" : "";
      out += mark;
      out += ends && !in_string ? "\"" : "";
      i += mark.size();
      continue;
    }
    if (in_string && text[i] == '\\' && i + 1 < text.size()) {
      out += text.substr(i, 2);
      i += 2;
      continue;
    }
    if (text[i] == '"') in_string = !in_string;
    out += text[i++];
  }
  auto value = parse_object(out);
  if (!value) return std::string(text);
  for (const char* key : {"userConfig", "clientAuthenticationParameters"}) {
    json::value* member = value->as_object().if_contains(key);
    if (member && member->is_string()) *member = canonical_json(std::string(member->as_string()));
  }
  return model::write_json(*value, {.order = model::KeyOrder::kSorted});
}

// What Filebeat's configuration says, in any order.
std::vector<std::string> filebeat_settings(std::string_view text) {
  std::set<std::string> words;
  std::string word;
  for (const char c : text) {
    if (std::string_view(" \n\"'[]{}:,-").find(c) == std::string_view::npos) {
      word += c;
    } else if (!word.empty()) {
      words.insert(std::move(word));
      word.clear();
    }
  }
  if (!word.empty()) words.insert(word);
  return {words.begin(), words.end()};
}

// echo <configuration> > <path>: the configuration becomes what it says. It may be several words, which echo joins.
void replace_configurations(std::vector<ShellToken>& tokens) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i].text != "echo") continue;
    std::string configuration;
    size_t end = i + 1;
    for (; end < tokens.size() && !tokens[end].is_operator; ++end) configuration += tokens[end].text + " ";
    if (end + 1 >= tokens.size() || tokens[end].text != ">") continue;
    const std::string& path = tokens[end + 1].text;
    if (!path.ends_with(".xml") && !path.ends_with(".yaml") && !path.ends_with(".ini")) continue;
    const bool filebeat = path.ends_with(kFilebeatSuffix);
    std::string text = "settings:";
    for (const std::string& setting : filebeat ? filebeat_settings(configuration) : log_settings(configuration)) {
      text += " " + setting;
    }
    const auto begin = tokens.begin() + static_cast<std::ptrdiff_t>(i) + 1;
    tokens.erase(begin, tokens.begin() + static_cast<std::ptrdiff_t>(end));
    tokens.insert(begin, {.text = std::move(text), .is_operator = false});
  }
}

// An option that says what the instance does without it.
void drop_defaults(std::vector<ShellToken>& tokens) {
  for (size_t i = 0; i + 1 < tokens.size(); ++i) {
    if (tokens[i].text != "--pending_async_requests" || tokens[i + 1].text != "1000") continue;
    tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(i), tokens.begin() + static_cast<std::ptrdiff_t>(i + 2));
    return;
  }
}

std::optional<std::vector<ShellToken>> meaning(const std::string& command) {
  auto tokens = parse_shell(kubelet_reduced(command));
  if (!tokens) return std::nullopt;
  for (size_t i = 0; i < tokens->size(); ++i) {
    std::string& text = (*tokens)[i].text;
    if (text.starts_with(kGoConfiguration)) {
      text = std::string(kGoConfiguration) + canonical_go(std::string_view(text).substr(kGoConfiguration.size()));
    } else if (i > 0 && (*tokens)[i - 1].text == "--function_details") {
      text = canonical_details(text);
    } else {
      text = canonical_json(text);
    }
  }
  replace_configurations(*tokens);
  drop_defaults(*tokens);
  return tokens;
}

}  // namespace

bool same_command(const std::vector<std::string>& left, const std::vector<std::string>& right) {
  if (left == right) return true;
  if (left.size() != right.size() || left.size() < 3 || left[1] != "-c") return false;
  if (!std::equal(left.begin(), left.end() - 1, right.begin())) return false;
  const auto left_meaning = meaning(left.back());
  return left_meaning && left_meaning == meaning(right.back());
}

}  // namespace fmesh::plan
