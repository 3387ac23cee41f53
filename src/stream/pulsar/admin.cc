#include "stream/pulsar/admin.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cstring>
#include <set>

namespace fmesh::stream::pulsar {
namespace {

namespace json = boost::json;

constexpr size_t kAnswerMaxBytes = 16 * 1024 * 1024;  // 100,000 topics of a namespace
constexpr size_t kReasonMaxBytes = 300;

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

// Pulsar answers {"reason": text}.
std::string reason_of(const net::HttpResponse& response) {
  boost::system::error_code error;
  const json::value body = json::parse(response.body, error);
  const json::value* reason = !error && body.is_object() ? body.get_object().if_contains("reason") : nullptr;
  const std::string text = reason && reason->is_string() ? std::string(reason->get_string()) : response.body;
  return text.substr(0, kReasonMaxBytes);
}

class RestAdmin final : public Admin {
 public:
  RestAdmin(std::unique_ptr<net::AsyncHttpClient> client, AdminOptions options)
      : client_(std::move(client)), options_(std::move(options)) {}

  void delete_subscription(const TopicName& topic, const std::string& subscription,
                           std::function<void(Status)> done) override {
    remove(path_of(topic) + "/subscription/" + encoded(subscription),
           fmt::format("subscription {} of {}", subscription, topic.full()), std::move(done));
  }

  void delete_topic(const TopicName& topic, std::function<void(Status)> done) override {
    // A topic may be partitioned; deleting the other kind is answered 404.
    remove(path_of(topic) + "/partitions?force=true", topic.full(),
           [this, topic, done = std::move(done)](Status partitioned) {
             if (!partitioned) return done(std::move(partitioned));
             remove(path_of(topic) + "?force=true", topic.full(), done);
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
  net::AsyncRequest request(const char* method, std::string target) const {
    net::AsyncRequest out;
    out.method = method;
    out.target = std::move(target);
    if (!options_.authorization.empty()) out.headers["authorization"] = options_.authorization;
    return out;
  }

  // Redirects are not followed, not even to the same host.
  Status outcome(const Result<net::HttpResponse>& response, const std::string& what) const {
    if (!response) return fail(response.error().within(what));
    if (response->status < 300 || response->status == 404) return {};
    if (response->status == 307 || response->status == 302) {
      return fail(ErrorKind::kFixInput,
                  what +
                      ": Pulsar sends the request on to another host, which is not followed; give the address of "
                      "its proxy or of its load balancer as webServiceURL");
    }
    const bool refused = response->status == 401 || response->status == 403;
    return fail(refused ? ErrorKind::kFixInput : ErrorKind::kRetryLater,
                fmt::format("{}: Pulsar answers {}: {}", what, response->status, reason_of(*response)));
  }

  void remove(std::string target, const std::string& what, std::function<void(Status)> done) {
    client_->send(request("DELETE", std::move(target)),
                  [this, what, done = std::move(done)](const Result<net::HttpResponse>& response) {
                    done(outcome(response, what));
                  });
  }

  void list(std::string target, std::function<void(Result<std::vector<std::string>>)> done) {
    client_->send(request("GET", std::move(target)),
                  [this, done = std::move(done)](const Result<net::HttpResponse>& response) {
                    if (const Status fine = outcome(response, "the list of topics"); !fine)
                      return done(fail(fine.error()));
                    std::vector<std::string> names;
                    boost::system::error_code error;
                    const json::value body = json::parse(response->body, error);
                    if (response->status == 404) return done(names);  // no such namespace
                    if (error || !body.is_array()) {
                      return done(fail(ErrorKind::kRetryLater,
                                       "the list of topics is no JSON array; is webServiceURL "
                                       "the address of Pulsar's admin API?"));
                    }
                    for (const json::value& name : body.get_array()) {
                      if (name.is_string()) names.emplace_back(name.get_string());
                    }
                    done(std::move(names));
                  });
  }

  std::unique_ptr<net::AsyncHttpClient> client_;
  AdminOptions options_;
};

}  // namespace

Status check_admin_address(const std::string& ip, bool allow_loopback) {
  std::array<unsigned char, 16> six{};
  std::array<unsigned char, 4> four{};
  bool is_four = inet_pton(AF_INET, ip.c_str(), four.data()) == 1;
  if (!is_four) {
    if (inet_pton(AF_INET6, ip.substr(0, ip.find('%')).c_str(), six.data()) != 1) {
      return fail(ErrorKind::kFixInput, ip + " is no address");
    }
    // An IPv4 address in IPv6's clothes (RFC 4291, 2.5.5.2; RFC 6052, 2.1).
    constexpr std::array<unsigned char, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    constexpr std::array<unsigned char, 12> kNat64 = {0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0};
    if (std::memcmp(six.data(), kMapped.data(), kMapped.size()) == 0 ||
        std::memcmp(six.data(), kNat64.data(), kNat64.size()) == 0) {
      std::memcpy(four.data(), six.data() + 12, 4);
      is_four = true;
    }
  }
  const auto refuse = [&](const char* why) {
    return fail(ErrorKind::kFixInput, fmt::format("{} is {}; the operator does not connect there", ip, why));
  };
  if (is_four) {
    if (four[0] == 127) return allow_loopback ? Status() : refuse("a loopback address");
    if (four[0] == 0) return refuse("no host's address");
    if (four[0] == 169 && four[1] == 254) return refuse("a link-local address, where clouds keep their metadata");
    constexpr std::array<unsigned char, 4> kCloudMetadata = {100, 100, 100, 200};
    if (four == kCloudMetadata) return refuse("where a cloud keeps its metadata");
    if (four[0] >= 224) return refuse("a multicast or reserved address");
    return {};
  }
  if (std::all_of(six.begin(), six.end() - 1, [](unsigned char byte) { return byte == 0; }) && six[15] <= 1) {
    if (six[15] == 0) return refuse("no host's address");
    return allow_loopback ? Status() : refuse("a loopback address");
  }
  if (six[0] == 0xfe && (six[1] & 0xc0) == 0x80) return refuse("a link-local address");
  if (six[0] == 0xff) return refuse("a multicast address");
  constexpr std::array<unsigned char, 16> kMetadata = {0xfd, 0, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54};
  if (six == kMetadata) return refuse("where a cloud keeps its metadata");
  return {};
}

Result<std::unique_ptr<Admin>> Admin::make(net::IoLoop& loop, AdminOptions options) {
  net::AsyncHttpClientOptions client;
  client.url = options.url.substr(0, options.url.find(','));
  if (!client.url.starts_with("http://") && !client.url.starts_with("https://")) {
    return fail(ErrorKind::kFixInput,
                fmt::format("webServiceURL \"{}\": expected http://HOST:PORT or https://HOST:PORT", options.url));
  }
  client.tls = options.tls;
  client.timeout_ms = options.timeout_ms;
  client.body_size_max_bytes = kAnswerMaxBytes;
  client.check_address = [allow = options.allow_loopback](const std::string& ip) {
    return check_admin_address(ip, allow);
  };
  FMESH_TRY(auto http, net::AsyncHttpClient::make(loop, std::move(client)));
  return std::make_unique<RestAdmin>(std::move(http), std::move(options));
}

}  // namespace fmesh::stream::pulsar
