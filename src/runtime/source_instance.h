// An instance that brings records in: it has its connector read batch after batch and commits each together with the
// connector's position, so that a restart resumes exactly behind what is durable.
//
// Lives on its loop; read() runs on a worker unless the connector is non-blocking. Several commits may be on their way
// while the next batch is read.
#pragma once

#include <memory>
#include <string>

#include "runtime/contexts.h"
#include "runtime/lifecycle.h"
#include "runtime/outputs.h"

namespace fmesh::runtime {

// A batch is full at this size; matches what a reader takes at once.
inline constexpr size_t kSourceBatchBytes = 512 * 1024;
inline constexpr uint64_t kSourceBatchRecords = 8192;
// A source that has nothing is asked again after this long, unless it wakes the instance first.
inline constexpr int64_t kSourcePollMs = 1'000;

class SourceInstance final : public Lifecycle {
 public:
  SourceInstance(model::InstanceSpec spec, InstanceEnvironment environment);

 private:
  // Kept alive by the jobs that use it, even if the instance starts anew.
  struct Engine {
    std::unique_ptr<Source> source;
    std::unique_ptr<Outputs> outputs;
    bool in_place = false;
    uint64_t next_number = 0;  // of the records since the source's beginning, if they are numbered
  };

  bool idle() const override;
  Status open() override;
  void close() override;
  void pump() override;
  bool quiet() const override { return !reading_ && in_flight_.commits == 0; }

  struct Opening;
  Status open_all(Opening& opening) const;
  void take_over(Opening& opening);
  void read();
  void read_done(uint64_t token, Result<ReadResult> result, int64_t elapsed_ns, int64_t cpu_ns);
  void tell_source(std::function<void(Source&)> call);

  std::string output_topic_;
  bool replays_ = false;  // see replays()
  InstanceConnectorContext context_;
  std::shared_ptr<stream::StateTable> state_;
  std::shared_ptr<Engine> engine_;
  uint64_t next_token_ = 1;
  uint64_t poll_timer_ = 0;  // the loop's ticket; 0: none
  bool reading_ = false;
  bool waiting_ = false;  // it had nothing; a timer or a wake ends this
  bool ended_ = false;
  InFlight in_flight_;
};

}  // namespace fmesh::runtime
