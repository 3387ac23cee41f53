#include <algorithm>
#include <utility>

#include "stream/pulsar/server/broker_private.h"

namespace fmesh::stream::pulsar::server {
namespace {
// A client connects anew within its backoff; one that has gone for good leaves nothing behind.
constexpr int64_t kReaderPlaceNs = int64_t{60} * 1'000'000'000;
}  // namespace

Broker::Broker(std::shared_ptr<net::IoLoop> loop, Store& store, BrokerOptions options)
    : loop_(std::move(loop)),
      store_(store),
      options_(std::move(options)),
      access_(options_.access),
      topics_(store, options_.partitions),
      worker_(loop_->clock(), "pulsar worker") {}

std::shared_ptr<TopicState> Broker::live(const TopicPlace& place) {
  auto& state = live_[place.topic()];
  if (!state) {
    state = std::make_shared<TopicState>();
    state->place = place;
    state->name = place.topic();
  }
  return state;
}

std::shared_ptr<TopicState> Broker::find_live(const std::string& topic) const {
  const auto found = live_.find(topic);
  return found == live_.end() ? nullptr : found->second;
}

void Broker::tidy(const std::string& topic) {
  const auto found = live_.find(topic);
  if (found == live_.end()) return;
  const TopicState& state = *found->second;
  if (state.producers.empty() && state.waiting.empty() && state.consumers.empty()) live_.erase(found);
}

bool Broker::has_consumers(const std::string& stream, const std::string& subscription) const {
  return std::ranges::any_of(live_, [&](const auto& one) {
    return one.second->place.stream == stream && one.second->consumers.contains(subscription);
  });
}

void Broker::keep_reader_place(const std::string& topic, const std::string& subscription, const MessageId& place) {
  const int64_t now_ns = clock().monotonic_ns();
  std::erase_if(reader_places_, [&](const auto& one) { return one.second.until_ns < now_ns; });
  reader_places_[{topic, subscription}] = {place, now_ns + kReaderPlaceNs};
}

std::optional<MessageId> Broker::take_reader_place(const std::string& topic, const std::string& subscription) {
  const auto found = reader_places_.find({topic, subscription});
  if (found == reader_places_.end()) return std::nullopt;
  const ReaderPlace kept = found->second;
  reader_places_.erase(found);
  if (kept.until_ns < clock().monotonic_ns()) return std::nullopt;
  return kept.place;
}

std::function<void(Task)> Broker::poster() const {
  // The loop is held, since the store may call after the server has gone; a stopped loop drops what is posted to it.
  return [loop = loop_](Task task) { loop->post(std::move(task)); };
}

}  // namespace fmesh::stream::pulsar::server
