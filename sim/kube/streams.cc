// ApiServer's watches: each follows one replica.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <utility>

#include "kube/json.h"
#include "sim/kube/api_server.h"
#include "sim/kube/client.h"

namespace fmesh::sim {
namespace json = boost::json;
using kube::Request;
using kube::Response;

struct ApiServer::Stream {
  std::shared_ptr<Client> client;
  uint64_t generation = 0;
  kube::StreamHandler handler;
  Target target;
  size_t replica = 0;
  int64_t position = 0;  // the revision told last
  bool open = true, begun = false, held = false, coalesce = false, bookmarks = false;
  bool initial = false, initial_end = false;
  int64_t initial_from = 0;  // the initial events are of this revision or a later one

  bool listens() const { return open && !client->cut && client->generation == generation; }
};

namespace {

std::string parameter(const Target& target, const std::string& name) {
  const auto found = target.query.find(name);
  return found == target.query.end() ? std::string() : found->second;
}

int64_t number(const std::string& text) {
  int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::string line(std::string_view type, const json::value& object) {
  return json::serialize(json::object{{"type", type}, {"object", object}}) + "\n";
}

bool visible(const Target& target, const kube::ObjectKey& key, const JsonPtr& object) {
  if (!object || (!target.key.name_space.empty() && key.name_space != target.key.name_space)) return false;
  return labels_match(parameter(target, "labelSelector"), *object) &&
         fields_match(parameter(target, "fieldSelector"), *object);
}

struct Told {
  std::string type;
  kube::ObjectKey key;
  json::value object;
};

// The last that is to be said of each key, in the order of the last changes; what came and went is not said.
std::vector<Told> coalesced(const std::vector<Told>& events) {
  std::vector<Told> kept;
  for (size_t i = 0; i < events.size(); ++i) {
    const auto same = [&](const Told& other) { return other.key == events[i].key; };
    if (std::any_of(events.begin() + static_cast<std::ptrdiff_t>(i) + 1, events.end(), same)) continue;
    const auto first = std::find_if(events.begin(), events.end(), same);
    const bool was_there = first->type != "ADDED";
    if (events[i].type != "DELETED") {
      Told last = events[i];
      last.type = was_there ? "MODIFIED" : "ADDED";
      kept.push_back(std::move(last));
    } else if (was_there) {  // the object that the client knows is the one that went first
      const auto gone = [&](const Told& other) { return same(other) && other.type == "DELETED"; };
      kept.push_back(*std::find_if(events.begin(), events.end(), gone));
    }
  }
  return kept;
}

class OpenStream final : public kube::ApiStream {
 public:
  explicit OpenStream(std::function<void()> close) : close_(std::move(close)) {}
  ~OpenStream() override { close_(); }

 private:
  std::function<void()> close_;
};

}  // namespace

std::unique_ptr<kube::ApiStream> ApiServer::open(Request request, kube::StreamHandler handler) {
  return open_from(client_, std::move(request), std::move(handler));
}

std::unique_ptr<kube::ApiStream> ApiServer::open_from(const std::shared_ptr<Client>& client, Request request,
                                                      kube::StreamHandler handler) {
  auto stream = std::make_shared<Stream>();
  stream->client = client;
  stream->generation = client->generation;
  stream->handler = std::move(handler);
  streams_.push_back(stream);
  loop_.post_after(latency_ms(), [this, alive = alive_, stream, request = std::move(request)] {
    if (*alive && stream->listens()) begin(stream, request);
  });
  return std::make_unique<OpenStream>([this, alive = alive_, stream] {
    stream->open = false;
    if (*alive) streams_.remove(stream);
  });
}

void ApiServer::begin(const std::shared_ptr<Stream>& stream, const Request& request) {
  const auto target = parse_target(request.target);
  if (!target || !target->key.name.empty()) return refuse_stream(stream, {404, "404 page not found\n", {}});
  const FaultRates& rates = options_.faults;
  if (chance(rates.too_many)) {
    Response busy = refuse(429, "TooManyRequests", "The apiserver is busy, please try again later");
    busy.retry_after_ms = 1000;
    return refuse_stream(stream, busy);
  }
  if (chance(rates.error_undone))
    return refuse_stream(stream, refuse(500, "InternalError", "etcdserver: request timed out"));
  if (chance(rates.lost_undone))
    return end(stream, fail(ErrorKind::kRetryLater, "the connection was closed before an answer came"));

  stream->target = *target;
  stream->replica = rng_.below(replicas_.size());
  stream->bookmarks = parameter(*target, "allowWatchBookmarks") == "true";
  const bool streaming_list = parameter(*target, "sendInitialEvents") == "true";
  if (streaming_list && !options_.streaming_lists)
    return refuse_stream(stream, refuse(422, "Invalid",
                                        "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless "
                                        "the WatchList feature gate is enabled"));
  const std::string version = parameter(*target, "resourceVersion");
  const int64_t oldest = std::max(compacted_, database_.revision() - options_.history_commits);
  const bool from_version = !streaming_list && !version.empty() && version != "0";
  bool gone_inside = false;
  if (from_version && version.find_first_not_of("0123456789") != std::string::npos)
    return refuse_stream(stream, refuse(500, "", "resourceVersion: Invalid value: not a version"));
  if (from_version) {
    stream->position = number(version);
    if (stream->position < oldest) {
      if (rng_.below(2) == 0)
        return refuse_stream(
            stream, refuse(410, "Expired", fmt::format("too old resource version: {} ({})", stream->position, oldest)));
      gone_inside = true;
    }
  } else {
    stream->initial = true;
    stream->initial_end = streaming_list;
    stream->initial_from = version == "0" || frozen_ ? 0 : database_.revision();
  }
  stream->begun = true;
  stream->handler.on_head(Response{200, "", {}});
  if (gone_inside) {
    const Response gone =
        refuse(410, "Expired", fmt::format("too old resource version: {} ({})", stream->position, oldest));
    tell(stream, line("ERROR", json::parse(gone.body)));
    return end(stream, {});
  }
  if (const int64_t seconds = number(parameter(*target, "timeoutSeconds")); seconds > 0) {
    loop_.post_after(seconds * 1000, [this, alive = alive_, stream] {
      if (*alive) end(stream, {});
    });
  }
  if (stream->bookmarks) bookmark_later(stream);
  pump(stream);
}

void ApiServer::refuse_stream(const std::shared_ptr<Stream>& stream, const Response& response) {
  if (!stream->listens()) return;
  stream->handler.on_head(response);
  end(stream, {});
}

void ApiServer::end(const std::shared_ptr<Stream>& stream, const Status& status) {
  if (!stream->listens()) return;
  stream->open = false;
  streams_.remove(stream);
  stream->handler.on_end(status);
}

void ApiServer::tell(const std::shared_ptr<Stream>& stream, std::string text) {
  if (text.empty() || !stream->listens()) return;
  const size_t cut = rng_.below(4) == 0 ? rng_.below(text.size() + 1) : 0;  // pieces end anywhere
  if (cut > 0) stream->handler.on_data(std::string_view(text).substr(0, cut));
  if (cut < text.size() && stream->listens()) stream->handler.on_data(std::string_view(text).substr(cut));
}

void ApiServer::advance(size_t index, int64_t revision) {
  Replica& replica = replicas_[index];
  while (replica.revision < revision) {
    replica.state.apply(database_.log()[static_cast<size_t>(replica.revision - Database::kFirstRevision)]);
    ++replica.revision;
  }
  const std::vector<std::shared_ptr<Stream>> streams(streams_.begin(), streams_.end());
  for (const auto& stream : streams) {
    if (stream->begun && stream->replica == index) pump(stream);
  }
}

void ApiServer::pump(const std::shared_ptr<Stream>& stream) {
  if (!stream->listens()) return;
  const Replica& replica = replicas_[stream->replica];
  if (stream->initial) {
    if (replica.revision < stream->initial_from) return;
    stream->initial = false;
    stream->position = replica.revision;
    tell(stream, initial_events(*stream));
    return;
  }
  if (all_held_ || stream->held || replica.revision <= stream->position) return;
  if (chance(options_.faults.stream_held)) {
    stream->held = true;
    loop_.post_after(static_cast<int64_t>(rng_.below(static_cast<uint64_t>(options_.hold_max_ms) + 1)),
                     [this, alive = alive_, stream] {
                       if (!*alive) return;
                       stream->held = false;
                       stream->coalesce = true;
                       pump(stream);
                     });
    return;
  }
  std::string text = events_up_to(*stream, replica.revision, std::exchange(stream->coalesce, false));
  if (text.empty()) return;
  if (chance(options_.faults.stream_cut)) {
    tell(stream, text.substr(0, rng_.below(text.size() + 1)));
    return end(stream, fail(ErrorKind::kRetryLater, "the connection was reset"));
  }
  tell(stream, std::move(text));
}

std::string ApiServer::initial_events(Stream& stream) {
  std::string text;
  for (const auto& [key, object] : replicas_[stream.replica].state.of(*stream.target.kind)) {
    if (visible(stream.target, key, object)) text += line("ADDED", *object);
  }
  if (!stream.initial_end) return text;
  const kube::ResourceType& type = stream.target.kind->type;
  return text + line("BOOKMARK", {{"kind", type.kind},
                                  {"apiVersion", type.api_version()},
                                  {"metadata",
                                   {{"resourceVersion", std::to_string(stream.position)},
                                    {"annotations", {{"k8s.io/initial-events-end", "true"}}}}}});
}

std::string ApiServer::events_up_to(Stream& stream, int64_t revision, bool coalesce) {
  std::vector<Told> events;
  for (; stream.position < revision; ++stream.position) {
    const Commit& commit = database_.log()[static_cast<size_t>(stream.position - Database::kFirstRevision)];
    if (commit.kind != stream.target.kind) continue;
    const bool was = visible(stream.target, commit.key, commit.before),
               is = visible(stream.target, commit.key, commit.after);
    if (is) {
      events.push_back({was ? "MODIFIED" : "ADDED", commit.key, *commit.after});
    } else if (was) {
      json::value last = *commit.before;
      last.as_object()["metadata"].as_object()["resourceVersion"] = std::to_string(commit.revision);
      events.push_back({"DELETED", commit.key, std::move(last)});
    }
  }
  if (coalesce) events = coalesced(events);
  std::string text;
  for (const Told& event : events) text += line(event.type, event.object);
  return text;
}

void ApiServer::bookmark_later(const std::shared_ptr<Stream>& stream) {
  loop_.post_after(options_.bookmark_ms, [this, alive = alive_, stream] {
    if (!*alive || !stream->listens()) return;
    bookmark_later(stream);
    if (stream->initial || stream->held || all_held_) return;
    const kube::ResourceType& type = stream->target.kind->type;
    tell(stream,
         line("BOOKMARK",
              {{"kind", type.kind},
               {"apiVersion", type.api_version()},
               {"metadata", {{"resourceVersion", std::to_string(stream->position)}, {"creationTimestamp", nullptr}}}}));
  });
}

void ApiServer::release_streams() {
  all_held_ = false;
  const std::vector<std::shared_ptr<Stream>> streams(streams_.begin(), streams_.end());
  for (const auto& stream : streams) {
    stream->coalesce = true;
    if (stream->begun) pump(stream);
  }
}

void ApiServer::drop_streams() {
  const std::vector<std::shared_ptr<Stream>> streams(streams_.begin(), streams_.end());
  for (const auto& stream : streams) end(stream, fail(ErrorKind::kRetryLater, "the connection was reset"));
}

void ApiServer::end_streams() {
  const std::vector<std::shared_ptr<Stream>> streams(streams_.begin(), streams_.end());
  for (const auto& stream : streams) end(stream, {});
}

}  // namespace fmesh::sim
