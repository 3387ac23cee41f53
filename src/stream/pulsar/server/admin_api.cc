#include "stream/pulsar/server/admin_api.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <set>

#include "base/result.h"
#include "stream/pulsar/server/admin_answer_private.h"
#include "stream/pulsar/server/topics_private.h"

namespace fmesh::stream::pulsar::server {
namespace {

constexpr std::string_view kAdminPrefix = "/admin/";
constexpr std::string_view kLookupPrefix = "/lookup/";

std::vector<std::string> split(std::string_view path) {
  std::vector<std::string> parts;
  while (!path.empty()) {
    const size_t slash = path.find('/');
    if (slash > 0) parts.emplace_back(path.substr(0, slash));
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
  }
  return parts;
}

bool is_get(const net::HttpRequest& request) { return request.method == "GET" || request.method == "HEAD"; }

}  // namespace

net::HttpResponse json_answer(const json::value& value) {
  net::HttpResponse response;
  response.headers["content-type"] = "application/json";
  response.body = json::serialize(value);
  return response;
}

net::HttpResponse no_content() {
  net::HttpResponse response;
  response.status = 204;
  return response;
}

net::HttpResponse problem(int status, const std::string& reason) {
  auto response = json_answer(json::object{{"reason", reason}});
  response.status = status;
  return response;
}

net::HttpResponse problem_of(const Error& error) {
  switch (error.kind()) {
    case ErrorKind::kFixInput:
      return problem(412, error.text());
    case ErrorKind::kRetryNow:
    case ErrorKind::kRetryLater:
      return problem(503, error.text());
    case ErrorKind::kClosed:
    case ErrorKind::kCorrupt:
    case ErrorKind::kBug:
      break;
  }
  return problem(500, error.text());
}

net::HttpResponse not_offered(const std::string& what) {
  return problem(
      501, what + " is not offered by this server (fmesh); docs/internals/streams-pulsar-server.md lists what is");
}

std::string time_text(int64_t time_ms) {
  const std::time_t seconds = time_ms / 1'000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, time_ms % 1'000);
}

std::string place_text(const MessageId& id) { return fmt::format("{}:{}", id.ledger, id.entry); }

Result<json::value> body_of(const net::HttpRequest& request) {
  if (request.body.empty()) return json::value();
  boost::system::error_code code;
  json::value value = json::parse(request.body, code);
  if (code) return fail(ErrorKind::kFixInput, "the body is not JSON: " + code.message());
  return value;
}

bool AdminApi::serves(const std::string& path) {
  return path.starts_with(kAdminPrefix) || path.starts_with(kLookupPrefix);
}

net::HttpResponse AdminApi::answer(const net::HttpRequest& request) {
  Parts parts = split(request.path);
  if (parts.size() < 3) return problem(404, "no such path: " + request.path);
  const std::string version = parts[1];
  const bool is_lookup = parts[0] == "lookup";
  parts.erase(parts.begin(), parts.begin() + 2);
  if (version != "v2") return not_offered("/" + std::string(is_lookup ? "lookup/" : "admin/") + version);
  if (is_lookup) return lookup(parts);
  const std::string& kind = parts[0];
  if (kind == "clusters") return is_get(request) ? clusters(parts) : not_offered("changing clusters");
  if (kind == "tenants") return tenants(request, parts);
  if (kind == "namespaces") return namespaces(request, parts);
  if (kind == "brokers" || kind == "broker-stats") return brokers(parts);
  if (kind == "persistent" || kind == "non-persistent") return topics(request, parts);
  if (kind == "schemas") return schemas(request, parts);
  return not_offered("/admin/v2/" + kind);
}

// -------------------------------------------------------------------------------------- clusters, tenants, namespaces

net::HttpResponse AdminApi::clusters(const Parts& parts) const {
  if (parts.size() == 1) return json_answer(json::array{json::string(options_.cluster)});
  if (parts[1] != options_.cluster)
    return problem(404, "there is no cluster " + parts[1] + "; there is " + options_.cluster);
  if (parts.size() > 2) return not_offered("this part of a cluster");
  json::object cluster{{options_.tls ? "serviceUrlTls" : "serviceUrl", options_.http_url},
                       {options_.tls ? "brokerServiceUrlTls" : "brokerServiceUrl", options_.service_url},
                       {"brokerClientTlsEnabled", options_.tls}};
  return json_answer(cluster);
}

net::HttpResponse AdminApi::tenants(const net::HttpRequest& request, const Parts& parts) {
  const auto streams = store_.list_streams();
  if (!streams) return problem_of(streams.error());
  std::set<std::string> names{"public"};
  for (const StreamInfo& info : *streams)
    if (const auto name = TopicName::parse(info.topic)) names.insert(name->tenant);
  if (parts.size() == 1) return json_answer(json::array(names.begin(), names.end()));
  // A tenant is there as soon as a topic names it.
  if (request.method == "PUT" || request.method == "POST") return no_content();
  if (is_get(request) && parts.size() == 2)
    return json_answer(json::object{{"adminRoles", json::array()}, {"allowedClusters", {options_.cluster}}});
  if (request.method == "DELETE" && parts.size() == 2)
    return names.contains(parts[1]) && parts[1] != "public"
               ? problem(409, "tenant " + parts[1] + " has topics; delete them first")
               : no_content();
  return not_offered("this part of a tenant");
}

net::HttpResponse AdminApi::namespaces(const net::HttpRequest& request, const Parts& parts) {
  const auto streams = store_.list_streams();
  if (!streams) return problem_of(streams.error());
  if (parts.size() < 2) return problem(404, "name a tenant");
  if (parts.size() == 2) {
    std::set<std::string> names;
    if (parts[1] == "public") names.insert("public/default");
    for (const StreamInfo& info : *streams)
      if (const auto name = TopicName::parse(info.topic); name && name->tenant == parts[1])
        names.insert(name->tenant + "/" + name->name_space);
    return json_answer(json::array(names.begin(), names.end()));
  }
  const std::string name_space = parts[1] + "/" + parts[2];
  if (parts.size() == 3) {
    if (request.method == "PUT" || request.method == "POST") return no_content();
    if (is_get(request))
      return json_answer(json::object{{"replication_clusters", {options_.cluster}},
                                      {"bundles", {{"boundaries", {"0x00000000", "0xffffffff"}}, {"numBundles", 1}}},
                                      {"schema_compatibility_strategy", "FULL"}});
    const bool has_topics = std::ranges::any_of(
        *streams, [&](const StreamInfo& info) { return info.topic.starts_with("persistent://" + name_space + "/"); });
    if (has_topics) return problem(409, "namespace " + name_space + " has topics; delete them first");
    return no_content();
  }
  if (parts[3] == "topics" && is_get(request)) return topic_list(name_space, false);
  return not_offered("the policy " + parts[3] + " of namespaces");
}

net::HttpResponse AdminApi::brokers(const Parts& parts) {
  const std::string& what = parts.size() > 1 ? parts[1] : parts[0];
  net::HttpResponse text;
  text.headers["content-type"] = "text/plain";
  if (what == "health") {
    // The store answers, which is all that can be wrong here.
    if (const auto streams = store_.list_streams(); !streams) return problem_of(streams.error());
    text.body = "ok";
    return text;
  }
  if (what == "ready") {
    text.body = "ok";
    return text;
  }
  if (what == "configuration" && parts.size() > 2 && parts[2] == "runtime")
    return json_answer(json::object{{"clusterName", options_.cluster}, {"allowAutoTopicCreation", "true"}});
  if (what == "version") {
    text.body = "fmesh-" FMESH_VERSION;
    return text;
  }
  const std::string address = options_.http_url.substr(options_.http_url.find("://") + 3);
  if (what == "leaderBroker")
    return json_answer(json::object{{"brokerId", address}, {"serviceUrl", options_.http_url}});
  if (what == options_.cluster || parts.size() == 1) return json_answer(json::array{json::string(address)});
  return not_offered("/admin/v2/" + parts[0] + "/" + what);
}

net::HttpResponse AdminApi::lookup(const Parts& parts) {
  // topic/{domain}/{tenant}/{namespace}/{topic}[/bundle]
  if (parts.size() < 5 || parts[0] != "topic") return problem(404, "no such lookup");
  if (parts.size() > 5 && parts[5] == "bundle") {
    net::HttpResponse text;
    text.headers["content-type"] = "text/plain";
    text.body = "0x00000000_0xffffffff";
    return text;
  }
  const auto name = TopicName::parse(parts[1] + "://" + parts[2] + "/" + parts[3] + "/" + parts[4]);
  if (!name) return problem(412, name.error().text());
  json::object found{{options_.tls ? "brokerUrlTls" : "brokerUrl", options_.service_url},
                     {options_.tls ? "httpUrlTls" : "httpUrl", options_.http_url},
                     {"nativeUrl", options_.service_url}};
  return json_answer(found);
}

// -------------------------------------------------------------------------------------------------------------- topics

net::HttpResponse AdminApi::topic_list(const std::string& name_space, bool partitioned) {
  const auto streams = store_.list_streams();
  if (!streams) return problem_of(streams.error());
  json::array names;
  for (const StreamInfo& info : *streams) {
    if (!info.topic.starts_with("persistent://" + name_space + "/")) continue;
    if (partitioned) {
      if (info.options.partitions > 0) names.emplace_back(info.topic);
      continue;
    }
    if (info.options.partitions == 0) names.emplace_back(info.topic);
    for (int32_t i = 0; i < info.options.partitions; ++i) names.emplace_back(TopicPlace{info.topic, i}.topic());
  }
  return json_answer(names);
}

net::HttpResponse AdminApi::topics(const net::HttpRequest& request, const Parts& parts) {
  if (parts.size() < 3) return problem(404, "name a tenant and a namespace");
  const std::string name_space = parts[1] + "/" + parts[2];
  if (parts[0] == "non-persistent") {
    const bool lists = parts.size() == 3 || (parts.size() == 4 && parts[3] == "partitioned");
    if (lists && is_get(request)) return json_answer(json::array());
    return problem(405, "what is not persistent is not offered here; use persistent://");
  }
  if (parts.size() == 3) return is_get(request) ? topic_list(name_space, false) : problem(405, "only GET");
  if (parts.size() == 4 && parts[3] == "partitioned" && is_get(request)) return topic_list(name_space, true);
  const auto parsed = TopicName::parse("persistent://" + name_space + "/" + parts[3]);
  if (!parsed) return problem(412, parsed.error().text());
  const Parts rest(parts.begin() + 4, parts.end());
  Topic found;
  found.name = parsed->full();
  // What makes a topic.
  const bool creates_whole = request.method == "PUT" && rest.empty();
  const bool creates_partitions = request.method == "PUT" && rest == Parts{"partitions"};
  auto info = store_.find_stream(found.name);
  if (!info) return problem_of(info.error());
  if (creates_whole || creates_partitions) {
    if (*info) return problem(409, "This topic already exists");
    StreamOptions options;
    if (creates_partitions) {
      const auto body = body_of(request);
      if (!body) return problem(400, body.error().text());
      const json::value* count = body->is_object() ? body->as_object().if_contains("partitions") : &*body;
      boost::system::error_code code;
      const auto number = count != nullptr && count->is_number() ? count->to_number<int32_t>(code) : 0;
      if (code || number <= 0) return problem(406, "a topic with partitions has at least one of them");
      options.partitions = number;
    }
    if (const Status made = store_.create_stream(found.name, options); !made) return problem_of(made.error());
    return no_content();
  }
  if (const auto index = parsed->partition_index(); !*info && index) {
    const std::string whole = found.name.substr(0, found.name.rfind("-partition-"));
    info = store_.find_stream(whole);
    if (!info) return problem_of(info.error());
    found.partition = *index;
    if (*info && *index >= (*info)->options.partitions) info->reset();
  }
  if (!*info) {
    if (rest == Parts{"partitions"} && is_get(request)) return problem(404, "Topic not exist: " + found.name);
    return problem(404, "Topic " + found.name + " not found");
  }
  found.info = std::move(**info);
  return topic(request, found, rest);
}

net::HttpResponse AdminApi::topic(const net::HttpRequest& request, const Topic& topic, const Parts& rest) {
  const bool get = is_get(request);
  const std::string what = rest.empty() ? "" : rest[0];
  if (what.empty()) return request.method == "DELETE" ? remove(request, topic) : problem(405, "PUT or DELETE a topic");
  if (what == "partitions") return partitions(request, topic);
  if (what == "stats" && get) return stats(topic);
  if (what == "partitioned-stats" && get) return partitioned_stats(request, topic);
  if ((what == "internalStats" || what == "internal-info") && get) return internal_stats(topic);
  if (what == "subscriptions" && get) {
    json::array names;
    for (const auto& subscription : topic.info.subscriptions) names.emplace_back(subscription.name);
    return json_answer(names);
  }
  if (what == "subscription" && rest.size() > 1) return subscription(request, topic, rest);
  if (what == "deduplicationEnabled") return deduplication(request, topic);
  if (what == "unload" && request.method == "PUT") {
    for (const auto& [name, live] : live_.live_topics(topic.name))
      if (name == topic.name || name.starts_with(topic.name + "-partition-")) live_.disconnect(name, "");
    return no_content();
  }
  if (what == "lastMessageId" && get) {
    if (topic.is_partitioned()) return problem(405, "name one partition of " + topic.name);
    const MessageId last = topic.info.partitions[topic.lane()].last;
    return json_answer(json::object{
        {"ledgerId", last.entry < 0 ? -1 : last.ledger}, {"entryId", last.entry}, {"partitionIndex", topic.partition}});
  }
  if (what == "ledger" && rest.size() == 4 && get) {
    MessageId id;
    const auto parsed = parse_message_id(fmt::format("{}:{}:-1", rest[1], rest[3]));
    if (!parsed) return problem(412, "no message id: " + rest[1] + ":" + rest[3]);
    return one_entry(topic, *parsed);
  }
  if (what == "messageid" && rest.size() == 2 && get) {
    if (topic.is_partitioned()) return problem(405, "name one partition of " + topic.name);
    const int64_t time_ms = std::strtoll(rest[1].c_str(), nullptr, 10);
    const auto found = store_.find_time(topic.info.topic, topic.partition, time_ms);
    if (!found) return problem_of(found.error());
    return json_answer(
        json::object{{"ledgerId", found->ledger}, {"entryId", found->entry}, {"partitionIndex", topic.partition}});
  }
  return not_offered("\"" + what + "\" of topics");
}

net::HttpResponse AdminApi::partitions(const net::HttpRequest& request, const Topic& topic) {
  if (is_get(request))
    return json_answer(
        json::object{{"partitions", topic.partition < 0 ? topic.info.options.partitions : 0}, {"deleted", false}});
  if (request.method == "DELETE")
    return topic.is_partitioned() ? remove(request, topic) : problem(404, topic.name + " has no partitions");
  return problem(409, fmt::format("the number of partitions of {} is fixed at {}; make a new topic", topic.name,
                                  topic.info.options.partitions));
}

net::HttpResponse AdminApi::remove(const net::HttpRequest& request, const Topic& topic) {
  if (topic.partition >= 0) return problem(409, "a partition is deleted with its topic, " + topic.info.topic);
  const auto force = request.query.find("force");
  const bool forced = force != request.query.end() && force->second == "true";
  for (const auto& [name, live] : live_.live_topics(topic.name)) {
    if (name != topic.name && !name.starts_with(topic.name + "-partition-")) continue;
    if (!forced && (!live.producers.empty() || !live.subscriptions.empty()))
      return problem(412, "Topic has active producers/subscriptions");
    live_.disconnect(name, "");
  }
  if (!forced && !topic.info.subscriptions.empty())
    return problem(412, "Topic has subscriptions; unsubscribe them or use force");
  if (const Status removed = store_.delete_stream(topic.name); !removed) return problem_of(removed.error());
  return no_content();
}

net::HttpResponse AdminApi::deduplication(const net::HttpRequest& request, const Topic& topic) {
  if (is_get(request)) {
    const auto notes = store_.notes(topic.info.topic);
    if (!notes) return problem_of(notes.error());
    const auto found = notes->find(kDeduplicationNote);
    if (found == notes->end()) return no_content();
    return json_answer(found->second == "true");
  }
  const auto body = body_of(request);
  if (!body) return problem(400, body.error().text());
  const std::string value = request.method == "DELETE" ? "" : body->is_bool() && body->as_bool() ? "true" : "false";
  if (const Status put = store_.put_note(topic.info.topic, kDeduplicationNote, value); !put)
    return problem_of(put.error());
  // Producers that are connected come again under the new rule.
  for (const auto& [name, live] : live_.live_topics(topic.info.topic))
    if (name == topic.info.topic || name.starts_with(topic.info.topic + "-partition-")) live_.disconnect(name, "");
  return no_content();
}

}  // namespace fmesh::stream::pulsar::server
