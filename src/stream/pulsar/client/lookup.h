// Finding one's way in a cluster: how many partitions a topic has, which broker serves it, which topics a namespace has
// (facts: pulsar.md 1.6, 1.11).
//
// Belongs to the client's loop. Each answer is given once and not from within the call.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "stream/pulsar/client/connection_pool.h"

namespace fmesh::stream::pulsar {

// Brokers that send one to each other for longer than this do not agree.
inline constexpr int kLookupRedirectsMax = 20;
// A broker that claims more is not believed: each partition costs a producer or a consumer.
inline constexpr uint32_t kPartitionsMax = 10'000;
inline constexpr size_t kTopicsOfNamespaceMax = 100'000;

// Numbers that are unique in one client.
class Ids {
 public:
  uint64_t next() { return last_++; }

 private:
  uint64_t last_ = 1;
};

struct LookupOptions {
  std::string listener_name;
  int64_t timeout_ms = 30'000;  // of one request
};

class Lookup {
 public:
  template <class T>
  using Done = std::function<void(std::expected<T, Refusal>)>;

  Lookup(ConnectionPool& pool, Ids& ids, LookupOptions options)
      : pool_(pool), ids_(ids), options_(std::move(options)) {}

  // 0: not partitioned. `make`: a topic that is not there is made, if the cluster allows that.
  void partitions(const std::string& topic, bool make, Done<uint32_t> done);
  // A connection to the broker that serves `topic`, a partition or a topic without partitions.
  void broker(const std::string& topic, ConnectionPool::Ready done);
  // Full names, partitions one by one. `name_space`: "tenant/namespace".
  void topics(const std::string& name_space, Done<std::vector<std::string>> done);

 private:
  struct Search;
  void ask(std::shared_ptr<Search> search, const std::shared_ptr<Connection>& connection, bool authoritative);
  void go_on(const std::shared_ptr<Search>& search, const std::shared_ptr<Connection>& connection,
             const wire::proto::BaseCommand& command);

  ConnectionPool& pool_;
  Ids& ids_;
  const LookupOptions options_;
};

}  // namespace fmesh::stream::pulsar
