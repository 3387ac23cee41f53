// A client of ApiServer: one process after the other. Private to the simulator.
#pragma once

#include <cstdint>
#include <string>

#include "sim/kube/api_server.h"

namespace fmesh::sim {

struct ApiServer::Client {
  std::string name;
  uint64_t generation = 1;  // of its process: what an earlier one sent gets no answer
  bool cut = false;
};

}  // namespace fmesh::sim
