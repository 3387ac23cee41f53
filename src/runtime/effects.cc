#include "runtime/effects.h"

#include <algorithm>

#include "runtime/counter.h"

namespace fmesh::runtime {
void Effects::begin(std::span<const LogicRecord> records, int64_t now_ms) {
  records_ = records;
  current_ = SIZE_MAX;
  failures_.clear();
  is_failed_.clear();
  halted_at_ = records.size();
  poisoned_ = false;
  changes_.clear();
  changes_at_turn_ = 0;
  acked_.clear();
  acked_ids_.clear();
  state_order_ = table_ ? table_->order() : nullptr;
  outputs_.begin_batch(now_ms);
}

void Effects::abandon() {
  undo_changes(0);
  outputs_.clear();
  acked_.clear();
  acked_ids_.clear();
}

void Effects::begin_outputs(size_t index) {
  if (!outputs_.needs_origin()) return outputs_.begin_record();
  Result<Origin> origin = Origin::of(records_[index].topic, records_[index].id);
  if (origin) return outputs_.begin_record(*std::move(origin));
  outputs_.begin_record();
  failed(index, origin.error().text());
}

bool Effects::turn_to(size_t index) {
  if (index >= halted_at_) return false;
  if (index != current_) {
    current_ = index;
    changes_at_turn_ = changes_.size();
    begin_outputs(index);
  }
  return is_failed_.empty() || !is_failed_[index];
}

void Effects::output(size_t index, const stream::RecordView& record) {
  if (options_.output_topic.empty()) return;
  const Status added = publish(index, options_.output_topic, record);
  if (!added) failed(index, added.error().text());
}

Status Effects::publish(size_t index, std::string_view topic, const stream::RecordView& record) {
  if (!turn_to(index)) return {};
  const stream::RecordView& input = records_[index].record;
  stream::RecordView out = record;
  if (options_.forward_key && !out.has_key && input.has_key) {
    out.has_key = true;
    out.key = input.key;
  }
  if (out.event_time_ms == 0) out.event_time_ms = input.event_time_ms;
  if (options_.forward_properties && out.properties.empty()) out.properties = input.properties;
  return outputs_.add(topic, out);
}

void Effects::failed(size_t index, std::string_view text) {
  if (index >= records_.size()) return;
  const bool counted = index < halted_at_;
  if (current_ != index && counted && current_ != SIZE_MAX && current_ > index) poisoned_ = true;
  if (counted) {
    turn_to(index);
    undo_changes(changes_at_turn_);
    if (!outputs_.undo_record()) poisoned_ = true;
    std::erase(acked_, index);
  }
  if (is_failed_.empty()) is_failed_.resize(records_.size());
  if (is_failed_[index] || !counted) return;
  is_failed_[index] = true;
  failures_.push_back({index, std::string(text)});
  if (options_.halt_at_failure) halted_at_ = index;
}

void Effects::ack(size_t index) {
  if (turn_to(index)) acked_.push_back(index);
}

Status Effects::ack(std::string_view topic, const stream::MessageId& id) {
  acked_ids_.emplace_back(std::string(topic), id);
  return {};
}

Result<stream::StateTable*> Effects::table() {
  if (!table_) {
    FMESH_TRY(table_, options_.open_state());
    state_order_ = table_->order();
  }
  return table_.get();
}

Result<std::optional<std::string>> Effects::state_get(size_t index, std::string_view key) {
  turn_to(index);
  FMESH_TRY(stream::StateTable* const state, table());
  return state->get(key);
}

Status Effects::state_put(size_t index, std::string_view key, std::optional<std::string_view> value) {
  if (!turn_to(index)) return {};
  FMESH_TRY(stream::StateTable* const state, table());
  FMESH_TRY(std::optional<std::string> before, state->get(key));
  FMESH_CHECK(state->put(key, value));
  Change change;
  change.change.table = table_;
  change.change.key = key;
  if (value) change.change.value = std::string(*value);
  change.before = std::move(before);
  changes_.push_back(std::move(change));
  return {};
}

Result<int64_t> Effects::counter_add(size_t index, std::string_view key, int64_t delta) {
  FMESH_TRY(const std::optional<std::string> stored, state_get(index, key));
  FMESH_TRY(int64_t value, decode_counter(key, stored));
  if (delta == 0) return value;
  value = static_cast<int64_t>(static_cast<uint64_t>(value) + static_cast<uint64_t>(delta));
  FMESH_CHECK(state_put(index, key, encode_counter(value)));
  return value;
}

void Effects::undo_changes(size_t from) {
  while (changes_.size() > from) {
    const Change last = std::move(changes_.back());
    changes_.pop_back();
    std::optional<std::string_view> before;
    if (last.before) before = *last.before;
    const bool is_first = std::none_of(changes_.begin(), changes_.end(),
                                       [&](const Change& other) { return other.change.key == last.change.key; });
    last.change.table->restore(last.change.key, before, is_first);
  }
}

std::vector<stream::StateChange> Effects::take_changes() {
  std::vector<stream::StateChange> changes;
  changes.reserve(changes_.size());
  for (Change& change : changes_) changes.push_back(std::move(change.change));
  changes_.clear();
  return changes;
}

}  // namespace fmesh::runtime
