#include "kube/http_api.h"

#include <fstream>
#include <sstream>

#include "net/http_async.h"

namespace fmesh::kube {
namespace {

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) return fail(ErrorKind::kFixInput, path + " can't be read");
  return text.str();
}

Result<std::string> data_or_file(const std::string& data, const std::string& path) {
  if (!data.empty() || path.empty()) return data;
  return read_file(path);
}

std::optional<int64_t> retry_after_ms(const net::HttpResponse& response) {
  const auto found = response.headers.find("retry-after");
  if (found == response.headers.end()) return std::nullopt;
  char* end = nullptr;
  const long seconds = std::strtol(found->second.c_str(), &end, 10);
  if (end == found->second.c_str() || seconds < 0) return std::nullopt;
  return int64_t{seconds} * 1000;
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
  HttpApi(std::unique_ptr<net::AsyncHttpClient> client, HttpApiOptions options, std::string authorization)
      : client_(std::move(client)), options_(std::move(options)), authorization_(std::move(authorization)) {}

  void send(Request request, std::function<void(Result<Response>)> done) override {
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
  net::AsyncRequest prepare(Request request) const {
    net::AsyncRequest out;
    out.method = std::move(request.method);
    out.target = std::move(request.target);
    out.body = std::move(request.body);
    out.timeout_ms = request.timeout_ms;
    out.headers["accept"] = "application/json";
    if (!request.content_type.empty()) out.headers["content-type"] = std::move(request.content_type);
    if (!options_.user_agent.empty()) out.headers["user-agent"] = options_.user_agent;
    if (!authorization_.empty()) out.headers["authorization"] = authorization_;
    return out;
  }

  std::unique_ptr<net::AsyncHttpClient> client_;
  HttpApiOptions options_;
  std::string authorization_;
};

}  // namespace

Result<std::unique_ptr<Api>> make_http_api(net::IoLoop& loop, ClusterConfig config, HttpApiOptions options) {
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
  while (token.ends_with('\n')) token.pop_back();
  FMESH_TRY(auto http, net::AsyncHttpClient::make(loop, std::move(client)));
  return std::make_unique<HttpApi>(std::move(http), std::move(options), token.empty() ? "" : "Bearer " + token);
}

}  // namespace fmesh::kube
