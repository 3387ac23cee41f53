#include "stream/pulsar/client/partition_producer.h"

#include <stream/pulsar/wire/commands.pb.h>

#include <algorithm>
#include <utility>

#include "stream/pulsar/client/schema.h"

namespace fmesh::stream::pulsar {
namespace {

namespace proto = wire::proto;
using proto::BaseCommand;

// How often it is looked whether an append waits for too long; it may so wait a little longer.
constexpr int64_t kLateCheckMs = 250;

}  // namespace

PartitionProducer::PartitionProducer(Parts& parts, PartitionProducerOptions options)
    : parts_(parts),
      options_(std::move(options)),
      id_(parts.ids.next()),
      name_(options_.name),
      attachment_(parts, options_.topic,
                  {.attach = [this](const std::shared_ptr<Connection>& connection,
                                    const Attachment::Done& done) { attach(connection, done); },
                   .attached = [this] { attached(); },
                   .gave_up = [this](const Refusal& why) { gave_up(why); }}) {}

PartitionProducer::~PartitionProducer() { close(); }

void PartitionProducer::open(std::function<void(Status)> opened) {
  opened_ = std::move(opened);
  attachment_.start();
}

void PartitionProducer::attach(const std::shared_ptr<Connection>& connection, const Attachment::Done& done) {
  const uint64_t request_id = parts_.ids.next();
  BaseCommand command;
  command.set_type(BaseCommand::PRODUCER);
  proto::CommandProducer& producer = *command.mutable_producer();
  producer.set_topic(options_.topic);
  producer.set_producer_id(id_);
  producer.set_request_id(request_id);
  producer.set_epoch(epoch_++);
  if (!name_.empty()) producer.set_producer_name(name_);
  producer.set_user_provided_producer_name(options_.name_given && !options_.name.empty());
  if (!set_schema(parts_.options, *producer.mutable_schema())) producer.clear_schema();
  connection->add_producer(id_, this);
  connection->request(
      request_id, command, parts_.options.operation_timeout_ms,
      [this, weak = weak_from_this(), connection, done, attempt = attachment_.attempts()](Answer answer) {
        if (weak.expired() || attempt != attachment_.attempts()) return;
        if (!answer) {
          connection->remove_producer(id_);
          Refusal why = answer.error();
          // Who had the name has ended or has handed its input on, and the broker hears of it soon.
          if (options_.deduplicate && why.code == proto::ProducerBusy) {
            why = {Error(ErrorKind::kRetryLater, why.error.text()), {}};
          }
          return done(why);
        }
        const proto::CommandProducerSuccess& success = (*answer)->producer_success();
        if (name_.empty()) name_ = success.producer_name();
        if (!attachment_.was_attached()) last_sequence_id_ = success.last_sequence_id();
        known_stored_ = success.last_sequence_id();
        if (known_stored_ < last_sequence_id_ && options_.deduplicate) {
          // What its user took for stored, and did not send, is not.
          return done(
              Refusal{Error(ErrorKind::kFixInput, "the broker has forgotten what was stored"), proto::ProducerFenced});
        }
        done(std::nullopt);
      });
}

void PartitionProducer::attached() {
  // In order, before anything new.
  for (size_t i = 0; i < pending_.size(); ++i) {
    if (pending_[i].done && transmit(pending_[i])) continue;
    pending_.erase(pending_.begin() + static_cast<ptrdiff_t>(i--));
  }
  if (opened_) std::exchange(opened_, nullptr)({});
}

void PartitionProducer::gave_up(const Refusal& why) {
  failed_ = why.error.within("produce to " + options_.topic);
  // Its user begins anew with what is not acknowledged, and asks what is stored.
  if (options_.deduplicate && attachment_.was_attached()) failed_ = Error(ErrorKind::kRetryLater, failed_->text());
  fail_all(*failed_);
  if (opened_) std::exchange(opened_, nullptr)(fail(*failed_));
}

Result<Sending> PartitionProducer::prepare(const SharedBytes& entry, uint32_t record_count) const {
  FMESH_TRY(const EntryInfo info, read_entry_info(entry.view()));
  Sending sending;
  sending.entry = entry;
  sending.sequence_id = info.sequence_id;
  sending.highest_sequence_id = std::max(info.highest_sequence_id, info.sequence_id);
  BaseCommand command;
  command.set_type(BaseCommand::SEND);
  proto::CommandSend& send = *command.mutable_send();
  send.set_producer_id(id_);
  send.set_sequence_id(sending.sequence_id);
  send.set_num_messages(static_cast<int32_t>(record_count));
  send.set_highest_sequence_id(sending.highest_sequence_id);
  sending.head = SharedBytes(wire::frame_head(command, entry.view()));
  return sending;
}

void PartitionProducer::send(Sending sending) {
  if (failed_) return sending.done(fail(*failed_));
  if (pending_.size() >= kPendingEntriesMax) {
    return sending.done(
        fail(ErrorKind::kRetryLater,
             "produce to " + options_.topic + ": " + std::to_string(pending_.size()) + " entries wait for receipts"));
  }
  sending.since_ns = parts_.loop.clock().monotonic_ns();
  if (attachment_.connection() && !transmit(sending)) return;
  pending_.push_back(std::move(sending));
  watch_time();
}

// False if the broker would not take it; whoever waits is told.
bool PartitionProducer::transmit(const Sending& sending) {
  const std::shared_ptr<Connection>& connection = attachment_.connection();
  const size_t limit = connection->entry_size_max_bytes();
  if (sending.entry.size() > limit + wire::kFramePaddingBytes / 2) {
    sending.done(fail(ErrorKind::kFixInput, "produce to " + options_.topic + ": an entry of " +
                                                std::to_string(sending.entry.size()) +
                                                " bytes was given; the broker takes " + std::to_string(limit)));
    return false;
  }
  connection->send(sending.head, sending.entry);
  return true;
}

void PartitionProducer::end_head(Result<MessageId> result) {
  const auto done = std::move(pending_.front().done);
  pending_.pop_front();
  if (done) done(std::move(result));
}

void PartitionProducer::receipt(const proto::CommandSendReceipt& receipt) {
  // Of an earlier attachment, or of what was given up meanwhile.
  if (pending_.empty() || receipt.sequence_id() < pending_.front().sequence_id) return;
  if (receipt.sequence_id() > pending_.front().sequence_id) {
    const std::shared_ptr<Connection> connection = attachment_.connection();
    if (connection) {
      connection->close({Error(ErrorKind::kRetryLater, "produce to " + options_.topic + ": a receipt is missing"), {}});
    }
    return;
  }
  MessageId id;
  id.ledger = static_cast<int64_t>(receipt.message_id().ledgerid());
  id.entry = static_cast<int64_t>(receipt.message_id().entryid());
  if (id.ledger >= 0) id.partition = options_.partition;  // a duplicate is nowhere
  const auto self = shared_from_this();
  if (id.ledger < 0 && options_.deduplicate &&
      static_cast<int64_t>(pending_.front().highest_sequence_id) > known_stored_) {
    // The broker drops an entry if it has any of its numbers, so the rest of this one may be stored nowhere.
    attachment_.stop();
    return gave_up(
        {Error(ErrorKind::kRetryLater, "another producer of the name " + name_ + " has written meanwhile"), {}});
  }
  end_head(id);
}

void PartitionProducer::send_error(const proto::CommandSendError& error) {
  const Refusal why = refused(error.error(), error.message());
  const auto self = shared_from_this();
  if (error.error() == proto::TopicTerminatedError) {
    attachment_.stop();
    return gave_up(why);
  }
  if (error.error() == proto::NotAllowedError) {
    if (!pending_.empty() && pending_.front().highest_sequence_id == error.sequence_id()) {
      end_head(fail(why.error.within("produce to " + options_.topic)));
    }
    return;
  }
  // All that is pending is sent again on a new connection.
  const std::shared_ptr<Connection> connection = attachment_.connection();
  if (connection) connection->close({why.error, {}});
}

void PartitionProducer::lost(const Error& why) { attachment_.lost(why); }

bool PartitionProducer::is_held_back() const {
  return !failed_ && attachment_.trouble() && attachment_.trouble()->code == proto::ProducerBlockedQuotaExceededError;
}

void PartitionProducer::watch_time() {
  if (timer_ != 0 || parts_.options.send_timeout_ms <= 0 || options_.deduplicate) return;
  timer_ = parts_.loop.post_after(kLateCheckMs, [this, weak = weak_from_this()] {
    if (weak.expired()) return;
    timer_ = 0;
    end_what_is_late();
    if (!pending_.empty()) watch_time();
  });
}

void PartitionProducer::end_what_is_late() {
  const auto self = shared_from_this();
  const int64_t now_ns = parts_.loop.clock().monotonic_ns();
  // While the broker holds producers back, waiting is what they are meant to do.
  if (is_held_back()) {
    for (Sending& sending : pending_) sending.since_ns = now_ns;
    return;
  }
  const int64_t limit_ns = parts_.options.send_timeout_ms * 1'000'000;
  std::string why = "no receipt within " + std::to_string(parts_.options.send_timeout_ms) + " ms";
  if (attachment_.trouble()) why += ": " + attachment_.trouble()->error.text();
  const bool away = !attachment_.connection();
  for (size_t i = 0; i < pending_.size() && now_ns - pending_[i].since_ns > limit_ns; ++i) {
    // What is on its way keeps its place, so that its receipt is not taken for another's.
    pending_[i].entry = {};
    if (const auto done = std::exchange(pending_[i].done, nullptr)) {
      done(fail(ErrorKind::kRetryLater, "produce to " + options_.topic + ": " + why));
    }
  }
  if (away) std::erase_if(pending_, [](const Sending& sending) { return !sending.done; });
}

void PartitionProducer::fail_all(const Error& why) {
  while (!pending_.empty()) end_head(fail(why));
}

void PartitionProducer::close() {
  if (std::exchange(closed_, true)) return;
  if (!failed_) failed_ = Error(ErrorKind::kClosed, "the producer of " + options_.topic + " is closed");
  if (timer_ != 0) parts_.loop.cancel(std::exchange(timer_, 0));
  if (const std::shared_ptr<Connection> connection = attachment_.reached()) {
    connection->remove_producer(id_);
    const uint64_t request_id = parts_.ids.next();
    BaseCommand command;
    command.set_type(BaseCommand::CLOSE_PRODUCER);
    command.mutable_close_producer()->set_producer_id(id_);
    command.mutable_close_producer()->set_request_id(request_id);
    connection->send(command);  // nobody waits for the answer
  }
  attachment_.stop();
  if (opened_) std::exchange(opened_, nullptr)(fail(*failed_));
  fail_all(*failed_);
}

}  // namespace fmesh::stream::pulsar
