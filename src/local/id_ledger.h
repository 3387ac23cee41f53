// The books of `fmesh verify`: which ids were sent, in which order per key, and which came out. Lost, duplicated and
// reordered records follow from that. Pure; one thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace fmesh::local {

struct LedgerReport {
  int64_t sent = 0, received = 0;
  int64_t lost = 0, duplicated = 0, reordered = 0, unknown = 0;
  std::vector<std::string> examples;  // of what is wrong, a few
  bool clean() const { return lost == 0 && duplicated == 0 && reordered == 0 && unknown == 0; }
};

inline constexpr size_t kLedgerExamplesMax = 10;

// Ids count from 0; the key of an id is id % keys, so that ids of one key ascend in the order they were sent.
class IdLedger {
 public:
  // REQUIRES: ids > 0, keys > 0.
  IdLedger(int64_t ids, int64_t keys)
      : keys_(keys), seen_(static_cast<size_t>(ids), 0), last_(static_cast<size_t>(keys), -1) {}

  static std::string key_of(int64_t id, int64_t keys) { return "k" + std::to_string(id % keys); }
  // An id came out. A second coming is a duplicate and says nothing about order.
  void received(int64_t id);
  bool complete() const { return distinct_ == static_cast<int64_t>(seen_.size()); }
  int64_t distinct() const { return distinct_; }
  LedgerReport report() const;

 private:
  void example(std::string text);

  int64_t keys_;
  std::vector<uint32_t> seen_;
  std::vector<int64_t> last_;  // highest id per key
  int64_t distinct_ = 0;
  LedgerReport report_;
};

}  // namespace fmesh::local
