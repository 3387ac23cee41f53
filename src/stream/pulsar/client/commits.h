// Carries out commits: appends go out at once, one behind the other; when all of a commit have their receipts, its
// acknowledgements go out and it is done. Commits of one order end in order, and none behind one that failed.
//
// submit() is called from any thread and does there what costs time; the rest is on the client's loop.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <unordered_map>

#include "stream/client.h"
#include "stream/pulsar/client/parts.h"

namespace fmesh::stream::pulsar {

class Commits {
 public:
  explicit Commits(std::shared_ptr<Parts> parts) : parts_(std::move(parts)) {}
  // Of Client::commit().
  static void submit(const std::shared_ptr<Commits>& self, Commit commit, std::function<void(Result<Receipt>)> done);

 private:
  struct Job;
  static Status prepare(Job& job);
  void start(const std::shared_ptr<Job>& job);
  void appended(const std::shared_ptr<Job>& job, size_t index, Result<MessageId> id);
  void end_in_order(CommitOrder* order);
  void finish(Job& job);

  const std::shared_ptr<Parts> parts_;
  // By order; those without one end when they are through.
  std::unordered_map<CommitOrder*, std::deque<std::shared_ptr<Job>>> jobs_;
};

}  // namespace fmesh::stream::pulsar
