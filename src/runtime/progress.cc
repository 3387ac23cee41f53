#include "runtime/progress.h"

#include <utility>

namespace fmesh::runtime {
namespace {

constexpr std::string_view kPrefix = "__input/";

std::string stream_of(std::string_view topic, int32_t partition) {
  return std::string(topic) + (partition < 0 ? "" : "-partition-" + std::to_string(partition));
}

}  // namespace

Status Progress::load(stream::StateTable& state) {
  return state.scan(kPrefix, [this](std::string_view key, std::string_view value) {
    const auto id = stream::parse_message_id(value);
    if (id) done_to_[std::string(key.substr(kPrefix.size()))] = *id;
    return true;
  });
}

std::vector<stream::Ack> Progress::pass_over(const std::shared_ptr<stream::Consumer>& consumer,
                                             std::vector<stream::ReceivedEntry>& entries) {
  std::vector<stream::Ack> acks;
  if (done_to_.empty()) return acks;
  for (stream::ReceivedEntry& entry : entries) {
    const auto found = done_to_.find(stream_of(*entry.topic, entry.id.partition));
    if (found == done_to_.end()) continue;
    const stream::MessageId last = found->second;
    if (std::pair(entry.id.ledger, entry.id.entry) > std::pair(last.ledger, last.entry)) {
      done_to_.erase(found);
      continue;
    }
    const bool partly = entry.id.ledger == last.ledger && entry.id.entry == last.entry;
    stream::AckSet done = stream::AckSet::none(entry.record_count), left = done;
    for (uint32_t index = 0; index < entry.record_count; ++index) {
      if (entry.records.has(index)) (partly && static_cast<int32_t>(index) > last.batch_index ? left : done).add(index);
    }
    if (done.count(entry.record_count) == 0) continue;
    acks.push_back({consumer, entry.id, partly ? done : entry.records, false});
    entry.records = std::move(left);
  }
  std::erase_if(entries, [](const auto& entry) { return entry.records.count(entry.record_count) == 0; });
  return acks;
}

void Progress::add(stream::Commit& commit, const std::shared_ptr<stream::StateTable>& state,
                   std::span<const LogicRecord> records) {
  if (commit.changes.empty()) return;
  std::map<std::string, stream::MessageId> last;
  for (const LogicRecord& record : records) last[stream_of(record.topic, record.id.partition)] = record.id;
  for (const auto& [stream, id] : last) {
    const std::string key = std::string(kPrefix) + stream;
    const std::string value = stream::to_string(id);
    static_cast<void>(state->put(key, value));
    commit.changes.push_back({state, key, value});
  }
}

}  // namespace fmesh::runtime
