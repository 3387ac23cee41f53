// One file over HTTP to disk, with its SHA-256 and a bound; redirects are followed, never from https to http. Belongs
// to fetch_package.h.
//
// Blocks its caller; any thread but the loop's.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "net/io_loop.h"
#include "net/tls_identity.h"

namespace fmesh::local {

struct DownloadOptions {
  std::string url;            // http(s)://HOST[:PORT]/PATH[?QUERY]
  std::string authorization;  // the header's value; empty: none. Then redirects to another host are refused
  net::TlsIdentity tls;
  std::string file;  // is made anew
  uint64_t size_max_bytes = 0;
  int64_t stall_timeout_ms = 0;
  int redirects_max = 0;
};

struct Downloaded {
  std::string sha256;
  uint64_t bytes = 0;
};

// Errors: kRetryLater if it can't be reached, breaks off, or answers 408, 425, 429 or 5xx; kFixInput for anything else.
Result<Downloaded> download(net::IoLoop& loop, const DownloadOptions& options);

}  // namespace fmesh::local
