#include "local/id_ledger.h"

#include <utility>

namespace fmesh::local {

void IdLedger::example(std::string text) {
  if (report_.examples.size() < kLedgerExamplesMax) report_.examples.push_back(std::move(text));
}

void IdLedger::received(int64_t id) {
  ++report_.received;
  if (id < 0 || id >= static_cast<int64_t>(seen_.size())) {
    ++report_.unknown;
    return example("id " + std::to_string(id) + " was never sent");
  }
  if (seen_[static_cast<size_t>(id)]++ != 0) {
    ++report_.duplicated;
    return example("id " + std::to_string(id) + " came again");
  }
  ++distinct_;
  int64_t& last = last_[static_cast<size_t>(id % keys_)];
  if (id < last) {
    ++report_.reordered;
    return example("id " + std::to_string(id) + " came after " + std::to_string(last) + " of the same key " +
                   key_of(id, keys_));
  }
  last = id;
}

LedgerReport IdLedger::report() const {
  LedgerReport report = report_;
  report.sent = static_cast<int64_t>(seen_.size());
  for (size_t id = 0; id < seen_.size(); ++id) {
    if (seen_[id] != 0) continue;
    ++report.lost;
    if (report.examples.size() < kLedgerExamplesMax) report.examples.push_back("id " + std::to_string(id) + " is lost");
  }
  return report;
}

}  // namespace fmesh::local
