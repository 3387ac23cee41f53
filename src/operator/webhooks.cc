#include "operator/webhooks.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <optional>

#include "base/base64.h"
#include "kube/json.h"
#include "operator/admission.h"

namespace fmesh::op {
namespace {

namespace json = boost::json;

struct Route {
  bool mutating = false;
  std::string_view kind;
};

std::optional<Route> route_of(std::string_view path) {
  constexpr std::string_view kMutate = "/mutate-compute-functionmesh-io-v1alpha1-";
  constexpr std::string_view kValidate = "/validate-compute-functionmesh-io-v1alpha1-";
  const bool mutating = path.starts_with(kMutate);
  if (!mutating && !path.starts_with(kValidate)) return std::nullopt;
  path.remove_prefix(mutating ? kMutate.size() : kValidate.size());
  if (path == "function") return Route{mutating, "Function"};
  if (path == "source") return Route{mutating, "Source"};
  if (path == "sink") return Route{mutating, "Sink"};
  if (path == "functionmesh") return Route{mutating, "FunctionMesh"};
  return std::nullopt;
}

net::HttpResponse say(int status, const std::string& text) {
  return {status, {{"content-type", "text/plain; charset=utf-8"}}, text + "\n", {}};
}

// At most `bytes`, and no character in parts.
std::string cut(std::string text, size_t bytes) {
  constexpr std::string_view kDots = "...";
  if (text.size() <= bytes) return text;
  size_t end = bytes - kDots.size();
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + std::string(kDots);
}

// The Status that kubectl shows error by error.
json::object refusal(const AdmissionAnswer& answer, const json::value& request, const json::value& object) {
  json::array causes;
  for (const AdmissionError& one : answer.errors) {
    if (causes.size() == kCausesMax) break;
    const bool told = std::any_of(causes.begin(), causes.end(), [&](const json::value& cause) {
      return kube::string_at(cause, {"field"}) == one.path && kube::string_at(cause, {"message"}) == one.detail;
    });
    if (!told) causes.push_back({{"reason", "FieldValueInvalid"}, {"field", one.path}, {"message", one.detail}});
  }
  std::string_view name = kube::string_at(request, {"name"});
  if (name.empty()) name = kube::string_at(object, {"metadata", "name"});
  json::object details = {{"name", name}, {"group", "compute.functionmesh.io"}, {"causes", std::move(causes)}};
  details["kind"] = kube::string_at(object, {"kind"});
  json::object status;
  status["status"] = "Failure";
  status["reason"] = "Invalid";
  status["code"] = 422;
  status["message"] = cut(answer.message, kMessageOfAnswerMaxBytes);
  status["details"] = std::move(details);
  return status;
}

AdmissionAnswer ask(const Route& route, std::string_view operation, const json::value& before,
                    const json::value& object) {
  const std::string_view kind = kube::string_at(object, {"kind"});
  if (kind != route.kind) {
    AdmissionAnswer answer;
    answer.allowed = false;
    answer.message = fmt::format("this webhook is for {}, and was asked about \"{}\"", route.kind, kind);
    return answer;
  }
  const bool update = operation == "UPDATE" && before.is_object();
  if (route.mutating) return mutate(update ? before : json::value(), object);
  return update ? validate_update(before, object) : validate_create(object);
}

json::object respond(const Route& route, const json::value& request) {
  json::object response;
  response["uid"] = kube::string_at(request, {"uid"});
  response["allowed"] = true;
  const std::string_view operation = kube::string_at(request, {"operation"});
  const bool whole = kube::string_at(request, {"subResource"}).empty();
  if (!whole || (operation != "CREATE" && operation != "UPDATE")) return response;
  const json::value none;
  const json::value* object = kube::find(request, {"object"});
  const json::value* before = kube::find(request, {"oldObject"});
  if (!object) object = &none;
  if (!before) before = &none;
  const AdmissionAnswer answer = ask(route, operation, *before, *object);
  response["allowed"] = answer.allowed;
  json::array warnings;
  for (const std::string& warning : answer.warnings) {
    if (warnings.size() < kWarningsMax) warnings.emplace_back(cut(warning, kWarningMaxBytes));
  }
  if (!warnings.empty()) response["warnings"] = std::move(warnings);
  if (!answer.allowed) {
    response["status"] = refusal(answer, request, *object);
  } else if (route.mutating) {
    const json::array patch = make_json_patch(*object, answer.object);
    if (patch.empty()) return response;
    response["patchType"] = "JSONPatch";
    response["patch"] = encode_base64(kube::write_json(patch));
  }
  return response;
}

std::string pointer_word(std::string_view key) {
  std::string out;
  for (const char byte : key) {
    if (byte == '~') {
      out += "~0";
    } else if (byte == '/') {
      out += "~1";
    } else {
      out += byte;
    }
  }
  return out;
}

void diff(const json::value& before, const json::value& after, const std::string& pointer, json::array& out) {
  if (before == after) return;
  if (!before.is_object() || !after.is_object()) {
    out.push_back({{"op", "replace"}, {"path", pointer}, {"value", after}});
    return;
  }
  for (const auto& [key, value] : before.get_object()) {
    if (!after.get_object().contains(key)) {
      out.push_back({{"op", "remove"}, {"path", pointer + "/" + pointer_word(key)}});
    }
  }
  for (const auto& [key, value] : after.get_object()) {
    const std::string inner = pointer + "/" + pointer_word(key);
    const json::value* old = before.get_object().if_contains(key);
    if (old) {
      diff(*old, value, inner, out);
    } else {
      out.push_back({{"op", "add"}, {"path", inner}, {"value", value}});
    }
  }
}

}  // namespace

json::array make_json_patch(const json::value& before, const json::value& after) {
  json::array out;
  diff(before, after, "", out);
  return out;
}

net::HttpResponse answer_review(const net::HttpRequest& request) {
  const auto route = route_of(request.path);
  if (!route) return say(404, "no webhook is served at " + request.path);
  if (request.method != "POST") return say(405, "a webhook takes POST");
  if (request.body.size() > kReviewMaxBytes) return say(413, "the review is too large");
  const auto review = kube::read_json(request.body);
  if (!review) return say(400, "expected an AdmissionReview in JSON: " + review.error().text());
  const std::string_view version = kube::string_at(*review, {"apiVersion"});
  if (kube::string_at(*review, {"kind"}) != "AdmissionReview" ||
      (version != "admission.k8s.io/v1" && version != "admission.k8s.io/v1beta1")) {
    return say(400, "expected an AdmissionReview of admission.k8s.io/v1 or v1beta1");
  }
  const json::value* asked = kube::find(*review, {"request"});
  if (!asked || !asked->is_object() || kube::string_at(*asked, {"uid"}).empty()) {
    return say(400, "expected an AdmissionReview with a request that has a uid");
  }
  json::object out;
  out["apiVersion"] = version;
  out["kind"] = "AdmissionReview";
  out["response"] = respond(*route, *asked);
  return {200, {{"content-type", "application/json"}}, kube::write_json(out), {}};
}

}  // namespace fmesh::op
