// The webhooks' own certificate: an authority and what it signed, kept in one Secret that all replicas read, and the
// authority told to the API server in two webhook configurations. A step machine over requests and answers: whoever
// owns it sends what next() asks for and hands the answer to take(), round by round.
//
// Belongs to one thread. It never creates or deletes anything: the chart made the Secret and the configurations.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kube/api.h"
#include "kube/requests.h"
#include "net/certificate.h"

namespace fmesh::op {

struct WebhookCertificateOptions {
  std::string name_space, secret, service;                                // of the Secret and the Service
  std::string mutating = "function-mesh-mutating-webhook-configuration";  // as in deploy/
  std::string validating = "function-mesh-validating-webhook-configuration";
  int64_t authority_life_ms = 10LL * 365 * 24 * 3600 * 1000;
  int64_t life_ms = 365LL * 24 * 3600 * 1000;
  int64_t check_ms = 30'000;  // between two rounds; what another replica or a person changed is seen by then
};

inline constexpr int64_t kCertificateRetryMs = 2'000;          // after a refusal or no answer
inline constexpr int64_t kCertificateClockSkewMs = 3'600'000;  // clocks of the API server may be behind ours
inline constexpr int kCertificateConflictsMax = 5;             // in a row, then the round ends

class WebhookCertificate {
 public:
  explicit WebhookCertificate(WebhookCertificateOptions options);

  struct Step {
    std::optional<kube::Request> request;
    int64_t wait_ms = 0;  // without a request: until next() is asked again
  };
  // REQUIRES: the answer to the request before has been taken.
  Step next(int64_t now_ms);
  void take(const Result<kube::Response>& answer, int64_t now_ms);

  // What is to be served; none until the Secret was read. A new one appears once the API server trusts it.
  const std::optional<net::KeyPair>& pair() const { return serving_; }
  // Why the last round did not end well, with the way out; empty: it did.
  const std::string& trouble() const { return trouble_; }

 private:
  enum class State { kReadSecret, kWriteSecret, kReadConfiguration, kWriteConfiguration, kRest };

  void take_secret(const kube::Outcome& outcome, const Result<kube::Response>& answer, int64_t now_ms);
  void take_configuration(const kube::Outcome& outcome, const Result<kube::Response>& answer);
  bool good(int64_t now_ms) const;
  Status renew(int64_t now_ms);
  void next_configuration();
  void give_up(const std::string& what, const kube::Outcome& outcome);
  std::vector<std::string> dns_names() const;
  const kube::ResourceType& configuration_type() const;
  const std::string& configuration_name() const;

  const WebhookCertificateOptions options_;
  State state_ = State::kReadSecret;
  size_t configuration_ = 0;  // 0: mutating, 1: validating
  int conflicts_ = 0;
  bool failed_ = false;      // in this round
  std::string secret_text_;  // as read, to be written with other data
  std::string authorities_;  // ca.crt: the authority, and before it is trusted everywhere the one before
  net::KeyPair authority_, pair_;
  std::string patch_text_;
  std::optional<net::KeyPair> serving_;
  std::string trouble_, trouble_of_round_;
};

}  // namespace fmesh::op
