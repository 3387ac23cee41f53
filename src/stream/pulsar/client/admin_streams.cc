#include "stream/pulsar/client/admin_streams.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <boost/url.hpp>
#include <chrono>
#include <future>
#include <set>
#include <thread>
#include <utility>

#include "stream/pulsar/client/wait.h"
#include "stream/topic_name.h"

namespace fmesh::stream::pulsar {
namespace {

namespace json = boost::json;

constexpr size_t kAnswerMaxBytes = 16 * 1024 * 1024;
constexpr int64_t kLookMs = 100;  // how often it is asked whether something is done
constexpr int kNotFound = 404, kConflict = 409;

std::string encoded(std::string_view text) { return boost::urls::encode(text, boost::urls::unreserved_chars); }

std::string path_of(const TopicName& name) {
  return fmt::format("/admin/v2/{}/{}/{}/{}", name.persistent ? "persistent" : "non-persistent", encoded(name.tenant),
                     encoded(name.name_space), encoded(name.local_name));
}

int64_t integer_at(const json::object& object, const char* name) {
  const json::value* found = object.if_contains(name);
  if (found == nullptr) return 0;
  if (found->is_double()) return static_cast<int64_t>(found->get_double());
  json::error_code error;
  const auto value = found->to_number<int64_t>(error);
  return error ? 0 : value;
}

const json::object& object_at(const json::object& object, const char* name) {
  static const json::object none;
  const json::value* found = object.if_contains(name);
  return found != nullptr && found->is_object() ? found->get_object() : none;
}

// Pulsar's reason, or what came.
std::string reason_in(const net::HttpResponse& response) {
  json::error_code error;
  const json::value value = json::parse(response.body, error);
  if (!error && value.is_object()) {
    const json::value* reason = value.get_object().if_contains("reason");
    if (reason != nullptr && reason->is_string()) return std::string(reason->get_string());
  }
  return response.body.substr(0, 200);
}

Error refused_by(const net::HttpResponse& response, const std::string& what) {
  const bool later = response.status >= 500;
  return Error(later ? ErrorKind::kRetryLater : ErrorKind::kFixInput,
               fmt::format("{}: the admin API answered {}: {}", what, response.status, reason_in(response)));
}

SubscriptionType type_of(const json::object& subscription) {
  const json::value* type = subscription.if_contains("type");
  const std::string_view text = type != nullptr && type->is_string() ? std::string_view(type->get_string()) : "";
  if (text == "Exclusive") return SubscriptionType::kExclusive;
  if (text == "Failover") return SubscriptionType::kFailover;
  return text == "Key_Shared" ? SubscriptionType::kKeyShared : SubscriptionType::kShared;
}

StreamInfo to_info(const std::string& topic, const json::object& stats) {
  StreamInfo info;
  info.topic = topic;
  info.options.partitions = static_cast<int32_t>(integer_at(object_at(stats, "metadata"), "partitions"));
  info.bytes = integer_at(stats, "storageSize");
  info.records_in_total = integer_at(stats, "msgInCounter");
  info.bytes_in_total = integer_at(stats, "bytesInCounter");
  info.records = info.records_in_total;  // what retention took away is not told
  info.partitions.resize(static_cast<size_t>(std::clamp(info.options.partitions, 1, 10'000)));
  for (const auto& member : object_at(stats, "subscriptions")) {
    if (!member.value().is_object()) continue;
    const json::object& one = member.value().get_object();
    StreamInfo::Subscription subscription;
    subscription.name = member.key();
    subscription.type = type_of(one);
    const json::value* consumers = one.if_contains("consumers");
    if (consumers != nullptr && consumers->is_array()) {
      subscription.consumers = static_cast<int32_t>(consumers->get_array().size());
    }
    subscription.backlog_records = integer_at(one, "msgBacklog");
    subscription.backlog_bytes = integer_at(one, "backlogSize");
    subscription.records_out_total = integer_at(one, "msgOutCounter");
    info.subscriptions.push_back(std::move(subscription));
  }
  return info;
}

}  // namespace

Result<std::unique_ptr<AdminStreams>> AdminStreams::make(net::IoLoop& loop, AdminStreamsOptions options) {
  FMESH_TRY(AdminUrl url, AdminUrl::parse(options.url));
  net::AsyncHttpClientOptions how;
  how.url = url.origin();
  how.timeout_ms = options.timeout_ms;
  how.body_size_max_bytes = kAnswerMaxBytes;
  if (url.secure) how.tls = options.tls;
  FMESH_TRY(std::unique_ptr<net::AsyncHttpClient> client, net::AsyncHttpClient::make(loop, std::move(how)));
  return std::unique_ptr<AdminStreams>(new AdminStreams(loop, std::move(options), std::move(url), std::move(client)));
}

Result<net::HttpResponse> AdminStreams::ask(const std::string& method, const std::string& path,
                                            const std::string& body) {
  net::AsyncRequest request;
  request.method = method;
  request.target = url_.prefix + path;
  request.body = body;
  if (!body.empty()) request.headers.emplace("content-type", "application/json");
  FMESH_TRY(std::string authorization, options_.authorization());
  if (!authorization.empty()) request.headers.emplace("authorization", std::move(authorization));
  const auto promise = std::make_shared<std::promise<Result<net::HttpResponse>>>();
  auto future = promise->get_future();
  loop_.post([this, request = std::move(request), promise] {
    client_->send(request, [promise](Result<net::HttpResponse> answer) { promise->set_value(std::move(answer)); });
  });
  if (future.wait_for(std::chrono::milliseconds(options_.timeout_ms + kWaitSlackMs)) != std::future_status::ready) {
    return fail(ErrorKind::kRetryLater, url_.origin() + ": no answer");
  }
  auto answer = future.get();
  if (!answer) return fail(answer.error().within(url_.origin()));
  return answer;
}

Result<std::vector<std::string>> AdminStreams::names(const std::string& path) {
  FMESH_TRY(const net::HttpResponse response, ask("GET", path));
  if (response.status == kNotFound) return std::vector<std::string>();
  if (response.status != 200) return fail(refused_by(response, "list streams"));
  json::error_code error;
  const json::value value = json::parse(response.body, error);
  if (error || !value.is_array()) return fail(ErrorKind::kRetryLater, url_.origin() + " answered with no list");
  std::vector<std::string> found;
  for (const json::value& one : value.get_array()) {
    if (one.is_string()) found.emplace_back(one.get_string());
  }
  return found;
}

Status AdminStreams::create(const std::string& topic, const StreamOptions& options) {
  FMESH_TRY(const TopicName name, TopicName::parse(topic));
  if (options.retention_size_bytes >= 0 || options.retention_time_ms >= 0 || options.backlog_size_max_bytes >= 0) {
    return fail(ErrorKind::kFixInput, "create " + topic +
                                          ": retention and backlog quotas of topics are policies of "
                                          "their namespace; set them with pulsar-admin");
  }
  const bool partitioned = options.partitions > 0;
  FMESH_TRY(const net::HttpResponse response, ask("PUT", path_of(name) + (partitioned ? "/partitions" : ""),
                                                  partitioned ? std::to_string(options.partitions) : ""));
  if (response.status / 100 == 2) return {};
  if (response.status != kConflict) return fail(refused_by(response, "create " + topic));
  // It is there; with as many partitions?
  FMESH_TRY(const net::HttpResponse known, ask("GET", path_of(name) + "/partitions"));
  json::error_code error;
  const json::value value = json::parse(known.body, error);
  const int64_t there = !error && value.is_object() ? integer_at(value.get_object(), "partitions") : -1;
  if (there == options.partitions) return {};
  return fail(ErrorKind::kFixInput, fmt::format("create {}: it is there with {} partitions, {} were asked for", topic,
                                                there, options.partitions));
}

Status AdminStreams::remove(const std::string& topic) {
  FMESH_TRY(const TopicName name, TopicName::parse(topic));
  FMESH_TRY(const net::HttpResponse response, ask("DELETE", path_of(name) + "/partitions"));
  if (response.status / 100 == 2) return {};
  if (response.status != kNotFound && response.status != kConflict) {
    return fail(refused_by(response, "delete " + topic));
  }
  FMESH_TRY(const net::HttpResponse single, ask("DELETE", path_of(name)));
  if (single.status / 100 == 2) return {};
  return fail(refused_by(single, "delete " + topic));
}

Status AdminStreams::remove_subscription(const std::string& topic, const std::string& subscription) {
  FMESH_TRY(const TopicName name, TopicName::parse(topic));
  FMESH_TRY(const net::HttpResponse response, ask("DELETE", path_of(name) + "/subscription/" + encoded(subscription)));
  if (response.status / 100 == 2 || response.status == kNotFound) return {};
  return fail(refused_by(response, "delete subscription " + subscription + " of " + topic));
}

// A member of the topic's statistics, or of those of its first partition.
Result<std::string> AdminStreams::stats_text(const TopicName& name, const char* member) {
  FMESH_TRY(net::HttpResponse response, ask("GET", path_of(name) + "/stats"));
  if (response.status != 200 && !name.partition_index()) {
    FMESH_TRY(const TopicName first, TopicName::parse(name.partition(0)));
    FMESH_TRY(response, ask("GET", path_of(first) + "/stats"));
  }
  if (response.status != 200) return fail(refused_by(response, "look at " + name.full()));
  json::error_code error;
  const json::value value = json::parse(response.body, error);
  const json::value* found = !error && value.is_object() ? value.get_object().if_contains(member) : nullptr;
  return found != nullptr && found->is_string() ? std::string(found->get_string()) : std::string();
}

Status AdminStreams::deduplicate(const std::string& topic) {
  FMESH_TRY(const TopicName name, TopicName::parse(topic));
  const auto is_on = [&]() -> Result<bool> {
    FMESH_TRY(const std::string status, stats_text(name, "deduplicationStatus"));
    return status == "Enabled";
  };
  const std::string help = "deduplication of " + topic +
                           " is off; effectively once needs it: pulsar-admin namespaces set-deduplication " +
                           name.tenant + "/" + name.name_space + " --enable";
  FMESH_TRY(bool on, is_on());
  if (on) return {};
  FMESH_TRY(const net::HttpResponse response, ask("POST", path_of(name) + "/deduplicationEnabled", "true"));
  if (response.status / 100 != 2) return fail(refused_by(response, help).within("switch it on"));
  for (int64_t waited_ms = 0; waited_ms < kDeduplicationLimitMs; waited_ms += kLookMs) {
    FMESH_TRY(on, is_on());
    if (on) return {};
    std::this_thread::sleep_for(std::chrono::milliseconds(kLookMs));
  }
  return fail(ErrorKind::kFixInput,
              help + "; it was asked for and is not on after " + std::to_string(kDeduplicationLimitMs) + " ms");
}

Status AdminStreams::wait_for_compaction(const TopicName& name, const std::function<bool()>& stopped) {
  for (int64_t waited_ms = 0; waited_ms < kCompactionLimitMs; waited_ms += kLookMs) {
    if (stopped()) return fail(ErrorKind::kClosed, "compact " + name.full() + ": it goes on without being waited for");
    FMESH_TRY(const net::HttpResponse response, ask("GET", path_of(name) + "/compaction"));
    if (response.status != 200) return fail(refused_by(response, "compact " + name.full()));
    json::error_code error;
    const json::value value = json::parse(response.body, error);
    const json::value* found = !error && value.is_object() ? value.get_object().if_contains("status") : nullptr;
    const std::string status = found != nullptr && found->is_string() ? std::string(found->get_string()) : "";
    if (status == "SUCCESS") return {};
    if (status != "RUNNING") {
      return fail(ErrorKind::kRetryLater,
                  "compact " + name.full() + ": the broker says " + response.body.substr(0, 200));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(kLookMs));
  }
  return fail(ErrorKind::kRetryLater, "compact " + name.full() + ": the broker is still at it");
}

// What came after the compacted part stays: the broker's own cursor of compaction is before it.
Status AdminStreams::compact(const std::string& topic, const std::string& subscription,
                             const std::function<bool()>& stopped) {
  FMESH_TRY(const TopicName name, TopicName::parse(topic));
  FMESH_TRY(const net::HttpResponse response, ask("PUT", path_of(name) + "/compaction"));
  if (response.status / 100 != 2 && response.status != kConflict) return fail(refused_by(response, "compact " + topic));
  FMESH_CHECK(wait_for_compaction(name, stopped));
  FMESH_TRY(const net::HttpResponse skipped,
            ask("POST", path_of(name) + "/subscription/" + encoded(subscription) + "/skip_all"));
  if (skipped.status / 100 == 2) return {};
  return fail(refused_by(skipped, "let subscription " + subscription + " of " + topic + " go of what is compacted"));
}

Result<StreamInfo> AdminStreams::count(const std::string& topic, bool partitioned) {
  FMESH_TRY(const TopicName name, TopicName::parse(topic));
  FMESH_TRY(const net::HttpResponse response,
            ask("GET", path_of(name) + (partitioned ? "/partitioned-stats?perPartition=false" : "/stats")));
  if (response.status != 200) return fail(refused_by(response, "count " + topic));
  json::error_code error;
  const json::value value = json::parse(response.body, error);
  if (error || !value.is_object()) return fail(ErrorKind::kRetryLater, url_.origin() + " answered with no counts");
  return to_info(topic, value.get_object());
}

Result<std::vector<StreamInfo>> AdminStreams::list() {
  std::vector<StreamInfo> found;
  FMESH_TRY(const std::vector<std::string> tenants, names("/admin/v2/tenants"));
  for (const std::string& tenant : tenants) {
    if (tenant == "pulsar") continue;  // the system's own
    FMESH_TRY(const std::vector<std::string> name_spaces, names("/admin/v2/namespaces/" + encoded(tenant)));
    for (const std::string& name_space : name_spaces) {
      FMESH_TRY(const std::vector<std::string> parted, names("/admin/v2/persistent/" + name_space + "/partitioned"));
      FMESH_TRY(const std::vector<std::string> single, names("/admin/v2/persistent/" + name_space));
      const std::set<std::string> partitioned(parted.begin(), parted.end());
      std::set<std::string> topics = partitioned;
      for (const std::string& topic : single) {
        const auto name = TopicName::parse(topic);
        const bool is_system = name && name->local_name.starts_with("__");
        if (name && !is_system && !name->partition_index()) topics.insert(topic);
      }
      for (const std::string& topic : topics) {
        if (found.size() >= kStreamsListedMax) {
          return fail(ErrorKind::kFixInput,
                      fmt::format("list streams: there are more than {}; ask pulsar-admin for one "
                                  "namespace",
                                  kStreamsListedMax));
        }
        const auto info = count(topic, partitioned.contains(topic));
        if (info) found.push_back(*info);  // else it went meanwhile, or is not for this role
      }
    }
  }
  return found;
}

}  // namespace fmesh::stream::pulsar
