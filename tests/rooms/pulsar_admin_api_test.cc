// The admin API over a real log: what each path answers and changes.
#include <gmock/gmock.h>

#include <boost/json.hpp>

#include "pulsar_server_case.h"
#include "stream/entry.h"
#include "stream/pulsar/server/admin_api.h"

namespace fmesh::stream::pulsar::server {
namespace {

namespace json = boost::json;
using ::testing::HasSubstr;

class NobodyConnected final : public LiveView {
 public:
  std::map<std::string, LiveTopic> live_topics(const std::string& prefix) override {
    std::map<std::string, LiveTopic> found;
    for (const auto& [name, topic] : topics)
      if (name.starts_with(prefix)) found[name] = topic;
    return found;
  }
  void disconnect(const std::string& topic, const std::string& subscription) override {
    told.push_back(topic + " " + subscription);
  }
  std::map<std::string, LiveTopic> topics;
  std::vector<std::string> told;
};

class AdminApiTest : public PulsarServer {
 protected:
  net::HttpResponse ask(const std::string& method, const std::string& path, const std::string& body = "",
                        std::map<std::string, std::string> query = {}) {
    AdminApi api(*log_, live_, clock_,
                 {.cluster = "standalone",
                  .service_url = "pulsar://127.0.0.1:6650",
                  .http_url = "http://127.0.0.1:8080",
                  .tls = false});
    net::HttpRequest request;
    request.method = method;
    request.path = path;
    request.body = body;
    request.query = std::move(query);
    return api.answer(request);
  }
  json::value get(const std::string& path) {
    const auto answer = ask("GET", path);
    EXPECT_EQ(answer.status, 200) << path << ": " << answer.body;
    boost::system::error_code code;
    return json::parse(answer.body, code);
  }
  // One entry per text, through the protocol.
  void fill_topic(const std::vector<std::string>& texts) {
    const auto client = this->client();
    client->produce(kTopic);
    for (size_t i = 0; i < texts.size(); ++i) client->send_records({texts[i]}, i);
    for (size_t i = 0; i < texts.size(); ++i) ASSERT_TRUE(client->next(proto::BaseCommand::SEND_RECEIPT));
  }
  NobodyConnected live_;
  const std::string topics_ = "/admin/v2/persistent/public/default";
  const std::string orders_ = topics_ + "/orders";
};

TEST_F(AdminApiTest, MakesListsAndRemovesTopics) {
  EXPECT_EQ(ask("PUT", orders_).status, 204);
  EXPECT_EQ(ask("PUT", orders_).status, 409);
  EXPECT_EQ(ask("PUT", topics_ + "/parted/partitions", "2").status, 204);
  EXPECT_EQ(ask("PUT", topics_ + "/none/partitions", "0").status, 406);
  EXPECT_EQ(json::serialize(get(topics_)),
            R"(["persistent://public/default/orders","persistent://public/default/parted-partition-0",)"
            R"("persistent://public/default/parted-partition-1"])");
  EXPECT_EQ(json::serialize(get(topics_ + "/partitioned")), R"(["persistent://public/default/parted"])");
  // The shape of facts: pulsar.md 10.
  EXPECT_EQ(json::serialize(get(topics_ + "/parted/partitions")), R"({"partitions":2,"deleted":false})");
  EXPECT_EQ(ask("POST", topics_ + "/parted/partitions", "4").status, 409);
  EXPECT_EQ(ask("DELETE", topics_ + "/parted/partitions").status, 204);
  EXPECT_EQ(ask("DELETE", orders_).status, 204);
  EXPECT_EQ(ask("DELETE", orders_).status, 404);
}

TEST_F(AdminApiTest, KeepsATopicThatSomebodyUsesUnlessForced) {
  fill_topic({"a"});
  live_.topics[kTopic].producers.emplace_back();
  EXPECT_EQ(ask("DELETE", orders_).status, 412);
  EXPECT_EQ(ask("DELETE", orders_, "", {{"force", "true"}}).status, 204);
  EXPECT_EQ(live_.told, std::vector<std::string>{std::string(kTopic) + " "});
}

TEST_F(AdminApiTest, MakesMovesAndRemovesSubscriptions) {
  fill_topic({"a", "b", "c"});
  EXPECT_EQ(ask("PUT", orders_ + "/subscription/s", "\"earliest\"").status, 204);
  EXPECT_EQ(ask("PUT", orders_ + "/subscription/s").status, 409);
  EXPECT_EQ(ask("PUT", orders_ + "/subscription/end").status, 204);
  const auto backlog = [&](const char* name) {
    return get(orders_ + "/stats").at("subscriptions").at(name).at("msgBacklog").as_int64();
  };
  EXPECT_EQ(backlog("s"), 3);
  EXPECT_EQ(backlog("end"), 0);
  EXPECT_EQ(ask("POST", orders_ + "/subscription/s/skip/2").status, 204);
  EXPECT_EQ(backlog("s"), 1);
  EXPECT_EQ(ask("POST", orders_ + "/subscription/s/resetcursor/0").status, 204);
  EXPECT_EQ(backlog("s"), 3);
  EXPECT_EQ(ask("POST", orders_ + "/subscription/s/skip_all").status, 204);
  EXPECT_EQ(backlog("s"), 0);
  const int64_t ledger = log_->find_stream(kTopic).value()->partitions[0].first.ledger;
  const std::string place = R"({"ledgerId":)" + std::to_string(ledger) + R"(,"entryId":0,"excluded":true})";
  EXPECT_EQ(ask("POST", orders_ + "/subscription/s/resetcursor", place).status, 204);
  EXPECT_EQ(backlog("s"), 2);
  // As Pulsar's admin client writes it (facts: pulsar.md 10, ResetCursorData).
  const std::string full = R"({"ledgerId":)" + std::to_string(ledger) +
                           R"(,"entryId":2,"partitionIndex":-1,"batchIndex":-1,"excluded":false})";
  EXPECT_EQ(ask("POST", orders_ + "/subscription/s/resetcursor", full).status, 204);
  EXPECT_EQ(backlog("s"), 1);
  EXPECT_EQ(ask("POST", orders_ + "/subscription/s/resetcursor", "{").status, 400);
  EXPECT_EQ(ask("POST", orders_ + "/subscription/nobody/skip_all").status, 404);
  EXPECT_EQ(ask("DELETE", orders_ + "/subscription/s").status, 204);
  EXPECT_EQ(json::serialize(get(orders_ + "/subscriptions")), R"(["end"])");
}

TEST_F(AdminApiTest, ShowsAMessageWithoutTakingIt) {
  fill_topic({"a", "b"});
  ask("PUT", orders_ + "/subscription/s", "\"earliest\"");
  const auto second = ask("GET", orders_ + "/subscription/s/position/2");
  EXPECT_EQ(second.status, 200);
  EXPECT_THAT(second.body, HasSubstr("b"));
  EXPECT_EQ(second.headers.at("X-Pulsar-num-batch-message"), "1");
  EXPECT_EQ(second.headers.at("X-Pulsar-publish-time"), "2023-11-14T22:13:20.000Z");
  EXPECT_EQ(ask("GET", orders_ + "/subscription/s/position/3").status, 404);
  EXPECT_EQ(ask("GET", orders_ + "/subscription/s/position/0").status, 412);
}

// Pitfall 58: brokers write the version under one name, and the admin client reads another.
TEST_F(AdminApiTest, ShowsTheSchemaVersionOfAMessageUnderBothNames) {
  const auto client = this->client();
  client->produce(kTopic);
  std::string version;
  fmesh::proto::put_bytes(version, 16, std::string_view("\0\0\0\0\0\0\0\2", 8));
  client->send_plain("a", 0, version);
  ASSERT_TRUE(client->next(proto::BaseCommand::SEND_RECEIPT));
  ask("PUT", orders_ + "/subscription/s", "\"earliest\"");
  const auto first = ask("GET", orders_ + "/subscription/s/position/1");
  EXPECT_EQ(first.body, "a");
  EXPECT_EQ(first.headers.at("X-Pulsar-Base64-schema-version"), "AAAAAAAAAAI=");
  EXPECT_EQ(first.headers.at("X-Pulsar-Base64-schema-version-b64encoded"), "AAAAAAAAAAI=");
}

TEST_F(AdminApiTest, JoinsWhoIsConnectedIntoTheStatistics) {
  fill_topic({"a"});
  LiveSubscription subscription{.type = "Shared", .durable = true, .consumers = {}};
  LiveConsumer consumer;
  consumer.name = "c";
  consumer.unacked_records = 7;
  subscription.consumers.push_back(consumer);
  live_.topics[kTopic].subscriptions["s"] = subscription;
  const auto stats = get(orders_ + "/stats");
  EXPECT_EQ(stats.at("msgInCounter").as_int64(), 1);
  EXPECT_EQ(stats.at("subscriptions").at("s").at("unackedMessages").as_int64(), 7);
  EXPECT_EQ(stats.at("subscriptions").at("s").at("consumers").at(0).at("consumerName").as_string(), "c");
}

TEST_F(AdminApiTest, SwitchesDeduplicationOfATopic) {
  fill_topic({"a"});
  EXPECT_EQ(ask("GET", orders_ + "/deduplicationEnabled").status, 204);
  EXPECT_EQ(ask("POST", orders_ + "/deduplicationEnabled", "true").status, 204);
  EXPECT_EQ(json::serialize(get(orders_ + "/deduplicationEnabled")), "true");
  const auto client = this->client();
  client->produce(kTopic, 1, "p");
  client->send_records({"x"}, 5);
  client->next(proto::BaseCommand::SEND_RECEIPT);
  client->send_records({"x"}, 5);
  EXPECT_EQ(client->next(proto::BaseCommand::SEND_RECEIPT)->command.send_receipt().message_id().ledgerid(), UINT64_MAX);
}

TEST_F(AdminApiTest, KeepsSchemas) {
  const std::string path = "/admin/v2/schemas/public/default/orders";
  EXPECT_EQ(ask("POST", path + "/schema", R"({"type":"STRING","schema":"","properties":{}})").status, 200);
  EXPECT_EQ(get(path + "/schema").at("type").as_string(), "STRING");
  EXPECT_EQ(ask("POST", path + "/schema", R"({"type":"INT32","schema":""})").status, 409);
  EXPECT_EQ(ask("POST", path + "/schema", R"({"type":"NOTHING","schema":""})").status, 422);
  const auto fits = ask("POST", path + "/compatibility", R"({"type":"INT32","schema":""})");
  EXPECT_THAT(fits.body, HasSubstr("\"compatibility\":false"));
  EXPECT_EQ(ask("DELETE", path + "/schema").status, 200);
  EXPECT_EQ(ask("GET", path + "/schema").status, 404);
}

TEST_F(AdminApiTest, SaysWhatItHasNot) {
  fill_topic({"a"});
  for (const char* path :
       {"/admin/v3/functions/public/default", "/admin/v2/worker/cluster", "/admin/v2/resourcegroups"})
    EXPECT_EQ(ask("GET", path).status, 501) << path;
  EXPECT_EQ(ask("POST", orders_ + "/terminate").status, 501);
  EXPECT_EQ(ask("PUT", "/admin/v2/non-persistent/public/default/x").status, 405);
  EXPECT_EQ(ask("GET", topics_ + "/missing/stats").status, 404);
  EXPECT_EQ(ask("GET", "/admin/v2").status, 404);
}

TEST_F(AdminApiTest, ListsWhatIsThereByBeingNamed) {
  ASSERT_TRUE(log_->create_stream("persistent://acme/shop/t", {}));
  EXPECT_EQ(json::serialize(get("/admin/v2/tenants")), R"(["acme","public"])");
  EXPECT_EQ(json::serialize(get("/admin/v2/namespaces/acme")), R"(["acme/shop"])");
  EXPECT_EQ(json::serialize(get("/admin/v2/clusters")), R"(["standalone"])");
  EXPECT_EQ(ask("DELETE", "/admin/v2/namespaces/acme/shop").status, 409);
  EXPECT_EQ(ask("GET", "/admin/v2/brokers/health").body, "ok");
  EXPECT_EQ(get("/lookup/v2/topic/persistent/acme/shop/t").at("brokerUrl").as_string(), "pulsar://127.0.0.1:6650");
}

}  // namespace
}  // namespace fmesh::stream::pulsar::server
