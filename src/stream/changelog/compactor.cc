#include "stream/changelog/compactor.h"

#include "stream/changelog/changelog_client.h"

namespace fmesh::stream {

void Compactor::compact(const std::string& topic) {
  const std::lock_guard lock(mutex_);
  if (stopped_) return;
  topics_.insert(topic);
  if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
  changed_.notify_one();
}

void Compactor::work() {
  while (true) {
    std::string topic;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopped_ || !topics_.empty(); });
      if (stopped_) return;
      topic = *topics_.begin();
      topics_.erase(topics_.begin());
    }
    const Status done =
        client_.compact_stream(topic, std::string(kChangelogSubscription), [this] { return stopped_.load(); });
    if (!done && failed_ && !stopped_) failed_(topic, done.error());
  }
}

void Compactor::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    changed_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

}  // namespace fmesh::stream
