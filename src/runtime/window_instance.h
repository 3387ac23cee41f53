// A function that takes windows. Records stay unacknowledged until the last window that holds them has fired and its
// output is durable, so that a restart builds the open windows again from what is delivered again. How far windows have
// fired is stored in the same commit.
//
// Lives on its loop; one window is worked on at a time.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <unordered_map>

#include "runtime/batch.h"
#include "runtime/contexts.h"
#include "runtime/effects.h"
#include "runtime/lifecycle.h"
#include "runtime/outputs.h"
#include "runtime/window.h"

namespace fmesh::runtime {

// Records that may lie in open windows, per instance; they are kept in memory.
inline constexpr size_t kWindowRecordsMax = 1'000'000;

class WindowInstance final : public Lifecycle {
 public:
  WindowInstance(model::InstanceSpec spec, InstanceEnvironment environment, WindowOptions options);
  void end_of_input() override;

 private:
  struct Engine {
    std::unique_ptr<Outputs> outputs;
    std::unique_ptr<Effects> effects;
    std::unique_ptr<Logic> logic;
    bool in_place = false;
  };
  // A record in an open window: where it is in which batch.
  struct Held {
    std::shared_ptr<Batch> batch;
    size_t index;
  };

  bool idle() const override;
  Status open() override;
  void close() override;
  void pump() override;
  bool quiet() const override { return !processing_ && !waiting_ && in_flight_.commits == 0; }

  struct Opening;
  Status open_all(Opening& opening) const;
  void take_over(Opening& opening);
  void take(std::vector<stream::ReceivedEntry> entries);
  int64_t time_of(const LogicRecord& record) const;
  Status late(const Batch& batch, size_t index, stream::Commit& commit);
  void queue(std::vector<Windows::Fired> fired);
  void work();
  void ran();
  void commit_window();
  void submit(stream::Commit commit);
  void acknowledge(const Held& held, stream::Commit& commit) const;
  void arm_timer();

  WindowOptions options_;
  std::string subscription_, output_topic_, dead_letter_topic_, progress_key_;
  int max_retries_ = -1;
  InstanceLogicContext context_;
  std::shared_ptr<stream::Consumer> consumer_;
  std::shared_ptr<stream::StateTable> state_;
  std::shared_ptr<Engine> engine_;
  std::unique_ptr<Windows> windows_;
  std::unordered_map<Windows::Ticket, Held> held_;
  Windows::Ticket next_ticket_ = 0;
  std::deque<Windows::Fired> due_;    // complete, not worked on yet
  std::vector<LogicRecord> at_work_;  // of due_.front()
  int attempts_ = 0;
  bool processing_ = false, waiting_ = false, starved_ = false, timer_armed_ = false;
  InFlight in_flight_;
};

}  // namespace fmesh::runtime
