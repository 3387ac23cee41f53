// A Kubernetes API server for tests, on a loop that is stepped by hand, under a seed: kube::Api on the client's side, a
// database with Kubernetes' rules behind it, and everything that goes wrong between the two. Several read replicas
// follow the database, each with a lag of its own, and serve the watches.
//
// What a real API server promises holds unless a fault breaks it: a list without resourceVersion is the newest state, a
// watch tells every commit once and in order, a write that was answered was done.
//
// Belongs to the simulator's one thread.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/loop.h"
#include "base/rng.h"
#include "kube/api.h"
#include "kube/requests.h"
#include "sim/kube/controllers.h"
#include "sim/kube/database.h"
#include "sim/kube/registry.h"

namespace fmesh::sim {

enum class Fault {
  kNone,
  kConflict,     // 409, not done
  kTooMany,      // 429 with Retry-After, not done
  kErrorUndone,  // 500 or 504, not done
  kErrorDone,    // 500 or 504, done all the same
  kLostUndone,   // the connection goes, not done
  kLostDone,     // the connection goes after it was done
};

// Probabilities. Of requests each but for the last two, which are of streams, each time there is something to tell.
struct FaultRates {
  double conflict = 0, too_many = 0, error_undone = 0, error_done = 0, lost_undone = 0, lost_done = 0;
  double stream_cut = 0;   // in the middle of a line, too
  double stream_held = 0;  // for hold_max_ms; what cancels itself out meanwhile is never told
};

struct ApiServerOptions {
  uint64_t seed = 1;
  int64_t latency_max_ms = 10;  // of each way of each request
  size_t replicas = 3;
  int64_t lag_max_ms = 20;         // of a replica
  int64_t hold_max_ms = 5'000;     // see FaultRates::stream_held
  int64_t bookmark_ms = 60'000;    // between two of a stream
  int64_t history_commits = 1000;  // a watch or a page from before them gets 410
  bool streaming_lists = true;
  bool track_owners = true;  // managedFields of updates; apply needs it to find conflicts
  FaultRates faults;
  ControllerOptions controllers;
};

class ApiServer final : public kube::Api {
 public:
  ApiServer(Loop& loop, ApiServerOptions options);
  ~ApiServer() override;

  // --- the client under test ---
  void send(kube::Request request, std::function<void(Result<kube::Response>)> done) override;
  std::unique_ptr<kube::ApiStream> open(kube::Request request, kube::StreamHandler handler) override;
  // A further client with a name of its own, for tests with several processes. Must not outlive the server.
  std::unique_ptr<kube::Api> connect(const std::string& actor);

  // Such a client is cut off for good: it sends nothing and hears nothing.
  void cut(kube::Api& client);

  // --- a person with kubectl: at once, without faults ---
  kube::Response user(const kube::Request& request);
  // Null if there is none.
  JsonPtr get(const kube::ResourceType& type, const kube::ObjectKey& key) const;
  std::vector<JsonPtr> all(const kube::ResourceType& type) const;
  Controllers& controllers() { return *controllers_; }
  Registry& registry() { return *registry_; }
  const Database& database() const { return database_; }

  // --- what goes wrong ---
  void set_faults(const FaultRates& rates) { options_.faults = rates; }
  // The `number`th write of the client (from 1) meets this fault; goes before the rates.
  void plan(size_t number, Fault fault) { plan_[number] = fault; }
  // After the client's `number`th write was carried out the client gets no answer any more, and `stopped` runs: the
  // process is gone. What it had sent and was not carried out yet, happens or not. restarted() lets a new one in.
  void stop_after(size_t number, std::function<void()> stopped);
  void restarted();
  // The client ends here and now, as by stop_after().
  void cut_off();
  size_t client_writes() const { return client_writes_; }
  // Time travel: until thaw(), lists and watches that begin from now on are served the state of `revision`, also those
  // that ask for the newest. This is more than a real server does wrong.
  void freeze(int64_t revision);
  void thaw();
  // No watch tells anything until release_streams(); what cancelled itself out meanwhile is never told.
  void hold_streams() { all_held_ = true; }
  void release_streams();
  // Everything before now is forgotten: watches and pages from there get 410.
  void compact();
  void drop_streams();  // all that are open, with an error
  void end_streams();   // in order

  // --- oracles ---
  // In order; requests of the client, and of everyone else.
  const std::vector<WriteRecord>& writes() const { return registry_->writes(); }
  size_t open_streams() const { return streams_.size(); }
  // The objects, without what differs from run to run: uids, versions, times, owners of fields.
  std::string masked_state() const;

 private:
  struct Client;
  struct Stream;
  class ClientApi;
  struct Replica {
    Snapshot state;
    int64_t revision = Database::kFirstRevision;
  };

  int64_t latency_ms() { return static_cast<int64_t>(rng_.below(static_cast<uint64_t>(options_.latency_max_ms) + 1)); }
  bool chance(double probability) { return probability > 0 && rng_.unit() < probability; }
  void send_from(const std::shared_ptr<Client>& client, kube::Request request,
                 std::function<void(Result<kube::Response>)> done);
  void arrive(const std::shared_ptr<Client>& client, const kube::Request& request,
              const std::function<void(Result<kube::Response>)>& done);
  Fault fault_for(const std::shared_ptr<Client>& client, const kube::Request& request, bool write);
  kube::Response carry_out(const kube::Request& request, const std::string& actor);
  kube::Response list(const Target& target);
  kube::Response discover(const std::string& path) const;
  void replicate();
  void advance(size_t replica, int64_t revision);

  std::unique_ptr<kube::ApiStream> open_from(const std::shared_ptr<Client>& client, kube::Request request,
                                             kube::StreamHandler handler);
  void begin(const std::shared_ptr<Stream>& stream, const kube::Request& request);
  void pump(const std::shared_ptr<Stream>& stream);
  void tell(const std::shared_ptr<Stream>& stream, std::string text);
  void end(const std::shared_ptr<Stream>& stream, const Status& status);
  void refuse_stream(const std::shared_ptr<Stream>& stream, const kube::Response& response);
  std::string initial_events(Stream& stream);
  std::string events_up_to(Stream& stream, int64_t revision, bool coalesce);
  void bookmark_later(const std::shared_ptr<Stream>& stream);

  Loop& loop_;
  ApiServerOptions options_;
  Rng rng_;
  Database database_;
  std::unique_ptr<Registry> registry_;
  std::unique_ptr<Controllers> controllers_;
  std::vector<Replica> replicas_;
  int64_t replicated_ = Database::kFirstRevision;
  int64_t compacted_ = 0;
  std::optional<int64_t> frozen_;
  bool all_held_ = false;
  std::list<std::shared_ptr<Stream>> streams_;
  std::shared_ptr<Client> client_;
  size_t client_writes_ = 0;
  std::map<size_t, Fault> plan_;
  size_t stop_after_ = 0;
  std::function<void()> stopped_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace fmesh::sim
