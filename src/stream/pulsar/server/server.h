// Pulsar's binary protocol and its admin REST API in front of a store: what clients written for Pulsar connect to. One
// thread, its own loop, serves all connections; the store has its own.
//
// Made and ended by its owner, not on its loop. The store outlives it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "net/certificate.h"
#include "stream/store.h"

namespace fmesh::stream::pulsar::server {

struct ServerOptions {
  std::string address = "127.0.0.1:6650";
  std::string advertised_address;   // what clients are told to connect to; empty: `address`
  std::string http_address;         // of the admin REST API; empty: none
  std::string token_file;           // empty: everybody may come
  std::optional<net::KeyPair> tls;  // none: plain
  std::string cluster = "standalone";
  int32_t partitions = 0;    // of topics that are made as clients name them
  bool deduplicate = false;  // producers that name themselves
  size_t connections_max = 1'000;
};

class Server {
 public:
  // Errors: kFixInput with the address and the cause, or if it is open to other machines without token and TLS.
  static Result<std::unique_ptr<Server>> start(const Clock& clock, Store& store, ServerOptions options);
  virtual ~Server() = default;  // ends all connections; what clients were promised is in the store
  virtual uint16_t port() const = 0;
  // "pulsar://127.0.0.1:6650"
  virtual const std::string& url() const = 0;
  // "http://127.0.0.1:8080"; empty if the admin API is not served.
  virtual const std::string& http_url() const = 0;
};

}  // namespace fmesh::stream::pulsar::server
