// A program of others that runs as a child process: started with its arguments and environment, its lines read, what it
// listens on kept to this machine (listen_guard.h), and ended with all that it started.
//
// One thread per program does all of that and lives as long as it; the kernel ends the program with that thread, so it
// never outlives a host that crashed. The listener is called on that thread.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/result.h"
#include "runtime/child/process.h"

namespace fmesh::local {

struct ChildStart {
  std::vector<std::string> arguments;              // the first is the program, as a path
  std::map<std::string, std::string> environment;  // besides the host's own
  std::string directory;                           // in which it runs
};

struct ChildProgramListener {
  std::function<void(std::string_view)> line;  // what it wrote to standard output or error
  // It runs. `confined`: what it listens on is kept to this machine.
  std::function<void(bool confined)> started;
  // Once, as the last: it is gone, after all it wrote. Errors: it could not be started.
  std::function<void(Result<runtime::Death>)> ended;
};

class ChildProgram {
 public:
  static std::unique_ptr<ChildProgram> start(ChildStart start, ChildProgramListener listener);
  ~ChildProgram();  // kills it and all that it started
  ChildProgram(const ChildProgram&) = delete;
  ChildProgram& operator=(const ChildProgram&) = delete;

  void terminate() const;                    // asks it to end (SIGTERM)
  pid_t pid() const { return pid_.load(); }  // -1: it is not running

 private:
  ChildProgram() = default;
  void run(const ChildStart& start);
  Status spawn(const ChildStart& start, bool confine);
  void attend();

  ChildProgramListener listener_;
  std::atomic<pid_t> pid_ = -1;
  int output_ = -1, process_ = -1, guard_fd_ = -1, stop_ = -1;
  std::thread thread_;
};

// Processor time of a process, its threads that ended included; 0 if it is gone.
int64_t cpu_ns_of(pid_t process);

}  // namespace fmesh::local
