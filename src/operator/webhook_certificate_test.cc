#include "operator/webhook_certificate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <map>
#include <set>
#include <string>

#include "base/base64.h"
#include "kube/json.h"
#include "operator/json_patch_testing.h"

namespace fmesh::op {
namespace {

namespace json = boost::json;
using testing::HasSubstr;

constexpr int64_t kDayMs = 24LL * 3600 * 1000;

// As much of an API server as the machine meets: objects by path, versions, updates and JSON patches on condition.
class SmallServer {
 public:
  SmallServer() {
    put("/api/v1/namespaces/ns/secrets/cert", {{"kind", "Secret"}});
    for (const char* kind : {"mutating", "validating"}) {
      json::array hooks;
      for (const char* name : {"a.kb.io", "b.kb.io"}) {
        hooks.push_back({{"name", name}, {"clientConfig", {{"service", {{"name", "svc"}}}}}});
      }
      put(path_of(kind), {{"webhooks", std::move(hooks)}});
    }
  }
  static std::string path_of(const std::string& kind) {
    return "/apis/admissionregistration.k8s.io/v1/" + kind + "webhookconfigurations/function-mesh-" + kind +
           "-webhook-configuration";
  }

  Result<kube::Response> answer(const kube::Request& request) {
    const std::string path = request.target.substr(0, request.target.find('?'));
    if (refuse_next > 0 && request.method != "GET") {
      --refuse_next;
      return status(409, "Conflict");
    }
    if (forbid.contains(path)) return status(403, "Forbidden");
    const auto found = objects.find(path);
    if (found == objects.end()) return status(404, "NotFound");
    if (request.method != "GET") ++writes;
    if (request.method == "PUT") {
      json::object object = json::parse(request.body).as_object();
      if (kube::string_at(object, {"metadata", "resourceVersion"}) !=
          kube::string_at(found->second, {"metadata", "resourceVersion"})) {
        return status(409, "Conflict");
      }
      put(path, object);
    } else if (request.method == "PATCH") {
      json::value object = found->second;
      if (!apply_json_patch(object, json::parse(request.body).as_array())) return status(409, "Conflict");
      put(path, object.as_object());
    }
    return kube::Response{200, json::serialize(objects[path]), {}};
  }

  void put(const std::string& path, json::object object) {
    json::value& version = object["metadata"];
    if (!version.is_object()) version.emplace_object();
    version.as_object()["resourceVersion"] = std::to_string(++version_);
    objects[path] = std::move(object);
  }
  std::string secret(const char* key) {
    return decode_base64(kube::string_at(objects["/api/v1/namespaces/ns/secrets/cert"], {"data", key})).value();
  }
  std::string bundle(const std::string& kind, size_t index = 0) {
    return decode_base64(kube::string_at(objects[path_of(kind)].at("webhooks").at(index), {"clientConfig", "caBundle"}))
        .value();
  }

  std::map<std::string, json::value> objects;
  std::set<std::string> forbid;
  int refuse_next = 0, writes = 0;

 private:
  static kube::Response status(int code, const char* reason) {
    return {code,
            json::serialize(json::object{{"kind", "Status"}, {"code", code}, {"reason", reason}, {"message", "no"}}),
            {}};
  }
  int version_ = 0;
};

WebhookCertificateOptions options() {
  WebhookCertificateOptions out;
  out.name_space = "ns";
  out.secret = "cert";
  out.service = "svc";
  out.authority_life_ms = 300 * kDayMs;
  out.life_ms = 30 * kDayMs;
  return out;
}

// One round; returns how long the next one waits.
int64_t run(WebhookCertificate& machine, SmallServer& server, int64_t now_ms) {
  for (int step = 0; step < 100; ++step) {
    const WebhookCertificate::Step next = machine.next(now_ms);
    if (!next.request) return next.wait_ms;
    machine.take(server.answer(*next.request), now_ms);
  }
  ADD_FAILURE() << "the round does not end";
  return 0;
}

constexpr int64_t kNowMs = 1'800'000'000'000;

TEST(WebhookCertificate, FillsAnEmptySecretAndTellsTheApiServer) {
  SmallServer server;
  WebhookCertificate machine(options());
  EXPECT_EQ(run(machine, server, kNowMs), options().check_ms);
  ASSERT_TRUE(machine.pair());
  EXPECT_EQ(machine.trouble(), "");
  EXPECT_EQ(machine.pair()->certificate, server.secret("tls.crt"));
  EXPECT_TRUE(net::signed_by(machine.pair()->certificate, server.secret("ca.crt")));
  for (const char* kind : {"mutating", "validating"}) {
    EXPECT_EQ(server.bundle(kind, 0), server.secret("ca.crt"));
    EXPECT_EQ(server.bundle(kind, 1), server.secret("ca.crt"));
  }
  EXPECT_THAT(net::read_certificate(machine.pair()->certificate)->dns_names, testing::Contains("svc.ns.svc"));
}

TEST(WebhookCertificate, WritesNothingWhenAllIsWell) {
  SmallServer server;
  WebhookCertificate machine(options());
  run(machine, server, kNowMs);
  const int writes = server.writes;
  run(machine, server, kNowMs + kDayMs);
  EXPECT_EQ(server.writes, writes);
}

TEST(WebhookCertificate, AllReplicasServeTheSame) {
  SmallServer server;
  WebhookCertificate one(options()), two(options());
  run(one, server, kNowMs);
  const int writes = server.writes;
  run(two, server, kNowMs);
  EXPECT_EQ(one.pair(), two.pair());
  EXPECT_EQ(server.writes, writes);
}

TEST(WebhookCertificate, OfTwoThatBeginAtOnceOneWins) {
  SmallServer server;
  WebhookCertificate one(options()), two(options());
  for (int step = 0; step < 40; ++step) {  // step by step in turn
    for (WebhookCertificate* machine : {&one, &two}) {
      const auto next = machine->next(kNowMs);
      if (next.request) machine->take(server.answer(*next.request), kNowMs);
    }
  }
  ASSERT_TRUE(one.pair());
  EXPECT_EQ(one.pair(), two.pair());
  EXPECT_EQ(server.bundle("mutating"), server.secret("ca.crt"));
}

TEST(WebhookCertificate, IsRenewedBeforeAThirdOfItsLifeIsLeft) {
  SmallServer server;
  WebhookCertificate machine(options());
  run(machine, server, kNowMs);
  const auto first = machine.pair();
  run(machine, server, kNowMs + 19 * kDayMs);
  EXPECT_EQ(machine.pair(), first);
  run(machine, server, kNowMs + 21 * kDayMs);
  EXPECT_NE(machine.pair(), first);
  EXPECT_TRUE(net::signed_by(machine.pair()->certificate, server.bundle("mutating")));
}

TEST(WebhookCertificate, ANewAuthorityIsTrustedBesideTheOldOne) {
  SmallServer server;
  WebhookCertificate machine(options());
  run(machine, server, kNowMs);
  const std::string old_authority = server.secret("ca.crt");
  run(machine, server, kNowMs + 250 * kDayMs);
  const std::string now = server.secret("ca.crt");
  EXPECT_THAT(now, HasSubstr(old_authority));
  EXPECT_GT(now.size(), old_authority.size());
  EXPECT_TRUE(net::signed_by(machine.pair()->certificate, now));
  EXPECT_EQ(server.bundle("validating"), now);
}

TEST(WebhookCertificate, ANewCertificateIsServedOnlyOnceTheApiServerTrustsIt) {
  SmallServer server;
  WebhookCertificate machine(options());
  run(machine, server, kNowMs);
  const auto first = machine.pair();
  server.forbid.insert(SmallServer::path_of("validating"));
  EXPECT_EQ(run(machine, server, kNowMs + 250 * kDayMs), kCertificateRetryMs);
  EXPECT_EQ(machine.pair(), first);
  EXPECT_THAT(machine.trouble(), HasSubstr("ValidatingWebhookConfiguration"));
  server.forbid.clear();
  run(machine, server, kNowMs + 250 * kDayMs);
  EXPECT_NE(machine.pair(), first);
  EXPECT_EQ(machine.trouble(), "");
}

TEST(WebhookCertificate, ABundleThatSomebodyOverwroteComesBack) {
  SmallServer server;
  WebhookCertificate machine(options());
  run(machine, server, kNowMs);
  json::object broken = server.objects[SmallServer::path_of("mutating")].as_object();
  broken["webhooks"].at(1).at("clientConfig").as_object().erase("caBundle");
  server.put(SmallServer::path_of("mutating"), broken);
  run(machine, server, kNowMs);
  EXPECT_EQ(server.bundle("mutating", 1), server.secret("ca.crt"));
}

TEST(WebhookCertificate, AMissingSecretIsToldWithTheWayOut) {
  SmallServer server;
  server.objects.erase("/api/v1/namespaces/ns/secrets/cert");
  WebhookCertificate machine(options());
  EXPECT_EQ(run(machine, server, kNowMs), kCertificateRetryMs);
  EXPECT_FALSE(machine.pair());
  EXPECT_THAT(machine.trouble(), HasSubstr("--cert-dir"));
  EXPECT_EQ(server.writes, 0);
}

TEST(WebhookCertificate, NonsenseInTheSecretIsReplaced) {
  SmallServer server;
  server.put("/api/v1/namespaces/ns/secrets/cert",
             {{"kind", "Secret"}, {"data", {{"tls.crt", "eHg="}, {"ca.crt", "not base64!"}, {"ca.key", 7}}}});
  WebhookCertificate machine(options());
  run(machine, server, kNowMs);
  ASSERT_TRUE(machine.pair());
  EXPECT_TRUE(net::key_fits(*machine.pair()));
}

TEST(WebhookCertificate, ConflictsAreReadAgainAndEndAtALimit) {
  SmallServer server;
  WebhookCertificate machine(options());
  server.refuse_next = 3;
  EXPECT_EQ(run(machine, server, kNowMs), options().check_ms);
  EXPECT_TRUE(machine.pair());
  WebhookCertificate unlucky(options());
  SmallServer stubborn;
  stubborn.refuse_next = 1'000;
  EXPECT_EQ(run(unlucky, stubborn, kNowMs), kCertificateRetryMs);
}

}  // namespace
}  // namespace fmesh::op
