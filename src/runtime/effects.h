// The BatchContext of one batch: collects outputs, state changes, failures and user acknowledgements of the records
// that a logic is working on, and takes back what a failed record did. When the batch is over, the instance makes one
// commit of it.
//
// Owned by an instance; used on the thread that runs the batch, then by the instance's loop.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/logic.h"
#include "runtime/outputs.h"
#include "stream/client.h"

namespace fmesh::runtime {

struct RecordFailure {
  size_t index = 0;
  std::string text;
};

struct EffectsOptions {
  std::string output_topic;        // empty: outputs are dropped
  bool forward_properties = true;  // details.sink.forwardSourceMessageProperty
  bool forward_key = true;         // an output without a key takes that of its input
  // Order is promised, so nothing behind a failed record counts until that record has succeeded.
  bool halt_at_failure = false;
  // Opens the state table on first use.
  std::function<Result<std::shared_ptr<stream::StateTable>>()> open_state;
};

class Effects final : public BatchContext {
 public:
  Effects(EffectsOptions options, Outputs& outputs) : options_(std::move(options)), outputs_(outputs) {}

  // REQUIRES: the records outlive the batch.
  void begin(std::span<const LogicRecord> records, int64_t now_ms);
  // Undoes everything the batch did so far.
  void abandon();

  void output(size_t index, const stream::RecordView& record) override;
  Status publish(size_t index, std::string_view topic, const stream::RecordView& record) override;
  void failed(size_t index, std::string_view text) override;
  void ack(size_t index) override;
  Status ack(std::string_view topic, const stream::MessageId& id) override;
  Result<std::optional<std::string>> state_get(size_t index, std::string_view key) override;
  Status state_put(size_t index, std::string_view key, std::optional<std::string_view> value) override;
  Result<int64_t> counter_add(size_t index, std::string_view key, int64_t delta) override;

  const std::vector<RecordFailure>& failures() const { return failures_; }
  // The first record that does not count because it failed, or one before it did while order is promised; the number of
  // records if all count.
  size_t halted_at() const { return halted_at_; }
  // A failed record left traces that can't be taken back: run the records again one by one.
  bool poisoned() const { return poisoned_; }
  std::vector<stream::StateChange> take_changes();
  // Of the state that the batch saw; null: it has seen none.
  std::shared_ptr<stream::CommitOrder> state_order() const { return state_order_; }
  std::vector<size_t> take_acked() { return std::move(acked_); }
  std::vector<std::pair<std::string, stream::MessageId>> take_acked_ids() { return std::move(acked_ids_); }

 private:
  struct Change {
    stream::StateChange change;
    std::optional<std::string> before;
  };
  // False if effects of `index` do not count any more.
  bool turn_to(size_t index);
  void begin_outputs(size_t index);
  void undo_changes(size_t from);
  Result<stream::StateTable*> table();

  EffectsOptions options_;
  Outputs& outputs_;
  std::span<const LogicRecord> records_;
  size_t current_ = SIZE_MAX;
  std::vector<RecordFailure> failures_;
  std::vector<bool> is_failed_;
  size_t halted_at_ = 0;
  bool poisoned_ = false;
  std::vector<Change> changes_;
  size_t changes_at_turn_ = 0;
  std::vector<size_t> acked_;
  std::vector<std::pair<std::string, stream::MessageId>> acked_ids_;
  std::shared_ptr<stream::StateTable> table_;
  std::shared_ptr<stream::CommitOrder> state_order_;
};

}  // namespace fmesh::runtime
