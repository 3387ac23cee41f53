// The control API: HTTP requests in, answers from a MeshView out. It knows no socket: net::HttpServer calls handle()
// for a running mesh, and commands call it in place when no process runs on a data directory, so that both say the
// same.
//
// handle() is called from any thread, several at once. The view outlives the Api.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "net/http.h"
#include "observe/access.h"
#include "observe/mesh_view.h"
#include "observe/routes.h"

namespace fmesh::observe {

class Api {
 public:
  Api(MeshView& view, AccessRules rules) : view_(view), rules_(std::move(rules)) {}

  void handle(const net::HttpRequest& request, net::Respond respond);

 private:
  struct Follower {
    std::shared_ptr<net::BodyStream> body;
    Following following;
  };

  void answer(const Route& route, const std::string& name, const net::HttpRequest& request, net::Respond respond);
  void answer_ready(net::Respond respond);
  void answer_records(const std::string& topic, const net::HttpRequest& request, net::Respond respond);
  void answer_logs(const std::string& component, const net::HttpRequest& request, net::Respond respond);
  void answer_stream(const std::string& topic, net::Respond respond);
  void answer_publish(const std::string& topic, const net::HttpRequest& request, net::Respond respond);
  void answer_write(const Route& route, const std::string& name, const net::HttpRequest& request, net::Respond respond);
  // Lets go of followers whose peer has gone, then: are there fewer than kFollowersMax?
  bool room_for_follower();
  // Keeps `following` until its body is closed by the peer. False if kFollowersMax are open.
  bool keep_follower(std::shared_ptr<net::BodyStream> body, Following following);

  MeshView& view_;
  AccessRules rules_;
  std::mutex mutex_;
  std::vector<Follower> followers_;
};

// Prometheus' text format (metrics.cc). Names are Pulsar's where Pulsar has one, else they begin with fmesh_.
std::string metrics_text(const MeshState& state, const std::vector<StreamView>& streams);

// OpenAPI 3.0 of the routes table, indented (openapi.cc).
std::string openapi_text();

}  // namespace fmesh::observe
