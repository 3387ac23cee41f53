#include "sim/kube/api_server.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <utility>

#include "kube/json.h"
#include "sim/kube/client.h"

namespace fmesh::sim {
namespace json = boost::json;
using kube::Request;
using kube::Response;

namespace {

constexpr int64_t kLostSoonMs = 50, kLostLateMs = 30'000;  // how long a client may wait for an answer that never comes

Response plain_not_found() { return {404, "404 page not found\n", {}}; }

std::string query(const Target& target, const std::string& name) {
  const auto found = target.query.find(name);
  return found == target.query.end() ? std::string() : found->second;
}

int64_t number(const std::string& text) {
  int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

ApiServer::ApiServer(Loop& loop, ApiServerOptions options)
    : loop_(loop), options_(options), rng_(options.seed * 0x9e3779b97f4a7c15ULL + 1) {
  registry_ = std::make_unique<Registry>(database_, rng_, loop_.clock(), options_.track_owners);
  controllers_ = std::make_unique<Controllers>(
      database_, loop_, rng_, options_.controllers,
      [this](const Request& request, const std::string& actor) { return carry_out(request, actor); });
  replicas_.resize(std::max<size_t>(options_.replicas, 1));
  client_ = std::make_shared<Client>(Client{.name = "client"});
}

ApiServer::~ApiServer() { *alive_ = false; }

// --- requests ---

class ApiServer::ClientApi final : public kube::Api {
 public:
  ClientApi(ApiServer& server, std::shared_ptr<Client> client) : server_(server), client_(std::move(client)) {}
  ~ClientApi() override { cut(); }
  void cut() { client_->cut = true; }
  void send(Request request, std::function<void(Result<Response>)> done) override {
    server_.send_from(client_, std::move(request), std::move(done));
  }
  std::unique_ptr<kube::ApiStream> open(Request request, kube::StreamHandler handler) override {
    return server_.open_from(client_, std::move(request), std::move(handler));
  }

 private:
  ApiServer& server_;
  std::shared_ptr<Client> client_;
};

std::unique_ptr<kube::Api> ApiServer::connect(const std::string& actor) {
  return std::make_unique<ClientApi>(*this, std::make_shared<Client>(Client{.name = actor}));
}

void ApiServer::cut(kube::Api& client) {
  if (auto* mine = dynamic_cast<ClientApi*>(&client)) mine->cut();
}

void ApiServer::send(Request request, std::function<void(Result<Response>)> done) {
  send_from(client_, std::move(request), std::move(done));
}

void ApiServer::send_from(const std::shared_ptr<Client>& client, Request request,
                          std::function<void(Result<Response>)> done) {
  if (client->cut) return;
  // Only a process that still lives hears of the answer; after its end the request may still arrive.
  auto heard = [client, generation = client->generation, done = std::move(done)](Result<Response> answer) {
    if (!client->cut && client->generation == generation) done(std::move(answer));
  };
  loop_.post_after(latency_ms(), [this, alive = alive_, client, generation = client->generation,
                                  request = std::move(request), heard = std::move(heard)] {
    if (!*alive) return;
    if (client->cut || client->generation != generation) {
      if (request.method != "GET" && rng_.below(2) == 0) carry_out(request, client->name);
      return;
    }
    arrive(client, request, heard);
  });
}

Fault ApiServer::fault_for(const std::shared_ptr<Client>& client, const Request& request, bool write) {
  if (write && client == client_) {
    const auto planned = plan_.find(client_writes_);
    if (planned != plan_.end()) return planned->second;
  }
  const FaultRates& rates = options_.faults;
  if (write && request.method != "POST" && chance(rates.conflict)) return Fault::kConflict;
  if (chance(rates.too_many)) return Fault::kTooMany;
  if (chance(rates.error_undone)) return Fault::kErrorUndone;
  if (chance(rates.error_done)) return Fault::kErrorDone;
  if (chance(rates.lost_undone)) return Fault::kLostUndone;
  if (chance(rates.lost_done)) return Fault::kLostDone;
  return Fault::kNone;
}

void ApiServer::arrive(const std::shared_ptr<Client>& client, const Request& request,
                       const std::function<void(Result<Response>)>& done) {
  const bool write = request.method != "GET";
  if (write && client == client_) ++client_writes_;
  const size_t write_number = write && client == client_ ? client_writes_ : 0;
  const Fault fault = fault_for(client, request, write);
  Result<Response> response = Response{};
  if (fault == Fault::kNone || fault == Fault::kErrorDone || fault == Fault::kLostDone)
    response = carry_out(request, client->name);
  int64_t delay_ms = latency_ms();
  switch (fault) {
    case Fault::kNone:
      break;
    case Fault::kConflict:
      response = refuse(409, "Conflict",
                        "Operation cannot be fulfilled: the object has been modified; please apply your changes to the "
                        "latest version and try again");
      break;
    case Fault::kTooMany:
      response =
          refuse(429, "TooManyRequests", "The apiserver is busy, please try again later", {{"retryAfterSeconds", 1}});
      response->retry_after_ms = 1000;
      break;
    case Fault::kErrorUndone:
    case Fault::kErrorDone:
      response = rng_.below(2) == 0
                     ? refuse(500, "InternalError", "etcdserver: request timed out")
                     : refuse(504, "Timeout", "Timeout: request did not complete within the allotted timeout");
      break;
    case Fault::kLostUndone:
    case Fault::kLostDone:
      response = fail(ErrorKind::kRetryLater, "the connection was closed before an answer came");
      delay_ms = rng_.below(4) == 0 ? kLostLateMs : static_cast<int64_t>(rng_.below(kLostSoonMs));
      break;
  }
  if (write_number > 0 && write_number == stop_after_) {
    stop_after_ = 0;
    cut_off();
    loop_.post(std::exchange(stopped_, {}));
    return;
  }
  loop_.post_after(delay_ms, [done, response = std::move(response)]() mutable { done(std::move(response)); });
}

Response ApiServer::carry_out(const Request& request, const std::string& actor) {
  const auto target = parse_target(request.target);
  if (!target) return request.method == "GET" ? discover(request.target) : plain_not_found();
  if (request.method == "GET" && target->key.name.empty()) return list(*target);
  const int64_t before = database_.revision();
  Response response = registry_->carry_out(request, *target, actor);
  if (database_.revision() != before) {
    replicate();
    controllers_->poke();
  }
  return response;
}

// "/apis/apps/v1": what is served there.
Response ApiServer::discover(const std::string& path) const {
  json::array resources;
  for (const KindInfo& kind : kinds()) {
    const std::string place = (kind.type.group.empty() ? "/api/" : "/apis/") + kind.type.api_version();
    if (place != path) continue;
    resources.push_back({{"name", kind.type.plural}, {"kind", kind.type.kind}, {"namespaced", kind.type.namespaced}});
  }
  if (resources.empty()) return plain_not_found();
  return answer(200, {{"kind", "APIResourceList"}, {"apiVersion", "v1"}, {"resources", std::move(resources)}});
}

Response ApiServer::user(const Request& request) { return carry_out(request, "user"); }

JsonPtr ApiServer::get(const kube::ResourceType& type, const kube::ObjectKey& key) const {
  const KindInfo* kind = kind_of(type);
  return kind ? database_.now().get(*kind, key) : nullptr;
}

std::vector<JsonPtr> ApiServer::all(const kube::ResourceType& type) const {
  std::vector<JsonPtr> objects;
  if (const KindInfo* kind = kind_of(type)) {
    for (const auto& [key, object] : database_.now().of(*kind)) objects.push_back(object);
  }
  return objects;
}

namespace {

bool matches(const Target& target, const kube::ObjectKey& key, const json::value& object) {
  if (!target.key.name_space.empty() && key.name_space != target.key.name_space) return false;
  return labels_match(query(target, "labelSelector"), object) && fields_match(query(target, "fieldSelector"), object);
}

}  // namespace

Response ApiServer::list(const Target& target) {
  const std::string wanted = query(target, "resourceVersion");
  const std::string token = query(target, "continue");
  int64_t revision = database_.revision();
  std::string after;
  if (!token.empty()) {
    const size_t bar = token.find('|');
    revision = number(token.substr(0, bar));
    if (bar == std::string::npos || revision <= 0 || revision > database_.revision())
      return refuse(400, "BadRequest", "continue key is not valid");
    after = token.substr(bar + 1);
    if (revision < std::max(compacted_, database_.revision() - options_.history_commits))
      return refuse(410, "Expired", "The provided continue parameter is too old to display a consistent list result.");
  } else if (frozen_) {
    revision = *frozen_;
  } else if (wanted == "0") {
    revision = replicas_[rng_.below(replicas_.size())].revision;
  }
  const Snapshot snapshot = revision == database_.revision() ? database_.now() : database_.at(revision);
  const auto limit = static_cast<size_t>(number(query(target, "limit")));
  json::array items;
  std::string next;
  for (const auto& [key, object] : snapshot.of(*target.kind)) {
    const std::string place = key.name_space + "/" + key.name;
    if (place <= after || !matches(target, key, *object)) continue;
    if (limit > 0 && items.size() == limit) {
      const kube::ObjectKey last{std::string(kube::string_at(items.back(), {"metadata", "namespace"})),
                                 std::string(kube::string_at(items.back(), {"metadata", "name"}))};
      next = fmt::format("{}|{}/{}", revision, last.name_space, last.name);
      break;
    }
    items.push_back(*object);
    if (target.kind->custom) continue;
    items.back().as_object().erase("kind");  // items of built-in kinds come without
    items.back().as_object().erase("apiVersion");
  }
  json::object metadata = {{"resourceVersion", std::to_string(revision)}};
  if (!next.empty()) metadata["continue"] = next;
  return answer(200, {{"kind", std::string(target.kind->type.kind) + "List"},
                      {"apiVersion", target.kind->type.api_version()},
                      {"metadata", std::move(metadata)},
                      {"items", std::move(items)}});
}

// --- replicas ---

void ApiServer::replicate() {
  if (frozen_) return;
  replicated_ = database_.revision();
  for (size_t i = 0; i < replicas_.size(); ++i) {
    const auto lag_ms = static_cast<int64_t>(rng_.below(static_cast<uint64_t>(options_.lag_max_ms) + 1));
    loop_.post_after(lag_ms, [this, alive = alive_, i, revision = replicated_] {
      if (*alive && !frozen_) advance(i, revision);
    });
  }
}

void ApiServer::freeze(int64_t revision) {
  frozen_ = revision;
  for (Replica& replica : replicas_) replica = {database_.at(revision), revision};
}

void ApiServer::thaw() {
  frozen_.reset();
  replicate();
}

void ApiServer::compact() { compacted_ = database_.revision(); }

// --- the end of a client ---

void ApiServer::stop_after(size_t write_number, std::function<void()> stopped) {
  stop_after_ = write_number;
  stopped_ = std::move(stopped);
}

void ApiServer::cut_off() {
  client_->cut = true;
  ++client_->generation;
}

void ApiServer::restarted() {
  client_->cut = false;
  ++client_->generation;
}

}  // namespace fmesh::sim
