#include "observe/api.h"

#include <boost/json.hpp>
#include <charconv>
#include <optional>

#include "observe/json.h"

namespace fmesh::observe {
namespace {

namespace json = boost::json;

net::HttpResponse text_response(int status, std::string_view content_type, std::string body) {
  net::HttpResponse response;
  response.status = status;
  response.headers["content-type"] = std::string(content_type);
  response.body = std::move(body);
  return response;
}

net::HttpResponse json_response(int status, const json::value& value) {
  return text_response(status, "application/json", to_text(value) + "\n");
}

net::HttpResponse error_response(int status, std::string_view text) {
  return json_response(status, json::object{{"error", text}});
}

int status_of(const Error& error) {
  switch (error.kind()) {
    case ErrorKind::kRetryNow:
    case ErrorKind::kRetryLater:
    case ErrorKind::kClosed:
      return 503;
    case ErrorKind::kFixInput:
      return error.text().contains("no such") ? 404 : 400;
    case ErrorKind::kCorrupt:
    case ErrorKind::kBug:
      return 500;
  }
  return 500;
}

net::HttpResponse error_response(const Error& error) { return error_response(status_of(error), error.to_string()); }

net::HttpResponse too_many_followers() {
  return error_response(503,
                        std::to_string(kFollowersMax) + " answers with follow=true are open, the limit; close one");
}

net::HttpResponse done_response(const Status& status) {
  return status ? json_response(200, json::object{{"done", true}}) : error_response(status.error());
}

// An integer of the query within [1, max], or `otherwise` if it is absent.
Result<int64_t> query_integer(const net::HttpRequest& request, const char* name, int64_t otherwise, int64_t max) {
  const auto found = request.query.find(name);
  if (found == request.query.end()) return otherwise;
  int64_t value = 0;
  const std::string& text = found->second;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end.ec != std::errc() || end.ptr != text.data() + text.size() || value < 1 || value > max) {
    return fail(ErrorKind::kFixInput,
                std::string(name) + "=" + text + ": expected a number from 1 to " + std::to_string(max));
  }
  return value;
}

bool query_flag(const net::HttpRequest& request, const char* name) {
  const auto found = request.query.find(name);
  return found != request.query.end() && (found->second == "true" || found->second == "1" || found->second.empty());
}

Result<json::object> body_object(const net::HttpRequest& request) {
  if (request.body.empty()) return json::object{};
  FMESH_TRY(json::value value, parse_json(request.body));
  if (!value.is_object()) return fail(ErrorKind::kFixInput, "the body is not a JSON object");
  return std::move(value.get_object());
}

Result<int64_t> integer_member(const json::object& object, std::string_view name, std::optional<int64_t> otherwise) {
  const json::value* found = object.if_contains(name);
  if (found == nullptr && otherwise) return *otherwise;
  if (found == nullptr || !found->is_int64()) {
    return fail(ErrorKind::kFixInput, "body: " + std::string(name) + ": expected a whole number");
  }
  return found->get_int64();
}

Result<std::string> string_member(const json::object& object, std::string_view name) {
  const json::value* found = object.if_contains(name);
  if (found == nullptr) return std::string();
  if (!found->is_string()) return fail(ErrorKind::kFixInput, "body: " + std::string(name) + ": expected a string");
  return std::string(found->get_string());
}

Result<NewRecord> read_record(const json::value& value) {
  const json::object* object = value.if_object();
  if (object == nullptr) return fail(ErrorKind::kFixInput, "body: records: expected objects");
  NewRecord record;
  if (object->contains("key")) {
    FMESH_TRY(record.key, string_member(*object, "key"));
  }
  FMESH_TRY(record.event_time_ms, integer_member(*object, "eventTimeMs", 0));
  if (const json::value* properties = object->if_contains("properties")) {
    if (!properties->is_object()) return fail(ErrorKind::kFixInput, "body: properties: expected an object of strings");
    for (const auto& member : properties->get_object()) {
      if (!member.value().is_string()) {
        return fail(ErrorKind::kFixInput, "body: properties." + std::string(member.key()) + ": expected a string");
      }
      record.properties.emplace_back(member.key(), member.value().get_string());
    }
  }
  if (const json::value* payload = object->if_contains("value")) {
    record.payload = to_text(*payload);
  } else if (object->contains("text")) {
    FMESH_TRY(record.payload, string_member(*object, "text"));
  } else if (object->contains("base64")) {
    FMESH_TRY(const std::string text, string_member(*object, "base64"));
    std::optional<std::string> bytes = from_base64(text);
    if (!bytes) return fail(ErrorKind::kFixInput, "body: base64: not base64");
    record.payload = *std::move(bytes);
  } else {
    return fail(ErrorKind::kFixInput, "body: a record has one of value, text and base64");
  }
  return record;
}

Result<std::vector<NewRecord>> read_records(const net::HttpRequest& request) {
  FMESH_TRY(const json::object body, body_object(request));
  const json::value* list = body.if_contains("records");
  if (list == nullptr || !list->is_array()) return fail(ErrorKind::kFixInput, "body: records: expected a list");
  if (list->get_array().size() > static_cast<size_t>(kRecordsPerRequestMax)) {
    return fail(ErrorKind::kFixInput,
                "body: more than " + std::to_string(kRecordsPerRequestMax) + " records; send several requests");
  }
  std::vector<NewRecord> records;
  for (const json::value& item : list->get_array()) {
    FMESH_TRY(NewRecord record, read_record(item));
    records.push_back(std::move(record));
  }
  return records;
}

template <class Items>
json::array to_array(const Items& items) {
  json::array array;
  for (const auto& item : items) array.push_back(to_json(item));
  return array;
}

}  // namespace

void Api::handle(const net::HttpRequest& request, net::Respond respond) {
  std::string allowed;
  for (const Route& route : routes()) {
    const PathMatch match = match_path(route.path, request.path);
    if (!match.matches) continue;
    if (!allowed.contains(route.method))
      allowed += (allowed.empty() ? "" : ", ") + std::string(route.method) + (route.method == "GET" ? ", HEAD" : "");
    // The server sends the head of a GET where HEAD was asked for.
    if (route.method != request.method && (route.method != "GET" || request.method != "HEAD")) continue;
    if (const auto refusal = check_access(request, route.writes, rules_)) {
      net::HttpResponse response = error_response(refusal->status, refusal->reason);
      if (refusal->status == 401) response.headers["www-authenticate"] = "Bearer";
      return respond(std::move(response));
    }
    return answer(route, std::string(match.name), request, std::move(respond));
  }
  if (!allowed.empty()) {
    net::HttpResponse response = error_response(405, request.method + " is not possible on " + request.path);
    response.headers["allow"] = allowed;
    return respond(std::move(response));
  }
  respond(error_response(404, "no such path: " + request.path + "; GET /api/v1/openapi.json lists all"));
}

void Api::answer(const Route& route, const std::string& name, const net::HttpRequest& request, net::Respond respond) {
  switch (route.id) {
    case RouteId::kHealth:
      return respond(text_response(200, route.content_type, "ok\n"));
    case RouteId::kReady:
      return answer_ready(std::move(respond));
    case RouteId::kMetrics: {
      auto streams = view_.streams();
      if (!streams) return respond(error_response(streams.error()));
      return respond(text_response(200, route.content_type, metrics_text(view_.mesh_now(), *streams)));
    }
    case RouteId::kMesh:
      return view_.mesh([respond](const MeshState& state) { respond(json_response(200, to_json(state))); });
    case RouteId::kGraph:
      return view_.mesh([respond](const MeshState& state) { respond(json_response(200, graph_json(state))); });
    case RouteId::kInstances:
      return respond(json_response(200, json::object{{"instances", to_array(view_.mesh_now().instances)}}));
    case RouteId::kStreams: {
      auto streams = view_.streams();
      if (!streams) return respond(error_response(streams.error()));
      return respond(json_response(200, json::object{{"streams", to_array(*streams)}}));
    }
    case RouteId::kStream:
      return answer_stream(name, std::move(respond));
    case RouteId::kRecords:
      return answer_records(name, request, std::move(respond));
    case RouteId::kPublish:
      return answer_publish(name, request, std::move(respond));
    case RouteId::kLogs:
      return answer_logs(name, request, std::move(respond));
    case RouteId::kOpenApi:
      return respond(text_response(200, route.content_type, openapi_text()));
    case RouteId::kScale:
    case RouteId::kSeek:
    case RouteId::kCreateStream:
    case RouteId::kRemoveStream:
      return answer_write(route, name, request, std::move(respond));
  }
}

void Api::answer_ready(net::Respond respond) {
  const std::optional<std::string> reason = view_.not_ready();
  respond(reason ? text_response(503, "text/plain", *reason + "\n") : text_response(200, "text/plain", "ready\n"));
}

void Api::answer_stream(const std::string& topic, net::Respond respond) {
  auto streams = view_.streams();
  if (!streams) return respond(error_response(streams.error()));
  for (const StreamView& stream : *streams) {
    if (stream.topic == topic || stream.topic == "persistent://public/default/" + topic ||
        stream.topic == "persistent://" + topic) {
      return respond(json_response(200, to_json(stream)));
    }
  }
  respond(error_response(404, "no such stream: " + topic));
}

void Api::answer_records(const std::string& topic, const net::HttpRequest& request, net::Respond respond) {
  if (!query_flag(request, "follow")) {
    const auto limit = query_integer(request, "limit", 10, kRecordsPerRequestMax);
    if (!limit) return respond(error_response(limit.error()));
    const auto from = request.query.find("from");
    auto records =
        view_.peek(topic, from == request.query.end() ? "earliest" : from->second, static_cast<size_t>(*limit));
    if (!records) return respond(error_response(records.error()));
    return respond(json_response(200, json::object{{"records", to_array(*records)}}));
  }
  if (!room_for_follower()) return respond(too_many_followers());
  // The tap is opened before the head is sent, so that a client that saw the head misses nothing after it.
  auto body = std::make_shared<std::shared_ptr<net::BodyStream>>();
  auto mutex = std::make_shared<std::mutex>();
  auto early = std::make_shared<std::string>();  // records before the head is sent, at most kStreamBufferMaxBytes
  auto following = view_.tap(topic, [body, mutex, early](const RecordLine& record) {
    std::string line = to_text(to_json(record)) + "\n";
    const std::lock_guard lock(*mutex);
    if (*body) return (*body)->write(std::move(line));
    if (early->size() + line.size() <= net::kStreamBufferMaxBytes) *early += line;
    return true;
  });
  if (!following) return respond(error_response(following.error()));
  net::HttpResponse response = text_response(200, "application/x-ndjson", "");
  response.stream = [this, body, mutex, early, held = *following](std::shared_ptr<net::BodyStream> stream) {
    {
      const std::lock_guard lock(*mutex);
      if (!early->empty()) stream->write(std::move(*early));
      *body = stream;
    }
    if (!keep_follower(stream, held)) stream->close();
  };
  respond(std::move(response));
}

void Api::answer_logs(const std::string& component, const net::HttpRequest& request, net::Respond respond) {
  const auto limit = query_integer(request, "lines", 100, kLogLinesPerRequestMax);
  if (!limit) return respond(error_response(limit.error()));
  auto lines = view_.logs(component, static_cast<size_t>(*limit));
  if (!lines) return respond(error_response(lines.error()));
  if (!query_flag(request, "follow")) {
    return respond(json_response(200, json::object{{"lines", to_array(*lines)}}));
  }
  if (!room_for_follower()) return respond(too_many_followers());
  net::HttpResponse response = text_response(200, "application/x-ndjson", "");
  response.stream = [this, component, lines = *std::move(lines)](const std::shared_ptr<net::BodyStream>& stream) {
    for (const LogEntry& line : lines) stream->write(to_text(to_json(line)) + "\n");
    auto following = view_.follow_logs(
        component, [stream](const LogEntry& line) { return stream->write(to_text(to_json(line)) + "\n"); });
    if (!following || !keep_follower(stream, *following)) stream->close();
  };
  respond(std::move(response));
}

bool Api::room_for_follower() {
  const std::lock_guard lock(mutex_);
  // A peer that went away is only noticed when something is written; an empty line is no record.
  std::erase_if(followers_, [](const Follower& follower) { return !follower.body->write("\n"); });
  return followers_.size() < kFollowersMax;
}

bool Api::keep_follower(std::shared_ptr<net::BodyStream> body, Following following) {
  const std::lock_guard lock(mutex_);
  if (followers_.size() >= kFollowersMax) return false;  // others were faster
  followers_.push_back({std::move(body), std::move(following)});
  return true;
}

void Api::answer_publish(const std::string& topic, const net::HttpRequest& request, net::Respond respond) {
  auto records = read_records(request);
  if (!records) return respond(error_response(records.error()));
  view_.publish(topic, *std::move(records), [respond](const Result<std::vector<std::string>>& ids) {
    if (!ids) return respond(error_response(ids.error()));
    json::array list;
    for (const std::string& id : *ids) list.emplace_back(id);
    respond(json_response(200, json::object{{"ids", std::move(list)}}));
  });
}

void Api::answer_write(const Route& route, const std::string& name, const net::HttpRequest& request,
                       net::Respond respond) {
  const auto body = body_object(request);
  if (!body) return respond(error_response(body.error()));
  const auto carry_out = [&]() -> Status {
    if (route.id == RouteId::kScale) {
      FMESH_TRY(const int64_t replicas, integer_member(*body, "replicas", std::nullopt));
      if (replicas < 0 || replicas > INT32_MAX) return fail(ErrorKind::kFixInput, "body: replicas: out of range");
      return view_.scale(name, static_cast<int32_t>(replicas));
    }
    if (route.id == RouteId::kSeek) {
      Seek seek;
      FMESH_TRY(seek.subscription, string_member(*body, "subscription"));
      FMESH_TRY(seek.id, string_member(*body, "id"));
      FMESH_TRY(seek.time_ms, integer_member(*body, "timeMs", -1));
      if (seek.subscription.empty()) return fail(ErrorKind::kFixInput, "body: subscription is missing");
      if (seek.id.empty() == (seek.time_ms < 0)) return fail(ErrorKind::kFixInput, "body: give one of id and timeMs");
      return view_.seek(name, seek);
    }
    if (route.id == RouteId::kRemoveStream) return view_.remove_stream(name);
    NewStream stream;
    FMESH_TRY(const int64_t partitions, integer_member(*body, "partitions", 0));
    FMESH_TRY(stream.retention_size_bytes, integer_member(*body, "retentionSizeBytes", -1));
    FMESH_TRY(stream.retention_time_ms, integer_member(*body, "retentionTimeMs", -1));
    if (partitions < 0 || partitions > 10'000)
      return fail(ErrorKind::kFixInput, "body: partitions: expected 0 to 10000");
    stream.partitions = static_cast<int32_t>(partitions);
    return view_.create_stream(name, stream);
  };
  respond(done_response(carry_out()));
}

}  // namespace fmesh::observe
