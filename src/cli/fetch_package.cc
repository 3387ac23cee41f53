// fmesh fetch-package: brings the code of a function into a folder, as the init container of a pod does.
#include "local/fetch_package.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "cli/command.h"
#include "cli/control.h"
#include "cli/pulsar_client_flags.h"
#include "cli/units.h"

namespace fmesh::cli {
namespace {

struct FetchFlags {
  std::string location, sha256, size_max = "512M";
  local::FetchOptions options;
  PulsarClientFlags pulsar;
};

Result<local::FetchedPackage> fetch(FetchFlags& flags) {
  local::FetchOptions& options = flags.options;
  if (!flags.sha256.empty() && flags.location.find('#') != std::string::npos) {
    return fail(ErrorKind::kFixInput, "the SHA-256 is given twice, by --sha256 and behind the # of the address");
  }
  const std::string pin = flags.sha256.empty() ? "" : "#sha256=" + flags.sha256;
  FMESH_TRY(options.location, model::parse_package_location(flags.location + pin));
  const auto size = parse_size(flags.size_max);
  if (!size) return fail(size.error().within("--max-size"));
  options.size_max_bytes = static_cast<uint64_t>(*size);
  flags.pulsar.take_environment([](const std::string& name) { return std::getenv(name.c_str()); });
  options.pulsar = flags.pulsar.options();
  if (options.location.address.starts_with("http://") && options.location.sha256.empty()) {
    std::fprintf(stderr, "fmesh: %s is fetched without TLS and without a SHA-256; anyone on the way can change it\n",
                 options.location.shown().c_str());
  }
  return local::fetch_package(options,
                              [](const std::string& line) { std::fprintf(stderr, "fmesh: %s\n", line.c_str()); });
}

int run(FetchFlags& flags) {
  const auto fetched = fetch(flags);
  if (!fetched) return report(fetched.error());
  std::string files;
  if (fetched->unpacked.entries > 0) {
    files = ", unpacked to " + std::to_string(fetched->unpacked.bytes) + " bytes in " +
            std::to_string(fetched->unpacked.entries) + " entries";
  }
  std::fprintf(stderr, "fmesh: %s: %llu bytes, sha256 %s%s\n", flags.options.location.shown().c_str(),
               static_cast<unsigned long long>(fetched->bytes), fetched->sha256.c_str(), files.c_str());
  return kExitOk;
}

}  // namespace

void add_fetch_package(CLI::App& app, Exit& exit) {
  auto* verb = app.add_subcommand("fetch-package", "Fetch the code of a function, as the init container of a pod does");
  const auto flags = std::make_shared<FetchFlags>();
  verb->add_option("LOCATION", flags->location,
                   "function://TENANT/NAMESPACE/NAME@VERSION of Pulsar's packages, or an http(s) address; with "
                   "#sha256=HEX behind it, it has to be that")
      ->required();
  verb->add_option("--to", flags->options.folder, "Folder that it is put into")->required()->type_name("DIR");
  verb->add_option("--file", flags->options.file,
                   "What has to be there then: the name of the file, or the path of a file in an archive (zip, tar, "
                   "tar.gz), which is unpacked")
      ->required()
      ->type_name("PATH");
  verb->add_option("--sha256", flags->sha256, "What it has to be")->type_name("HEX");
  verb->add_option("--max-size", flags->size_max, "The largest that is taken")
      ->type_name("SIZE")
      ->capture_default_str();
  verb->add_option("--ca", flags->options.ca_file, "Of https: trusted instead of the system's authorities")
      ->type_name("FILE");
  add_pulsar_client_flags(*verb, flags->pulsar);
  add_pulsar_environment_flags(*verb, flags->pulsar);
  // Packages need the admin API's address only.
  for (const char* name : {"--pulsar-web", "--auth-plugin", "--tls-trust", "--tls-any-name", "--tls-insecure"}) {
    verb->get_option(name)->remove_needs(verb->get_option("--pulsar"));
  }
  verb->callback([flags, &exit] { exit.code = run(*flags); });
}

}  // namespace fmesh::cli
