// A Pulsar cluster as a store of streams: fmesh's own client of Pulsar's binary protocol, behind stream::Client.
//
// What it promises: at least once. A Commit sends its appends at once, one behind the other; when all of them have
// their receipts, its acknowledgements go out, and it is done. Opening producers and consumers waits for the network,
// so it is never done on a loop. docs/internals/streams-pulsar-client.md has the rest.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "stream/client.h"

namespace fmesh::stream::pulsar {

// A schema that the broker is to know and check (facts: pulsar.md 3.11).
enum class SchemaType : uint8_t { kBytes, kString, kJson, kAvro };

struct PulsarOptions {
  // pulsar://host:6650 or pulsar+ssl://host:6651; several with commas: any of them leads to the cluster.
  std::string service_url;
  // http(s)://host:8080 of the admin API, for what the binary protocol can't do: streams are made, deleted and counted
  // through it. Empty: those calls are refused.
  std::string web_service_url;
  // "token", "tls", "basic", "oauth2", or the class name of Pulsar's Java client; empty: none. Parameters are written
  // as that client takes them: token:JWT or file:///path; tlsCertFile:F,tlsKeyFile:F; user:password or JSON; JSON.
  std::string auth_plugin, auth_params;
  std::string tls_trust_file;   // PEM; empty: what the system trusts
  bool tls_insecure = false;    // nothing is verified
  bool tls_verify_name = true;  // false: the chain is verified, the name in the certificate is not
  std::string listener_name;    // which of the addresses that a broker advertises is meant; empty: its usual one
  int64_t connection_timeout_ms = 10'000;  // finding the address, connecting, TLS and the handshake
  int64_t operation_timeout_ms = 30'000;   // opening, looking up, seeking
  int64_t keep_alive_ms = 30'000;          // a connection that is silent twice as long is taken for dead
  // How long an append may wait for its receipt, reconnecting included; 0: for ever.
  int64_t send_timeout_ms = 30'000;
  // What waits for receipts per producer: from here on it is not writable.
  size_t pending_size_max_bytes = size_t{32} * 1024 * 1024;
  // What is fetched ahead per consumer: whichever is reached first. Brokers hand at most 50,000 records to a consumer
  // that acknowledges none of them.
  uint32_t receive_records_max = 40'000;
  size_t receive_size_max_bytes = size_t{16} * 1024 * 1024;
  int64_t discovery_ms = 30'000;  // how often new partitions and new streams of a pattern are looked for
  SchemaType schema = SchemaType::kBytes;
  std::string schema_definition;  // of kJson and kAvro: the Avro record that describes it
};

// Errors: kFixInput for options that can't be used. The cluster is first asked when something is opened.
Result<std::unique_ptr<Client>> open_pulsar(PulsarOptions options);

}  // namespace fmesh::stream::pulsar
