// A token by OAuth2 client credentials (RFC 6749, 4.4), as Pulsar's clients get theirs: the issuer says where its token
// endpoint is (RFC 8414), the key file who asks. Nothing of it is kept or told.
//
// Belongs to its IoLoop.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "net/io_loop.h"
#include "stream/pulsar/address.h"

namespace fmesh::stream::pulsar {

struct Oauth2Options {
  std::string issuer_url;
  std::string audience, scope;  // empty: not sent
  std::string key_json;         // {"client_id":..., "client_secret":...}, the file that Pulsar calls privateKey
  AllowedHosts hosts;           // both the issuer and its token endpoint have to be among them
  int64_t timeout_ms = 20'000;  // of one of the two requests
};

class TokenRequest {
 public:
  // `done` runs once, later. The issuer is trusted as the system says.
  // Errors: kFixInput for a URL or a key that can't be used; told to `done`: kFixInput if the issuer refuses, or would
  // have the secret sent in the clear; kRetryLater if it is away.
  static Result<std::unique_ptr<TokenRequest>> start(net::IoLoop& loop, Oauth2Options options,
                                                     std::function<void(Result<std::string>)> done);
  virtual ~TokenRequest() = default;  // ends it without a callback; not from within `done`
};

}  // namespace fmesh::stream::pulsar
