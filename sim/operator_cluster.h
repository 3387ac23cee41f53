// A cluster of one operator: its real controllers on the simulated API server, on one loop that is stepped by hand.
// Scenarios and the resource mutator are told in its words: a person writes, time passes, all comes to rest, the
// process dies and begins anew.
//
// One thread; what happens is a function of the options and of the calls.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "operator/controllers.h"
#include "sim/kube/api_server.h"

namespace fmesh::sim {

struct OperatorClusterOptions {
  ApiServerOptions server;
  int64_t quiet_ms = 90'000;  // all is at rest when so long nothing was written; longer than the operator's backoffs
};

class OperatorCluster {
 public:
  explicit OperatorCluster(const OperatorClusterOptions& options);
  ~OperatorCluster();

  ApiServer& server() { return server_; }
  Rng& rng() { return rng_; }
  int64_t now_ms() const { return clock_.wall_ms(); }

  void start_operator();
  // Ends the process in order or not, and lets the next one begin after `pause_ms`.
  void restart_operator(int64_t pause_ms);
  // The process dies after its `number`th write, and comes back some time later.
  void stop_after(size_t number);

  void advance(int64_t ms);
  // Until nothing was written for quiet_ms. False if that never comes.
  bool rest();

  // All objects, without what differs from run to run.
  std::string state() const;
  // Writes of the operator: all, and those that changed something.
  size_t writes() const;
  size_t changes() const;
  // Of the operator, that changed something, by "kind ns/name".
  std::map<std::string, int> count(const std::string& verb) const;
  // Every write of everyone, for messages.
  std::vector<std::string> log() const;

 private:
  class Pulsar;
  static ApiServerOptions server_options(ApiServerOptions options);
  void stop_operator();
  void step_until(int64_t wall_ms);

  OperatorClusterOptions options_;
  ManualClock clock_;
  ManualLoop loop_{clock_};
  Rng rng_;
  op::Settings settings_;
  std::unique_ptr<op::Notes> notes_;
  ApiServer server_;
  std::unique_ptr<Rng> operator_rng_;
  std::unique_ptr<op::Cleaner> cleaner_;
  std::unique_ptr<op::Controllers> controllers_;
  bool crashed_ = false;
};

// The last lines of a log, indented.
std::string last_lines(const std::vector<std::string>& log, size_t count = 60);
// Where two states begin to differ, for messages.
std::string first_difference(const std::string& expected, const std::string& found);

}  // namespace fmesh::sim
