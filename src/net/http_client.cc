#include <sys/un.h>

#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast.hpp>
#include <boost/url.hpp>
#include <chrono>
#include <optional>

#include "net/http.h"

namespace fmesh::net {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::generic::stream_protocol;
using ErrorCode = boost::system::error_code;
using Plain = beast::basic_stream<stream_protocol>;
using Tls = asio::ssl::stream<Plain>;

class Client final : public HttpClient {
 public:
  explicit Client(HttpClientOptions options) : options_(std::move(options)) {}

  Status parse_url() {
    const std::string& text = options_.url;
    if (text.starts_with("unix:")) {
      unix_path_ = text.substr(5);
      host_header_ = "localhost";
      if (unix_path_.size() >= sizeof(sockaddr_un{}.sun_path))
        return fail(ErrorKind::kFixInput, text + ": the path is too long for a Unix socket");
      return {};
    }
    const auto url = boost::urls::parse_uri(text);
    if (!url || (url->scheme() != "http" && url->scheme() != "https") || url->host().empty())
      return fail(ErrorKind::kFixInput,
                  "\"" + text + "\" is not a URL; expected http://HOST[:PORT][/PATH], https://… or unix:PATH");
    secure_ = url->scheme() == "https";
    host_ = url->host_address();
    port_ = url->has_port() ? std::string(url->port()) : secure_ ? "443" : "80";
    host_header_ = std::string(url->encoded_host()) + (url->has_port() ? ":" + port_ : "");
    prefix_ = std::string(url->encoded_path());
    while (prefix_.ends_with('/')) prefix_.pop_back();
    if (secure_) return load_trust();
    return {};
  }

  Result<HttpResponse> send(HttpRequest request) override {
    // A connection that the peer closed while it was idle is only noticed now; a fresh one then gets the request.
    const bool reused = connected();
    Result<HttpResponse> response = send_once(request);
    if (!response && reused && response.error().kind() == ErrorKind::kRetryNow) response = send_once(request);
    if (!response && response.error().kind() == ErrorKind::kRetryNow)
      return fail(ErrorKind::kRetryLater, response.error().text());
    return response;
  }

  Result<HttpResponse> stream(HttpRequest request, std::function<bool(std::string_view)> piece) override {
    disconnect();
    FMESH_CHECK(connect());
    FMESH_CHECK(write_request(request));
    http::response_parser<http::buffer_body> parser;
    parser.body_limit(boost::none);
    FMESH_CHECK(wait("read the answer", options_.timeout_ms,
                     [&](auto& stream, auto done) { http::async_read_header(stream, buffer_, parser, done); }));
    HttpResponse response = head_of(parser.get());
    std::string chunk(64 * 1024, '\0');
    while (!parser.is_done()) {
      parser.get().body().data = chunk.data();
      parser.get().body().size = chunk.size();
      ErrorCode code;
      run(0, [&](auto& stream, auto done) { http::async_read_some(stream, buffer_, parser, done); }, code);
      if (code == http::error::need_buffer) code = {};
      const size_t got = chunk.size() - parser.get().body().size;
      if (got > 0 && !piece(std::string_view(chunk).substr(0, got))) break;
      if (code == http::error::end_of_stream || code == http::error::partial_message || code == asio::error::eof) break;
      if (code) return failed("read the answer", code);
    }
    disconnect();
    return response;
  }

 private:
  bool connected() const { return plain_ || tls_; }
  void disconnect() {
    plain_.reset();
    tls_.reset();
    buffer_.clear();
  }

  Status load_trust() {
    trust_.emplace(asio::ssl::context::tls_client);
    ErrorCode code;
    trust_->set_verify_mode(asio::ssl::verify_peer, code);
    trust_->set_default_verify_paths(code);
    if (!options_.tls.ca.empty()) trust_->load_verify_file(options_.tls.ca, code);
    if (code) return fail(ErrorKind::kFixInput, "trust " + options_.tls.ca + ": " + code.message());
    if (!options_.tls.certificate.empty()) {
      trust_->use_certificate_chain_file(options_.tls.certificate, code);
      if (!code) trust_->use_private_key_file(options_.tls.key, asio::ssl::context::pem, code);
      if (code) return fail(ErrorKind::kFixInput, "certificate " + options_.tls.certificate + ": " + code.message());
    }
    return {};
  }

  std::unexpected<Error> failed(const std::string& what, const ErrorCode& code) {
    disconnect();
    const bool trust = code.category() == asio::error::get_ssl_category();
    const bool broken = code == http::error::end_of_stream || code == asio::error::eof ||
                        code == asio::error::connection_reset || code == asio::error::broken_pipe;
    const ErrorKind kind = trust ? ErrorKind::kFixInput : broken ? ErrorKind::kRetryNow : ErrorKind::kRetryLater;
    const std::string why = code == beast::error::timeout
                                ? "no answer within " + std::to_string(options_.timeout_ms) + " ms"
                                : code.message();
    return fail(kind, options_.url + ": " + what + ": " + why);
  }

  // Starts one asynchronous operation and runs the loop until it is over.
  template <class Begin>
  void run(int64_t limit_ms, Begin&& begin, ErrorCode& result) {
    bool over = false;
    auto done = [&](ErrorCode code, auto&&...) {
      result = code;
      over = true;
    };
    Plain& lowest = tls_ ? beast::get_lowest_layer(*tls_) : *plain_;
    if (limit_ms > 0) {
      lowest.expires_after(std::chrono::milliseconds(limit_ms));
    } else {
      lowest.expires_never();
    }
    if (tls_) {
      begin(*tls_, done);
    } else {
      begin(*plain_, done);
    }
    io_.restart();
    while (!over && io_.run_one() > 0) {
    }
  }

  template <class Begin>
  Status wait(const std::string& what, int64_t limit_ms, Begin&& begin) {
    ErrorCode code;
    run(limit_ms, begin, code);
    if (code) return failed(what, code);
    return {};
  }

  Status connect() {
    ErrorCode code;
    std::vector<stream_protocol::endpoint> endpoints;
    if (!unix_path_.empty()) {
      endpoints.emplace_back(asio::local::stream_protocol::endpoint(unix_path_));
    } else {
      asio::ip::tcp::resolver resolver(io_);
      for (const auto& found : resolver.resolve(host_, port_, code)) endpoints.emplace_back(found.endpoint());
      if (code) return failed("find the host", code);
    }
    if (secure_) {
      tls_ = std::make_unique<Tls>(io_, *trust_);
    } else {
      plain_ = std::make_unique<Plain>(io_);
    }
    Plain& lowest = tls_ ? beast::get_lowest_layer(*tls_) : *plain_;
    for (const auto& endpoint : endpoints) {
      bool over = false;
      lowest.expires_after(std::chrono::milliseconds(options_.timeout_ms));
      lowest.async_connect(endpoint, [&](ErrorCode result) {
        code = result;
        over = true;
      });
      io_.restart();
      while (!over && io_.run_one() > 0) {
      }
      if (!code) break;
      ErrorCode ignored;
      lowest.socket().close(ignored);
    }
    if (code) return failed("connect", code);
    if (!secure_) return {};
    ::SSL_set_tlsext_host_name(tls_->native_handle(), host_.c_str());
    tls_->set_verify_callback(asio::ssl::host_name_verification(host_));
    bool over = false;
    tls_->async_handshake(asio::ssl::stream_base::client, [&](ErrorCode result) {
      code = result;
      over = true;
    });
    io_.restart();
    while (!over && io_.run_one() > 0) {
    }
    if (code) return failed("agree on TLS", code);
    return {};
  }

  // Without a path of its own, a request goes to the path of the URL.
  std::string target_of(const HttpRequest& request) const {
    boost::urls::url url;
    if (!request.path.empty()) url.set_path(request.path);
    for (const auto& [name, value] : request.query) url.params().append({name, value});
    const std::string target = prefix_ + std::string(url.encoded_target());
    return target.starts_with('/') ? target : "/" + target;
  }

  Status write_request(const HttpRequest& request) {
    http::request<http::string_body> message;
    message.method_string(request.method);
    message.target(target_of(request));
    message.version(11);
    message.set(http::field::host, host_header_);
    for (const auto& [name, value] : request.headers) message.set(name, value);
    message.body() = request.body;
    message.keep_alive(true);
    message.prepare_payload();
    return wait("send the request", options_.timeout_ms,
                [&](auto& stream, auto done) { http::async_write(stream, message, done); });
  }

  template <class Message>
  static HttpResponse head_of(const Message& message) {
    HttpResponse response;
    response.status = static_cast<int>(message.result_int());
    for (const auto& field : message) {
      std::string name(field.name_string());
      for (char& c : name)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
      response.headers[name] = field.value();
    }
    return response;
  }

  Result<HttpResponse> send_once(const HttpRequest& request) {
    if (!connected()) FMESH_CHECK(connect());
    FMESH_CHECK(write_request(request));
    http::response_parser<http::string_body> parser;
    parser.body_limit(options_.body_size_max_bytes);
    if (request.method == "HEAD") parser.skip(true);
    FMESH_CHECK(wait("read the answer", options_.timeout_ms,
                     [&](auto& stream, auto done) { http::async_read(stream, buffer_, parser, done); }));
    HttpResponse response = head_of(parser.get());
    response.body = std::move(parser.get().body());
    if (!parser.get().keep_alive()) disconnect();
    return response;
  }

  HttpClientOptions options_;
  std::string unix_path_, host_, port_, host_header_, prefix_;
  bool secure_ = false;
  asio::io_context io_{1};
  std::optional<asio::ssl::context> trust_;
  std::unique_ptr<Plain> plain_;
  std::unique_ptr<Tls> tls_;
  beast::flat_buffer buffer_;
};

}  // namespace

Result<std::unique_ptr<HttpClient>> HttpClient::make(HttpClientOptions options) {
  auto client = std::make_unique<Client>(std::move(options));
  FMESH_CHECK(client->parse_url());
  return client;
}

}  // namespace fmesh::net
