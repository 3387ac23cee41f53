#include "operator/cleaner.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <deque>
#include <set>

#include "kube/json.h"
#include "kube/requests.h"
#include "model/base64.h"
#include "model/live.h"
#include "plan/details.h"
#include "plan/pattern.h"
#include "stream/pulsar/admin.h"

namespace fmesh::op {
namespace {

namespace json = boost::json;
namespace pulsar = stream::pulsar;

constexpr const char* kTokenPlugin = "org.apache.pulsar.client.impl.auth.AuthenticationToken";
constexpr const char* kBasicPlugin = "org.apache.pulsar.client.impl.auth.AuthenticationBasic";
constexpr const char* kOauth2Plugin = "org.apache.pulsar.client.impl.auth.oauth2.AuthenticationOAuth2";

// The header for what Pulsar's Java client calls a plugin and its parameters.
Result<std::string> authorization_of(const std::string& plugin, const std::string& parameters) {
  if (plugin.empty()) return std::string();
  if (plugin == kTokenPlugin || plugin == "token") {
    constexpr std::string_view kPrefix = "token:";
    if (parameters.starts_with("file:")) {
      return fail(ErrorKind::kFixInput,
                  "the token is in a file of the pod, which the operator can't read; give it as token:..., or under "
                  "spec.pulsar.cleanupAuthConfig");
    }
    return "Bearer " + (parameters.starts_with(kPrefix) ? parameters.substr(kPrefix.size()) : parameters);
  }
  if (plugin == kBasicPlugin || plugin == "basic") {
    boost::system::error_code error;
    const json::value value = json::parse(parameters, error);
    if (error || !value.is_object()) {
      return fail(ErrorKind::kFixInput, "AuthenticationBasic: expected {\"userId\":...,\"password\":...}");
    }
    return "Basic " + model::encode_base64(fmt::format("{}:{}", kube::string_at(value, {"userId"}),
                                                       kube::string_at(value, {"password"})));
  }
  return fail(ErrorKind::kFixInput,
              fmt::format("authentication {} is not supported for the cleanup; use {}, {} or oauth2Config", plugin,
                          kTokenPlugin, kBasicPlugin));
}

std::string form_encoded(std::string_view text) { return kube::percent_encode(text); }

// One cleanup, from the first question to the last removal. Lives until it calls `done_`.
class Job : public std::enable_shared_from_this<Job> {
 public:
  Job(net::IoLoop& loop, kube::Api& api, bool allow_loopback, model::LiveResource live,
      std::function<void(Status)> done)
      : loop_(loop), api_(api), allow_loopback_(allow_loopback), live_(std::move(live)), done_(std::move(done)) {}

  void start() {
    const model::ComponentSpec& spec = live_.component->spec;
    if (!spec.pulsar || spec.pulsar->pulsar_config.empty()) {
      return end(fail(ErrorKind::kFixInput, "the resource names no pulsarConfig"));
    }
    left_ = leftovers_of(*live_.component);
    read(kube::kConfigMap, spec.pulsar->pulsar_config, [this](const model::StringMap& data) {
      const auto found = data.find("webServiceURL");
      if (found == data.end()) {
        return end(fail(ErrorKind::kFixInput,
                        fmt::format("ConfigMap {} has no webServiceURL", live_.component->spec.pulsar->pulsar_config)));
      }
      options_.url = found->second;
      options_.allow_loopback = allow_loopback_;
      read_trust();
    });
  }

 private:
  void end(Status outcome) {
    // Not from within the callback of a client that goes with this.
    loop_.post([self = shared_from_this(), outcome = std::move(outcome)] {
      if (self->done_) std::exchange(self->done_, nullptr)(outcome);
      self->admin_.reset();
      self->oauth_.reset();
    });
  }

  const model::PulsarMessaging& messaging() const { return *live_.component->spec.pulsar; }
  const std::optional<model::AuthConfig>& auth() const {
    return messaging().cleanup_auth_config ? messaging().cleanup_auth_config : messaging().auth_config;
  }

  // The data of a ConfigMap or Secret, decoded.
  void read(const kube::ResourceType& type, const std::string& name,
            std::function<void(const model::StringMap&)> then) {
    const kube::ObjectKey key{live_.metadata.name_space, name};
    api_.send(
        kube::get(type, key), [self = shared_from_this(), type, name, then](const Result<kube::Response>& answer) {
          const kube::Outcome outcome = kube::read_outcome(answer);
          if (outcome.verdict != kube::Verdict::kOk) {
            return self->end(fail(ErrorKind::kRetryLater, fmt::format("{} {}: {}", type.kind, name, outcome.message)));
          }
          model::StringMap data;
          const auto body = kube::read_json(answer->body);
          const json::value* members = body ? kube::find(*body, {"data"}) : nullptr;
          if (members && members->is_object()) {
            for (const auto& member : members->get_object()) {
              if (!member.value().is_string()) continue;
              const std::string text(member.value().get_string());
              data[member.key()] = type == kube::kSecret ? model::decode_base64(text).value_or("") : text;
            }
          }
          then(data);
        });
  }

  void read_trust() {
    const std::optional<model::TlsConfig>& tls = messaging().tls_config;
    if (!tls || !tls->enabled) return read_auth();
    options_.tls.insecure = tls->allow_insecure;
    options_.tls.any_name = !tls->hostname_verification;
    if (tls->cert_secret_name.empty()) return read_auth();
    read(kube::kSecret, tls->cert_secret_name, [this, key = tls->cert_secret_key](const model::StringMap& data) {
      const auto found = data.find(key);
      if (found == data.end()) {
        return end(fail(ErrorKind::kFixInput, fmt::format("Secret {} has no key {}, which tlsConfig names",
                                                          messaging().tls_config->cert_secret_name, key)));
      }
      options_.tls.ca = found->second;
      read_auth();
    });
  }

  void read_auth() {
    if (auth() && auth()->oauth2_config) return read_oauth2(*auth()->oauth2_config);
    if (auth() && auth()->generic_auth) {
      return use_plugin(auth()->generic_auth->client_authentication_plugin,
                        auth()->generic_auth->client_authentication_parameters);
    }
    if (messaging().auth_secret.empty()) return remove_all();
    read(kube::kSecret, messaging().auth_secret, [this](const model::StringMap& data) {
      const auto text = [&](const char* name) {
        const auto found = data.find(name);
        return found == data.end() ? std::string() : found->second;
      };
      use_plugin(text("clientAuthenticationPlugin"), text("clientAuthenticationParameters"));
    });
  }

  void use_plugin(const std::string& plugin, const std::string& parameters) {
    if (plugin == kOauth2Plugin) {
      return end(fail(ErrorKind::kFixInput, "OAuth2 for the cleanup is given by oauth2Config, not by a plugin"));
    }
    Result<std::string> header = authorization_of(plugin, parameters);
    if (!header) return end(fail(std::move(header).error()));
    options_.authorization = std::move(*header);
    remove_all();
  }

  // Client credentials (RFC 6749, 4.4); where the token endpoint is, says the issuer (RFC 8414).
  void read_oauth2(const model::Oauth2Config& config) {
    read(kube::kSecret, config.key_secret_name, [this, config](const model::StringMap& data) {
      const auto found = data.find(config.key_secret_key);
      const auto key = kube::read_json(found == data.end() ? "" : found->second);
      if (!key || kube::string_at(*key, {"client_id"}).empty()) {
        return end(
            fail(ErrorKind::kFixInput, fmt::format("Secret {} key {}: expected JSON with client_id and client_secret",
                                                   config.key_secret_name, config.key_secret_key)));
      }
      std::string form =
          fmt::format("grant_type=client_credentials&client_id={}&client_secret={}&audience={}",
                      form_encoded(kube::string_at(*key, {"client_id"})),
                      form_encoded(kube::string_at(*key, {"client_secret"})), form_encoded(config.audience));
      if (!config.scope.empty()) form += "&scope=" + form_encoded(config.scope);
      std::string issuer = config.issuer_url;
      while (issuer.ends_with('/')) issuer.pop_back();
      ask_oauth(issuer, "GET", "/.well-known/openid-configuration", "", [this, form](const json::value& answer) {
        const std::string endpoint(kube::string_at(answer, {"token_endpoint"}));
        const size_t scheme = endpoint.find("://");
        const size_t slash = scheme == std::string::npos ? scheme : endpoint.find('/', scheme + 3);
        if (slash == std::string::npos) {
          return end(fail(ErrorKind::kFixInput, "the OAuth2 issuer names no token_endpoint"));
        }
        ask_oauth(endpoint.substr(0, slash), "POST", endpoint.substr(slash), form, [this](const json::value& token) {
          if (kube::string_at(token, {"access_token"}).empty()) {
            return end(fail(ErrorKind::kFixInput, "the OAuth2 token endpoint gave no access_token"));
          }
          options_.authorization = "Bearer " + std::string(kube::string_at(token, {"access_token"}));
          remove_all();
        });
      });
    });
  }

  void ask_oauth(const std::string& url, const char* method, const std::string& target, const std::string& form,
                 std::function<void(const json::value&)> then) {
    net::AsyncHttpClientOptions client;
    client.url = url;
    client.check_address = [allow = allow_loopback_](const std::string& ip) {
      return pulsar::check_admin_address(ip, allow);
    };
    auto http = net::AsyncHttpClient::make(loop_, std::move(client));
    if (!http) return end(fail(http.error().within("issuerUrl")));
    oauth_old_ = std::move(oauth_);
    oauth_ = std::move(*http);
    net::AsyncRequest request;
    request.method = method;
    request.target = target;
    request.body = form;
    if (!form.empty()) request.headers["content-type"] = "application/x-www-form-urlencoded";
    oauth_->send(std::move(request), [self = shared_from_this(), url, then](const Result<net::HttpResponse>& answer) {
      if (!answer) return self->end(fail(answer.error()));
      const auto body = kube::read_json(answer->body);
      if (answer->status != 200 || !body) {
        return self->end(fail(ErrorKind::kRetryLater, fmt::format("OAuth2 at {}: answer {}", url, answer->status)));
      }
      then(*body);
    });
  }

  // --- removing ---

  void remove_all() {
    auto admin = pulsar::Admin::make(loop_, options_);
    if (!admin) return end(fail(std::move(admin).error()));
    admin_ = std::move(*admin);
    for (const std::string& topic : left_.topics) topics_.insert(topic);
    for (const std::string& pattern : left_.patterns) patterns_.push_back(pattern);
    next_pattern();
  }

  // Only topics that match, not the whole namespace.
  void next_pattern() {
    if (patterns_.empty()) return next_subscription();
    const std::string pattern = patterns_.front();
    patterns_.pop_front();
    const model::ComponentSpec& spec = live_.component->spec;
    std::string tenant = "public", name_space = "default";
    const std::string full = model::full_topic_name(pattern);
    const size_t at = full.find("://");
    const size_t first = at == std::string::npos ? at : full.find('/', at + 3);
    const size_t second = first == std::string::npos ? first : full.find('/', first + 1);
    if (second != std::string::npos) {
      tenant = full.substr(at + 3, first - at - 3);
      name_space = full.substr(first + 1, second - first - 1);
    } else {
      tenant = spec.tenant;
      name_space = spec.name_space;
    }
    admin_->list_topics(tenant, name_space,
                        [self = shared_from_this(), pattern](const Result<std::vector<std::string>>& found) {
                          if (!found) return self->end(fail(found.error()));
                          const std::set<std::string> all(found->begin(), found->end());
                          for (std::string& topic : plan::matching_topics(pattern, all)) {
                            self->topics_.insert(std::move(topic));
                          }
                          self->next_pattern();
                        });
  }

  void next_subscription() {
    if (topics_.empty()) return next_dead_topic();
    const auto topic = stream::TopicName::parse(*topics_.begin());
    topics_.erase(topics_.begin());
    if (!topic) return next_subscription();  // a name that Pulsar has no topic for
    admin_->delete_subscription(*topic, left_.subscription, [self = shared_from_this()](const Status& outcome) {
      // One that is still in use does not keep the others.
      if (!outcome && !self->first_trouble_) self->first_trouble_ = outcome.error();
      self->next_subscription();
    });
  }

  void next_dead_topic() {
    if (first_trouble_) return end(fail(*first_trouble_));
    if (left_.dead_topics.empty()) return end({});
    const auto topic = stream::TopicName::parse(left_.dead_topics.back());
    left_.dead_topics.pop_back();
    if (!topic) return next_dead_topic();
    admin_->delete_topic(*topic, [self = shared_from_this()](const Status& outcome) {
      if (!outcome) return self->end(fail(outcome.error()));
      self->next_dead_topic();
    });
  }

  net::IoLoop& loop_;
  kube::Api& api_;
  bool allow_loopback_;
  model::LiveResource live_;
  std::function<void(Status)> done_;
  pulsar::AdminOptions options_;
  Leftovers left_;
  std::set<std::string> topics_;
  std::deque<std::string> patterns_;
  std::optional<Error> first_trouble_;
  std::unique_ptr<pulsar::Admin> admin_;
  std::unique_ptr<net::AsyncHttpClient> oauth_, oauth_old_;  // the old one may be in its own callback
};

class PulsarCleaner final : public Cleaner {
 public:
  PulsarCleaner(net::IoLoop& loop, kube::Api& api, bool allow_loopback)
      : loop_(loop), api_(api), allow_loopback_(allow_loopback) {}

  void clean(const kube::ObjectPtr& resource, std::function<void(Status)> done) override {
    model::LiveResource live = model::read_live(resource->text());
    if (!live.component) return loop_.post([done = std::move(done)] { done({}); });
    std::make_shared<Job>(loop_, api_, allow_loopback_, std::move(live), std::move(done))->start();
  }

 private:
  net::IoLoop& loop_;
  kube::Api& api_;
  bool allow_loopback_;
};

}  // namespace

Leftovers leftovers_of(const model::Component& component) {
  const model::ComponentSpec& spec = component.spec;
  const auto or_else = [](const std::string& text, const char* absent) { return text.empty() ? absent : text; };
  const std::string full =
      fmt::format("{}/{}/{}", or_else(spec.tenant, "public"), or_else(spec.name_space, "default"), component.name());
  Leftovers left;
  if (component.kind == model::Kind::kSource) {
    left.subscription = "BatchSourceExecutor-" + full;
    left.topics = {fmt::format("persistent://{}-intermediate", full)};
    left.dead_topics = left.topics;
    return left;
  }
  left.subscription = spec.subscription_name.empty() ? full : spec.subscription_name;
  for (const std::string& topic : plan::input_topics(spec.input)) left.topics.push_back(model::full_topic_name(topic));
  left.patterns = plan::input_patterns(spec.input);
  return left;
}

std::unique_ptr<Cleaner> make_pulsar_cleaner(net::IoLoop& loop, kube::Api& api, bool allow_loopback) {
  return std::make_unique<PulsarCleaner>(loop, api, allow_loopback);
}

}  // namespace fmesh::op
