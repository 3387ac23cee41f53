#include "stream/topic_name.h"

#include <charconv>

namespace fmesh::stream {
namespace {

constexpr std::string_view kPartitionMark = "-partition-";
constexpr std::string_view kForms =
    "a stream is named \"name\", \"tenant/namespace/name\" or \"persistent://tenant/namespace/name\"";

Error bad(std::string_view text, const std::string& what) {
  return Error(ErrorKind::kFixInput, "stream name \"" + std::string(text) + "\": " + what + "; " + std::string(kForms));
}

// What Pulsar's NamedEntity allows in tenants and namespaces.
bool is_entity(std::string_view name) {
  for (char c : name) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!word && c != '_' && c != '-' && c != '=' && c != ':' && c != '.') return false;
  }
  return !name.empty();
}

bool is_local(std::string_view name) {
  for (char c : name)
    if (static_cast<unsigned char>(c) <= ' ' || c == '/' || c == 0x7f) return false;
  return !name.empty();
}

}  // namespace

Result<TopicName> TopicName::parse(std::string_view text) {
  TopicName name;
  std::string_view rest = text;
  bool whole = false;
  if (const size_t mark = rest.find("://"); mark != std::string_view::npos) {
    const std::string_view domain = rest.substr(0, mark);
    if (domain != "persistent" && domain != "non-persistent")
      return fail(bad(text, "\"" + std::string(domain) + "://\" is neither persistent:// nor non-persistent://"));
    name.persistent = domain == "persistent";
    rest.remove_prefix(mark + 3);
    whole = true;
  }
  const size_t first = rest.find('/');
  if (first == std::string_view::npos) {
    if (whole) return fail(bad(text, "tenant and namespace are missing"));
    name.local_name = rest;
  } else {
    const size_t second = rest.find('/', first + 1);
    if (second == std::string_view::npos) return fail(bad(text, "found two parts, expected one or three"));
    name.tenant = rest.substr(0, first);
    name.name_space = rest.substr(first + 1, second - first - 1);
    name.local_name = rest.substr(second + 1);
    if (name.local_name.find('/') != std::string::npos) return fail(bad(text, "found more than three parts"));
  }
  if (!is_entity(name.tenant))
    return fail(bad(text, "tenant \"" + name.tenant + "\" is empty or has a character outside [A-Za-z0-9_=:.-]"));
  if (!is_entity(name.name_space))
    return fail(
        bad(text, "namespace \"" + name.name_space + "\" is empty or has a character outside [A-Za-z0-9_=:.-]"));
  if (!is_local(name.local_name)) return fail(bad(text, "the last part is empty or has a space or control character"));
  return name;
}

std::string TopicName::full() const {
  return std::string(persistent ? "persistent://" : "non-persistent://") + tenant + "/" + name_space + "/" + local_name;
}

std::string TopicName::partition(int32_t index) const {
  return full() + std::string(kPartitionMark) + std::to_string(index);
}

std::optional<int32_t> TopicName::partition_index() const {
  const size_t mark = local_name.rfind(kPartitionMark);
  if (mark == std::string::npos || mark == 0) return std::nullopt;
  const std::string_view digits = std::string_view(local_name).substr(mark + kPartitionMark.size());
  if (digits.empty() || digits[0] < '0' || digits[0] > '9' || (digits.size() > 1 && digits[0] == '0'))
    return std::nullopt;
  int32_t index = 0;
  const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  if (code != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return index;
}

std::string short_topic_name(std::string_view full) {
  for (const std::string_view prefix : {"persistent://public/default/", "persistent://"})
    if (full.starts_with(prefix)) return std::string(full.substr(prefix.size()));
  return std::string(full);
}

}  // namespace fmesh::stream
