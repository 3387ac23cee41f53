// Fetches the code of a function into a folder: from Pulsar's package management through its admin API, or over
// http(s). What came is bounded, has the SHA-256 that it was pinned to, and is put in place as a whole or not at all;
// an archive is unpacked (unpack.h). An init container of a pod does this before the function starts.
//
// Blocks its caller, which must be the only one that writes into the folder; any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "local/unpack.h"
#include "model/package_location.h"
#include "stream/pulsar/client/pulsar.h"

namespace fmesh::local {

struct FetchOptions {
  model::PackageLocation location;
  std::string folder;  // it is made if it is not there
  // What has to be there in the end, relative to the folder. A file that is no archive is put there; a .zip or .whl
  // stays packed; any other archive is unpacked and has to hold it.
  std::string file;
  stream::pulsar::PulsarOptions pulsar;  // whose web_service_url, authentication and trust a package needs
  std::string ca_file;                   // PEM, for https: trusted instead of the system's authorities
  uint64_t size_max_bytes = uint64_t{512} * 1024 * 1024;
  int64_t stall_timeout_ms = 30'000;  // connecting, and between two pieces of what comes
  int attempts_max = 5;               // while the other side can't be reached or breaks off
  int64_t retry_delay_ms = 1'000;     // doubled at each further attempt
  UnpackLimits unpack{};
};

inline constexpr int kFetchRedirectsMax = 5;

struct FetchedPackage {
  std::string sha256;
  uint64_t bytes = 0;   // of what came
  Unpacked unpacked{};  // no entries: it was no archive, or stayed one
};

// `line` is told each attempt that failed and is made again.
// Errors: kRetryLater after the last attempt; kFixInput for the rest, with what to change.
Result<FetchedPackage> fetch_package(const FetchOptions& options, const std::function<void(const std::string&)>& line);

}  // namespace fmesh::local
