#include "observe/api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "observe/json.h"

namespace fmesh::observe {
namespace {

using testing::HasSubstr;

class FakeView final : public MeshView {
 public:
  void mesh(std::function<void(MeshState)> done) override { done(mesh_now()); }
  MeshState mesh_now() override {
    MeshState state;
    state.name = "shop";
    state.state = "running";
    ComponentView component;
    component.name = "orders";
    component.kind = "function";
    component.full_name = "public/default/orders";
    component.inputs = {"persistent://public/default/in"};
    component.outputs = {"persistent://public/default/out"};
    component.received_per_s = 0.1;
    state.components.push_back(component);
    InstanceView instance;
    instance.component = "orders";
    instance.received_total = 7;
    instance.process_latency_buckets = {{100'000, 3}, {1'000'000, 2}};
    instance.process_latency_count = 6;
    instance.process_latency_ns_sum = 2'500'000;
    state.instances.push_back(instance);
    return state;
  }
  std::optional<std::string> not_ready() override { return waiting_for; }
  Status scale(const std::string& component, int32_t replicas) override {
    if (component != "orders") return fail(ErrorKind::kFixInput, "no such component: " + component);
    scaled_to = replicas;
    return {};
  }
  Result<std::vector<LogEntry>> logs(const std::string& component, size_t) override {
    return std::vector<LogEntry>{{5, component, 0, "info", "hello"}};
  }
  Result<Following> follow_logs(const std::string&, std::function<bool(const LogEntry&)>) override {
    return Following();
  }
  Result<std::vector<StreamView>> streams() override {
    StreamView stream;
    stream.topic = "persistent://public/default/in";
    stream.subscriptions.push_back({"public/default/orders", "shared", 1, 3, 300, 4});
    return std::vector{stream};
  }
  Result<std::vector<RecordLine>> peek(const std::string& topic, const std::string& from, size_t records_max) override {
    peeked = topic + " " + from + " " + std::to_string(records_max);
    RecordLine record;
    record.topic = topic;
    record.payload = "{\"id\":1}";
    return std::vector{record};
  }
  Result<Following> tap(const std::string&, std::function<bool(const RecordLine&)> each) override {
    tapped = std::move(each);
    return Following(std::make_shared<int>(0));
  }
  void publish(const std::string&, std::vector<NewRecord> records,
               std::function<void(Result<std::vector<std::string>>)> done) override {
    published = std::move(records);
    done(std::vector<std::string>{"0:1:-1"});
  }
  Status seek(const std::string& topic, const Seek& seek) override {
    sought = topic + " " + seek.subscription + " " + seek.id;
    return {};
  }
  Status create_stream(const std::string& topic, const NewStream& stream) override {
    created = topic + " " + std::to_string(stream.partitions);
    return {};
  }
  Status remove_stream(const std::string& topic) override {
    removed = topic;
    return {};
  }

  std::optional<std::string> waiting_for;
  int32_t scaled_to = -1;
  std::string peeked, sought, created, removed;
  std::vector<NewRecord> published;
  std::function<bool(const RecordLine&)> tapped;
};

class FakeBody final : public net::BodyStream {
 public:
  bool write(std::string piece) override {
    text += piece;
    return open;
  }
  void close() override { open = false; }
  std::string text;
  bool open = true;
};

class ApiTest : public testing::Test {
 protected:
  net::HttpResponse send(std::string method, std::string path, std::string body = "",
                         std::map<std::string, std::string> query = {}) {
    net::HttpRequest request;
    request.method = std::move(method);
    request.path = std::move(path);
    request.body = std::move(body);
    request.query = std::move(query);
    request.from_unix_socket = true;
    return send(request);
  }
  net::HttpResponse send(const net::HttpRequest& request) {
    std::optional<net::HttpResponse> answer;
    api.handle(request, [&](net::HttpResponse response) { answer = std::move(response); });
    EXPECT_TRUE(answer.has_value()) << request.path;
    return answer.value_or(net::HttpResponse{});
  }

  FakeView view;
  Api api{view, AccessRules{"secret"}};
};

TEST_F(ApiTest, AnswersEveryRouteOfTheTable) {
  for (const Route& route : routes()) {
    std::string path(route.path);
    if (const size_t brace = path.find('{'); brace != std::string::npos) {
      path.replace(brace, path.find('}') - brace + 1, path.contains("/streams/") ? "in" : "orders");
    }
    const net::HttpResponse response = send(std::string(route.method), path, std::string(route.body));
    EXPECT_EQ(response.status, 200) << route.method << " " << path << ": " << response.body;
    if (route.content_type == "application/json") {
      EXPECT_TRUE(parse_json(response.body)) << response.body;
    }
  }
}

TEST_F(ApiTest, SaysWhatIsNotReady) {
  view.waiting_for = "orders 0 is in backoff: no such file";
  const net::HttpResponse response = send("GET", "/readyz");
  EXPECT_EQ(response.status, 503);
  EXPECT_THAT(response.body, HasSubstr("orders 0 is in backoff"));
}

TEST_F(ApiTest, TakesStreamNamesWithSlashes) {
  send("GET", "/api/v1/streams/persistent://public/default/in/records", "", {{"from", "latest"}, {"limit", "3"}});
  EXPECT_EQ(view.peeked, "persistent://public/default/in latest 3");
  send("DELETE", "/api/v1/streams/a/b/records");
  EXPECT_EQ(view.removed, "a/b/records");
}

TEST_F(ApiTest, PublishesJsonTextAndBytes) {
  const net::HttpResponse response =
      send("POST", "/api/v1/streams/in/records",
           R"({"records":[{"key":"k","value":{"a":1}},{"text":"t"},{"base64":"AAE=","properties":{"p":"q"}}]})");
  ASSERT_EQ(response.status, 200) << response.body;
  ASSERT_EQ(view.published.size(), 3U);
  EXPECT_EQ(view.published[0].key, "k");
  EXPECT_EQ(view.published[0].payload, R"({"a":1})");
  EXPECT_EQ(view.published[1].payload, "t");
  EXPECT_EQ(view.published[2].payload, std::string("\0\1", 2));
  EXPECT_EQ(view.published[2].properties[0].second, "q");
}

TEST_F(ApiTest, RefusesBadInputWithTheReason) {
  EXPECT_THAT(send("POST", "/api/v1/streams/in/records", "{").body, HasSubstr("not JSON"));
  EXPECT_THAT(send("POST", "/api/v1/streams/in/records", R"({"records":[{}]})").body, HasSubstr("one of value"));
  EXPECT_THAT(send("POST", "/api/v1/streams/in/seek", R"({"subscription":"s"})").body,
              HasSubstr("one of id and timeMs"));
  EXPECT_THAT(send("GET", "/api/v1/streams/in/records", "", {{"limit", "0"}}).body, HasSubstr("limit=0"));
  EXPECT_EQ(send("POST", "/api/v1/components/nobody/scale", R"({"replicas":1})").status, 404);
  EXPECT_EQ(send("GET", "/nothing").status, 404);
  EXPECT_EQ(send("POST", "/api/v1/mesh").status, 405);
  EXPECT_EQ(send("POST", "/api/v1/mesh").headers.at("allow"), "GET, HEAD");
  EXPECT_EQ(send("PATCH", "/api/v1/streams/in").headers.at("allow"), "GET, HEAD, PUT, DELETE");
  EXPECT_EQ(send("HEAD", "/api/v1/mesh").status, 200);
}

TEST_F(ApiTest, FollowsAStreamLineByLine) {
  const net::HttpResponse response = send("GET", "/api/v1/streams/in/records", "", {{"follow", "true"}});
  ASSERT_TRUE(response.stream);
  RecordLine record;
  record.payload = "early";
  EXPECT_TRUE(view.tapped(record));
  auto body = std::make_shared<FakeBody>();
  response.stream(body);
  record.payload = "late";
  EXPECT_TRUE(view.tapped(record));
  EXPECT_THAT(body->text, HasSubstr("early"));
  EXPECT_THAT(body->text, HasSubstr("late"));
  body->open = false;
  EXPECT_FALSE(view.tapped(record));
}

TEST_F(ApiTest, ShowsCountersUnderPulsarsNames) {
  EXPECT_THAT(send("GET", "/metrics").body,
              HasSubstr("pulsar_function_received_total{tenant=\"public\",namespace=\"public/default\",name=\"orders\","
                        "instance_id=\"0\",cluster=\"local\",fqfn=\"public/default/orders\"} 7\n"));
  EXPECT_THAT(send("GET", "/metrics").body, HasSubstr("pulsar_subscription_back_log{"));
}

TEST_F(ApiTest, LatenciesAreACumulativeHistogram) {
  const std::string text = send("GET", "/metrics").body;
  const std::string labels =
      "{tenant=\"public\",namespace=\"public/default\",name=\"orders\",instance_id=\"0\",cluster=\"local\","
      "fqfn=\"public/default/orders\"";
  const std::string name = "pulsar_function_process_latency_ms";
  EXPECT_THAT(text,
              HasSubstr("# TYPE " + name + " histogram\n" + name + "_bucket" + labels + ",le=\"0.1\"} 3\n" + name +
                        "_bucket" + labels + ",le=\"1\"} 5\n" + name + "_bucket" + labels + ",le=\"+Inf\"} 6\n" + name +
                        "_sum" + labels + "} 2.5\n" + name + "_count" + labels + "} 6\n"));
}

TEST(Metrics, KindsHavePulsarsNamesAndEveryNameOneHead) {
  MeshState state;
  for (const char* kind : {"source", "function", "sink", "function"}) {
    ComponentView component;
    component.name = std::string("a\"\\\n") + kind + std::to_string(state.components.size());
    component.kind = kind;
    component.full_name = "t/n/" + component.name;
    InstanceView instance;
    instance.component = component.name;
    instance.user_exceptions_total = 3;
    state.components.push_back(component);
    state.instances.push_back(instance);
  }
  const std::string text = metrics_text(state, {});
  EXPECT_THAT(
      text,
      HasSubstr("pulsar_source_source_exceptions_total{tenant=\"t\",namespace=\"t/n\",name=\"a\\\"\\\\\\nsource0\""));
  EXPECT_THAT(text, HasSubstr("pulsar_sink_sink_exceptions_total{"));
  EXPECT_THAT(text, HasSubstr("pulsar_function_user_exceptions_total{"));
  std::map<std::string, int> heads;
  std::stringstream lines(text);
  std::string last_name;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# TYPE ")) {
      last_name = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_EQ(++heads[last_name], 1) << line;
    } else if (!line.starts_with("#")) {
      EXPECT_TRUE(line.starts_with(last_name)) << line << " stands below " << last_name;
    }
  }
}

net::HttpRequest over_tcp(std::string method, std::string path) {
  net::HttpRequest request;
  request.method = std::move(method);
  request.path = std::move(path);
  request.from_loopback = true;
  request.headers["host"] = "localhost:8080";
  return request;
}

TEST_F(ApiTest, RefusesAnotherHostAndOrigin) {
  net::HttpRequest request = over_tcp("GET", "/api/v1/mesh");
  EXPECT_EQ(send(request).status, 200);
  request.headers["host"] = "evil.example:8080";
  EXPECT_EQ(send(request).status, 403);
  request.headers["host"] = "localhost:8080";
  request.headers["origin"] = "http://evil.example";
  EXPECT_EQ(send(request).status, 403);
  request.headers["origin"] = "http://localhost:8080";
  EXPECT_EQ(send(request).status, 200);
}

TEST_F(ApiTest, AsksForATokenToWriteOrFromAfar) {
  net::HttpRequest request = over_tcp("DELETE", "/api/v1/streams/in");
  EXPECT_EQ(send(request).status, 401);
  EXPECT_EQ(view.removed, "");
  request.headers["authorization"] = "Bearer wrong";
  EXPECT_EQ(send(request).status, 401);
  request.headers["authorization"] = "Bearer secret";
  EXPECT_EQ(send(request).status, 200);

  net::HttpRequest far = over_tcp("GET", "/api/v1/mesh");
  far.from_loopback = false;
  EXPECT_EQ(send(far).status, 401);
  far.headers["authorization"] = "Bearer secret";
  EXPECT_EQ(send(far).status, 200);
}

TEST(Access, AnEmptyTokenOpensNothing) {
  net::HttpRequest request = over_tcp("DELETE", "/api/v1/streams/in");
  request.headers["authorization"] = "Bearer ";
  EXPECT_TRUE(check_access(request, true, AccessRules{}).has_value());
}

TEST(Json, WritesNumbersAsPeopleDo) {
  EXPECT_EQ(to_text(boost::json::array{0.1, 100.0, -3, "a\"\n\x01"}), R"([0.1,100,-3,"a\"\n\u0001"])");
  EXPECT_FALSE(parse_json("{} x"));
  EXPECT_FALSE(parse_json(""));
}

TEST(Json, Base64ComesBack) {
  for (const std::string& bytes :
       {std::string(""), std::string("\xff", 1), std::string("\0\1", 2), std::string("abc")}) {
    EXPECT_EQ(from_base64(to_base64(bytes)), bytes);
  }
  EXPECT_FALSE(from_base64("a==="));
  EXPECT_FALSE(from_base64("abc"));
}

TEST(Json, ReadsBackTheMeshItWrote) {
  FakeView view;
  MeshState state = view.mesh_now();
  state.started_ms = 12;
  const MeshState read = mesh_from_json(to_json(state));
  EXPECT_EQ(read.name, "shop");
  EXPECT_EQ(read.started_ms, 12);
  ASSERT_EQ(read.components.size(), 1U);
  EXPECT_EQ(read.components[0].inputs, state.components[0].inputs);
  EXPECT_DOUBLE_EQ(read.components[0].received_per_s, 0.1);
}

// FMESH_WRITE_REFERENCE=1 build/observe_test writes it anew.
TEST(OpenApi, TheReferenceIsWhatTheRoutesSay) {
  if (std::getenv("FMESH_WRITE_REFERENCE") != nullptr) std::ofstream("docs/reference/openapi.json") << openapi_text();
  std::ifstream file("docs/reference/openapi.json");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), openapi_text()) << "docs/reference/openapi.json is not what the routes table says";
}

}  // namespace
}  // namespace fmesh::observe
