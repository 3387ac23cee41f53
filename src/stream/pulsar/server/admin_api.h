// Pulsar's admin REST API, as much of it as clients and `pulsar-admin` need to look after topics, subscriptions and
// schemas (https://pulsar.apache.org/docs/admin-api-overview/; facts: pulsar.md 4.8-4.11). A request in, an answer out:
// no socket. What a broker has and this has not is answered 501 with a reason.
//
// answer() is called on one thread at a time, which may wait for the disk and for the server's loop.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "net/http.h"
#include "stream/pulsar/server/live_view.h"
#include "stream/store.h"

namespace fmesh::stream::pulsar::server {

struct AdminOptions {
  std::string cluster = "standalone";
  std::string service_url;  // "pulsar://127.0.0.1:6650"
  std::string http_url;     // "http://127.0.0.1:8080"
  bool tls = false;         // both are spoken over TLS
};

class AdminApi {
 public:
  AdminApi(Store& store, LiveView& live, const Clock& clock, AdminOptions options)
      : store_(store), live_(live), clock_(clock), options_(std::move(options)) {}

  // Whether a path is one of this API's.
  static bool serves(const std::string& path);
  net::HttpResponse answer(const net::HttpRequest& request);

 private:
  // The parts of a path behind "/admin/v2/".
  using Parts = std::vector<std::string>;
  struct Topic;

  net::HttpResponse clusters(const Parts& parts) const;
  net::HttpResponse tenants(const net::HttpRequest& request, const Parts& parts);
  net::HttpResponse namespaces(const net::HttpRequest& request, const Parts& parts);
  net::HttpResponse brokers(const Parts& parts);
  net::HttpResponse lookup(const Parts& parts);
  net::HttpResponse topics(const net::HttpRequest& request, const Parts& parts);
  net::HttpResponse topic_list(const std::string& name_space, bool partitioned);
  net::HttpResponse topic(const net::HttpRequest& request, const Topic& topic, const Parts& rest);
  net::HttpResponse partitions(const net::HttpRequest& request, const Topic& topic);
  net::HttpResponse remove(const net::HttpRequest& request, const Topic& topic);
  net::HttpResponse stats(const Topic& topic);
  net::HttpResponse partitioned_stats(const net::HttpRequest& request, const Topic& topic);
  net::HttpResponse internal_stats(const Topic& topic);
  net::HttpResponse deduplication(const net::HttpRequest& request, const Topic& topic);
  net::HttpResponse subscription(const net::HttpRequest& request, const Topic& topic, const Parts& rest);
  net::HttpResponse create_subscription(const net::HttpRequest& request, const Topic& topic, const std::string& name);
  net::HttpResponse move_subscription(const net::HttpRequest& request, const Topic& topic, const Parts& rest);
  net::HttpResponse one_entry(const Topic& topic, const MessageId& id);
  net::HttpResponse schemas(const net::HttpRequest& request, const Parts& parts);

  Store& store_;
  LiveView& live_;
  const Clock& clock_;
  const AdminOptions options_;
};

}  // namespace fmesh::stream::pulsar::server
