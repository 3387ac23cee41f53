// What fmesh asks of Pulsar's admin REST API (admin/v2): lists of topics, removal of subscriptions and of topics.
// Addresses are guarded, since resources of users name them: http and https only, no loopback, link-local or metadata
// address, no redirect to another host.
//
// Belongs to its IoLoop.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/http_async.h"
#include "stream/topic_name.h"

namespace fmesh::stream::pulsar {

struct AdminOptions {
  std::string url;  // http(s)://host:port; of several with commas, as Pulsar writes them, the first
  net::TlsIdentity tls;
  std::string authorization;  // the header's value: "Bearer ..."; empty: none
  bool allow_loopback = false;
  int64_t timeout_ms = 20'000;
};

class Admin {
 public:
  // Errors: kFixInput for a URL that is no http(s) URL.
  static Result<std::unique_ptr<Admin>> make(net::IoLoop& loop, AdminOptions options);
  virtual ~Admin() = default;
  // Success if there is no such subscription, or topic, any more. Consumers that are attached keep it: kRetryLater.
  virtual void delete_subscription(const TopicName& topic, const std::string& subscription,
                                   std::function<void(Status)> done) = 0;
  virtual void delete_topic(const TopicName& topic, std::function<void(Status)> done) = 0;
  // Full names; partitioned topics by their own name, not by their partitions'.
  virtual void list_topics(const std::string& tenant, const std::string& name_space,
                           std::function<void(Result<std::vector<std::string>>)> done) = 0;
};

// Whether a resource may make the operator connect there. Errors: kFixInput with the reason.
Status check_admin_address(const std::string& ip, bool allow_loopback);

}  // namespace fmesh::stream::pulsar
