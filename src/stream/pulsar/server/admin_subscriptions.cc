// Subscriptions of the admin API: making, removing and moving them, and looking at what lies before them.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/base64.h"
#include "stream/entry.h"
#include "stream/pulsar/server/admin_answer_private.h"
#include "stream/pulsar/server/topics_private.h"

namespace fmesh::stream::pulsar::server {
namespace {

std::optional<int64_t> number_of(const std::string& text) {
  int64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

MessageId end_of(const StreamInfo::Partition& partition) {
  MessageId end = partition.last;
  ++end.entry;
  return end;
}

// The place that a body names: "earliest", "latest", or the fields of ResetCursorData. Nothing: the end.
Result<MessageId> place_of_body(const json::value& body, const StreamInfo::Partition& partition) {
  if (body.is_null()) return end_of(partition);
  if (const json::string* text = body.if_string()) {
    if (*text == "earliest") return partition.first;
    if (*text == "latest") return end_of(partition);
  }
  const json::object* object = body.if_object();
  const auto field = [&](const char* name) -> std::optional<int64_t> {
    const json::value* value = object != nullptr ? object->if_contains(name) : nullptr;
    // Java writes its largest number for the end, which a signed one just holds.
    return value != nullptr && value->is_int64() ? std::optional(value->as_int64()) : std::nullopt;
  };
  const auto ledger = field("ledgerId");
  const auto entry = field("entryId");
  if (!ledger || !entry)
    return fail(ErrorKind::kFixInput, "expected \"earliest\", \"latest\" or {\"ledgerId\": ..., \"entryId\": ...}");
  if (*ledger == INT64_MAX || *entry == INT64_MAX) return end_of(partition);
  if (*ledger < 0 || *entry < 0) return partition.first;
  const json::value* excluded = object->if_contains("excluded");
  const bool behind = excluded != nullptr && excluded->is_bool() && excluded->as_bool();
  return MessageId{*ledger, *entry + (behind ? 1 : 0), partition.first.partition, -1};
}

// Headers carry no control characters.
std::string header_text(std::string_view text) {
  std::string clean;
  for (const char c : text) clean += static_cast<unsigned char>(c) < ' ' || c == 0x7f ? '?' : c;
  return clean;
}

}  // namespace

net::HttpResponse AdminApi::subscription(const net::HttpRequest& request, const Topic& topic, const Parts& rest) {
  const std::string& name = rest[1];
  if (rest.size() == 2 && request.method == "PUT") return create_subscription(request, topic, name);
  const auto found = std::ranges::find(topic.info.subscriptions, name, &StreamInfo::Subscription::name);
  if (found == topic.info.subscriptions.end())
    return problem(404, "Subscription " + name + " not found on " + topic.name);
  if (rest.size() == 2 && request.method == "DELETE") {
    const auto force = request.query.find("force");
    for (const auto& [live_name, live] : live_.live_topics(topic.info.topic)) {
      const bool is_part = live_name == topic.info.topic || live_name.starts_with(topic.info.topic + "-partition-");
      if (!is_part || !live.subscriptions.contains(name)) continue;
      if (force == request.query.end() || force->second != "true")
        return problem(412, "Subscription " + name + " has active connected consumers");
      live_.disconnect(live_name, name);
    }
    if (const Status removed = store_.delete_subscription(topic.info.topic, name); !removed)
      return problem_of(removed.error());
    return no_content();
  }
  if (rest.size() == 4 && rest[2] == "position" && (request.method == "GET" || request.method == "HEAD")) {
    if (topic.is_partitioned()) return problem(405, "name one partition of " + topic.name);
    const auto number = number_of(rest[3]);
    if (!number || *number == 0) return problem(412, "messages are counted from 1");
    MessageId id = found->places[topic.lane()].next;
    id.entry += *number - 1;
    return one_entry(topic, id);
  }
  if (rest.size() >= 3 && request.method == "POST") return move_subscription(request, topic, rest);
  return not_offered("this part of a subscription");
}

net::HttpResponse AdminApi::create_subscription(const net::HttpRequest& request, const Topic& topic,
                                                const std::string& name) {
  if (std::ranges::find(topic.info.subscriptions, name, &StreamInfo::Subscription::name) !=
      topic.info.subscriptions.end())
    return problem(409, "Subscription already exists for topic");
  const auto body = body_of(request);
  if (!body) return problem(400, body.error().text());
  std::vector<MessageId> places;
  for (const auto& partition : topic.info.partitions) {
    const auto place = place_of_body(*body, partition);
    if (!place) return problem(412, place.error().text());
    places.push_back(*place);
  }
  ConsumerOptions options;
  options.topics = {topic.info.topic};
  options.subscription = name;
  options.position = InitialPosition::kLatest;
  auto consumer = store_.open_consumer(std::move(options));
  if (!consumer) return problem_of(consumer.error());
  (*consumer)->close();
  for (size_t i = 0; i < places.size(); ++i) {
    if (places[i] == end_of(topic.info.partitions[i])) continue;
    if (const Status moved = store_.move_subscription(topic.info.topic, name, places[i]); !moved)
      return problem_of(moved.error());
  }
  return no_content();
}

net::HttpResponse AdminApi::move_subscription(const net::HttpRequest& request, const Topic& topic, const Parts& rest) {
  const std::string& name = rest[1];
  const std::string& how = rest[2];
  const int64_t number = rest.size() > 3 ? number_of(rest[3]).value_or(-1) : -1;
  const auto body = body_of(request);
  if (!body) return problem(400, body.error().text());
  const auto& subscription = *std::ranges::find(topic.info.subscriptions, name, &StreamInfo::Subscription::name);
  std::vector<MessageId> places;
  for (size_t lane = 0; lane < topic.info.partitions.size(); ++lane) {
    if (!topic.is_partitioned() && lane != topic.lane()) continue;
    const auto& partition = topic.info.partitions[lane];
    const MessageId next = subscription.places[lane].next;
    Result<MessageId> place = end_of(partition);
    if (how == "skip_all") {
    } else if (how == "skip" && number >= 0 && !topic.is_partitioned()) {
      place->entry = std::min(place->entry, next.entry + number);
    } else if (how == "resetcursor" && rest.size() > 3 && number >= 0) {
      place = store_.find_time(topic.info.topic, partition.first.partition, number);
    } else if (how == "resetcursor" && rest.size() == 3 && !body->is_null()) {
      place = place_of_body(*body, partition);
    } else if (how == "expireMessages" && number >= 0) {
      place = store_.find_time(topic.info.topic, partition.first.partition, clock_.wall_ms() - number * 1'000);
      if (place && place->entry <= next.entry) continue;
    } else if (how == "skip" && topic.is_partitioned()) {
      return problem(405, "name one partition of " + topic.name);
    } else {
      return not_offered("\"" + how + "\" of subscriptions");
    }
    if (!place) return problem_of(place.error());
    places.push_back(*place);
  }
  for (const MessageId& place : places)
    if (const Status moved = store_.move_subscription(topic.info.topic, name, place); !moved)
      return problem_of(moved.error());
  // What clients have queued is void: they come again for what follows the new place.
  for (const auto& [live_name, live] : live_.live_topics(topic.info.topic)) {
    const bool is_meant =
        live_name == topic.name || (topic.is_partitioned() && live_name.starts_with(topic.name + "-partition-"));
    if (is_meant && live.subscriptions.contains(name)) live_.disconnect(live_name, name);
  }
  return no_content();
}

// Headers as Pulsar's admin client reads them (facts: pulsar.md 4.10). The schema's version goes out under both names
// that are in use.
net::HttpResponse AdminApi::one_entry(const Topic& topic, const MessageId& id) {
  const auto found = store_.read_entry(topic.info.topic, id);
  if (!found) return problem_of(found.error());
  if (!*found) return problem(404, "Message not found: " + place_text(id));
  const auto info = read_entry_info((*found)->bytes.view());
  if (!info) return problem_of(info.error());
  auto reader = EntryReader::open((*found)->bytes);
  net::HttpResponse response;
  response.headers["content-type"] = "application/octet-stream";
  response.headers["X-Pulsar-Message-ID"] = place_text(id);
  response.headers["X-Pulsar-publish-time"] = time_text(info->publish_time_ms);
  response.headers["X-Pulsar-producer-name"] = header_text(info->producer_name);
  response.headers["X-Pulsar-sequence-id"] = std::to_string(info->sequence_id);
  if (info->event_time_ms > 0) response.headers["X-Pulsar-event-time"] = time_text(info->event_time_ms);
  if (info->deliver_at_ms > 0) response.headers["X-Pulsar-deliver-at-time"] = time_text(info->deliver_at_ms);
  if (info->has_key) {
    response.headers["X-Pulsar-partition-key"] = header_text(info->partition_key);
    response.headers["X-Pulsar-partition-key-b64-encoded"] = info->key_is_base64 ? "true" : "false";
  }
  if (!info->schema_version.empty()) {
    const std::string version = encode_base64(info->schema_version);
    response.headers["X-Pulsar-Base64-schema-version"] = version;
    response.headers["X-Pulsar-Base64-schema-version-b64encoded"] = version;
  }
  if (info->batched) {
    response.headers["X-Pulsar-num-batch-message"] = std::to_string(info->record_count);
    response.headers["X-Pulsar-batch-size"] = std::to_string(info->payload.size());
  }
  if (!reader) {
    response.body = info->payload;  // encrypted, or a chunk: as it is
    return response;
  }
  response.body = reader->unpacked();
  RecordView record;
  if (info->batched || !reader->next(record)) return response;
  json::object properties;
  for (const Property& property : record.properties) properties[property.key] = property.value;
  if (!properties.empty()) response.headers["X-Pulsar-PROPERTY"] = header_text(json::serialize(properties));
  if (record.null_value) response.headers["X-Pulsar-null-value"] = "true";
  return response;
}

}  // namespace fmesh::stream::pulsar::server
