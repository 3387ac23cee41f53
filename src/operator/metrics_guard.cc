#include "operator/metrics_guard.h"

#include <boost/json.hpp>

#include "kube/json.h"
#include "kube/requests.h"

namespace fmesh::op {
namespace {

namespace json = boost::json;

constexpr std::string_view kBearer = "Bearer ";
constexpr size_t kTokenMaxBytes = 16 * 1024;

}  // namespace

void MetricsGuard::check(const std::string& authorization, std::function<void(int)> done) {
  if (!authorization.starts_with(kBearer) || authorization.size() > kTokenMaxBytes) return done(401);
  const std::string token = authorization.substr(kBearer.size());
  if (const auto found = kept_.find(token); found != kept_.end()) {
    if (loop_.clock().monotonic_ns() < found->second.until_ns) return done(found->second.status);
    kept_.erase(found);
  }
  if (checks_ >= kAccessChecksMax) return done(503);
  ++checks_;
  const json::object review = {{"apiVersion", kube::kTokenReview.api_version()},
                               {"kind", kube::kTokenReview.kind},
                               {"spec", {{"token", token}}}};
  auto finish = [this, done = std::move(done)](int status) {
    --checks_;
    done(status);
  };
  api_.send(kube::create(kube::kTokenReview, "", review),
            [this, alive = alive_, token, finish](const Result<kube::Response>& answer) {
              if (!*alive) return;
              if (kube::read_outcome(answer).verdict != kube::Verdict::kOk) return finish(503);
              review_access(token, *answer, finish);
            });
}

void MetricsGuard::review_access(const std::string& token, const kube::Response& answer,
                                 const std::function<void(int)>& done) {
  const auto review = kube::read_json(answer.body);
  if (!review) return done(503);
  if (!kube::bool_at(*review, {"status", "authenticated"})) {
    keep(token, 401);
    return done(401);
  }
  json::object spec;
  spec["nonResourceAttributes"] = {{"path", "/metrics"}, {"verb", "get"}};
  spec["user"] = kube::string_at(*review, {"status", "user", "username"});
  for (const char* key : {"uid", "groups", "extra"}) {
    if (const json::value* value = kube::find(*review, {"status", "user", key})) spec[key] = *value;
  }
  json::object access;
  access["apiVersion"] = kube::kSubjectAccessReview.api_version();
  access["kind"] = kube::kSubjectAccessReview.kind;
  access["spec"] = std::move(spec);
  api_.send(kube::create(kube::kSubjectAccessReview, "", access),
            [this, alive = alive_, token, done](const Result<kube::Response>& access_answer) {
              if (!*alive) return;
              if (kube::read_outcome(access_answer).verdict != kube::Verdict::kOk) return done(503);
              const auto value = kube::read_json(access_answer->body);
              if (!value) return done(503);
              const int status = kube::bool_at(*value, {"status", "allowed"}) ? 200 : 403;
              keep(token, status);
              done(status);
            });
}

void MetricsGuard::keep(const std::string& token, int status) {
  if (kept_.size() >= kAccessKeptMax) kept_.clear();
  kept_[token] = {status, loop_.clock().monotonic_ns() + kAccessKeptMs * 1'000'000};
}

}  // namespace fmesh::op
