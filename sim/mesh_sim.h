// A mesh under a seed: sources, functions and sinks of random shape run by the real instances on the real log, on a
// disk in memory that fails and loses power, with a clock and a loop that the simulation moves by hand. One seed gives
// one run, down to the last byte.
//
// What must hold is checked at the end, function by function, from what its streams really contain: see check().
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/loop.h"
#include "base/rng.h"
#include "runtime/instance.h"
#include "runtime/logic.h"
#include "runtime/worker_pool.h"
#include "sim/memory_disk.h"
#include "stream/log/log.h"

namespace fmesh::sim {

enum class Promise : uint8_t { kAtLeastOnce, kAtMostOnce, kEffectivelyOnce };

struct SimSource {
  std::string name, output;
  int records = 0;
  int keys = 1;
};

// Reads streams, appends "/<name>" to each payload, counts in its state. What it does beyond that is drawn per seed.
struct SimFunction {
  std::string name;
  std::vector<std::string> inputs;
  std::string output;
  std::string loop_back;     // a record goes there, and so around, until it has been here kRounds times; empty: no
  std::string side;          // every third record goes there as well
  std::string dead_letters;  // empty: it tries for ever, and nothing fails for good
  Promise promise = Promise::kAtLeastOnce;
  bool key_ordered = false;
  bool ordered = false;
  bool blocking = false;
  int instances = 1;
  int window = 0;  // records per window; 0: none

  // State is shared by the instances of a function; a key of it must belong to one of them.
  bool keeps_state() const { return instances == 1 || ordered || key_ordered; }
};

struct SimSink {
  std::string name, input;
  bool has_position = false;
  int instances = 1;
};

// How often a record that goes around is processed by the function that sends it around.
inline constexpr int kRounds = 3;

// What the outside keeps, whatever happens to the process: attempts at failing records, and what sinks have written.
struct Outside {
  uint64_t seed = 0;
  std::map<std::string, int> attempts;
  std::map<std::string, std::vector<std::string>> written;  // by sink instance
  std::map<std::string, SimSource> sources;
  std::map<std::string, SimFunction> functions;
  std::map<std::string, SimSink> sinks;
  std::map<std::string, int> partitions;  // by stream
  std::set<std::string> of_windows;       // streams whose records are windows, or come from such

  // Whether `function` fails this record for good, and how often before it lets it through.
  bool fails_for_good(const SimFunction& function, const std::string& payload) const;
  // "s0:17/f1" -> "s0k2": the key that its source gave it; of a window, that of its first record.
  std::string key_of(const std::string& payload) const;
  bool goes_aside(const std::string& payload) const;
  int failures_before(const SimFunction& function, const std::string& payload) const;
};

class MeshSim {
 public:
  explicit MeshSim(uint64_t seed);
  ~MeshSim();

  // Runs to the end. Returns what was broken, nothing if all held.
  std::vector<std::string> run();
  // A hash of all streams, states and sinks, and of how many steps it took: equal for equal seeds.
  uint64_t trace() const { return trace_; }
  // The shape of the mesh and what was done to it, for people.
  const std::string& story() const { return story_; }

 private:
  struct Running {
    model::InstanceSpec spec;
    std::unique_ptr<runtime::Instance> instance;
  };

  void draw();
  void draw_function(int index, const std::vector<std::string>& streams, const std::string& output);
  std::vector<model::InstanceSpec> specs() const;
  bool open();
  runtime::InstanceEnvironment environment();
  void close();
  void start_all();
  void crash();
  void plan_fault();
  void disturb();
  bool step();
  void round();
  void finish();
  void check();
  void check_function(const SimFunction& function);
  void check_order(const SimFunction& function, const std::vector<std::string>& out);
  void check_windows(const SimFunction& function);
  void check_sink(const SimSink& sink);
  void broken(const std::string& text);
  void tell(const std::string& text);
  // All payloads, partition after partition.
  std::vector<std::string> content(const std::string& stream);
  int64_t counter(const std::string& function, const std::string& key);

  Rng rng_;
  Outside outside_;
  std::string state_directory_;
  std::unique_ptr<MemoryDisk> disk_ = std::make_unique<MemoryDisk>();
  std::unique_ptr<Disk> process_;  // the disk as the present process sees it
  ManualClock clock_;
  std::unique_ptr<ManualLoop> loop_;
  std::unique_ptr<runtime::WorkerPool> workers_;
  std::unique_ptr<stream::log::Log> log_;
  std::vector<Running> running_;
  std::vector<std::string> broken_;
  std::string story_;
  uint64_t trace_ = 14695981039346656037ULL;
  uint64_t steps_ = 0;
};

// The connectors and the logic that a simulated mesh runs look here.
Outside*& outside();
Result<std::unique_ptr<runtime::Logic>> make_sim_logic(const model::InstanceSpec& spec);

}  // namespace fmesh::sim
