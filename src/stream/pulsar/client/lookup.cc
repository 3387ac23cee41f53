#include "stream/pulsar/client/lookup.h"

#include <stream/pulsar/wire/commands.pb.h>

#include <utility>

namespace fmesh::stream::pulsar {
namespace {

namespace proto = wire::proto;
using proto::BaseCommand;

Refusal later(std::string text) { return {Error(ErrorKind::kRetryLater, std::move(text)), {}}; }

Refusal within(const Refusal& refusal, const std::string& what) { return {refusal.error.within(what), refusal.code}; }

}  // namespace

struct Lookup::Search {
  std::string topic;
  ConnectionPool::Ready done;
  int redirects = 0;
  void refuse(const Refusal& why) const { done(std::unexpected(within(why, "look up " + topic))); }
};

void Lookup::partitions(const std::string& topic, bool make, Done<uint32_t> done) {
  pool_.service([this, topic, make, done = std::move(done)](std::expected<std::shared_ptr<Connection>, Refusal> got) {
    const std::string what = "look up " + topic;
    if (!got) return done(std::unexpected(within(got.error(), what)));
    const uint64_t id = ids_.next();
    BaseCommand command;
    command.set_type(BaseCommand::PARTITIONED_METADATA);
    command.mutable_partitionmetadata()->set_topic(topic);
    command.mutable_partitionmetadata()->set_request_id(id);
    if (!make && (*got)->looks_without_making()) {
      command.mutable_partitionmetadata()->set_metadata_auto_creation_enabled(false);
    }
    (*got)->request(id, command, options_.timeout_ms, [what, done](Answer answer) {
      if (!answer) return done(std::unexpected(within(answer.error(), what)));
      if ((*answer)->type() != BaseCommand::PARTITIONED_METADATA_RESPONSE) {
        return done(std::unexpected(later(what + ": the broker answered something else")));
      }
      const uint32_t count = (*answer)->partitionmetadataresponse().partitions();
      if (count > kPartitionsMax) {
        return done(std::unexpected(Refusal{
            Error(ErrorKind::kFixInput, what + ": the broker tells of " + std::to_string(count) +
                                            " partitions; at most " + std::to_string(kPartitionsMax) + " are used"),
            {}}));
      }
      done(count);
    });
  });
}

void Lookup::broker(const std::string& topic, ConnectionPool::Ready done) {
  auto search = std::make_shared<Search>(Search{topic, std::move(done), 0});
  pool_.service([this, search](std::expected<std::shared_ptr<Connection>, Refusal> got) {
    if (!got) return search->refuse(got.error());
    ask(search, *got, false);
  });
}

void Lookup::ask(std::shared_ptr<Search> search, const std::shared_ptr<Connection>& connection, bool authoritative) {
  const uint64_t id = ids_.next();
  BaseCommand command;
  command.set_type(BaseCommand::LOOKUP);
  proto::CommandLookupTopic& lookup = *command.mutable_lookuptopic();
  lookup.set_topic(search->topic);
  lookup.set_request_id(id);
  lookup.set_authoritative(authoritative);
  if (!options_.listener_name.empty()) lookup.set_advertised_listener_name(options_.listener_name);
  connection->request(id, command, options_.timeout_ms, [this, search, connection](Answer answer) {
    if (!answer) return search->refuse(answer.error());
    go_on(search, connection, **answer);
  });
}

void Lookup::go_on(const std::shared_ptr<Search>& search, const std::shared_ptr<Connection>& connection,
                   const BaseCommand& command) {
  if (command.type() != BaseCommand::LOOKUP_RESPONSE)
    return search->refuse(later("the broker answered something else"));
  const proto::CommandLookupTopicResponse& answer = command.lookuptopicresponse();
  const std::string& url = connection->address().tls ? answer.brokerserviceurltls() : answer.brokerserviceurl();
  auto hosts = parse_service_url(url);
  if (!hosts) {
    return search->refuse(later("the broker that serves it has no address for " +
                                std::string(connection->address().tls ? "TLS" : "plain connections") + ": \"" + url +
                                "\""));
  }
  const BrokerAddress& broker = hosts->front();
  if (answer.response() == proto::CommandLookupTopicResponse::Connect) {
    const bool proxied = answer.proxy_through_service_url();
    return pool_.get(proxied ? connection->address() : broker, proxied ? broker.host_and_port() : "",
                     [search](std::expected<std::shared_ptr<Connection>, Refusal> got) {
                       if (!got) return search->refuse(got.error());
                       search->done(std::move(got));
                     });
  }
  if (++search->redirects > kLookupRedirectsMax) {
    return search->refuse(
        later("sent on from broker to broker more than " + std::to_string(kLookupRedirectsMax) + " times"));
  }
  pool_.get(
      broker, "",
      [this, search, authoritative = answer.authoritative()](std::expected<std::shared_ptr<Connection>, Refusal> got) {
        if (!got) return search->refuse(got.error());
        ask(search, *got, authoritative);
      });
}

void Lookup::topics(const std::string& name_space, Done<std::vector<std::string>> done) {
  pool_.service([this, name_space, done = std::move(done)](std::expected<std::shared_ptr<Connection>, Refusal> got) {
    const std::string what = "list the topics of " + name_space;
    if (!got) return done(std::unexpected(within(got.error(), what)));
    const uint64_t id = ids_.next();
    BaseCommand command;
    command.set_type(BaseCommand::GET_TOPICS_OF_NAMESPACE);
    proto::CommandGetTopicsOfNamespace& get = *command.mutable_gettopicsofnamespace();
    get.set_request_id(id);
    get.set_namespace_(name_space);
    get.set_mode(proto::CommandGetTopicsOfNamespace::ALL);
    (*got)->request(id, command, options_.timeout_ms, [what, done](Answer answer) {
      if (!answer) return done(std::unexpected(within(answer.error(), what)));
      const auto& found = (*answer)->gettopicsofnamespaceresponse();
      if (static_cast<size_t>(found.topics_size()) > kTopicsOfNamespaceMax) {
        return done(std::unexpected(later(what + ": there are more than " + std::to_string(kTopicsOfNamespaceMax))));
      }
      done(std::vector<std::string>(found.topics().begin(), found.topics().end()));
    });
  });
}

}  // namespace fmesh::stream::pulsar
