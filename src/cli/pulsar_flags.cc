#include "cli/pulsar_flags.h"

#include <CLI/CLI.hpp>
#include <fstream>
#include <sstream>

namespace fmesh::cli {
namespace {

Result<std::string> read_file(const char* flag, const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  if (!file || !(text << file.rdbuf())) {
    return fail(ErrorKind::kFixInput, std::string(flag) + " " + path + ": it can't be read; expected a PEM file");
  }
  return text.str();
}

}  // namespace

void add_pulsar_flags(CLI::App& verb, PulsarFlags& flags) {
  verb.add_option("--listen", flags.address,
                  "Where Pulsar clients connect; others than this machine's own need a token and TLS")
      ->type_name("ADDR")
      ->capture_default_str();
  verb.add_option("--advertise", flags.advertised_address, "What clients are told to connect to (default: --listen)")
      ->type_name("HOST:PORT");
  verb.add_option("--token-file", flags.token_file, "A file whose first line clients show as their token")
      ->type_name("FILE");
  auto* certificate =
      verb.add_option("--tls-cert", flags.tls_certificate, "Speak TLS with this certificate chain (PEM)")
          ->type_name("FILE");
  verb.add_option("--tls-key", flags.tls_key, "and this key (PEM)")->type_name("FILE")->needs(certificate);
  verb.add_flag("--deduplicate", flags.deduplicate,
                "Drop what a producer that names itself sends twice, on every topic");
}

Result<stream::pulsar::server::ServerOptions> server_options(const PulsarFlags& flags) {
  stream::pulsar::server::ServerOptions options;
  options.address = flags.address;
  options.advertised_address = flags.advertised_address;
  options.http_address = flags.http_address;
  options.token_file = flags.token_file;
  options.partitions = flags.partitions;
  options.deduplicate = flags.deduplicate;
  if (flags.tls_certificate.empty() && flags.tls_key.empty()) return options;
  if (flags.tls_key.empty())
    return fail(ErrorKind::kFixInput, "--tls-cert needs the key that belongs to it: --tls-key FILE");
  options.tls.emplace();
  FMESH_TRY(options.tls->certificate, read_file("--tls-cert", flags.tls_certificate));
  FMESH_TRY(options.tls->key, read_file("--tls-key", flags.tls_key));
  return options;
}

}  // namespace fmesh::cli
