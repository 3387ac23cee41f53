// Who we are to the API server, and whom we trust, kept fresh: files (token, authority, client certificate) are read
// anew once a minute, a plugin is run when what it gave expires or is refused. HttpApi asks it before each request.
//
// Lives on the loop; the plugin runs on a thread of its own, one run at a time for all who wait.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/loop.h"
#include "base/result.h"
#include "kube/config.h"
#include "kube/exec_plugin.h"
#include "net/http_async.h"

namespace fmesh::kube {

inline constexpr int64_t kFilesReadEveryMs = 60'000;  // the kubelet replaces a token minutes before it expires
inline constexpr int64_t kPluginPauseMs = 1'000;      // between two runs, so that one that fails or lies costs little
inline constexpr int64_t kPluginPauseMaxMs = 30'000;  // after several failures in a row
inline constexpr int64_t kRefusedEveryMs = 10'000;    // between two runs because the server refused
inline constexpr size_t kPluginWaitersMax = 10'000;   // requests that wait for a run; as the client's line

class Credentials {
 public:
  struct Use {
    std::string authorization;  // the header; empty: none
    uint64_t version = 0;
  };

  // Errors: kFixInput for files that can't be read.
  static Result<std::unique_ptr<Credentials>> make(Loop& loop, ClusterConfig config);
  // Kills a plugin that runs; who waits hears nothing.
  ~Credentials();
  Credentials(const Credentials&) = delete;

  // `done` runs once: within this call if there is something to use, else later on the loop.
  // Errors: of the plugin; see run_exec_plugin().
  void use(std::function<void(Result<Use>)> done);
  // The server answered 401 to this version. `done(true)` if there is another by now: within this call or later.
  void refused(uint64_t version, std::function<void(bool)> done);
  // The server's certificate was not trusted: true if the files say something else by now.
  bool untrusted();

  // What connections are made with. Compare the version to see a change.
  const net::TlsIdentity& identity() const { return identity_; }
  uint64_t identity_version() const { return identity_version_; }

 private:
  Credentials(Loop& loop, ClusterConfig config);
  Status read_first();
  // The parts that can be read; true if something changed.
  bool read_again();
  void read_if_due();
  bool plugin_due() const;
  void run_plugin();
  void plugin_ended(Result<PluginCredentials> result);
  void set_token(const std::string& token);
  int64_t now_ms() const { return loop_.clock().monotonic_ns() / 1'000'000; }

  Loop& loop_;
  const ClusterConfig config_;
  Use use_;
  net::TlsIdentity identity_;
  uint64_t identity_version_ = 1;
  int64_t files_read_ms_ = 0;

  // The plugin's.
  std::vector<std::string> environment_;
  std::optional<PluginCredentials> given_;
  std::optional<Error> failure_;  // of the last run
  int failures_ = 0;
  int64_t next_run_ms_ = 0, next_refused_run_ms_ = 0;
  std::vector<std::function<void(Result<Use>)>> waiters_;
  std::thread run_;
  bool running_ = false;
  std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace fmesh::kube
