// Streams as Pulsar's admin API makes, deletes and counts them (facts: pulsar.md 4.9): what the binary protocol can't
// do.
//
// Each call waits for its answers, so it is for commands and workers, from any thread but the loop's. It ends on the
// loop.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/http_async.h"
#include "stream/client.h"
#include "stream/pulsar/address.h"
#include "stream/topic_name.h"

namespace fmesh::stream::pulsar {

// A list asks for the counts of each stream, so it ends here.
inline constexpr size_t kStreamsListedMax = 1'000;

// How long a broker may take to switch deduplication on, and to compact a topic.
inline constexpr int64_t kDeduplicationLimitMs = 20'000;
inline constexpr int64_t kCompactionLimitMs = 300'000;

struct AdminStreamsOptions {
  std::string url;  // as AdminUrl::parse() takes it
  net::TlsIdentity tls;
  // The value of the Authorization header; empty: none. Asked for at each request, as tokens end.
  std::function<Result<std::string>()> authorization;
  int64_t timeout_ms = 30'000;  // of one request
};

class AdminStreams {
 public:
  // Errors: kFixInput for a URL that can't be used.
  static Result<std::unique_ptr<AdminStreams>> make(net::IoLoop& loop, AdminStreamsOptions options);

  Status create(const std::string& topic, const StreamOptions& options);
  Status remove(const std::string& topic);
  Status remove_subscription(const std::string& topic, const std::string& subscription);
  // The broker drops what a named producer sends twice. REQUIRES: the topic is there. Errors: kFixInput if it is off
  // and can't be switched on.
  Status deduplicate(const std::string& topic);
  // Of each key the last record is kept; then `subscription` lets go of all before. Waits until that is done, or
  // `stopped`.
  Status compact(const std::string& topic, const std::string& subscription, const std::function<bool()>& stopped);
  // Of all namespaces that one may see, without those of the system.
  Result<std::vector<StreamInfo>> list();

 private:
  AdminStreams(net::IoLoop& loop, AdminStreamsOptions options, AdminUrl url,
               std::unique_ptr<net::AsyncHttpClient> client)
      : loop_(loop), options_(std::move(options)), url_(std::move(url)), client_(std::move(client)) {}
  Result<net::HttpResponse> ask(const std::string& method, const std::string& path, const std::string& body = "");
  Result<std::vector<std::string>> names(const std::string& path);
  Result<std::string> stats_text(const TopicName& name, const char* member);
  Status wait_for_compaction(const TopicName& name, const std::function<bool()>& stopped);
  Result<StreamInfo> count(const std::string& topic, bool partitioned);

  net::IoLoop& loop_;
  const AdminStreamsOptions options_;
  const AdminUrl url_;
  const std::unique_ptr<net::AsyncHttpClient> client_;  // on the loop
};

}  // namespace fmesh::stream::pulsar
