#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "stream/pulsar/server/connection_private.h"
#include "stream/pulsar/server/schemas_private.h"

namespace fmesh::stream::pulsar::server {
namespace {

constexpr uint64_t kNoRequest = std::numeric_limits<uint64_t>::max();
// Clients measure their payloads by it, and the metadata comes on top.
constexpr size_t kPayloadMaxBytes = kEntrySizeMaxBytes - wire::kFramePaddingBytes;
constexpr const char* kServerVersion = "fmesh " FMESH_VERSION;

Refusal no_transactions() {
  return {proto::TransactionCoordinatorNotFound, "transactions are not offered here; let the client turn them off"};
}

}  // namespace

Connection::Connection(Broker& broker, std::unique_ptr<net::ByteStream> stream, std::function<void(Connection*)> ended)
    : broker_(broker),
      stream_(std::move(stream)),
      peer_(stream_->peer()),
      ended_(std::move(ended)),
      outbox_(*stream_),
      producers_(*this),
      consumers_(*this) {}

void Connection::start() {
  stream_->start({.room = [this] { return reader_.room(); },
                  .received = [this](size_t count) { received(count); },
                  .drained = [this] { drained(); },
                  .ended = [this](const Error&) { end(); }});
  timer_ = broker_.loop().post_after(kHandshakeTimeoutMs, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->keep_alive();
  });
}

void Connection::end() {
  if (!stream_) return;
  const auto self = shared_from_this();
  state_ = State::kOver;
  outbox_.flush();
  // Whoever still has to read what was sent gets it; nothing more is taken from it.
  const auto stream = std::shared_ptr<net::ByteStream>(std::move(stream_));
  stream->close_after_writes();
  broker_.loop().cancel(timer_);
  producers_.end();
  consumers_.end();
  ended_(this);
  // The stream closes when it is let go of; what it has to say has its time to leave.
  broker_.loop().post_after(kCloseLingerMs, [self, stream] {});
}

// ----------------------------------------------------------------------------------------------------------- in and
// out

void Connection::received(size_t count) {
  const auto self = shared_from_this();
  if (!stream_) {
    reader_ = wire::FrameReader();  // nobody listens any more
    return;
  }
  heard_ = true;
  reader_.received(count);
  take_frames();
}

void Connection::take_frames() {
  wire::Frame frame;
  has_frames_ = false;
  while (stream_) {
    if (outbox_.queued_bytes() >= kOutputMaxBytes) {
      has_frames_ = true;
      break;
    }
    const auto next = reader_.next(frame);
    if (!next) return end();
    if (!*next) break;
    if (frame.command != nullptr) handle(frame);
  }
  if (!stream_) return;
  producers_.flush();
  consumers_.flush();
  check_reading();
}

void Connection::check_reading() {
  if (!stream_) return;
  stream_->pause_reading(has_frames_ || outbox_.queued_bytes() >= kOutputMaxBytes || !producers_.takes_more());
}

void Connection::drained() {
  const auto self = shared_from_this();
  consumers_.drained();
  if (has_frames_) take_frames();
  check_reading();
}

void Connection::send(const proto::BaseCommand& command) {
  if (!stream_) return;
  outbox_.add(command);
  flush_later();
}

void Connection::send(const proto::BaseCommand& command, const SharedBytes& entry) {
  if (!stream_) return;
  outbox_.add(command, entry);
  flush_later();
}

void Connection::flush_later() {
  if (flushing_) return;
  flushing_ = true;
  broker_.loop().post([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    self->flushing_ = false;
    if (self->stream_) self->outbox_.flush();
  });
}

void Connection::succeed(uint64_t request_id) {
  proto::BaseCommand command;
  command.set_type(proto::BaseCommand::SUCCESS);
  command.mutable_success()->set_request_id(request_id);
  send(command);
}

void Connection::refuse(uint64_t request_id, const Refusal& refusal) {
  proto::BaseCommand command;
  command.set_type(proto::BaseCommand::ERROR);
  command.mutable_error()->set_request_id(request_id);
  command.mutable_error()->set_error(refusal.code);
  command.mutable_error()->set_message(refusal.text);
  send(command);
}

void Connection::keep_alive() {
  if (!stream_) return;
  if (state_ == State::kNew) return end();
  // While it is not read from, silence is ours.
  const bool listened = producers_.takes_more() && outbox_.queued_bytes() < kOutputMaxBytes && !has_frames_;
  if (!heard_ && listened && asked_) return end();
  asked_ = !heard_;
  if (asked_) {
    proto::BaseCommand command;
    command.set_type(proto::BaseCommand::PING);
    command.mutable_ping();
    send(command);
  }
  heard_ = false;
  timer_ = broker_.loop().post_after(kKeepAliveMs, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->keep_alive();
  });
}

// ------------------------------------------------------------------------------------------------------------ commands

void Connection::handle(const wire::Frame& frame) {
  const proto::BaseCommand& command = *frame.command;
  if (state_ == State::kNew) {
    if (command.type() != proto::BaseCommand::CONNECT || !command.has_connect()) return end();
    return connect(command.connect());
  }
  switch (command.type()) {
    case proto::BaseCommand::SEND:
      return producers_.send(command.send(), frame.entry, frame.intact);
    case proto::BaseCommand::ACK:
      return consumers_.ack(command.ack());
    case proto::BaseCommand::FLOW:
      return consumers_.flow(command.flow());
    case proto::BaseCommand::PRODUCER:
      return producers_.open(command.producer());
    case proto::BaseCommand::SUBSCRIBE:
      return consumers_.subscribe(command.subscribe());
    case proto::BaseCommand::CLOSE_PRODUCER:
      producers_.flush();
      return producers_.close(command.close_producer());
    case proto::BaseCommand::CLOSE_CONSUMER:
      return consumers_.close(command.close_consumer());
    case proto::BaseCommand::REDELIVER_UNACKNOWLEDGED_MESSAGES:
      return consumers_.redeliver(command.redeliverunacknowledgedmessages());
    case proto::BaseCommand::PARTITIONED_METADATA:
      return partition_metadata(command.partitionmetadata());
    case proto::BaseCommand::LOOKUP:
      return lookup(command.lookuptopic());
    case proto::BaseCommand::PING: {
      proto::BaseCommand pong;
      pong.set_type(proto::BaseCommand::PONG);
      pong.mutable_pong();
      return send(pong);
    }
    default:
      handle_rare(command);
  }
}

void Connection::handle_rare(const proto::BaseCommand& command) {
  switch (command.type()) {
    case proto::BaseCommand::UNSUBSCRIBE:
      return consumers_.unsubscribe(command.unsubscribe());
    case proto::BaseCommand::SEEK:
      return consumers_.seek(command.seek());
    case proto::BaseCommand::GET_LAST_MESSAGE_ID:
      return consumers_.last_message_id(command.getlastmessageid());
    case proto::BaseCommand::CONSUMER_STATS:
      return consumers_.stats(command.consumerstats());
    case proto::BaseCommand::GET_TOPICS_OF_NAMESPACE:
      return topics_of_namespace(command.gettopicsofnamespace());
    case proto::BaseCommand::GET_SCHEMA:
      return get_schema(command.getschema());
    case proto::BaseCommand::GET_OR_CREATE_SCHEMA:
      return get_or_create_schema(command.getorcreateschema());
    case proto::BaseCommand::WATCH_TOPIC_LIST:
      return refuse(command.watchtopiclist().request_id(),
                    {proto::NotAllowedError, "lists of topics are not watched here; ask for them from time to time"});
    case proto::BaseCommand::TC_CLIENT_CONNECT_REQUEST: {
      proto::BaseCommand answer;
      answer.set_type(proto::BaseCommand::TC_CLIENT_CONNECT_RESPONSE);
      auto& response = *answer.mutable_tcclientconnectresponse();
      response.set_request_id(command.tcclientconnectrequest().request_id());
      response.set_error(no_transactions().code);
      response.set_message(no_transactions().text);
      return send(answer);
    }
    case proto::BaseCommand::NEW_TXN: {
      proto::BaseCommand answer;
      answer.set_type(proto::BaseCommand::NEW_TXN_RESPONSE);
      auto& response = *answer.mutable_newtxnresponse();
      response.set_request_id(command.newtxn().request_id());
      response.set_error(no_transactions().code);
      response.set_message(no_transactions().text);
      return send(answer);
    }
    case proto::BaseCommand::PONG:
      return;
    case proto::BaseCommand::CONNECT:
      return end();
    default:
      return;  // of a broker, or of a newer client: nothing that can be answered
  }
}

void Connection::connect(const proto::CommandConnect& command) {
  const auto refused = [&](proto::ServerError code, const std::string& text) {
    refuse(kNoRequest, {code, text});
    end();
  };
  if (command.has_proxy_version() || command.has_original_principal())
    return refused(proto::AuthorizationError, "proxies are not taken for others here; connect without one");
  if (const Status allowed = broker_.access().check(command.auth_method_name(), command.auth_data()); !allowed)
    return refused(proto::AuthenticationError, allowed.error().text());
  client_version_ = command.client_version().substr(0, kNameSizeMaxBytes);
  state_ = State::kConnected;
  proto::BaseCommand answer;
  answer.set_type(proto::BaseCommand::CONNECTED);
  auto& connected = *answer.mutable_connected();
  connected.set_server_version(kServerVersion);
  connected.set_protocol_version(std::min(command.protocol_version(), wire::kProtocolVersion));
  connected.set_max_message_size(static_cast<int32_t>(kPayloadMaxBytes));
  auto& flags = *connected.mutable_feature_flags();
  flags.set_supports_get_partitioned_metadata_without_auto_creation(true);
  flags.set_supports_topic_watchers(false);
  send(answer);
}

void Connection::partition_metadata(const proto::CommandPartitionedTopicMetadata& command) {
  proto::BaseCommand answer;
  answer.set_type(proto::BaseCommand::PARTITIONED_METADATA_RESPONSE);
  auto& response = *answer.mutable_partitionmetadataresponse();
  response.set_request_id(command.request_id());
  const auto count = broker_.topics().partition_count(command.topic(), command.metadata_auto_creation_enabled());
  if (count) {
    response.set_response(proto::CommandPartitionedTopicMetadataResponse::Success);
    response.set_partitions(static_cast<uint32_t>(*count));
  } else {
    response.set_response(proto::CommandPartitionedTopicMetadataResponse::Failed);
    response.set_error(count.error().code);
    response.set_message(count.error().text);
  }
  send(answer);
}

void Connection::lookup(const proto::CommandLookupTopic& command) {
  proto::BaseCommand answer;
  answer.set_type(proto::BaseCommand::LOOKUP_RESPONSE);
  auto& response = *answer.mutable_lookuptopicresponse();
  response.set_request_id(command.request_id());
  if (const auto name = TopicName::parse(command.topic()); !name) {
    response.set_response(proto::CommandLookupTopicResponse::Failed);
    response.set_error(proto::InvalidTopicName);
    response.set_message(name.error().text());
    return send(answer);
  }
  response.set_response(proto::CommandLookupTopicResponse::Connect);
  response.set_authoritative(true);
  const BrokerOptions& options = broker_.options();
  if (options.tls) {
    response.set_brokerserviceurltls("pulsar+ssl://" + options.address);
  } else {
    response.set_brokerserviceurl("pulsar://" + options.address);
  }
  send(answer);
}

void Connection::topics_of_namespace(const proto::CommandGetTopicsOfNamespace& command) {
  std::vector<std::string> topics;
  if (command.mode() != proto::CommandGetTopicsOfNamespace::NON_PERSISTENT) {
    auto found = broker_.topics().of_namespace(command.namespace_());
    if (!found) return refuse(command.request_id(), found.error());
    topics = std::move(*found);
  }
  proto::BaseCommand answer;
  answer.set_type(proto::BaseCommand::GET_TOPICS_OF_NAMESPACE_RESPONSE);
  auto& response = *answer.mutable_gettopicsofnamespaceresponse();
  response.set_request_id(command.request_id());
  // The client filters by its pattern: a regular expression of a stranger is not run here.
  response.set_filtered(false);
  response.set_topics_hash(topics_hash(topics));
  response.set_changed(response.topics_hash() != command.topics_hash());
  if (response.changed())
    for (const std::string& topic : topics) response.add_topics(topic);
  send(answer);
}

void Connection::get_schema(const proto::CommandGetSchema& command) {
  proto::BaseCommand answer;
  answer.set_type(proto::BaseCommand::GET_SCHEMA_RESPONSE);
  auto& response = *answer.mutable_getschemaresponse();
  response.set_request_id(command.request_id());
  const auto failed = [&](const Refusal& refusal) {
    response.set_error_code(refusal.code);
    response.set_error_message(refusal.text);
    send(answer);
  };
  const auto name = schema_stream(command.topic());
  if (!name) return failed(name.error());
  const auto schemas = read_schemas(broker_.store(), *name);
  if (!schemas) return failed(schemas.error());
  const StoredSchema* wanted = schemas->empty() ? nullptr : &schemas->back();
  if (!command.schema_version().empty()) {
    const auto version = read_version(command.schema_version());
    if (!version) return failed(version.error());
    const auto found = std::ranges::find(*schemas, *version, &StoredSchema::version);
    wanted = found == schemas->end() ? nullptr : &*found;
  }
  if (wanted == nullptr) return failed({proto::TopicNotFound, fmt::format("topic {} has no such schema", *name)});
  *response.mutable_schema() = wanted->schema;
  response.set_schema_version(version_bytes(wanted->version));
  send(answer);
}

void Connection::get_or_create_schema(const proto::CommandGetOrCreateSchema& command) {
  const auto answer_with = [request_id = command.request_id()](Connection& connection,
                                                               const Answer<std::string>& version) {
    proto::BaseCommand answer;
    answer.set_type(proto::BaseCommand::GET_OR_CREATE_SCHEMA_RESPONSE);
    auto& response = *answer.mutable_getorcreateschemaresponse();
    response.set_request_id(request_id);
    if (version) {
      response.set_schema_version(*version);
    } else {
      response.set_error_code(version.error().code);
      response.set_error_message(version.error().text);
    }
    connection.send(answer);
  };
  const auto name = schema_stream(command.topic());
  if (!name) return answer_with(*this, std::unexpected(name.error()));
  register_schema(broker_, *name, command.schema(),
                  [weak = weak_from_this(), answer_with](const Answer<std::string>& version) {
                    const auto connection = weak.lock();
                    if (connection && connection->open()) answer_with(*connection, version);
                  });
}

// A schema belongs to the whole topic, whichever partition is named.
Answer<std::string> Connection::schema_stream(const std::string& topic) {
  const auto count = broker_.topics().partition_count(topic, false);
  if (!count) return std::unexpected(count.error());
  if (*count > 0) return TopicName::parse(topic)->full();
  auto place = broker_.topics().find(topic, false);
  if (!place) return std::unexpected(place.error());
  return place->stream;
}

}  // namespace fmesh::stream::pulsar::server
