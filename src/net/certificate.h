// Certificates that fmesh makes for itself: a CA that signs one serving certificate and is then forgotten, so that
// nobody can sign another with it. And what there is to know of certificates that others made. OpenSSL stays behind
// this header; all texts are PEM.
//
// Pure but for OpenSSL's randomness; time is a parameter. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fmesh::net {

struct ServingCertificate {
  std::string certificate;  // PEM chain; the first is the server's own
  std::string key;          // never in logs
  std::string ca;           // who is to be trusted; may hold several
  bool operator==(const ServingCertificate&) const = default;
};

struct CertificateWish {
  std::vector<std::string> dns_names;  // at least one; the first is the name of the subject
  int64_t now_ms = 0;                  // wall time
  int64_t lifetime_ms = 0;
};

inline constexpr int64_t kCertificateBackdateMs = 60 * 60'000;  // clocks of others may be behind
inline constexpr size_t kPemMaxBytes = 256 * 1024;              // of each text that is read

// A new CA, and a certificate that it signed (ECDSA P-256). Errors: kFixInput without names, kBug if OpenSSL fails.
Result<ServingCertificate> make_serving_certificate(const CertificateWish& wish);

struct CertificateFacts {
  int64_t not_before_ms = 0, not_after_ms = 0;
  std::vector<std::string> dns_names;
};
// Of the first certificate in `pem`. Errors: kFixInput.
Result<CertificateFacts> read_certificate(std::string_view pem);

// Whether a server can serve with it: the key belongs to the certificate, it holds all `dns_names`, it is valid at
// `now_ms` and, if `ca` is given, one in there has signed it. Errors: kFixInput that says what does not fit.
Status check_serving(const ServingCertificate& serving, const std::vector<std::string>& dns_names, int64_t now_ms);

// The certificates in `pem` one by one, without what stands between them, each once; at most `limit`.
std::vector<std::string> split_certificates(std::string_view pem, size_t limit);

}  // namespace fmesh::net
