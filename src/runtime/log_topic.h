// The log topic of a component: each line that its function, connector or instance logs is also a record of a stream,
// as Pulsar's instances do it (facts: pulsar.md 6.10): the payload is the text, properties name level, component and
// instance.
//
// write() comes from any thread; the rest belongs to the loop of the instance. Lines wait in a bounded queue, so that a
// stream that takes no more never holds up the records; what is dropped is counted and told with the next line.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "runtime/instance.h"

namespace fmesh::runtime {

// Lines that wait to be written, per instance.
inline constexpr size_t kLogTopicLinesMax = 1'000;
// How long a line waits for others to share its entry, as Pulsar's appender does.
inline constexpr int64_t kLogTopicDelayMs = 100;

class LogTopic {
 public:
  // `fqn` is the component's full name. The stream is made with the first line, so an instance that logs nothing costs
  // nothing. `on_written` is called on the loop when no line waits any more.
  LogTopic(std::string topic, std::string fqn, const InstanceEnvironment& environment,
           std::function<void()> on_written);
  // Drops what waits.
  ~LogTopic();
  LogTopic(const LogTopic&) = delete;
  LogTopic& operator=(const LogTopic&) = delete;

  void write(const LogLine& line);
  // Sends what waits without waiting for more.
  void flush();
  // True if no line waits or is on its way to the disk.
  bool idle() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace fmesh::runtime
