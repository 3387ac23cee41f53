// A Loop that also waits for sockets: the control plane's one thread. HTTP clients of http_async.h live on it.
#pragma once

#include <memory>
#include <string>

#include "base/loop.h"

namespace fmesh::net {

class IoLoop : public Loop {
 public:
  // Starts its thread.
  static std::unique_ptr<IoLoop> start(const Clock& clock, std::string name);
  ~IoLoop() override = default;
  // Finishes the task at hand, drops the rest, joins the thread. Not from the loop itself.
  virtual void stop() = 0;
};

}  // namespace fmesh::net
