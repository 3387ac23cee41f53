#include "stream/pulsar/client/commits.h"

#include <algorithm>
#include <set>
#include <utility>

#include "stream/pulsar/client/consumer.h"
#include "stream/pulsar/client/producer.h"

namespace fmesh::stream::pulsar {

struct Commits::Job {
  struct Part {
    std::shared_ptr<PulsarProducer> producer;
    std::shared_ptr<PartitionProducer> partition;
    Sending sending;
    size_t size_bytes = 0;
  };
  Commit commit;
  std::function<void(Result<Receipt>)> done;
  std::vector<Part> parts;
  Receipt receipt;
  size_t left = 0;  // appends without an answer
  Status status;

  ~Job() {
    // The client ended before it came to this one.
    if (done) done(fail(ErrorKind::kClosed, "the client was closed before the commit was done"));
  }
  bool is_void() const {
    return (commit.order && commit.order->is_broken) ||
           std::ranges::any_of(commit.relies_on, [](const auto& order) { return order->is_broken.load(); });
  }
};

// The head of each frame holds a checksum over its entry, so this is where most of the time goes.
Status Commits::prepare(Job& job) {
  if (!job.commit.changes.empty()) {
    return fail(ErrorKind::kFixInput, "a state change on a topic: state is kept beside the topics");
  }
  job.parts.reserve(job.commit.appends.size());
  for (const Append& append : job.commit.appends) {
    Job::Part part;
    part.producer = std::dynamic_pointer_cast<PulsarProducer>(append.producer);
    if (!part.producer) return fail(ErrorKind::kBug, "an append names no producer of this client");
    part.partition = part.producer->partition(append.partition);
    if (!part.partition) {
      return fail(ErrorKind::kBug,
                  "stream " + part.producer->topic() + " has no partition " + std::to_string(append.partition));
    }
    FMESH_TRY(part.sending, part.partition->prepare(append.entry, append.record_count));
    part.size_bytes = part.sending.size_bytes();
    job.parts.push_back(std::move(part));
  }
  for (const Ack& ack : job.commit.acks) {
    if (std::dynamic_pointer_cast<PulsarConsumer>(ack.consumer)) continue;
    return fail(ErrorKind::kBug, "an acknowledgement names no consumer of this client");
  }
  for (const Job::Part& part : job.parts) part.producer->began(part.size_bytes);
  return {};
}

void Commits::submit(const std::shared_ptr<Commits>& self, Commit commit, std::function<void(Result<Receipt>)> done) {
  auto job = std::make_shared<Job>();
  job->commit = std::move(commit);
  job->done = std::move(done);
  job->status = prepare(*job);
  if (!job->status) job->parts.clear();
  self->parts_->loop.post([self, job = std::move(job)] { self->start(job); });
}

void Commits::start(const std::shared_ptr<Job>& job) {
  if (job->status && job->is_void()) job->status = fail(ErrorKind::kRetryLater, "a commit before this one failed");
  if (!job->status && job->commit.order) job->commit.order->is_broken = true;
  CommitOrder* const order = job->commit.order.get();
  if (order != nullptr) jobs_[order].push_back(job);
  job->receipt.ids.resize(job->parts.size());
  job->left = job->parts.size() + 1;
  const bool sends = job->status.has_value();
  for (size_t i = 0; i < job->parts.size(); ++i) {
    Job::Part& part = job->parts[i];
    if (!sends) {
      appended(job, i, fail(job->status.error()));
      continue;
    }
    part.sending.done = [self = this, job, i](Result<MessageId> id) { self->appended(job, i, std::move(id)); };
    part.partition->send(std::exchange(part.sending, {}));
  }
  --job->left;
  if (job->left > 0) return;
  if (order != nullptr) return end_in_order(order);
  finish(*job);
}

void Commits::appended(const std::shared_ptr<Job>& job, size_t index, Result<MessageId> id) {
  job->parts[index].producer->ended(job->parts[index].size_bytes);
  if (id) {
    job->receipt.ids[index] = *id;
  } else if (job->status) {
    job->status = fail(std::move(id).error());
    if (job->commit.order) job->commit.order->is_broken = true;
  }
  if (--job->left > 0) return;
  if (job->commit.order) return end_in_order(job->commit.order.get());
  finish(*job);
}

void Commits::end_in_order(CommitOrder* order) {
  while (true) {
    const auto found = jobs_.find(order);
    if (found == jobs_.end() || found->second.empty() || found->second.front()->left > 0) return;
    const std::shared_ptr<Job> job = found->second.front();
    found->second.pop_front();
    if (found->second.empty()) jobs_.erase(found);
    finish(*job);
  }
}

void Commits::finish(Job& job) {
  const auto done = std::exchange(job.done, nullptr);
  if (!done) return;
  // What it was tied to may have failed meanwhile; its appends are there all the same.
  if (job.status &&
      std::ranges::any_of(job.commit.relies_on, [](const auto& order) { return order->is_broken.load(); })) {
    job.status = fail(ErrorKind::kRetryLater, "a commit that this one relies on failed");
  }
  if (!job.status) {
    if (job.commit.order) job.commit.order->is_broken = true;
    return done(fail(job.status.error()));
  }
  std::set<std::shared_ptr<ConsumerCore>> touched;
  for (const Ack& ack : job.commit.acks) {
    const auto core = static_cast<PulsarConsumer&>(*ack.consumer).core();
    core->acknowledge(ack);
    if (job.commit.confirm_acks) touched.insert(core);
  }
  if (touched.empty()) return done(std::move(job.receipt));
  const auto left = std::make_shared<size_t>(touched.size());
  for (const auto& core : touched) {
    core->confirm([left, done, receipt = job.receipt] {
      if (--*left == 0) done(receipt);
    });
  }
}

}  // namespace fmesh::stream::pulsar
