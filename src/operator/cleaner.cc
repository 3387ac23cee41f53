#include "operator/cleaner.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <deque>
#include <set>

#include "base/base64.h"
#include "kube/json.h"
#include "kube/requests.h"
#include "model/live.h"
#include "operator/cleaner_leftovers.h"
#include "operator/pod_file.h"
#include "plan/pattern.h"
#include "stream/pulsar/admin.h"
#include "stream/pulsar/credentials.h"
#include "stream/pulsar/oauth2.h"

namespace fmesh::op {
namespace {

namespace json = boost::json;
namespace pulsar = stream::pulsar;
using pulsar::Credentials;
using pulsar::TextOrFile;

constexpr int64_t kNsPerMs = 1'000'000;

// Where images have what the system trusts.
constexpr const char* kSystemTrust[] = {"/etc/ssl/", "/etc/pki/", "/usr/share/ca-certificates/"};

bool is_true(const model::StringMap& data, const char* name, bool absent) {
  const auto found = data.find(name);
  return found == data.end() || found->second.empty() ? absent : found->second == "true";
}

std::string text_at(const model::StringMap& data, const std::string& name) {
  const auto found = data.find(name);
  return found == data.end() ? std::string() : found->second;
}

// One cleanup, from the first question to the last removal. Lives until it calls `done_`.
class Job : public std::enable_shared_from_this<Job> {
 public:
  // `messaging` is of `live`, and says where and who.
  Job(net::IoLoop& loop, kube::Api& api, pulsar::AllowedHosts hosts, const model::LiveResource& live,
      const std::optional<model::PulsarMessaging>& messaging, Leftovers left, std::function<void(Status)> done)
      : loop_(loop),
        api_(api),
        live_(live),
        messaging_(messaging.value_or(model::PulsarMessaging())),
        left_(std::move(left)),
        done_(std::move(done)) {
    options_.hosts = std::move(hosts);
  }

  void start(int64_t limit_ms) {
    timer_ = loop_.post_after(limit_ms, [self = shared_from_this(), limit_ms] {
      self->timer_.reset();
      self->end(fail(ErrorKind::kRetryLater, self->first_trouble_ ? self->first_trouble_->text()
                                                                  : fmt::format("not done within {} ms", limit_ms)));
    });
    if (messaging_.pulsar_config.empty()) {
      return end(fail(ErrorKind::kFixInput, "the resource names no pulsarConfig"));
    }
    read_key(kube::kConfigMap, messaging_.pulsar_config, "webServiceURL", [this](const std::string& url) {
      options_.url = url;
      read_trust();
    });
  }

  // Ends it without a word. Not from within a callback of its own.
  void abandon() {
    const auto self = shared_from_this();
    ended_ = true;
    done_ = nullptr;
    if (timer_) loop_.cancel(*timer_);
    token_request_.reset();
    admin_.reset();
  }

 private:
  void end(Status outcome) {
    if (ended_) return;
    ended_ = true;
    const auto self = shared_from_this();  // the timer may be the last that holds it
    if (timer_) loop_.cancel(*timer_);
    // Not from within the callback of a client that goes with this.
    loop_.post([self, outcome = std::move(outcome)] {
      self->token_request_.reset();
      self->admin_.reset();
      if (self->done_) std::exchange(self->done_, nullptr)(outcome);
    });
  }

  const std::optional<model::AuthConfig>& auth() const {
    return messaging_.cleanup_auth_config ? messaging_.cleanup_auth_config : messaging_.auth_config;
  }

  // The data of a ConfigMap or Secret, decoded.
  void read(const kube::ResourceType& type, const std::string& name,
            std::function<void(const model::StringMap&)> then) {
    const kube::ObjectKey key{live_.metadata.name_space, name};
    api_.send(
        kube::get(type, key), [self = shared_from_this(), type, name, then](const Result<kube::Response>& answer) {
          if (self->ended_) return;
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
              data[member.key()] = type == kube::kSecret ? decode_base64(text).value_or("") : text;
            }
          }
          then(data);
        });
  }

  // The text of a file that the pod has.
  void read_file(const std::string& path, std::function<void(const std::string&)> then) {
    const Result<PodFile> file = find_pod_file(live_.component->spec, path);
    if (!file) return end(fail(file.error()));
    read_key(*file->type, file->name, file->key, std::move(then));
  }

  void read_key(const kube::ResourceType& type, const std::string& name, const std::string& key,
                std::function<void(const std::string&)> then) {
    read(type, name, [this, kind = type.kind, name, key, then = std::move(then)](const model::StringMap& data) {
      const auto found = data.find(key);
      if (found != data.end()) return then(found->second);
      end(fail(ErrorKind::kFixInput, fmt::format("{} {} has no key {}, which the resource names", kind, name, key)));
    });
  }

  // --- trust ---

  void read_trust() {
    const std::optional<model::TlsConfig>& tls = messaging_.tls_config;
    if (!tls && !messaging_.tls_secret.empty()) return read_old_trust();
    if (!tls || !tls->enabled) return read_auth();
    options_.tls.insecure = tls->allow_insecure;
    options_.tls.any_name = !tls->hostname_verification;
    if (tls->cert_secret_name.empty()) return read_auth();
    read_key(kube::kSecret, tls->cert_secret_name, tls->cert_secret_key, [this](const std::string& ca) { trust(ca); });
  }

  // tlsSecret: what upstream gives its pods as environment variables.
  void read_old_trust() {
    read(kube::kSecret, messaging_.tls_secret, [this](const model::StringMap& data) {
      options_.tls.insecure = is_true(data, "tlsAllowInsecureConnection", false);
      options_.tls.any_name = !is_true(data, "tlsHostnameVerificationEnable", true);
      const std::string path = text_at(data, "tlsTrustCertsFilePath");
      const bool of_system =
          std::ranges::any_of(kSystemTrust, [&](const char* folder) { return path.starts_with(folder); });
      if (path.empty() || of_system || options_.tls.insecure) return read_auth();
      read_file(path, [this](const std::string& ca) { trust(ca); });
    });
  }

  void trust(const std::string& ca) {
    options_.tls.ca = ca;
    read_auth();
  }

  // --- credentials ---

  void read_auth() {
    if (auth() && auth()->oauth2_config) {
      const model::Oauth2Config& given = *auth()->oauth2_config;
      credentials_ = {.kind = Credentials::Kind::kOauth2,
                      .issuer_url = given.issuer_url,
                      .audience = given.audience,
                      .scope = given.scope};
      return read_key(kube::kSecret, given.key_secret_name, given.key_secret_key, [this](const std::string& key) {
        credentials_.secret.text = key;
        use_credentials();
      });
    }
    if (auth() && auth()->generic_auth) {
      return use_plugin(auth()->generic_auth->client_authentication_plugin,
                        auth()->generic_auth->client_authentication_parameters);
    }
    if (messaging_.auth_secret.empty()) return remove_all();
    read(kube::kSecret, messaging_.auth_secret, [this](const model::StringMap& data) {
      use_plugin(text_at(data, "clientAuthenticationPlugin"), text_at(data, "clientAuthenticationParameters"));
    });
  }

  void use_plugin(const std::string& plugin, const std::string& parameters) {
    auto credentials = pulsar::read_plugin(plugin, parameters);
    if (!credentials) return end(fail(std::move(credentials).error()));
    credentials_ = std::move(*credentials);
    read_credential_files();
  }

  void read_credential_files() {
    for (TextOrFile* one : {&credentials_.certificate, &credentials_.secret}) {
      if (one->path.empty()) continue;
      return read_file(std::exchange(one->path, ""), [this, one](const std::string& text) {
        one->text = text;
        read_credential_files();
      });
    }
    use_credentials();
  }

  void use_credentials() {
    switch (credentials_.kind) {
      case Credentials::Kind::kNone:
        break;
      case Credentials::Kind::kToken:
      case Credentials::Kind::kBasic:
        options_.authorization = pulsar::authorization_of(credentials_);
        break;
      case Credentials::Kind::kCertificate:
        options_.tls.certificate = credentials_.certificate.text;
        options_.tls.key = credentials_.secret.text;
        break;
      case Credentials::Kind::kOauth2:
        return ask_for_token();
    }
    remove_all();
  }

  void ask_for_token() {
    auto request = pulsar::TokenRequest::start(loop_,
                                               {.issuer_url = credentials_.issuer_url,
                                                .audience = credentials_.audience,
                                                .scope = credentials_.scope,
                                                .key_json = credentials_.secret.text,
                                                .hosts = options_.hosts},
                                               // The request goes with the job, so it can't outlive it.
                                               [this](const Result<std::string>& token) {
                                                 if (!token) return end(fail(token.error()));
                                                 options_.authorization = "Bearer " + *token;
                                                 remove_all();
                                               });
    if (!request) return end(fail(std::move(request).error()));
    token_request_ = std::move(*request);
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
                          if (self->ended_) return;
                          if (!found) return self->end(fail(found.error()));
                          const std::set<std::string> all(found->begin(), found->end());
                          for (std::string& topic : plan::matching_topics(pattern, all)) {
                            self->topics_.insert(std::move(topic));
                          }
                          self->next_pattern();
                        });
  }

  // Several at a time; one that is still in use does not keep the others.
  void next_subscription() {
    while (!topics_.empty() && asked_ < pulsar::kAdminRequestsMax) {
      const auto topic = stream::TopicName::parse(*topics_.begin());
      topics_.erase(topics_.begin());
      if (!topic) continue;  // a name that Pulsar has no topic for
      ++asked_;
      admin_->delete_subscription(*topic, left_.subscription, [self = shared_from_this()](const Status& outcome) {
        if (self->ended_) return;
        --self->asked_;
        if (!outcome && !self->first_trouble_) self->first_trouble_ = outcome.error();
        self->next_subscription();
      });
    }
    if (topics_.empty() && asked_ == 0) next_dead_topic();
  }

  void next_dead_topic() {
    if (first_trouble_) return end(fail(*first_trouble_));
    if (left_.dead_topics.empty()) return next_package();
    const auto topic = stream::TopicName::parse(left_.dead_topics.back());
    left_.dead_topics.pop_back();
    if (!topic) return next_dead_topic();
    admin_->delete_topic(*topic, [self = shared_from_this()](const Status& outcome) {
      if (self->ended_) return;
      if (!outcome) return self->end(fail(outcome.error()));
      self->next_dead_topic();
    });
  }

  void next_package() {
    if (left_.packages.empty()) return end({});
    const auto package = pulsar::PackageName::parse(left_.packages.back());
    left_.packages.pop_back();
    if (!package) return end(fail(package.error()));
    admin_->delete_package(*package, [self = shared_from_this()](const Status& outcome) {
      if (self->ended_) return;
      if (!outcome) return self->end(fail(outcome.error()));
      self->next_package();
    });
  }

  net::IoLoop& loop_;
  kube::Api& api_;
  model::LiveResource live_;
  model::PulsarMessaging messaging_;
  Leftovers left_;
  std::function<void(Status)> done_;
  bool ended_ = false;
  std::optional<uint64_t> timer_;
  pulsar::AdminOptions options_;
  Credentials credentials_;
  std::set<std::string> topics_;
  std::deque<std::string> patterns_;
  size_t asked_ = 0;
  std::optional<Error> first_trouble_;
  std::unique_ptr<pulsar::TokenRequest> token_request_;
  std::unique_ptr<pulsar::Admin> admin_;
};

class PulsarCleaner final : public Cleaner {
 public:
  PulsarCleaner(net::IoLoop& loop, kube::Api& api, pulsar::AllowedHosts hosts)
      : loop_(loop), api_(api), hosts_(std::move(hosts)) {}
  ~PulsarCleaner() override {
    for (const std::weak_ptr<Job>& one : jobs_) {
      if (const auto job = one.lock()) job->abandon();
    }
  }

  void clean(const kube::ObjectPtr& resource, int64_t limit_ms, std::function<void(Status)> done) override {
    model::LiveResource live = model::read_live(resource->text());
    if (!live.component) return loop_.post([done = std::move(done)] { done({}); });
    Leftovers left = leftovers_of(live);
    const model::ComponentSpec& spec = live.component->spec;
    if (!spec.pulsar_package_service || left.packages.empty()) {
      return start(live, spec.pulsar, std::move(left), limit_ms, std::move(done));
    }
    // Packages may be another Pulsar's.
    Leftovers packages;
    packages.packages = std::exchange(left.packages, {});
    const int64_t end_ns = loop_.clock().monotonic_ns() + limit_ms * kNsPerMs;
    const auto then = [this, live, packages, end_ns, done = std::move(done)](const Status& outcome) {
      if (!outcome) return done(outcome);
      const int64_t left_ms = std::max<int64_t>(1, (end_ns - loop_.clock().monotonic_ns()) / kNsPerMs);
      start(live, live.component->spec.pulsar_package_service, packages, left_ms, done);
    };
    if (left.subscription.empty()) return then({});
    start(live, spec.pulsar, std::move(left), limit_ms, then);
  }

 private:
  void start(const model::LiveResource& live, const std::optional<model::PulsarMessaging>& messaging, Leftovers left,
             int64_t limit_ms, std::function<void(Status)> done) {
    const auto job = std::make_shared<Job>(loop_, api_, hosts_, live, messaging, std::move(left), std::move(done));
    std::erase_if(jobs_, [](const std::weak_ptr<Job>& one) { return one.expired(); });
    jobs_.push_back(job);
    job->start(limit_ms);
  }

  net::IoLoop& loop_;
  kube::Api& api_;
  pulsar::AllowedHosts hosts_;
  std::vector<std::weak_ptr<Job>> jobs_;
};

}  // namespace

std::unique_ptr<Cleaner> make_pulsar_cleaner(net::IoLoop& loop, kube::Api& api, pulsar::AllowedHosts hosts) {
  return std::make_unique<PulsarCleaner>(loop, api, std::move(hosts));
}

}  // namespace fmesh::op
