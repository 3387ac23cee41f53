// Has changelogs compacted, one after the other: a broker takes its time over it, and nothing waits for that.
//
// Owned by the client of the changelogs; compact() from any thread, the work on a thread of its own that is made with
// the first.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "stream/client.h"

namespace fmesh::stream {

class Compactor {
 public:
  using Failed = std::function<void(const std::string& topic, const Error& why)>;
  // `client` outlives it. `failed` may be null.
  Compactor(Client& client, Failed failed) : client_(client), failed_(std::move(failed)) {}
  ~Compactor() { stop(); }
  Compactor(const Compactor&) = delete;
  Compactor& operator=(const Compactor&) = delete;

  void compact(const std::string& topic);
  // Gives up the one that is under way; what waits is dropped.
  void stop();

 private:
  void work();

  Client& client_;
  const Failed failed_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::string> topics_;
  std::atomic<bool> stopped_ = false;
  std::thread thread_;
};

}  // namespace fmesh::stream
