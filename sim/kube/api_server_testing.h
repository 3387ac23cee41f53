// A simulated API server with a loop and a clock, and objects to put into it, for tests.
#pragma once

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>

#include "kube/json.h"
#include "kube/reflector.h"
#include "sim/kube/api_server.h"

namespace fmesh::sim {

namespace json = boost::json;
using kube::Verdict;

inline json::value service(const std::string& name, const std::string& extra = "{}") {
  json::value object = json::parse(R"({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "ns"},
      "spec": {"clusterIP": "None", "ports": [{"name": "a", "port": 80}]}})");
  object.as_object()["metadata"].as_object()["name"] = name;
  const json::value more = json::parse(extra);
  for (const auto& [key, value] : more.as_object()) object.as_object()["metadata"].as_object()[key] = value;
  return object;
}

inline json::value function(const std::string& name, int replicas = 1) {
  return {{"apiVersion", "compute.functionmesh.io/v1alpha1"},
          {"kind", "Function"},
          {"metadata", {{"name", name}, {"namespace", "ns"}}},
          {"spec", {{"replicas", replicas}}}};
}

inline json::value stateful_set(const std::string& name) {
  json::value object = json::parse(R"({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"namespace": "ns"},
      "spec": {"replicas": 2, "serviceName": "s", "selector": {"matchLabels": {"a": "b"}}, "template": {
        "metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}}}})");
  object.as_object()["metadata"].as_object()["name"] = name;
  return object;
}

inline kube::ReflectorOptions of_services(int32_t page_size = 500) {
  kube::ReflectorOptions options;
  options.type = kube::kService;
  options.page_size = page_size;
  return options;
}

class ApiServerTest : public testing::Test {
 protected:
  explicit ApiServerTest(ApiServerOptions options = {}) : server(loop, options) {}

  kube::Response ask(const kube::Request& request) { return server.user(request); }
  Verdict verdict(const kube::Request& request) { return kube::read_outcome(ask(request)).verdict; }
  kube::Outcome outcome(const kube::Request& request) { return kube::read_outcome(ask(request)); }
  json::value made(const kube::ResourceType& type, const json::value& object) {
    const kube::Response response = ask(kube::create(type, "ns", object));
    EXPECT_EQ(response.status, 201) << response.body;
    return *kube::read_json(response.body);
  }
  json::value now(const kube::ResourceType& type, const std::string& name) {
    const JsonPtr object = server.get(type, {"ns", name});
    return object ? *object : json::value();
  }
  void run_ms(int64_t ms) {
    const int64_t until = clock.monotonic_ns() + ms * 1'000'000;
    loop.run_ready();
    while (loop.advance_to_next((until - clock.monotonic_ns()) / 1'000'000)) {
    }
    clock.advance_ms((until - clock.monotonic_ns()) / 1'000'000);
    loop.run_ready();
  }

  ManualClock clock;
  ManualLoop loop{clock};
  ApiServer server;
};

inline std::string text_at(const json::value& object, kube::JsonPath path) {
  return std::string(kube::string_at(object, path));
}
inline std::string version_of(const json::value& object) { return text_at(object, {"metadata", "resourceVersion"}); }
inline std::string uid_of(const json::value& object) { return text_at(object, {"metadata", "uid"}); }

}  // namespace fmesh::sim
