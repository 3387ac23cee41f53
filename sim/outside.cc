#include "sim/outside.h"

#include <algorithm>

#include "base/hash.h"

namespace fmesh::sim {
namespace {

constexpr uint64_t kKeys = 12;
constexpr uint64_t kRecordsPerEntryMax = 5;

}  // namespace

Outside::Outside(const Topology& topology, uint64_t records_max) : records_max_(records_max) {
  for (const StreamPlan& plan : topology.streams)
    if (plan.is_source) {
      Source& source = sources_.emplace_back();
      source.plan = plan;
      source.lanes.resize(static_cast<size_t>(std::max(plan.partitions, 1)));
    }
}

Status Outside::attach(stream::Client& client) {
  for (Source& source : sources_) {
    stream::ProducerOptions options;
    options.topic = source.plan.topic;
    options.name = "outside";
    options.deduplicate = true;
    FMESH_TRY(source.producer, client.open_producer(options));
    for (Lane& lane : source.lanes) lane.in_flight = false;
  }
  attachment_ = std::make_shared<int>();
  client_ = &client;
  return {};
}

void Outside::detach() {
  attachment_.reset();
  for (Source& source : sources_) source.producer.reset();
}

void Outside::fill(Lane& lane, size_t number, size_t lanes, Rng& rng) {
  const uint64_t wanted = 1 + rng.below(kRecordsPerEntryMax);
  for (int tries = 0; tries < 64 && lane.pending.size() < wanted && records_ < records_max_; ++tries) {
    const std::string key = "k" + std::to_string(rng.below(kKeys));
    if (murmur3_32(key) % lanes != number) continue;
    lane.pending.emplace_back(key, "r" + std::to_string(records_++));
  }
}

void Outside::publish(Rng& rng, int64_t now_ms) {
  Source& source = sources_[rng.below(sources_.size())];
  const size_t number = rng.below(source.lanes.size());
  Lane& lane = source.lanes[number];
  if (lane.in_flight || !source.producer) return;
  if (lane.pending.empty()) fill(lane, number, source.lanes.size(), rng);
  if (lane.pending.empty()) return;
  stream::EntryBuilder builder(source.producer->name(), stream::Compression::kNone);
  uint64_t sequence_id = lane.next_sequence_id;
  for (const auto& [key, payload] : lane.pending) {
    stream::RecordView record;
    record.payload = payload;
    record.has_key = true;
    record.key = key;
    record.sequence_id = sequence_id++;
    builder.add(record);
  }
  stream::Commit commit;
  commit.appends.push_back({source.producer, static_cast<int32_t>(number), builder.finish(now_ms),
                            static_cast<uint32_t>(lane.pending.size()), sequence_id - 1});
  lane.in_flight = true;
  client_->commit(std::move(commit), [this, &source, &lane,
                                      weak = std::weak_ptr<int>(attachment_)](const Result<stream::Receipt>& receipt) {
    if (!weak.expired()) answered(source, lane, receipt);
  });
}

void Outside::answered(Source& source, Lane& lane, const Result<stream::Receipt>& receipt) {
  lane.in_flight = false;
  if (!receipt) return;  // it is sent again
  for (const auto& [key, payload] : lane.pending) acknowledged_[source.plan.topic][payload] = 1;
  lane.next_sequence_id += lane.pending.size();
  lane.pending.clear();
}

bool Outside::done() const {
  const auto waits = [](const Lane& lane) { return lane.in_flight || !lane.pending.empty(); };
  return records_ == records_max_ &&
         std::ranges::none_of(sources_, [&](const Source& s) { return std::ranges::any_of(s.lanes, waits); });
}

}  // namespace fmesh::sim
