// What ties the commits of one instance together.
#pragma once

#include <atomic>

namespace fmesh::stream {

// Commits that share an order are carried out in the order of the calls up to the first that fails; those behind it
// fail as well, as they may build on it: on its outputs where order is promised, on its state changes always. Whoever
// goes on afterwards does so with a new order, from what is durable.
struct CommitOrder {
  std::atomic<bool> is_broken{false};
};

}  // namespace fmesh::stream
