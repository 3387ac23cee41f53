#include "stream/pulsar/client/connection.h"

#include <stream/pulsar/wire/commands.pb.h>

#include <array>
#include <limits>
#include <utility>

namespace fmesh::stream::pulsar {
namespace {

namespace proto = wire::proto;
using proto::BaseCommand;

constexpr const char* kClientVersion = "fmesh-" FMESH_VERSION;
// What a broker may say that its entries have at most; more is not believed.
constexpr size_t kEntrySizeBelievedMaxBytes = size_t{64} * 1024 * 1024;
// Errors that concern the connection and no request carry this id.
constexpr uint64_t kNoRequest = std::numeric_limits<uint64_t>::max();

Refusal lost_because(std::string text) { return {Error(ErrorKind::kRetryLater, std::move(text)), {}}; }

// The request that `command` answers; none if it answers nothing.
std::optional<uint64_t> request_id_of(const BaseCommand& command) {
  switch (command.type()) {
    case BaseCommand::SUCCESS:
      return command.success().request_id();
    case BaseCommand::ERROR:
      return command.error().request_id();
    case BaseCommand::PRODUCER_SUCCESS:
      return command.producer_success().request_id();
    case BaseCommand::PARTITIONED_METADATA_RESPONSE:
      return command.partitionmetadataresponse().request_id();
    case BaseCommand::LOOKUP_RESPONSE:
      return command.lookuptopicresponse().request_id();
    case BaseCommand::CONSUMER_STATS_RESPONSE:
      return command.consumerstatsresponse().request_id();
    case BaseCommand::GET_LAST_MESSAGE_ID_RESPONSE:
      return command.getlastmessageidresponse().request_id();
    case BaseCommand::GET_TOPICS_OF_NAMESPACE_RESPONSE:
      return command.gettopicsofnamespaceresponse().request_id();
    case BaseCommand::ACK_RESPONSE:
      return command.ackresponse().request_id();
    default:
      return std::nullopt;
  }
}

// The refusal in an answer; none if it is a good one.
std::optional<Refusal> refusal_in(const BaseCommand& command) {
  switch (command.type()) {
    case BaseCommand::ERROR:
      return refused(command.error().error(), command.error().message());
    case BaseCommand::PARTITIONED_METADATA_RESPONSE: {
      const auto& answer = command.partitionmetadataresponse();
      if (answer.response() != proto::CommandPartitionedTopicMetadataResponse::Failed) return std::nullopt;
      return refused(answer.error(), answer.message());
    }
    case BaseCommand::LOOKUP_RESPONSE: {
      const auto& answer = command.lookuptopicresponse();
      if (answer.response() != proto::CommandLookupTopicResponse::Failed) return std::nullopt;
      return refused(answer.error(), answer.message());
    }
    case BaseCommand::CONSUMER_STATS_RESPONSE: {
      const auto& answer = command.consumerstatsresponse();
      if (!answer.has_error_code()) return std::nullopt;
      return refused(answer.error_code(), answer.error_message());
    }
    case BaseCommand::ACK_RESPONSE:
      if (!command.ackresponse().has_error()) return std::nullopt;
      return refused(command.ackresponse().error(), command.ackresponse().message());
    default:
      return std::nullopt;
  }
}

}  // namespace

Connection::Connection(Loop& loop, Authentication& authentication, ConnectionOptions options)
    : loop_(loop), authentication_(authentication), options_(std::move(options)) {}

Connection::~Connection() {
  if (state_ == State::kClosed || state_ == State::kNew) return;
  loop_.cancel(handshake_timer_);
  loop_.cancel(keep_alive_timer_);
  for (const auto& [id, request] : requests_) loop_.cancel(request.timer);
}

void Connection::start(std::unique_ptr<net::ByteStream> stream, std::function<void(std::optional<Refusal>)> ready) {
  stream_ = std::move(stream);
  peer_ = stream_->peer();
  ready_ = std::move(ready);
  state_ = State::kShakingHands;
  const auto weak = weak_from_this();
  handshake_timer_ = loop_.post_after(options_.handshake_timeout_ms, [weak] {
    if (const auto self = weak.lock()) {
      self->close(lost_because(self->where() + ": no answer to the handshake within " +
                               std::to_string(self->options_.handshake_timeout_ms) + " ms"));
    }
  });
  // The stream and with it these calls end before this connection does.
  stream_->start({.room = [this] { return reader_.room(); },
                  .received =
                      [this](size_t count) {
                        const auto self = shared_from_this();
                        reader_.received(count);
                        heard_ = true;
                        read();
                      },
                  .drained = {},
                  .ended =
                      [weak](const Error& error) {
                        if (const auto self = weak.lock()) self->close({error, {}});
                      }});
  authentication_.data([weak](Result<std::string> data) {
    const auto self = weak.lock();
    if (!self || self->state_ != State::kShakingHands) return;
    if (!data) return self->close({data.error(), {}});
    self->say_hello(*data);
  });
}

void Connection::say_hello(const std::string& data) {
  BaseCommand command;
  command.set_type(BaseCommand::CONNECT);
  proto::CommandConnect& connect = *command.mutable_connect();
  connect.set_client_version(kClientVersion);
  connect.set_protocol_version(wire::kProtocolVersion);
  if (const std::string method = authentication_.method(); !method.empty()) {
    connect.set_auth_method_name(method);
    connect.set_auth_data(data);
  }
  if (!options_.proxy_to_broker_url.empty()) connect.set_proxy_to_broker_url(options_.proxy_to_broker_url);
  proto::FeatureFlags& flags = *connect.mutable_feature_flags();
  flags.set_supports_auth_refresh(true);
  flags.set_supports_broker_entry_metadata(true);
  flags.set_supports_partial_producer(true);
  flags.set_supports_get_partitioned_metadata_without_auto_creation(true);
  send(command);
}

void Connection::answer_challenge() {
  authentication_.data([weak = weak_from_this()](Result<std::string> data) {
    const auto self = weak.lock();
    if (!self || self->state_ == State::kClosed) return;
    // The broker closes the connection of who has nothing new to say, so it is not done here.
    if (!data) return;
    BaseCommand command;
    command.set_type(BaseCommand::AUTH_RESPONSE);
    command.mutable_authresponse()->set_client_version(kClientVersion);
    command.mutable_authresponse()->set_protocol_version(wire::kProtocolVersion);
    proto::AuthData& response = *command.mutable_authresponse()->mutable_response();
    response.set_auth_method_name(self->authentication_.method());
    response.set_auth_data(*data);
    self->send(command);
  });
}

void Connection::close(const Refusal& why) {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  const auto self = shared_from_this();
  loop_.cancel(handshake_timer_);
  loop_.cancel(keep_alive_timer_);
  stream_ = nullptr;
  const auto requests = std::exchange(requests_, {});
  const auto producers = std::exchange(producers_, {});
  const auto consumers = std::exchange(consumers_, {});
  if (ready_) std::exchange(ready_, nullptr)(why);
  for (const auto& [id, request] : requests) {
    loop_.cancel(request.timer);
    request.done(std::unexpected(why));
  }
  for (const auto& [id, end] : producers) end->lost(why.error);
  for (const auto& [id, end] : consumers) end->lost(why.error);
}

void Connection::send(const BaseCommand& command) {
  if (!stream_) return;
  std::string frame;
  wire::append_frame(frame, command);
  stream_->write(std::array{SharedBytes(std::move(frame))});
}

void Connection::send(const SharedBytes& head, const SharedBytes& entry) {
  if (stream_) stream_->write(std::array{head, entry});
}

void Connection::request(uint64_t request_id, const BaseCommand& command, int64_t timeout_ms,
                         std::function<void(Answer)> done) {
  if (state_ != State::kReady || requests_.size() >= kRequestsMax) {
    const std::string why = state_ == State::kReady ? "too many requests wait for answers" : "the connection is closed";
    loop_.post([done = std::move(done), text = where() + ": " + why] { done(std::unexpected(lost_because(text))); });
    return;
  }
  Request& request = requests_[request_id];
  request.done = std::move(done);
  request.timer = loop_.post_after(timeout_ms, [weak = weak_from_this(), request_id, timeout_ms] {
    const auto self = weak.lock();
    if (!self) return;
    const auto found = self->requests_.find(request_id);
    if (found == self->requests_.end()) return;
    const auto late = std::move(found->second.done);
    self->requests_.erase(found);
    late(std::unexpected(lost_because(self->where() + ": no answer within " + std::to_string(timeout_ms) + " ms")));
  });
  send(command);
}

void Connection::read() {
  wire::Frame frame;
  while (state_ != State::kClosed) {
    const Result<bool> found = reader_.next(frame);
    if (!found) return close(lost_because(where() + ": " + found.error().text()));
    if (!*found) return;
    if (frame.command != nullptr) dispatch(frame);
  }
}

void Connection::dispatch(wire::Frame& frame) {
  const BaseCommand& command = *frame.command;
  switch (command.type()) {
    case BaseCommand::PING: {
      BaseCommand pong;
      pong.set_type(BaseCommand::PONG);
      pong.mutable_pong();
      return send(pong);
    }
    case BaseCommand::PONG:
      return;
    case BaseCommand::AUTH_CHALLENGE:
      return answer_challenge();
    case BaseCommand::ERROR:
      if (command.error().request_id() == kNoRequest || state_ == State::kShakingHands) {
        return close(refused(command.error().error(), command.error().message()));
      }
      break;
    default:
      break;
  }
  if (state_ == State::kReady) return dispatch_ready(frame);
  if (command.type() == BaseCommand::CONNECTED) return connected(command);
  close(lost_because(where() + ": something came before the handshake was over"));
}

void Connection::connected(const BaseCommand& command) {
  const proto::CommandConnected& told = command.connected();
  entry_size_max_bytes_ = kEntrySizeMaxBytes;
  if (told.max_message_size() > 0) {
    entry_size_max_bytes_ = std::min(static_cast<size_t>(told.max_message_size()), kEntrySizeBelievedMaxBytes);
    reader_.set_entry_size_max(std::max(entry_size_max_bytes_, kEntrySizeMaxBytes));
  }
  looks_without_making_ = told.feature_flags().supports_get_partitioned_metadata_without_auto_creation();
  state_ = State::kReady;
  loop_.cancel(handshake_timer_);
  keep_alive();
  std::exchange(ready_, nullptr)(std::nullopt);
}

void Connection::dispatch_ready(wire::Frame& frame) {
  const BaseCommand& command = *frame.command;
  switch (command.type()) {
    case BaseCommand::MESSAGE: {
      const auto found = consumers_.find(command.message().consumer_id());
      if (found != consumers_.end()) found->second->message(command.message(), frame);
      return;
    }
    case BaseCommand::SEND_RECEIPT: {
      const auto found = producers_.find(command.send_receipt().producer_id());
      if (found != producers_.end()) found->second->receipt(command.send_receipt());
      return;
    }
    case BaseCommand::SEND_ERROR: {
      const auto found = producers_.find(command.send_error().producer_id());
      if (found != producers_.end()) found->second->send_error(command.send_error());
      return;
    }
    case BaseCommand::CLOSE_PRODUCER:
      return let_go_of_producer(command.close_producer().producer_id());
    case BaseCommand::CLOSE_CONSUMER:
      return let_go_of_consumer(command.close_consumer().consumer_id());
    case BaseCommand::TOPIC_MIGRATED:
      // The new cluster is found by looking the topic up again.
      return command.topicmigrated().resource_type() == proto::CommandTopicMigrated::Producer
                 ? let_go_of_producer(command.topicmigrated().resource_id())
                 : let_go_of_consumer(command.topicmigrated().resource_id());
    default:
      if (const auto id = request_id_of(command)) answered(*id, command);
  }
}

void Connection::answered(uint64_t request_id, const BaseCommand& command) {
  const auto found = requests_.find(request_id);
  if (found == requests_.end()) return;  // its time was up
  // A producer that has to wait for another one's end is told twice.
  if (command.type() == BaseCommand::PRODUCER_SUCCESS && !command.producer_success().producer_ready()) return;
  loop_.cancel(found->second.timer);
  const auto done = std::move(found->second.done);
  requests_.erase(found);
  if (auto refusal = refusal_in(command)) return done(std::unexpected(*std::move(refusal)));
  done(&command);
}

void Connection::let_go_of_producer(uint64_t id) {
  const auto found = producers_.find(id);
  if (found == producers_.end()) return;
  ProducerEnd* const end = found->second;
  producers_.erase(found);
  end->lost(Error(ErrorKind::kRetryLater, where() + " closed the producer"));
}

void Connection::let_go_of_consumer(uint64_t id) {
  const auto found = consumers_.find(id);
  if (found == consumers_.end()) return;
  ConsumerEnd* const end = found->second;
  consumers_.erase(found);
  end->lost(Error(ErrorKind::kRetryLater, where() + " closed the consumer"));
}

// Every interval: whoever was silent is asked, and whoever did not even answer that is dead.
void Connection::keep_alive() {
  keep_alive_timer_ = loop_.post_after(options_.keep_alive_ms, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self || self->state_ != State::kReady) return;
    if (self->pinged_ && !self->heard_) {
      return self->close(
          lost_because(self->where() + ": silent for " + std::to_string(2 * self->options_.keep_alive_ms) + " ms"));
    }
    self->heard_ = false;
    self->pinged_ = true;
    BaseCommand ping;
    ping.set_type(BaseCommand::PING);
    ping.mutable_ping();
    self->send(ping);
    self->keep_alive();
  });
}

}  // namespace fmesh::stream::pulsar
