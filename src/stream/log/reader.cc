#include "stream/log/reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "stream/log/record_sets.h"

namespace fmesh::stream::log {

Result<std::shared_ptr<ReadOnlyConsumer>> ReadOnlyConsumer::open(std::shared_ptr<Core> core, ConsumerOptions options) {
  std::shared_ptr<ReadOnlyConsumer> reader(new ReadOnlyConsumer(core, std::move(options)));
  if (!reader->options_.topic_pattern.empty()) {
    FMESH_TRY(reader->pattern_, parse_topic_pattern(reader->options_.topic_pattern));
  }
  std::vector<std::shared_ptr<Stream>> streams;
  for (const std::string& topic : reader->options_.topics) {
    FMESH_TRY(const TopicName name, TopicName::parse(topic));
    std::lock_guard guard(core->lock);
    auto stream = core->tables.find(name.full());
    // Looking must not make a stream.
    if (!stream) return fail(ErrorKind::kFixInput, fmt::format("there is no stream {}", name.full()));
    if (reader->options_.partition >= static_cast<int32_t>(stream->partitions.size()))
      return fail(ErrorKind::kFixInput,
                  fmt::format("stream {} has {} partitions, partition {} is not one of them", name.full(),
                              stream->options.partitions, reader->options_.partition));
    streams.push_back(std::move(stream));
  }
  std::lock_guard guard(core->lock);
  if (core->closed()) return fail(core->closed_error());
  if (reader->pattern_)
    for (const auto& [topic, stream] : core->tables.streams())
      if (std::regex_match(topic, *reader->pattern_)) streams.push_back(stream);
  for (const auto& stream : streams) reader->add(stream, reader->options_.position == InitialPosition::kLatest);
  if (reader->pattern_) core->pattern_readers.push_back(reader.get());
  return reader;
}

void ReadOnlyConsumer::add(const std::shared_ptr<Stream>& stream, bool from_now) {
  const auto is_here = [&](const Place& place) { return place.stream == stream; };
  if (std::ranges::any_of(places_, is_here)) return;
  for (size_t i = 0; i < stream->partitions.size(); ++i)
    if (options_.partition < 0 || static_cast<size_t>(options_.partition) == i)
      places_.push_back({stream, i, stream->partitions[i].id, from_now ? stream->partitions[i].end : 0, 0});
  core_->readers[stream.get()].push_back(this);
}

void ReadOnlyConsumer::join_if_matching(const std::shared_ptr<Stream>& stream) {
  if (pattern_ && !closed_ && std::regex_match(*stream->topic, *pattern_)) add(stream, false);
}

bool ReadOnlyConsumer::ready() const {
  return std::ranges::any_of(
      places_, [](const Place& place) { return place.next < place.stream->partitions[place.partition].end; });
}

std::function<void()> ReadOnlyConsumer::take_wake_if_ready() {
  return wake_ && ready() ? std::exchange(wake_, nullptr) : nullptr;
}

Result<std::vector<ReceivedEntry>> ReadOnlyConsumer::poll(PollLimits limits) {
  std::vector<Place> places;
  std::vector<uint64_t> ends;
  {
    std::lock_guard guard(core_->lock);
    if (closed_ || core_->closed()) return fail(ErrorKind::kClosed, "the reader is closed");
    places = places_;
    for (const Place& place : places) ends.push_back(place.stream->partitions[place.partition].end);
  }
  std::vector<ReceivedEntry> received;
  std::optional<Error> error;
  uint64_t records = 0;
  size_t bytes = 0;
  const size_t turn = turn_++;
  for (size_t i = 0; i < places.size() && !error; ++i) {
    const size_t index = (turn + i) % places.size();
    Place& place = places[index];
    if (place.next >= ends[index]) continue;
    if (!received.empty() && (records >= limits.records_max || bytes >= limits.size_max_bytes)) break;
    if (const uint64_t begin = core_->journal().begin(place.id); begin > place.next) {
      place.next = begin;
      place.first_record = 0;
    }
    const auto entries = core_->journal().read(
        place.id, place.next, std::max<size_t>(limits.size_max_bytes - std::min(bytes, limits.size_max_bytes), 1));
    if (!entries) {
      error = entries.error().within(fmt::format("stream {}, entry {}", *place.stream->topic, place.next));
      if (entries.error().kind() == ErrorKind::kCorrupt) ++place.next;
      break;
    }
    for (const SharedBytes& entry_bytes : *entries) {
      if (place.next >= ends[index]) break;
      const auto info = read_entry_info(entry_bytes.view());
      if (!info) {
        error = info.error().within(fmt::format("stream {}, entry {}", *place.stream->topic, place.next));
        ++place.next;
        break;
      }
      if (!received.empty() && records + info->record_count > limits.records_max) break;
      ReceivedEntry entry;
      entry.id = {ledger_of(place.id), static_cast<int64_t>(place.next),
                  place.stream->partitions[place.partition].index, -1};
      entry.topic = place.stream->topic;
      entry.bytes = entry_bytes;
      entry.record_count = info->record_count;
      if (place.first_record > 0 && place.first_record < info->record_count)
        entry.records = records_between(place.first_record, info->record_count - 1, info->record_count);
      place.first_record = 0;
      records += info->record_count;
      bytes += entry_bytes.size();
      received.push_back(std::move(entry));
      ++place.next;
    }
  }
  {
    std::lock_guard guard(core_->lock);
    for (size_t i = 0; i < places.size(); ++i) places_[i] = places[i];
  }
  if (!error) return received;
  if (received.empty()) return fail(std::move(*error));
  return received;
}

void ReadOnlyConsumer::notify(std::function<void()> wake) {
  {
    std::lock_guard guard(core_->lock);
    if (!closed_ && !ready()) {
      wake_ = std::move(wake);
      return;
    }
    wake_ = nullptr;
  }
  if (wake) wake();
}

Status ReadOnlyConsumer::seek(const MessageId& id) {
  std::lock_guard guard(core_->lock);
  bool moved = false;
  for (Place& place : places_) {
    if (id == MessageId::earliest()) {
      place.next = 0;
    } else if (id == MessageId::latest()) {
      place.next = place.stream->partitions[place.partition].end;
    } else if (id.ledger == ledger_of(place.id) && id.entry >= 0) {
      place.next = static_cast<uint64_t>(id.entry);
    } else {
      continue;
    }
    const bool inside = id != MessageId::latest() && id.batch_index > 0;
    place.first_record = inside ? static_cast<uint32_t>(id.batch_index) : 0;
    moved = true;
  }
  if (moved) return {};
  return fail(ErrorKind::kFixInput,
              fmt::format("{} is no place in the streams of this reader; give an id that was read from "
                          "them, earliest or latest",
                          to_string(id)));
}

Status ReadOnlyConsumer::seek_time(int64_t publish_time_ms) {
  std::vector<Place> places;
  {
    std::lock_guard guard(core_->lock);
    places = places_;
  }
  for (Place& place : places) {
    FMESH_TRY(place.next, core_->entry_at_time(place.stream, place.partition, publish_time_ms));
    place.first_record = 0;
  }
  std::lock_guard guard(core_->lock);
  for (size_t i = 0; i < places.size(); ++i) places_[i] = places[i];
  return {};
}

ConsumerStats ReadOnlyConsumer::stats() const {
  ConsumerStats stats;
  std::lock_guard guard(core_->lock);
  for (const Place& place : places_) {
    const Partition& partition = place.stream->partitions[place.partition];
    if (place.next >= partition.end) continue;
    const Volume before = partition.history.at_or_before(place.next).before;
    stats.backlog_entries += static_cast<int64_t>(partition.end - place.next);
    stats.backlog_records += static_cast<int64_t>(partition.total.records - before.records);
    stats.backlog_bytes += static_cast<int64_t>(partition.total.bytes - before.bytes);
  }
  return stats;
}

bool ReadOnlyConsumer::drained() const {
  std::lock_guard guard(core_->lock);
  return !ready();
}

void ReadOnlyConsumer::close() {
  std::lock_guard guard(core_->lock);
  if (closed_) return;
  closed_ = true;
  wake_ = nullptr;
  std::erase(core_->pattern_readers, this);
  for (const Place& place : places_) {
    const auto found = core_->readers.find(place.stream.get());
    if (found == core_->readers.end()) continue;
    std::erase(found->second, this);
    if (found->second.empty()) core_->readers.erase(found);
  }
}

}  // namespace fmesh::stream::log
