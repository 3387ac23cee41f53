// Tells people what happened to an object, as Events (events.k8s.io/v1) that `kubectl describe` shows. What happens
// again and again is one Event with a series, not many; each object and all together have a budget; what exceeds it, or
// meets a server that is busy, is dropped and counted. Telling never waits and never fails.
//
// Belongs to its loop.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/loop.h"
#include "base/rng.h"
#include "kube/api.h"
#include "kube/object.h"

namespace fmesh::kube {

struct EventRecorderOptions {
  std::string controller = "functionmesh.io/fmesh-operator";  // reportingController: a qualified name
  std::string instance;                                       // reportingInstance: the pod's name
};

inline constexpr size_t kEventsWaitingMax = 1'000;      // to be written; more are dropped
inline constexpr size_t kEventSeriesMax = 4'096;        // remembered; the longest unheard of goes first
inline constexpr size_t kEventNoteMaxBytes = 1'024;     // the API server's limit
inline constexpr int64_t kEventSeriesMs = 6 * 60'000;   // what is not heard of for so long is over
inline constexpr int64_t kEventSeriesWriteMs = 60'000;  // a series that goes on is written so often
inline constexpr int kEventsPerObject = 25;             // at once, and then
inline constexpr int64_t kEventPerObjectMs = 60'000;    // one in that time
inline constexpr int kEventsPerSecond = 20;             // of all objects

struct EventCounts {
  uint64_t written = 0, repeated = 0, dropped = 0;
};

class EventRecorder {
 public:
  static std::unique_ptr<EventRecorder> start(Api& api, Loop& loop, Rng& rng, EventRecorderOptions options);
  virtual ~EventRecorder() = default;  // what was not written is not written
  // `reason` and `action` in CamelCase ("ScaledDown", "Scale"); `note` is for people and is cut to kEventNoteMaxBytes.
  virtual void record(const ResourceType& type, const ObjectPtr& about, bool warning, const std::string& reason,
                      const std::string& action, const std::string& note) = 0;
  virtual const EventCounts& counts() const = 0;
};

}  // namespace fmesh::kube
