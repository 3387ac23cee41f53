#include "stream/changelog/memory_values.h"

namespace fmesh::stream {
namespace {

// Two strings and a node of the tree, roughly.
constexpr size_t kItemOverheadBytes = 112;

size_t size_of(std::string_view key, std::string_view value) { return kItemOverheadBytes + key.size() + value.size(); }

}  // namespace

Result<std::optional<std::string>> MemoryValues::get(const std::string& table, std::string_view key) {
  const std::lock_guard lock(mutex_);
  const auto values = tables_.find(table);
  if (values == tables_.end()) return std::nullopt;
  const auto found = values->second.find(key);
  if (found == values->second.end()) return std::nullopt;
  return found->second;
}

Result<std::map<std::string, std::string>> MemoryValues::scan(const std::string& table, std::string_view prefix,
                                                              size_t keys_max, std::string_view after) {
  const std::lock_guard lock(mutex_);
  std::map<std::string, std::string> found;
  const auto values = tables_.find(table);
  if (values == tables_.end()) return found;
  auto next = after < prefix ? values->second.lower_bound(prefix) : values->second.upper_bound(after);
  for (; next != values->second.end() && next->first.starts_with(prefix) && found.size() < keys_max; ++next)
    found.insert(*next);
  return found;
}

void MemoryValues::apply(const std::string& table, std::string_view key, std::optional<std::string_view> value) {
  const std::lock_guard lock(mutex_);
  Values& values = tables_[table];
  if (const auto found = values.find(key); found != values.end()) {
    size_bytes_ -= size_of(found->first, found->second);
    values.erase(found);
  }
  if (!value) return;
  size_bytes_ += size_of(key, *value);
  values.emplace(key, *value);
}

void MemoryValues::drop(const std::string& table) {
  const std::lock_guard lock(mutex_);
  const auto found = tables_.find(table);
  if (found == tables_.end()) return;
  for (const auto& [key, value] : found->second) size_bytes_ -= size_of(key, value);
  tables_.erase(found);
}

size_t MemoryValues::count(const std::string& table) const {
  const std::lock_guard lock(mutex_);
  const auto found = tables_.find(table);
  return found == tables_.end() ? 0 : found->second.size();
}

size_t MemoryValues::size_bytes() const {
  const std::lock_guard lock(mutex_);
  return size_bytes_;
}

}  // namespace fmesh::stream
