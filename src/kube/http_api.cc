#include "kube/http_api.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "net/http_async.h"

namespace fmesh::kube {
namespace {

constexpr int64_t kRetryAfterMaxS = 3'600;              // a server that asks for more is asked again all the same
constexpr int64_t kTokenFileNs = 60 * 1'000'000'000LL;  // a projected token is replaced long before it expires
constexpr double kNsPerSecond = 1e9;

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) return fail(ErrorKind::kFixInput, path + " can't be read");
  return text.str();
}

// Of a file, empty means that something is wrong, not that nothing is wanted.
Result<std::string> data_or_file(const std::string& data, const std::string& path) {
  if (!data.empty() || path.empty()) return data;
  FMESH_TRY(std::string text, read_file(path));
  if (text.empty()) return fail(ErrorKind::kFixInput, path + " is empty, or is no file");
  return text;
}

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
  return text;
}

// What is not there yet is refused: without it requests would go out in another name.
Status check_supported(const ClusterConfig& config) {
  const auto refuse = [&](const char* what) {
    return fail(ErrorKind::kFixInput, config.context + ": " + what +
                                          " is not supported yet; use a token, a token file or a client certificate");
  };
  if (config.exec) return refuse("an exec plugin");
  if (!config.username.empty()) return refuse("username and password");
  const Impersonation& as = config.impersonate;
  if (!as.user.empty() || !as.uid.empty() || !as.groups.empty() || !as.extra.empty()) return refuse("impersonation");
  return {};
}

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

class OpenStream final : public ApiStream {
 public:
  explicit OpenStream(std::unique_ptr<net::HttpStream> stream) : stream_(std::move(stream)) {}

 private:
  std::unique_ptr<net::HttpStream> stream_;
};

class HttpApi final : public Api {
 public:
  HttpApi(net::IoLoop& loop, std::unique_ptr<net::AsyncHttpClient> client, HttpApiOptions options, std::string token,
          std::string token_file)
      : loop_(loop),
        client_(std::move(client)),
        options_(std::move(options)),
        token_(std::move(token)),
        token_file_(std::move(token_file)),
        token_read_ns_(loop.clock().monotonic_ns()) {}
  ~HttpApi() override { *alive_ = false; }

  void send(Request request, std::function<void(Result<Response>)> done) override {
    const int64_t wait_ms = wait_for_turn_ms();
    if (wait_ms == 0) return send_now(std::move(request), std::move(done));
    loop_.post_after(wait_ms, [this, alive = alive_, request = std::move(request), done = std::move(done)]() mutable {
      if (*alive) send_now(std::move(request), std::move(done));
    });
  }

  void send_now(Request request, std::function<void(Result<Response>)> done) {
    client_->send(prepare(std::move(request)), [done = std::move(done)](Result<net::HttpResponse> response) {
      if (!response) return done(fail(std::move(response).error()));
      done(to_response(std::move(*response)));
    });
  }

  std::unique_ptr<ApiStream> open(Request request, StreamHandler handler) override {
    net::HttpStreamHandler below;
    below.on_head = [on_head = std::move(handler.on_head)](net::HttpResponse head) {
      on_head(to_response(std::move(head)));
    };
    below.on_data = std::move(handler.on_data);
    below.on_end = std::move(handler.on_end);
    return std::make_unique<OpenStream>(client_->open(prepare(std::move(request)), std::move(below)));
  }

 private:
  // A bucket of `burst` requests that fills at the given rate.
  int64_t wait_for_turn_ms() {
    if (options_.requests_per_second <= 0) return 0;
    const auto now_ns = static_cast<double>(loop_.clock().monotonic_ns());
    const double step_ns = kNsPerSecond / options_.requests_per_second;
    next_turn_ns_ = std::max(next_turn_ns_, now_ns - step_ns * options_.burst) + step_ns;
    return next_turn_ns_ <= now_ns ? 0 : static_cast<int64_t>((next_turn_ns_ - now_ns) / 1e6) + 1;
  }

  // A token in a file is read anew once a minute.
  const std::string& token() {
    const int64_t now_ns = loop_.clock().monotonic_ns();
    if (!token_file_.empty() && now_ns - token_read_ns_ >= kTokenFileNs) {
      token_read_ns_ = now_ns;
      if (auto text = read_file(token_file_); text && !trimmed(*text).empty()) token_ = trimmed(*text);
    }
    return token_;
  }

  net::AsyncRequest prepare(Request request) {
    net::AsyncRequest out;
    out.method = std::move(request.method);
    out.target = std::move(request.target);
    out.body = std::move(request.body);
    out.timeout_ms = request.timeout_ms;
    out.headers["accept"] = "application/json";
    if (!request.content_type.empty()) out.headers["content-type"] = std::move(request.content_type);
    if (!options_.user_agent.empty()) out.headers["user-agent"] = options_.user_agent;
    if (!token().empty()) out.headers["authorization"] = "Bearer " + token_;
    return out;
  }

  net::IoLoop& loop_;
  std::unique_ptr<net::AsyncHttpClient> client_;
  HttpApiOptions options_;
  std::string token_, token_file_;
  int64_t token_read_ns_;
  double next_turn_ns_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace

Result<std::unique_ptr<Api>> make_http_api(net::IoLoop& loop, ClusterConfig config, HttpApiOptions options) {
  FMESH_CHECK(check_supported(config));
  net::AsyncHttpClientOptions client;
  client.url = config.server;
  client.proxy = config.proxy_url;
  client.connections_max = options.in_flight_max;
  client.tls.insecure = config.insecure_skip_tls_verify;
  client.tls.server_name = config.tls_server_name;
  FMESH_TRY(client.tls.ca, data_or_file(config.ca_data, config.ca_file));
  FMESH_TRY(client.tls.certificate, data_or_file(config.certificate_data, config.certificate_file));
  FMESH_TRY(client.tls.key, data_or_file(config.key_data, config.key_file));
  FMESH_TRY(std::string token, data_or_file(config.token, config.token_file));
  FMESH_TRY(auto http, net::AsyncHttpClient::make(loop, std::move(client)));
  return std::make_unique<HttpApi>(loop, std::move(http), std::move(options), trimmed(std::move(token)),
                                   config.token.empty() ? config.token_file : "");
}

}  // namespace fmesh::kube
