// Up to which record of each input the state of an instance has seen it, kept in the state itself and changed with it.
// What comes again below that, because its acknowledgement was lost, is done and must not change the state again. Only
// for effectively once where commits are not atomic.
//
// Owned by an instance, on its loop; load() on whatever thread opens streams.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/logic.h"
#include "stream/client.h"

namespace fmesh::runtime {

class Progress {
 public:
  Status load(stream::StateTable& state);
  // Takes what is done out of `entries`; what it returns acknowledges that.
  std::vector<stream::Ack> pass_over(const std::shared_ptr<stream::Consumer>& consumer,
                                     std::vector<stream::ReceivedEntry>& entries);
  // The changes of a commit go with the records that they come from.
  static void add(stream::Commit& commit, const std::shared_ptr<stream::StateTable>& state,
                  std::span<const LogicRecord> records);

 private:
  std::map<std::string, stream::MessageId> done_to_;  // by input with its partition; until it has gone past
};

}  // namespace fmesh::runtime
