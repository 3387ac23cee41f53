// How a client says who it is: Pulsar's authentication plugins (facts: pulsar.md 3.12). Each connection, and each
// challenge of a broker whose patience with a token is over, asks anew, so that files may rotate.
//
// Belongs to the client's loop.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "net/io_loop.h"
#include "net/tls_identity.h"

namespace fmesh::stream::pulsar {

class Authentication {
 public:
  // `plugin` and `params` as PulsarOptions has them. `loop` may be null if the plugin needs no network: all but oauth2.
  // Errors: kFixInput that names the plugin and never repeats a secret.
  static Result<std::unique_ptr<Authentication>> make(net::IoLoop* loop, const std::string& plugin,
                                                      const std::string& params);
  virtual ~Authentication() = default;
  // "token", "tls", "basic"; empty: the client says nothing about itself.
  virtual std::string method() const = 0;
  // Calls `done` once, now or later. Errors: kFixInput for a file that can't be read; those of TokenRequest.
  virtual void data(std::function<void(Result<std::string>)> done) = 0;
  // The client's certificate, if it has one. Errors: kFixInput that names the file.
  virtual Status add_certificate(net::TlsIdentity& /*identity*/) const { return {}; }
};

// The whole file. Errors: kFixInput that says what it is for.
Result<std::string> read_small_file(const std::string& path, const std::string& what);

}  // namespace fmesh::stream::pulsar
