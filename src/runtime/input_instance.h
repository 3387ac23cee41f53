// An instance that reads streams: a function or a sink. It polls entries, has its stage work on them, and commits
// outputs, acknowledgements and state changes together. What fails is tried again: behind the others where order does
// not matter, in place where it does.
//
// Lives on its loop. While a batch is with a worker, the batch and the stage belong to that worker.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/batch.h"
#include "runtime/contexts.h"
#include "runtime/effects.h"
#include "runtime/lifecycle.h"
#include "runtime/outputs.h"
#include "runtime/pace.h"
#include "runtime/progress.h"
#include "runtime/stage.h"

namespace fmesh::runtime {

// Waits between attempts at a record that is tried again in place.
inline constexpr int64_t kRetryDelayMinMs = 100;
inline constexpr int64_t kRetryDelayMaxMs = 60'000;
// A worker that is held longer than this is reported as stuck, unless timeoutMs says otherwise.
inline constexpr int64_t kStuckAfterMs = 60'000;

class InputInstance final : public Lifecycle {
 public:
  InputInstance(model::InstanceSpec spec, InstanceEnvironment environment);

 private:
  // One batch on its way: the records [begin, end) are still to be done.
  struct Work {
    explicit Work(std::vector<stream::ReceivedEntry> entries)
        : batch(std::move(entries)), end(batch.records().size()) {}
    Batch batch;
    size_t begin = 0;
    size_t end;
    size_t step = SIZE_MAX;  // records per run; 1 once a failure could not be undone otherwise
    int attempts = 0;        // at the record `begin`, or at the batch for a sink that is away
  };
  // What is used while a batch runs, kept alive by the job even if the instance starts anew.
  struct Engine {
    std::unique_ptr<Outputs> outputs;
    std::unique_ptr<Effects> effects;
    std::shared_ptr<Stage> stage;
    bool in_place = false;
  };

  bool idle() const override;
  Status open() override;
  void close() override;
  void pump() override;
  bool quiet() const override;

  struct Opening;
  Status make_stage(Engine& engine);
  Status open_all(Opening& opening) const;
  void take_over(Opening& opening);
  void keep_first_position();
  Status check_guarantee() const;
  void take(std::vector<stream::ReceivedEntry> entries);
  void acknowledge_first(size_t count);
  void release_idle_producers();
  void run();
  void ran(const Status& status, int64_t elapsed_ns, int64_t cpu_ns, size_t ran_to);
  bool commit_run(size_t done_to);
  Status handle_failures(size_t done_to, std::vector<size_t>& not_acked);
  Status dead_letter(size_t index, std::string_view text);
  void report_unreadable();
  void hand_over(size_t from);
  void drop_work();
  void wait_and_retry(std::string_view why);
  void submit(stream::Commit commit, int64_t records, std::function<void()> then = nullptr);
  void observe_consumer();
  void observe_run(int64_t records, int64_t elapsed_ns, int64_t cpu_ns);
  // "record 12:5:-1:3 of persistent://public/default/orders"
  std::string name_of(size_t index) const;

  bool is_sink_ = false;
  bool ordered_ = false;  // failed records are tried again in place
  bool replays_ = false;  // see replays()
  bool manual_ = false, at_most_once_ = false, framework_acks_ = true;
  int max_retries_ = -1;  // -1: for ever
  std::string subscription_, output_topic_, dead_letter_topic_;
  InstanceLogicContext logic_context_;
  InstanceConnectorContext connector_context_;

  std::shared_ptr<stream::Consumer> consumer_;
  std::shared_ptr<stream::StateTable> state_;
  Progress progress_;
  std::shared_ptr<Engine> engine_;
  std::shared_ptr<Work> work_;
  Pace pace_{false};
  bool processing_ = false;
  bool waiting_ = false;  // for the time of a retry in place, or for what has to be confirmed first
  InFlight in_flight_;
};

}  // namespace fmesh::runtime
