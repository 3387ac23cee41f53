// What the parts of one client share. Made by the client, outlives them all; on its loop.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "base/loop.h"
#include "base/rng.h"
#include "stream/pulsar/client/authentication.h"
#include "stream/pulsar/client/connection_pool.h"
#include "stream/pulsar/client/lookup.h"
#include "stream/pulsar/client/pulsar.h"

namespace fmesh::stream::pulsar {

struct Parts {
  Loop& loop;
  const PulsarOptions options;
  std::unique_ptr<Authentication> authentication;
  Rng rng;
  Ids ids;                              // of requests, producers and consumers
  std::atomic<bool> loop_ended{false};  // its thread is gone: what is left ends wherever it is let go of
  ConnectionPool pool;
  Lookup lookup;

  // `seed`: for backoff and for which host is tried first.
  Parts(Loop& home, PulsarOptions chosen, std::unique_ptr<Authentication> who, Connect connect,
        std::vector<BrokerAddress> service, uint64_t seed)
      : loop(home),
        options(std::move(chosen)),
        authentication(std::move(who)),
        rng(seed),
        pool(loop, *authentication, std::move(connect),
             {std::move(service), rng.next(), options.connection_timeout_ms, options.keep_alive_ms}),
        lookup(pool, ids, {options.listener_name, options.operation_timeout_ms}) {}
};

}  // namespace fmesh::stream::pulsar
