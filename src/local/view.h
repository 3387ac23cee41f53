// What the control API sees of this process: a running mesh, or a data directory on which nothing runs (then there is
// no supervisor, and only streams can be looked at and changed).
//
// Used from threads of the HTTP server. Everything it is given outlives it; taps and rates use the control loop.
#pragma once

#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/loop.h"
#include "local/log_ring.h"
#include "local/supervisor.h"
#include "observe/mesh_view.h"
#include "stream/client.h"

namespace fmesh::local {

// Rates are taken over at least this long, and a look older than the other bound is forgotten.
inline constexpr int64_t kRateWindowMinMs = 250;
inline constexpr int64_t kRateWindowMaxMs = 5'000;
inline constexpr int32_t kReplicasMax = 1'024;

// Counters as the API shows them.
observe::InstanceView instance_view(const std::string& component, int32_t id, const runtime::InstanceStats& stats);
observe::ComponentView component_view(const ComponentSnapshot& snapshot);

class View final : public observe::MeshView {
 public:
  // `supervisor` and `logs` are null if nothing runs. `loop`: for taps and for rates.
  View(stream::Client& client, Loop& loop, Supervisor* supervisor, LogRing* logs)
      : client_(client), loop_(loop), supervisor_(supervisor), logs_(logs) {}

  // What does not come from the supervisor: name, files, data directory, process. From any thread.
  void describe(observe::MeshState fixed);
  void set_state(const std::string& state);
  void set_reload_error(const std::string& error);

  void mesh(std::function<void(observe::MeshState)> done) override;
  observe::MeshState mesh_now() override;
  std::optional<std::string> not_ready() override;
  Status scale(const std::string& component, int32_t replicas) override;
  Result<std::vector<observe::LogEntry>> logs(const std::string& component, size_t lines_max) override;
  Result<observe::Following> follow_logs(const std::string& component,
                                         std::function<bool(const observe::LogEntry&)> each) override;
  Result<std::vector<observe::StreamView>> streams() override;
  Result<std::vector<observe::RecordLine>> peek(const std::string& topic, const std::string& from,
                                                size_t records_max) override;
  Result<observe::Following> tap(const std::string& topic,
                                 std::function<bool(const observe::RecordLine&)> each) override;
  void publish(const std::string& topic, std::vector<observe::NewRecord> records,
               std::function<void(Result<std::vector<std::string>>)> done) override;
  Status seek(const std::string& topic, const observe::Seek& seek) override;
  Status create_stream(const std::string& topic, const observe::NewStream& stream) override;
  Status remove_stream(const std::string& topic) override;

 private:
  struct Totals {
    int64_t received = 0, written = 0, errors = 0, cpu_ns = 0;
  };
  struct Sample {
    int64_t time_ns = 0;
    std::map<std::string, Totals> components;
  };

  Sample sample_of(const observe::MeshState& state) const;
  // A sample old enough to take rates from, or nothing.
  bool fill_rates(observe::MeshState& state);
  Status check_component(const std::string& component) const;

  stream::Client& client_;
  Loop& loop_;
  Supervisor* supervisor_;
  LogRing* logs_;
  std::mutex mutex_;
  observe::MeshState fixed_;
  std::deque<Sample> samples_;  // oldest first, within kRateWindowMaxMs
};

// CPU time of this process, and its anonymous resident memory in bytes.
int64_t process_cpu_ns();
int64_t process_memory_bytes();

}  // namespace fmesh::local
