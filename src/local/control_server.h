// Serves the control API of a running mesh: on the Unix socket in the data directory, which only its owner may open,
// and with an address also over TCP. Also finds the process that runs on a data directory, for commands.
//
// Owned by the host; the servers have threads of their own.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "net/http.h"
#include "observe/api.h"

namespace fmesh::local {

struct ControlServerOptions {
  std::string data_directory;
  std::string http_address;     // empty: none; "127.0.0.1:8080", ":8080" (loopback), "0.0.0.0:8080"
  std::string http_token_file;  // empty: "http-token" in the data directory, made if missing, mode 0600
};

class ControlServer {
 public:
  // Errors: kFixInput with the address and the cause; kFixInput if a token file can't be read or is empty.
  static Result<std::unique_ptr<ControlServer>> start(observe::MeshView& view, ControlServerOptions options);
  virtual ~ControlServer() = default;  // stops
  virtual uint16_t http_port() const = 0;
  virtual const std::string& token_file() const = 0;
};

// A client of the process that runs on `data_directory`; null if none listens there.
// Errors: kRetryLater if one listens and does not answer (stopped in a debugger, for example).
Result<std::unique_ptr<net::HttpClient>> find_running(const std::string& data_directory);

}  // namespace fmesh::local
