#include "local/subscription_backlog.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "runtime/consumer_options.h"

namespace fmesh::local {
namespace {

int64_t backlog_of(const stream::StreamInfo& stream, const std::string& subscription) {
  for (const auto& one : stream.subscriptions)
    if (one.name == subscription) return one.backlog_records;
  return 0;
}

}  // namespace

Result<int64_t> subscription_backlog(stream::Store& store, const model::InstanceSpec& spec) {
  const stream::ConsumerOptions options = runtime::consumer_options(spec);
  if (!options.topic_pattern.empty()) return subscription_backlog(static_cast<stream::Client&>(store), spec);
  int64_t backlog = 0;
  for (const std::string& topic : options.topics) {
    FMESH_TRY(const std::optional<stream::StreamInfo> stream, store.find_stream(topic));
    if (stream) backlog += backlog_of(*stream, options.subscription);
  }
  return backlog;
}

Result<int64_t> subscription_backlog(stream::Client& client, const model::InstanceSpec& spec) {
  const stream::ConsumerOptions options = runtime::consumer_options(spec);
  FMESH_TRY(const std::vector<stream::StreamInfo> streams, client.list_streams());
  int64_t backlog = 0;
  for (const stream::StreamInfo& stream : streams) {
    // Which streams a pattern means now the subscription itself tells.
    const bool read =
        !options.topic_pattern.empty() || std::ranges::find(options.topics, stream.topic) != options.topics.end();
    if (read) backlog += backlog_of(stream, options.subscription);
  }
  return backlog;
}

}  // namespace fmesh::local
