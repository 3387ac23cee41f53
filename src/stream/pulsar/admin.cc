#include "stream/pulsar/admin.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <optional>
#include <set>

namespace fmesh::stream::pulsar {
namespace {

namespace json = boost::json;

constexpr size_t kAnswerMaxBytes = 16 * 1024 * 1024;  // 100,000 topics of a namespace
constexpr size_t kReasonMaxBytes = 300;
constexpr int kConflict = 409;

std::string encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.' || c == '~';
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned>(static_cast<unsigned char>(c)));
  }
  return out;
}

std::string path_of(const TopicName& topic) {
  return fmt::format("/admin/v2/{}/{}/{}/{}", topic.persistent ? "persistent" : "non-persistent", encoded(topic.tenant),
                     encoded(topic.name_space), encoded(topic.local_name));
}

// Pulsar answers {"reason": text}. Anything else is not repeated: it may be the answer of another server that the
// writer of a resource may not read.
std::string reason_of(const net::HttpResponse& response) {
  boost::system::error_code error;
  const json::value body = json::parse(response.body, error);
  const json::value* reason = !error && body.is_object() ? body.get_object().if_contains("reason") : nullptr;
  if (!reason || !reason->is_string()) return "";
  std::string text(reason->get_string());
  size_t end = std::min(text.size(), kReasonMaxBytes);
  while (end < text.size() && end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80) --end;
  return ": " + text.substr(0, end);
}

class RestAdmin final : public Admin {
 public:
  RestAdmin(std::unique_ptr<net::AsyncHttpClient> client, AdminUrl url, std::string authorization)
      : client_(std::move(client)), url_(std::move(url)), authorization_(std::move(authorization)) {}

  void delete_subscription(const TopicName& topic, const std::string& subscription,
                           std::function<void(Status)> done) override {
    remove(path_of(topic) + "/subscription/" + encoded(subscription),
           fmt::format("subscription {} of {}", subscription, topic.full()), std::move(done));
  }

  void delete_topic(const TopicName& topic, std::function<void(Status)> done) override {
    // Whether it is partitioned is told by 409 to the wrong one of the two ways.
    ask("DELETE", path_of(topic) + "?force=true",
        [this, topic, done = std::move(done)](const Result<net::HttpResponse>& response) {
          if (!response || response->status != kConflict) return done(outcome(response, topic.full()));
          remove(path_of(topic) + "/partitions?force=true", topic.full(), done);
        });
  }

  void delete_package(const PackageName& package, std::function<void(Status)> done) override {
    const std::string path = fmt::format("/admin/v3/packages/{}/{}/{}/{}/{}", package.type, encoded(package.tenant),
                                         encoded(package.name_space), encoded(package.name), encoded(package.version));
    remove(path, package.full(), [this, path, done = std::move(done)](const Status& removed) {
      if (removed) return done({});
      // Storage on a disk answers 500 to the removal of what is gone.
      ask("GET", path + "/metadata", [removed, done](const Result<net::HttpResponse>& response) {
        done(response && response->status == 404 ? Status() : removed);
      });
    });
  }

  void list_topics(const std::string& tenant, const std::string& name_space,
                   std::function<void(Result<std::vector<std::string>>)> done) override {
    const std::string base = fmt::format("/admin/v2/persistent/{}/{}", encoded(tenant), encoded(name_space));
    list(base + "/partitioned", [this, base, done = std::move(done)](Result<std::vector<std::string>> partitioned) {
      if (!partitioned) return done(std::move(partitioned));
      list(base, [partitioned = std::move(*partitioned), done](Result<std::vector<std::string>> all) {
        if (!all) return done(std::move(all));
        std::set<std::string> names(partitioned.begin(), partitioned.end());
        for (const std::string& name : *all) {
          const auto topic = TopicName::parse(name);
          if (topic && !topic->partition_index()) names.insert(name);
        }
        done(std::vector<std::string>(names.begin(), names.end()));
      });
    });
  }

 private:
  using Answer = std::function<void(const Result<net::HttpResponse>&)>;

  void ask(const char* method, const std::string& target, Answer done) {
    send(method, url_.prefix + target, 0, std::move(done));
  }

  void send(const char* method, const std::string& target, int redirects, Answer done) {
    net::AsyncRequest request;
    request.method = method;
    request.target = target;
    if (!authorization_.empty()) request.headers.emplace("authorization", authorization_);
    client_->send(std::move(request),
                  [this, method, redirects, done = std::move(done)](const Result<net::HttpResponse>& response) {
                    const bool redirect = response && (response->status == 301 || response->status == 302 ||
                                                       response->status == 307 || response->status == 308);
                    if (!redirect) return done(response);
                    if (redirects == kRedirectsMax) {
                      return done(fail(ErrorKind::kRetryLater,
                                       fmt::format("{}: more than {} redirects", url_.origin(), kRedirectsMax)));
                    }
                    const auto location = response->headers.find("location");
                    const Result<std::string> next =
                        same_host_target(url_, location == response->headers.end() ? "" : location->second);
                    if (!next) {
                      return done(fail(ErrorKind::kFixInput,
                                       fmt::format("{}: {}, which is not followed; give the address of Pulsar's proxy, "
                                                   "or of a load balancer, as webServiceURL",
                                                   url_.origin(), next.error().text())));
                    }
                    send(method, *next, redirects + 1, done);
                  });
  }

  static Status outcome(const Result<net::HttpResponse>& response, const std::string& what) {
    if (!response) return fail(response.error().within(what));
    if (response->status < 300 || response->status == 404) return {};
    const bool refused = response->status == 401 || response->status == 403;
    return fail(refused ? ErrorKind::kFixInput : ErrorKind::kRetryLater,
                fmt::format("{}: Pulsar answers {}{}", what, response->status, reason_of(*response)));
  }

  void remove(const std::string& target, const std::string& what, std::function<void(Status)> done) {
    ask("DELETE", target,
        [what, done = std::move(done)](const Result<net::HttpResponse>& response) { done(outcome(response, what)); });
  }

  void list(const std::string& target, std::function<void(Result<std::vector<std::string>>)> done) {
    ask("GET", target, [done = std::move(done)](const Result<net::HttpResponse>& response) {
      if (const Status fine = outcome(response, "the list of topics"); !fine) return done(fail(fine.error()));
      std::vector<std::string> names;
      if (response->status == 404) return done(names);  // no such namespace
      boost::system::error_code error;
      const json::value body = json::parse(response->body, error);
      if (error || !body.is_array()) {
        return done(fail(ErrorKind::kRetryLater,
                         "the list of topics is no JSON array; is webServiceURL the address of Pulsar's admin API?"));
      }
      for (const json::value& name : body.get_array()) {
        if (name.is_string()) names.emplace_back(name.get_string());
      }
      done(std::move(names));
    });
  }

  std::unique_ptr<net::AsyncHttpClient> client_;
  AdminUrl url_;
  std::string authorization_;
};

}  // namespace

Result<std::unique_ptr<Admin>> Admin::make(net::IoLoop& loop, AdminOptions options) {
  auto url = AdminUrl::parse(options.url);
  if (!url) return fail(url.error().within("webServiceURL"));
  for (const char c : options.authorization) {
    // What is not text would end the header (RFC 9110, 5.5).
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      return fail(ErrorKind::kFixInput, "the credentials have a line break or another control character in them");
    }
  }
  net::AsyncHttpClientOptions client;
  client.url = url->origin();
  client.tls = options.tls;
  client.timeout_ms = options.timeout_ms;
  client.connections_max = kAdminRequestsMax;
  client.body_size_max_bytes = kAnswerMaxBytes;
  client.check_address = [hosts = options.hosts, host = url->host](const std::string& ip) {
    return hosts.check(host, ip);
  };
  FMESH_TRY(auto http, net::AsyncHttpClient::make(loop, std::move(client)));
  return std::make_unique<RestAdmin>(std::move(http), std::move(*url), std::move(options.authorization));
}

}  // namespace fmesh::stream::pulsar
