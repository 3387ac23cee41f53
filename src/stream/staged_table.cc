#include "stream/staged_table.h"

#include <fmt/format.h>

#include <utility>

namespace fmesh::stream {
namespace {

// Memory of a staged value beside its bytes, roughly.
constexpr size_t kItemOverheadBytes = 96;
// Keys that one step of a scan reads.
constexpr size_t kScanStepKeys = 256;

size_t staged_size(std::string_view key, const std::optional<std::string>& value) {
  return kItemOverheadBytes + key.size() + (value ? value->size() : 0);
}

}  // namespace

bool DurableValues::reserve_staged(size_t bytes) {
  if (staged_bytes_.fetch_add(bytes) + bytes <= kStateStagedSizeMaxBytes) return true;
  staged_bytes_ -= bytes;
  return false;
}

StagedTable::~StagedTable() {
  for (const auto& [key, staged] : staged_) store_->release_staged(staged_size(key, staged.value));
}

Result<std::optional<std::string>> StagedTable::get(std::string_view key) {
  {
    std::lock_guard lock(mutex_);
    if (const auto found = staged_.find(key); found != staged_.end()) return found->second.value;
  }
  return store_->get(name_, key);
}

Status StagedTable::put(std::string_view key, std::optional<std::string_view> value) {
  if (key.empty() || key.size() > kStateKeySizeMaxBytes)
    return fail(ErrorKind::kFixInput, fmt::format("state of {}: a key has 1 to {} bytes, this one has {}", name_,
                                                  kStateKeySizeMaxBytes, key.size()));
  if (value && value->size() > kStateValueSizeMaxBytes)
    return fail(ErrorKind::kFixInput, fmt::format("state of {}, key {}: a value has at most {} bytes, this one has {}",
                                                  name_, key, kStateValueSizeMaxBytes, value->size()));
  Staged staged;
  if (value) staged.value = std::string(*value);
  if (!store_->reserve_staged(staged_size(key, staged.value)))
    return fail(ErrorKind::kRetryLater, fmt::format("state of {}: more than {} bytes are put and not yet durable; "
                                                    "commit before putting more",
                                                    name_, kStateStagedSizeMaxBytes));
  std::lock_guard lock(mutex_);
  staged.number = ++last_number_;
  if (const auto found = staged_.find(key); found != staged_.end()) {
    staged.commit_number = found->second.commit_number;
    drop(found);
  }
  staged_.emplace(std::string(key), std::move(staged));
  return {};
}

void StagedTable::restore(std::string_view key, std::optional<std::string_view> before, bool is_first) {
  std::lock_guard lock(mutex_);
  const auto found = staged_.find(key);
  if (found == staged_.end()) return;
  Staged& staged = found->second;
  if (is_first && staged.commit_number == 0) return drop(found);
  store_->release_staged(staged_size(key, staged.value));
  staged.value.reset();
  if (before) staged.value = std::string(*before);
  store_->reserve_again(staged_size(key, staged.value));
  // What is staged is again what that commit carries, and goes when it is durable.
  if (is_first) staged.number = staged.commit_number;
}

void StagedTable::drop(std::map<std::string, Staged, std::less<>>::iterator staged) {
  store_->release_staged(staged_size(staged->first, staged->second.value));
  staged_.erase(staged);
}

Status StagedTable::scan(std::string_view prefix, std::function<bool(std::string_view, std::string_view)> visit) {
  std::map<std::string, std::optional<std::string>, std::less<>> staged;
  {
    std::lock_guard lock(mutex_);
    for (auto found = staged_.lower_bound(prefix); found != staged_.end() && found->first.starts_with(prefix); ++found)
      staged[found->first] = found->second.value;
  }
  // Merges the durable keys, a step at a time, with the staged ones.
  auto next = staged.begin();
  std::string after;
  for (bool more = true; more;) {
    FMESH_TRY(const auto step, store_->scan(name_, prefix, kScanStepKeys, after));
    more = step.size() == kScanStepKeys;
    for (const auto& [key, value] : step) {
      for (; next != staged.end() && next->first < key; ++next)
        if (next->second && !visit(next->first, *next->second)) return {};
      if (next != staged.end() && next->first == key) {
        if (next->second && !visit(key, *next->second)) return {};
        ++next;
      } else if (!visit(key, value)) {
        return {};
      }
    }
    if (!step.empty()) after = step.rbegin()->first;
  }
  for (; next != staged.end(); ++next)
    if (next->second && !visit(next->first, *next->second)) return {};
  return {};
}

std::shared_ptr<CommitOrder> StagedTable::order() {
  std::lock_guard lock(mutex_);
  return order_;
}

std::optional<uint64_t> StagedTable::begin_commit(const std::string& key) {
  std::lock_guard lock(mutex_);
  const auto found = staged_.find(key);
  if (found == staged_.end()) return std::nullopt;
  return found->second.commit_number = found->second.number;
}

void StagedTable::end_commit(const std::string& key, uint64_t number) {
  std::lock_guard lock(mutex_);
  const auto found = staged_.find(key);
  if (found == staged_.end()) return;
  if (found->second.number <= number) return drop(found);
  if (found->second.commit_number <= number) found->second.commit_number = 0;
}

void StagedTable::fail_commits(const std::shared_ptr<CommitOrder>& order) {
  std::lock_guard lock(mutex_);
  if (order_ != order) return;
  order_->is_broken = true;
  order_ = std::make_shared<CommitOrder>();
  while (!staged_.empty()) drop(staged_.begin());
}

}  // namespace fmesh::stream
