// The part of an instance that reads streams which deals with what fails: waits and tries again, hands on, gives up.
#include <algorithm>
#include <utility>

#include "runtime/consumer_options.h"
#include "runtime/input_instance.h"
#include "stream/topic_name.h"

namespace fmesh::runtime {

void InputInstance::wait_and_retry(std::string_view why) {
  const int64_t delay_ms = std::min(kRetryDelayMinMs << std::min(work_->attempts, 20), kRetryDelayMaxMs);
  ++work_->attempts;
  set_last_error(std::string(why));
  log("warn", std::string(why) + "; trying again in " + std::to_string(delay_ms) + " ms");
  if (!running()) {
    drop_work();
    return;
  }
  waiting_ = true;
  after_ms(delay_ms, [this] {
    waiting_ = false;
    pump();
  });
}

// What is not done now is delivered again at the next start.
void InputInstance::drop_work() {
  if (!work_) return;
  const size_t left = work_->end - work_->begin;
  counters_.in_flight.fetch_sub(static_cast<int64_t>(left), std::memory_order_relaxed);
  work_.reset();
}

// The code holds a record for too long. Other instances get what waits behind it, if order allows; not the record
// itself, which might hold them as well.
void InputInstance::hand_over(size_t from) {
  if (ordered_ || !framework_acks_) return;
  for (const stream::Ack& ack : work_->batch.acks(consumer_, from, work_->end, {}))
    consumer_->negative_ack(ack.id, ack.records);
  counters_.in_flight.fetch_sub(static_cast<int64_t>(work_->end - from), std::memory_order_relaxed);
  work_->end = from;
}

// Records that failed where order does not matter: to the dead-letter stream if they had their chances, else away for a
// while. `not_acked`: indexes in the batch, sorted, that must not be acknowledged.
Status InputInstance::handle_failures(size_t done_to, std::vector<size_t>& not_acked) {
  for (const RecordFailure& failure : engine_->effects->failures()) {
    counters_.user_exceptions.fetch_add(1, std::memory_order_relaxed);
    const size_t index = work_->begin + failure.index;
    if (index >= done_to) continue;
    const std::string text = "failed at " + name_of(index) + ": " + failure.text;
    set_last_error(text);
    if (at_most_once_) {
      log("warn", text);
      continue;
    }
    const auto redeliveries = static_cast<int>(work_->batch.records()[index].redelivery_count);
    if (max_retries_ >= 0 && redeliveries >= max_retries_) {
      FMESH_CHECK(dead_letter(index, failure.text));
      continue;
    }
    log("warn", text + "; it will be delivered again");
    consumer_->negative_ack(work_->batch.entry_of(index).id, work_->batch.only(index));
    not_acked.push_back(index);
  }
  std::sort(not_acked.begin(), not_acked.end());
  return {};
}

Status InputInstance::dead_letter(size_t index, std::string_view text) {
  const Status added = add_dead_letter(*engine_->outputs, dead_letter_topic_, work_->batch.records()[index],
                                       subscription_, spec_.component, text);
  if (!added) return fmesh::fail(added.error().within(name_of(index) + " could not be written as a dead letter"));
  counters_.dead_letters.fetch_add(1, std::memory_order_relaxed);
  log("warn", name_of(index) + " goes to " + stream::short_topic_name(dead_letter_topic_) + ": " + std::string(text));
  return {};
}

}  // namespace fmesh::runtime
