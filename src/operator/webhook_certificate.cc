#include "operator/webhook_certificate.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "base/base64.h"
#include "kube/json.h"

namespace fmesh::op {
namespace {

namespace json = boost::json;

constexpr int64_t kRenewedBeforePart = 3;  // of its life is left

std::string decoded(const json::value& secret, std::string_view key) {
  return decode_base64(kube::string_at(secret, {"data", key})).value_or(std::string());
}

bool lasts(const std::string& pem, int64_t now_ms) {
  const auto info = net::read_certificate(pem);
  if (!info || now_ms < info->not_before_ms) return false;
  return info->not_after_ms - now_ms > (info->not_after_ms - info->not_before_ms) / kRenewedBeforePart;
}

// The first certificate of a PEM text.
std::string first_of(const std::string& pem) {
  constexpr std::string_view kEnd = "-----END CERTIFICATE-----";
  const size_t end = pem.find(kEnd);
  return end == std::string::npos ? pem : pem.substr(0, end + kEnd.size()) + "\n";
}

// A JSON patch that puts `bundle` into every webhook that lacks it; empty if none does. It holds for this version only.
json::array bundle_patch(const json::value& configuration, const std::string& bundle) {
  json::array out;
  const json::value* webhooks = kube::find(configuration, {"webhooks"});
  if (!webhooks || !webhooks->is_array()) return out;
  out.push_back({{"op", "test"},
                 {"path", "/metadata/resourceVersion"},
                 {"value", kube::string_at(configuration, {"metadata", "resourceVersion"})}});
  const auto& list = webhooks->get_array();
  for (size_t index = 0; index < list.size(); ++index) {
    if (kube::string_at(list[index], {"clientConfig", "caBundle"}) == bundle) continue;
    out.push_back(
        {{"op", "add"}, {"path", fmt::format("/webhooks/{}/clientConfig/caBundle", index)}, {"value", bundle}});
  }
  if (out.size() == 1) out.clear();
  return out;
}

}  // namespace

WebhookCertificate::WebhookCertificate(WebhookCertificateOptions options) : options_(std::move(options)) {}

std::vector<std::string> WebhookCertificate::dns_names() const {
  const std::string name = options_.service + "." + options_.name_space + ".svc";
  return {name, name + ".cluster.local", options_.service + "." + options_.name_space};
}

const kube::ResourceType& WebhookCertificate::configuration_type() const {
  return configuration_ == 0 ? kube::kMutatingWebhook : kube::kValidatingWebhook;
}

const std::string& WebhookCertificate::configuration_name() const {
  return configuration_ == 0 ? options_.mutating : options_.validating;
}

WebhookCertificate::Step WebhookCertificate::next(int64_t) {
  const kube::ObjectKey secret{options_.name_space, options_.secret};
  const kube::ObjectKey configuration{"", configuration_name()};
  switch (state_) {
    case State::kReadSecret:
      return {kube::get(kube::kSecret, secret)};
    case State::kWriteSecret: {
      json::value object = json::parse(secret_text_);
      json::object& data = object.as_object()["data"].emplace_object();
      data["ca.crt"] = encode_base64(authorities_);
      data["ca.key"] = encode_base64(authority_.key);
      data["tls.crt"] = encode_base64(pair_.certificate);
      data["tls.key"] = encode_base64(pair_.key);
      return {kube::update(kube::kSecret, secret, object)};
    }
    case State::kReadConfiguration:
      return {kube::get(configuration_type(), configuration)};
    case State::kWriteConfiguration:
      return {kube::patch(configuration_type(), configuration, kube::PatchKind::kJson, json::parse(patch_text_))};
    case State::kRest:
      break;
  }
  state_ = State::kReadSecret;
  configuration_ = 0;
  conflicts_ = 0;
  trouble_ = std::exchange(trouble_of_round_, {});
  return {std::nullopt, std::exchange(failed_, false) ? kCertificateRetryMs : options_.check_ms};
}

void WebhookCertificate::take(const Result<kube::Response>& answer, int64_t now_ms) {
  const kube::Outcome outcome = kube::read_outcome(answer);
  const bool newer = outcome.verdict == kube::Verdict::kConflict;
  // A newer Secret or configuration: what another replica did counts, so all is read again.
  if (newer && ++conflicts_ <= kCertificateConflictsMax) {
    state_ = State::kReadSecret;
    configuration_ = 0;
    return;
  }
  if (state_ == State::kReadSecret || state_ == State::kWriteSecret) return take_secret(outcome, answer, now_ms);
  take_configuration(outcome, answer);
}

void WebhookCertificate::give_up(const std::string& what, const kube::Outcome& outcome) {
  failed_ = true;
  if (trouble_of_round_.empty()) trouble_of_round_ = what + ": " + outcome.message;
}

void WebhookCertificate::take_secret(const kube::Outcome& outcome, const Result<kube::Response>& answer,
                                     int64_t now_ms) {
  const std::string name = options_.name_space + "/" + options_.secret;
  if (outcome.verdict != kube::Verdict::kOk) {
    give_up(outcome.verdict == kube::Verdict::kNotFound
                ? fmt::format("the Secret {} for the webhooks' certificate is missing; make an empty one (the chart "
                              "does), or give a certificate with --cert-dir",
                              name)
                : fmt::format("{} the Secret {} of the webhooks' certificate",
                              state_ == State::kReadSecret ? "read" : "write", name),
            outcome);
    state_ = State::kRest;
    return;
  }
  const auto secret = kube::read_json(answer->body);
  if (!secret || !secret->is_object()) {
    give_up("the Secret " + name, {kube::Verdict::kUnavailable, 0, "", "the answer is no object", 0});
    state_ = State::kRest;
    return;
  }
  secret_text_ = answer->body;
  authorities_ = decoded(*secret, "ca.crt");
  authority_ = {first_of(authorities_), decoded(*secret, "ca.key")};
  pair_ = {decoded(*secret, "tls.crt"), decoded(*secret, "tls.key")};
  if (!good(now_ms)) {
    if (state_ == State::kWriteSecret) {
      give_up("the Secret " + name, {kube::Verdict::kUnavailable, 0, "", "what was written does not come back", 0});
      state_ = State::kRest;
      return;
    }
    if (const Status made = renew(now_ms); !made) {
      give_up("the webhooks' certificate", {kube::Verdict::kUnavailable, 0, "", made.error().text(), 0});
      state_ = State::kRest;
      return;
    }
    state_ = State::kWriteSecret;
    return;
  }
  if (!serving_) serving_ = pair_;
  state_ = State::kReadConfiguration;
}

bool WebhookCertificate::good(int64_t now_ms) const {
  if (!net::key_fits(authority_) || !net::key_fits(pair_)) return false;
  if (!lasts(authority_.certificate, now_ms) || !lasts(pair_.certificate, now_ms)) return false;
  if (!net::signed_by(pair_.certificate, authority_.certificate)) return false;
  const auto info = net::read_certificate(pair_.certificate);
  const std::vector<std::string> wanted = dns_names();
  return info && std::all_of(wanted.begin(), wanted.end(), [&](const std::string& name) {
           return std::find(info->dns_names.begin(), info->dns_names.end(), name) != info->dns_names.end();
         });
}

Status WebhookCertificate::renew(int64_t now_ms) {
  const int64_t from_ms = now_ms - kCertificateClockSkewMs;
  if (!net::key_fits(authority_) || !lasts(authority_.certificate, now_ms)) {
    // Other replicas serve what the old authority signed until they read the Secret: both are trusted.
    const std::string before = net::read_certificate(authority_.certificate) ? authority_.certificate : "";
    FMESH_TRY(authority_,
              net::make_authority(
                  {"fmesh webhooks of " + options_.name_space, {}, from_ms, now_ms + options_.authority_life_ms}));
    authorities_ = authority_.certificate + before;
  }
  const std::vector<std::string> names = dns_names();
  FMESH_TRY(pair_, net::make_serving({"fmesh webhooks", names, from_ms, now_ms + options_.life_ms}, authority_));
  return {};
}

void WebhookCertificate::take_configuration(const kube::Outcome& outcome, const Result<kube::Response>& answer) {
  if (outcome.verdict != kube::Verdict::kOk) {
    give_up(fmt::format("{} {} {}; the API server can't trust the webhooks without it",
                        state_ == State::kReadConfiguration ? "read" : "write the authority into",
                        configuration_type().kind, configuration_name()),
            outcome);
    return next_configuration();
  }
  if (state_ == State::kWriteConfiguration) return next_configuration();
  const auto configuration = kube::read_json(answer->body);
  const json::array patch = configuration ? bundle_patch(*configuration, encode_base64(authorities_)) : json::array();
  if (patch.empty()) return next_configuration();
  patch_text_ = kube::write_json(patch);
  state_ = State::kWriteConfiguration;
}

void WebhookCertificate::next_configuration() {
  state_ = State::kReadConfiguration;
  if (++configuration_ < 2) return;
  configuration_ = 0;
  state_ = State::kRest;
  // Where the API server could not be told, the old one is what it trusts.
  if (!failed_) serving_ = pair_;
}

}  // namespace fmesh::op
