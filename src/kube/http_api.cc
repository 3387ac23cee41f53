#include "kube/http_api.h"

#include <fmt/format.h>

#include <algorithm>

#include "kube/credentials.h"
#include "net/http_async.h"

namespace fmesh::kube {
namespace {

constexpr int64_t kRetryAfterMaxS = 3'600;  // a server that asks for more is asked again all the same
constexpr double kNsPerSecond = 1e9;
constexpr int kUnauthorized = 401;

std::optional<int64_t> retry_after_ms(const net::HttpResponse& response) {
  const auto found = response.headers.find("retry-after");
  if (found == response.headers.end()) return std::nullopt;
  char* end = nullptr;
  const long seconds = std::strtol(found->second.c_str(), &end, 10);
  if (end == found->second.c_str() || seconds < 0) return std::nullopt;
  return std::min<int64_t>(seconds, kRetryAfterMaxS) * 1000;
}

Response to_response(net::HttpResponse response) {
  return {response.status, std::move(response.body), retry_after_ms(response)};
}

// A key of as-user-extra as a part of a header's name (RFC 9110, 5.6.2).
std::string escaped_key(const std::string& key) {
  constexpr std::string_view kPlain = "!#$&'*+-.^_`|~";
  std::string out;
  for (const char c : key) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || kPlain.contains(c);
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned>(static_cast<unsigned char>(c)));
  }
  return out;
}

std::multimap<std::string, std::string> fixed_headers(const Impersonation& as, const std::string& user_agent) {
  std::multimap<std::string, std::string> out = {{"accept", "application/json"}};
  if (!user_agent.empty()) out.emplace("user-agent", user_agent);
  if (as.user.empty()) return out;
  out.emplace("impersonate-user", as.user);
  if (!as.uid.empty()) out.emplace("impersonate-uid", as.uid);
  for (const std::string& group : as.groups) out.emplace("impersonate-group", group);
  for (const auto& [key, values] : as.extra) {
    for (const std::string& value : values) out.emplace("impersonate-extra-" + escaped_key(key), value);
  }
  return out;
}

// A request on its way; `again`: it is sent for the second time.
struct Pending {
  Request request;
  std::function<void(Result<Response>)> done;
  bool again = false;
};
using PendingPtr = std::shared_ptr<Pending>;

struct Opened {
  Request request;
  StreamHandler handler;
  std::unique_ptr<net::HttpStream> stream;
  std::optional<Response> refused;  // with 401, the first time
  bool again = false, ended = false;

  void end(Status status) {
    if (std::exchange(ended, true)) return;
    handler.on_end(std::move(status));
  }
};
using OpenedPtr = std::shared_ptr<Opened>;

class OpenStream final : public ApiStream {
 public:
  explicit OpenStream(OpenedPtr opened) : opened_(std::move(opened)) {}
  ~OpenStream() override {
    opened_->ended = true;
    opened_->stream.reset();
  }

 private:
  OpenedPtr opened_;
};

class HttpApi final : public Api {
 public:
  HttpApi(net::IoLoop& loop, std::unique_ptr<net::AsyncHttpClient> client, std::unique_ptr<Credentials> credentials,
          const HttpApiOptions& options, const Impersonation& as)
      : loop_(loop),
        client_(std::move(client)),
        credentials_(std::move(credentials)),
        options_(options),
        fixed_headers_(fixed_headers(as, options.user_agent)),
        identity_version_(credentials_->identity_version()) {}
  ~HttpApi() override { *alive_ = false; }

  void send(Request request, std::function<void(Result<Response>)> done) override {
    const auto pending = std::make_shared<Pending>(Pending{std::move(request), std::move(done), false});
    const int64_t wait_ms = wait_for_turn_ms();
    if (wait_ms == 0) return send_now(pending);
    loop_.post_after(wait_ms, [this, alive = alive_, pending] {
      if (*alive) send_now(pending);
    });
  }

  std::unique_ptr<ApiStream> open(Request request, StreamHandler handler) override {
    const auto opened = std::make_shared<Opened>();
    opened->request = std::move(request);
    opened->handler = std::move(handler);
    open_now(opened);
    return std::make_unique<OpenStream>(opened);
  }

 private:
  void send_now(const PendingPtr& pending) {
    credentials_->use([this, pending](Result<Credentials::Use> use) {
      if (!use) return pending->done(fail(std::move(use).error()));
      client_->send(prepare(pending->request, *use),
                    [this, pending, version = use->version](Result<net::HttpResponse> response) {
                      answered(pending, version, std::move(response));
                    });
    });
  }

  void answered(const PendingPtr& pending, uint64_t version, Result<net::HttpResponse> response) {
    const bool first = !std::exchange(pending->again, true);
    if (!response) {
      const bool untrusted = response.error().kind() == ErrorKind::kFixInput;
      if (first && untrusted && credentials_->untrusted()) return send_now(pending);
      return pending->done(fail(std::move(response).error()));
    }
    if (response->status != kUnauthorized || !first) return pending->done(to_response(std::move(*response)));
    const auto refused = std::make_shared<Response>(to_response(std::move(*response)));
    credentials_->refused(version, [this, pending, refused](bool others) {
      if (others) return send_now(pending);
      pending->done(std::move(*refused));
    });
  }

  void open_now(const OpenedPtr& opened) {
    credentials_->use([this, opened](Result<Credentials::Use> use) {
      if (opened->ended) return;
      if (!use) return opened->end(fail(std::move(use).error()));
      net::HttpStreamHandler below;
      below.on_head = [opened](net::HttpResponse head) {
        Response response = to_response(std::move(head));
        if (response.status == kUnauthorized && !opened->again) {
          opened->refused = std::move(response);
        } else {
          opened->handler.on_head(std::move(response));
        }
      };
      below.on_data = [opened](std::string_view data) { opened->handler.on_data(data); };
      below.on_end = [this, opened, version = use->version](Status status) {
        ended(opened, version, std::move(status));
      };
      opened->stream = client_->open(prepare(opened->request, *use), std::move(below));
    });
  }

  void ended(const OpenedPtr& opened, uint64_t version, Status status) {
    const bool first = !std::exchange(opened->again, true);
    const bool untrusted = !status && status.error().kind() == ErrorKind::kFixInput;
    if (first && untrusted && credentials_->untrusted()) return open_now(opened);
    if (!opened->refused) return opened->end(std::move(status));
    credentials_->refused(version, [this, opened](bool others) {
      if (opened->ended) return;
      const Response refused = *std::exchange(opened->refused, std::nullopt);
      if (others) return open_now(opened);
      opened->handler.on_head(refused);
      opened->end({});
    });
  }

  // A bucket of `burst` requests that fills at the given rate.
  int64_t wait_for_turn_ms() {
    if (options_.requests_per_second <= 0) return 0;
    const auto now_ns = static_cast<double>(loop_.clock().monotonic_ns());
    const double step_ns = kNsPerSecond / options_.requests_per_second;
    next_turn_ns_ = std::max(next_turn_ns_, now_ns - step_ns * options_.burst) + step_ns;
    return next_turn_ns_ <= now_ns ? 0 : static_cast<int64_t>((next_turn_ns_ - now_ns) / 1e6) + 1;
  }

  net::AsyncRequest prepare(const Request& request, const Credentials::Use& use) {
    if (identity_version_ != credentials_->identity_version()) {
      // Texts that can't be used are looked at again when the files change once more.
      identity_version_ = credentials_->identity_version();
      [[maybe_unused]] const Status set = client_->set_tls(credentials_->identity());
    }
    net::AsyncRequest out;
    out.method = request.method;
    out.target = request.target;
    out.body = request.body;
    out.timeout_ms = request.timeout_ms;
    out.headers = fixed_headers_;
    if (!request.content_type.empty()) out.headers.emplace("content-type", request.content_type);
    if (!use.authorization.empty()) out.headers.emplace("authorization", use.authorization);
    return out;
  }

  net::IoLoop& loop_;
  std::unique_ptr<net::AsyncHttpClient> client_;
  std::unique_ptr<Credentials> credentials_;
  const HttpApiOptions options_;
  const std::multimap<std::string, std::string> fixed_headers_;
  uint64_t identity_version_;
  double next_turn_ns_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace

Result<std::unique_ptr<Api>> make_http_api(net::IoLoop& loop, ClusterConfig config, HttpApiOptions options) {
  net::AsyncHttpClientOptions client;
  client.url = config.server;
  client.proxy = config.proxy;
  client.connections_max = options.in_flight_max;
  const Impersonation as = config.impersonate;
  FMESH_TRY(auto credentials, Credentials::make(loop, std::move(config)));
  client.tls = credentials->identity();
  FMESH_TRY(auto http, net::AsyncHttpClient::make(loop, std::move(client)));
  return std::make_unique<HttpApi>(loop, std::move(http), std::move(credentials), options, as);
}

}  // namespace fmesh::kube
