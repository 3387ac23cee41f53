#include "stream/pulsar/client/connection.h"

#include <gmock/gmock.h>

#include "stream/pulsar/client/broker_testing_private.h"

namespace fmesh::stream::pulsar {
namespace {

using testing::HasSubstr;
namespace proto = wire::proto;
using Command = TestBroker::Command;

class ConnectionTest : public BrokerTest {
 protected:
  void connect() {
    parts_->pool.service([this](std::expected<std::shared_ptr<Connection>, Refusal> got) {
      answered_ = true;
      if (got) {
        connection_ = *got;
      } else {
        refusal_ = got.error();
      }
    });
    loop_.run_ready();
  }
  std::string why() const { return refusal_ ? refusal_->error.text() : "not refused"; }
  void TearDown() override {
    connection_ = nullptr;
    BrokerTest::TearDown();
  }

  std::shared_ptr<Connection> connection_;
  std::optional<Refusal> refusal_;
  bool answered_ = false;
};

TEST_F(ConnectionTest, SaysWhoItIsAndWhatItKnows) {
  PulsarOptions options;
  options.auth_plugin = "token";
  options.auth_params = "token:abc";
  make_parts(options);
  connect();
  ASSERT_TRUE(connection_);
  const proto::CommandConnect& said = broker_.last_heard(Command::CONNECT).connect();
  EXPECT_EQ(said.protocol_version(), wire::kProtocolVersion);
  EXPECT_EQ(said.auth_method_name(), "token");
  EXPECT_EQ(said.auth_data(), "abc");
  EXPECT_TRUE(said.feature_flags().supports_auth_refresh());
}

TEST_F(ConnectionTest, WhoAsksMeanwhileSharesTheConnection) {
  int answers = 0;
  for (int i = 0; i < 3; ++i) parts_->pool.service([&](auto got) { answers += got ? 1 : 0; });
  loop_.run_ready();
  EXPECT_EQ(answers, 3);
  EXPECT_EQ(broker_.connections, 1U);
}

// Pitfall 13.
TEST_F(ConnectionTest, ARefusedHandshakeIsToldAtOnceInTheBrokersWords) {
  broker_.before = [&](TestBroker::Link& link, const Command& command) {
    if (command.type() != Command::CONNECT) return false;
    broker_.error(link, ~uint64_t{0}, proto::AuthenticationError, "the token has expired");
    return true;
  };
  connect();
  EXPECT_THAT(why(), HasSubstr("AuthenticationError: the token has expired"));
  EXPECT_EQ(refusal_->error.kind(), ErrorKind::kFixInput);
}

TEST_F(ConnectionTest, ABrokerThatSaysNothingIsGivenUp) {
  broker_.before = [](TestBroker::Link&, const Command&) { return true; };
  connect();
  EXPECT_FALSE(answered_);
  pass(11'000);
  EXPECT_THAT(why(), HasSubstr("no answer to the handshake within 10000 ms"));
}

// Pitfall 10: only the peer's pings come, and are answered.
TEST_F(ConnectionTest, APeerThatOnlyPingsKeepsTheConnection) {
  connect();
  broker_.before = [](TestBroker::Link&, const Command& command) { return command.type() == Command::PING; };
  Command ping;
  ping.set_type(Command::PING);
  ping.mutable_ping();
  for (int i = 0; i < 10; ++i) {
    pass(25'000);
    broker_.reply(broker_.last(), ping);
    loop_.run_ready();
  }
  EXPECT_TRUE(connection_->is_open());
  EXPECT_EQ(broker_.count(Command::PONG), 10U);
}

TEST_F(ConnectionTest, AnIdleConnectionStaysAndASilentOneGoes) {
  connect();
  pass(300'000);
  EXPECT_TRUE(connection_->is_open());
  EXPECT_EQ(broker_.count(Command::PING), 10U);
  broker_.before = [](TestBroker::Link&, const Command&) { return true; };
  pass(61'000);
  EXPECT_FALSE(connection_->is_open());
}

// Pitfall 14.
TEST_F(ConnectionTest, CommandsOfANewerPeerAreIgnored) {
  connect();
  // type 99, and a field 99 with a byte in it
  broker_.write(broker_.last(), std::string("\0\0\0\x0a\0\0\0\x06\x08\x63\x9a\x06\x01x", 14));
  loop_.run_ready();
  EXPECT_TRUE(connection_->is_open());
  Command odd;
  odd.set_type(Command::ERROR);
  odd.mutable_error()->set_request_id(4711);  // of no request
  odd.mutable_error()->set_message("odd");
  broker_.reply(broker_.last(), odd);
  loop_.run_ready();
  EXPECT_TRUE(connection_->is_open());
}

TEST_F(ConnectionTest, WhatIsNotTheProtocolEndsTheConnectionAndItsRequests) {
  connect();
  std::string told;
  Command command;
  command.set_type(Command::LOOKUP);
  command.mutable_lookuptopic()->set_topic("t");
  command.mutable_lookuptopic()->set_request_id(77);
  broker_.before = [](TestBroker::Link&, const Command&) { return true; };
  connection_->request(77, command, 30'000, [&](const Answer& answer) { told = answer.error().error.text(); });
  broker_.write(broker_.last(), "HTTP/1.1 400 Bad Request\r\n\r\n");
  loop_.run_ready();
  EXPECT_FALSE(connection_->is_open());
  EXPECT_THAT(told, HasSubstr("not Pulsar's binary protocol"));
}

TEST_F(ConnectionTest, ARequestWithoutAnAnswerEndsInTime) {
  connect();
  std::string told;
  Command command;
  command.set_type(Command::SEEK);
  command.mutable_seek()->set_consumer_id(1);
  command.mutable_seek()->set_request_id(77);
  connection_->request(77, command, 5'000, [&](const Answer& answer) { told = answer.error().error.text(); });
  pass(4'900);
  EXPECT_EQ(told, "");
  pass(200);
  EXPECT_THAT(told, HasSubstr("no answer within 5000 ms"));
}

TEST_F(ConnectionTest, AChallengeIsAnsweredWithFreshData) {
  PulsarOptions options;
  options.auth_plugin = "token";
  options.auth_params = "token:abc";
  make_parts(options);
  connect();
  Command challenge;
  challenge.set_type(Command::AUTH_CHALLENGE);
  challenge.mutable_authchallenge()->mutable_challenge()->set_auth_method_name("token");
  challenge.mutable_authchallenge()->mutable_challenge()->set_auth_data("PulsarAuthRefresh");
  broker_.reply(broker_.last(), challenge);
  loop_.run_ready();
  EXPECT_EQ(broker_.last_heard(Command::AUTH_RESPONSE).authresponse().response().auth_data(), "abc");
}

// Pitfall 44: nothing is left of connections that are over.
TEST_F(ConnectionTest, AThousandConnectionsLeaveNothingBehind) {
  for (int i = 0; i < 1'000; ++i) {
    connect();
    broker_.cut(broker_.last());
    loop_.run_ready();
  }
  EXPECT_EQ(broker_.connections, 1'000U);
  EXPECT_TRUE(std::ranges::none_of(broker_.links, [](const auto& link) { return link->open; }));
}

TEST_F(ConnectionTest, TheNextHostOfTheServiceUrlIsTriedAndKept) {
  PulsarOptions options;
  std::vector<std::string> tried;
  Connect usual = broker_.connect();
  auto authentication = Authentication::make(nullptr, "", "");
  parts_ = std::make_shared<Parts>(
      loop_, options, std::move(*authentication),
      [&tried, usual, this](const BrokerAddress& address, auto done) {
        tried.push_back(address.host);
        if (address.host == "b") return usual(address, done);
        loop_.post([done] { done(fail(ErrorKind::kRetryLater, "away")); });
      },
      parse_service_url("pulsar://a,b,c").value(), 1);
  for (int i = 0; i < 3; ++i) connect();
  ASSERT_TRUE(connection_);
  EXPECT_EQ(std::ranges::count(tried, "b"), 1);
  EXPECT_LE(tried.size(), 3U);
}

class LookupTest : public ConnectionTest {
 protected:
  void look_up() {
    parts_->lookup.broker("persistent://public/default/t",
                          [this](std::expected<std::shared_ptr<Connection>, Refusal> got) {
                            answered_ = true;
                            if (got) {
                              connection_ = *got;
                            } else {
                              refusal_ = got.error();
                            }
                          });
    loop_.run_ready();
  }
  // Answers each LOOKUP by `fill`.
  void answer(std::function<void(proto::CommandLookupTopicResponse&, const proto::CommandLookupTopic&)> fill) {
    broker_.before = [this, fill = std::move(fill)](TestBroker::Link& link, const Command& command) {
      if (command.type() != Command::LOOKUP) return false;
      Command out;
      out.set_type(Command::LOOKUP_RESPONSE);
      out.mutable_lookuptopicresponse()->set_request_id(command.lookuptopic().request_id());
      fill(*out.mutable_lookuptopicresponse(), command.lookuptopic());
      broker_.reply(link, out);
      return true;
    };
  }
};

TEST_F(LookupTest, FollowsRedirectsWithWhatTheyAreWorth) {
  answer([](proto::CommandLookupTopicResponse& out, const proto::CommandLookupTopic& asked) {
    out.set_response(asked.authoritative() ? proto::CommandLookupTopicResponse::Connect
                                           : proto::CommandLookupTopicResponse::Redirect);
    out.set_brokerserviceurl(asked.authoritative() ? "pulsar://third:6650" : "pulsar://second:6650");
    out.set_authoritative(true);
  });
  look_up();
  ASSERT_TRUE(connection_);
  EXPECT_EQ(connection_->address().host, "third");
}

TEST_F(LookupTest, DoesNotGoRoundForEver) {
  answer([](proto::CommandLookupTopicResponse& out, const proto::CommandLookupTopic&) {
    out.set_response(proto::CommandLookupTopicResponse::Redirect);
    out.set_brokerserviceurl("pulsar://test:6650");
  });
  look_up();
  EXPECT_THAT(why(), HasSubstr("more than 20 times"));
}

TEST_F(LookupTest, GoesThroughTheProxyThatSaysSo) {
  answer([](proto::CommandLookupTopicResponse& out, const proto::CommandLookupTopic&) {
    out.set_response(proto::CommandLookupTopicResponse::Connect);
    out.set_brokerserviceurl("pulsar://inner:6650");
    out.set_proxy_through_service_url(true);
  });
  look_up();
  ASSERT_TRUE(connection_);
  EXPECT_EQ(connection_->address().host, "test");
  EXPECT_EQ(broker_.last_heard(Command::CONNECT).connect().proxy_to_broker_url(), "inner:6650");
}

TEST_F(LookupTest, ABrokerWithoutAnAddressOfThatKindIsToldOf) {
  answer([](proto::CommandLookupTopicResponse& out, const proto::CommandLookupTopic&) {
    out.set_response(proto::CommandLookupTopicResponse::Connect);
    out.set_brokerserviceurltls("pulsar+ssl://test:6651");
  });
  look_up();
  EXPECT_THAT(why(), HasSubstr("has no address for plain connections"));
}

TEST_F(LookupTest, UnbelievableNumbersOfPartitionsAreRefused) {
  broker_.partitions["t"] = 4'000'000'000;
  std::string told;
  parts_->lookup.partitions("t", true, [&](std::expected<uint32_t, Refusal> count) {
    told = count ? "believed" : count.error().error.text();
  });
  loop_.run_ready();
  EXPECT_THAT(told, HasSubstr("4000000000 partitions"));
}

TEST(ServiceUrl, AddressesAreRead) {
  const auto hosts = parse_service_url("pulsar+ssl://a:1,[::1]:2,c/").value();
  ASSERT_EQ(hosts.size(), 3U);
  EXPECT_EQ(hosts[0].url(), "pulsar+ssl://a:1");
  EXPECT_EQ(hosts[1].url(), "pulsar+ssl://[::1]:2");
  EXPECT_EQ(hosts[2].url(), "pulsar+ssl://c:6651");
  EXPECT_EQ(parse_service_url("pulsar://a")->front().port, 6650);
  for (const char* text : {"", "a:6650", "http://a:8080", "pulsar://", "pulsar://a:0", "pulsar://a:65536",
                           "pulsar://a:x", "pulsar://a,,b", "pulsar://[::1", "pulsar://a b", "pulsar://u@a"}) {
    EXPECT_FALSE(parse_service_url(text)) << text;
  }
}

}  // namespace
}  // namespace fmesh::stream::pulsar
