// The flags with which a verb puts Pulsar's protocol in front of its streams.
#pragma once

#include <string>

#include "base/result.h"
#include "stream/pulsar/server/server.h"

namespace CLI {
class App;
}

namespace fmesh::cli {

struct PulsarFlags {
  std::string address;  // empty: it is not served
  std::string advertised_address;
  std::string http_address;  // of the admin REST API; empty: none
  std::string token_file, tls_certificate, tls_key;
  int32_t partitions = 0;
  bool deduplicate = false;
};

void add_pulsar_flags(CLI::App& verb, PulsarFlags& flags);
// Reads the files. Errors: kFixInput with the flag.
Result<stream::pulsar::server::ServerOptions> server_options(const PulsarFlags& flags);

}  // namespace fmesh::cli
