// What fmesh asks of Pulsar's admin REST API: lists of topics, removal of subscriptions, topics and packages.
// Addresses are guarded (address.h), since resources of users name them; redirects are followed on the same host only.
//
// Belongs to its IoLoop.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/http_async.h"
#include "stream/pulsar/address.h"
#include "stream/pulsar/package_name.h"
#include "stream/topic_name.h"

namespace fmesh::stream::pulsar {

struct AdminOptions {
  std::string url;  // as AdminUrl::parse() takes it
  net::TlsIdentity tls;
  std::string authorization;  // the header's value: "Bearer ..."; empty: none
  AllowedHosts hosts;
  int64_t timeout_ms = 20'000;  // of one request
};

inline constexpr size_t kAdminRequestsMax = 8;  // to one broker at the same time
inline constexpr int kRedirectsMax = 3;         // of one request

class Admin {
 public:
  // Errors: kFixInput for a URL or an authorization that can't be used.
  static Result<std::unique_ptr<Admin>> make(net::IoLoop& loop, AdminOptions options);
  virtual ~Admin() = default;  // open requests end without a callback
  // Success if there is no such subscription, topic or package any more. Consumers that are attached keep it:
  // kRetryLater.
  virtual void delete_subscription(const TopicName& topic, const std::string& subscription,
                                   std::function<void(Status)> done) = 0;
  // With what is in it, and although producers and consumers are attached.
  virtual void delete_topic(const TopicName& topic, std::function<void(Status)> done) = 0;
  virtual void delete_package(const PackageName& package, std::function<void(Status)> done) = 0;
  // Full names; partitioned topics by their own name, not by their partitions'.
  virtual void list_topics(const std::string& tenant, const std::string& name_space,
                           std::function<void(Result<std::vector<std::string>>)> done) = 0;
};

}  // namespace fmesh::stream::pulsar
