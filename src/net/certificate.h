// Certificates that fmesh makes for itself: an authority of its own and what it signs, as PEM texts. Keys are EC P-256
// and come from the system's random source. OpenSSL stays behind this header.
//
// Pure but for the random source; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace fmesh::net {

struct KeyPair {
  std::string certificate;  // PEM; of a server: the chain
  std::string key;          // PEM, unencrypted
  bool operator==(const KeyPair&) const = default;
};

struct CertificateOptions {
  std::string common_name;
  std::vector<std::string> dns_names{};  // of a server
  int64_t not_before_ms = 0, not_after_ms = 0;
};

// Errors: kBug with OpenSSL's words.
Result<KeyPair> make_authority(const CertificateOptions& options);
Result<KeyPair> make_serving(const CertificateOptions& options, const KeyPair& authority);

struct CertificateInfo {
  std::vector<std::string> dns_names;
  int64_t not_before_ms = 0, not_after_ms = 0;
};
// Of the first certificate in `pem`. Errors: kFixInput if there is none.
Result<CertificateInfo> read_certificate(const std::string& pem);
// False also if one of them can't be read.
bool key_fits(const KeyPair& pair);
bool signed_by(const std::string& certificate_pem, const std::string& authority_pem);

}  // namespace fmesh::net
