#include <sys/socket.h>
#include <sys/un.h>

#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast.hpp>
#include <boost/url.hpp>
#include <cerrno>
#include <chrono>
#include <optional>

#include "net/http.h"
#include "net/socket_stream_private.h"

namespace fmesh::net {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::generic::stream_protocol;
using ErrorCode = boost::system::error_code;
using SteadyClock = std::chrono::steady_clock;

// The header of an answer may come in one piece with the begin of its body.
constexpr size_t kReadBufferMaxBytes = kHeaderSizeMaxBytes + 64 * 1024;
constexpr size_t kPieceSizeBytes = 64 * 1024;

bool broke_off(const ErrorCode& code) {
  return code == http::error::end_of_stream || code == http::error::partial_message || code == asio::error::eof ||
         code == asio::error::connection_reset || code == asio::error::broken_pipe ||
         code == asio::ssl::error::stream_truncated;
}

// RFC 9110, 9.2.2: twice is as good as once.
bool can_be_repeated(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE" || method == "OPTIONS";
}

class Client final : public HttpClient {
 public:
  explicit Client(HttpClientOptions options) : options_(std::move(options)) {}

  Status parse_url() {
    const std::string& text = options_.url;
    if (text.starts_with("unix:")) {
      unix_path_ = text.substr(5);
      host_header_ = "localhost";
      if (unix_path_.empty()) return fail(ErrorKind::kFixInput, "\"unix:\" names no path; expected unix:PATH");
      if (unix_path_.size() >= sizeof(sockaddr_un{}.sun_path))
        return fail(ErrorKind::kFixInput, text + ": the path is too long for a Unix socket");
      return {};
    }
    const auto url = boost::urls::parse_uri(text);
    if (!url || (url->scheme() != "http" && url->scheme() != "https") || url->host().empty() ||
        (url->has_port() && url->port_number() == 0) ||
        (!url->encoded_path().empty() && !url->encoded_path().starts_with('/')))
      return fail(ErrorKind::kFixInput,
                  "\"" + text + "\" is not a URL; expected http://HOST[:PORT][/PATH], https://… or unix:PATH");
    secure_ = url->scheme() == "https";
    host_ = url->host_address();
    port_ = url->has_port() ? std::string(url->port()) : secure_ ? "443" : "80";
    host_header_ = std::string(url->encoded_host()) + (url->has_port() ? ":" + port_ : "");
    prefix_ = std::string(url->encoded_path());
    while (prefix_.ends_with('/')) prefix_.pop_back();
    for (const auto& param : url->params()) query_.emplace_back(param.key, param.has_value ? param.value : "");
    if (secure_) return load_trust();
    return {};
  }

  Result<HttpResponse> send(HttpRequest request) override {
    // A connection that the peer closed while it was idle is mostly noticed here, else by the request itself.
    if (connected() && peer_closed()) disconnect();
    const bool again = connected() && can_be_repeated(request.method);
    begin_time();
    Result<HttpResponse> response = send_once(request);
    if (!response && again && response.error().kind() == ErrorKind::kRetryNow) response = send_once(request);
    if (!response && response.error().kind() == ErrorKind::kRetryNow)
      return fail(ErrorKind::kRetryLater, response.error().text());
    return response;
  }

  Result<HttpResponse> stream(HttpRequest request, std::function<bool(std::string_view)> piece) override {
    Result<HttpResponse> response = stream_once(request, piece);
    disconnect();
    if (!response && response.error().kind() == ErrorKind::kRetryNow)
      return fail(ErrorKind::kRetryLater, response.error().text());
    return response;
  }

 private:
  bool connected() const { return stream_.has_value(); }
  void disconnect() {
    stream_.reset();
    buffer_.clear();
  }

  Status load_trust() {
    trust_ = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
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
    const bool too_large = code == http::error::body_limit;
    const ErrorKind kind = trust || too_large ? ErrorKind::kFixInput
                           : broke_off(code)  ? ErrorKind::kRetryNow
                                              : ErrorKind::kRetryLater;
    std::string why = code.message();
    if (code == beast::error::timeout) why = "not done within " + std::to_string(options_.timeout_ms) + " ms";
    if (too_large) why = "it is larger than " + std::to_string(options_.body_size_max_bytes) + " bytes";
    if (broke_off(code)) why = "the connection was closed";
    return fail(kind, options_.url + ": " + what + ": " + why);
  }

  void begin_time() { deadline_ = SteadyClock::now() + std::chrono::milliseconds(options_.timeout_ms); }

  // Between two answers nothing may come; what comes all the same is the end.
  bool peer_closed() {
    char byte = 0;
    const int fd = stream_->lowest().socket().native_handle();
    return ::recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
  }

  // Runs the loop until the operation that sets `over` is done.
  void run_until(const bool& over) {
    io_.restart();
    while (!over && io_.run_one() > 0) {
    }
  }

  // Starts one asynchronous operation and runs the loop until it is over.
  using Begin = std::function<void(SocketStream&, ErasedStream::Done)>;
  ErrorCode run(bool limited, const Begin& begin) {
    bool over = false;
    ErrorCode result;
    SocketStream::Plain& lowest = stream_->lowest();
    if (limited) {
      lowest.expires_at(deadline_);
    } else {
      lowest.expires_never();
    }
    begin(*stream_, [&](ErrorCode code, size_t) {
      result = code;
      over = true;
    });
    run_until(over);
    return result;
  }

  Status wait(const std::string& what, const Begin& begin) {
    if (const ErrorCode code = run(true, begin)) return failed(what, code);
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
    stream_.emplace(SocketStream::Plain(io_), secure_ ? trust_ : nullptr);
    SocketStream::Plain& lowest = stream_->lowest();
    for (const auto& endpoint : endpoints) {
      bool over = false;
      lowest.expires_at(deadline_);
      lowest.async_connect(endpoint, [&](ErrorCode result) {
        code = result;
        over = true;
      });
      run_until(over);
      if (!code || code == beast::error::timeout) break;
      ErrorCode ignored;
      lowest.socket().close(ignored);
    }
    if (code) return failed("connect", code);
    if (!secure_) return {};
    ErrorCode no_address;
    asio::ip::make_address(host_, no_address);
    if (no_address)
      ::SSL_set_tlsext_host_name(stream_->tls().native_handle(), host_.c_str());  // names only (RFC 6066, 3)
    stream_->tls().set_verify_callback(asio::ssl::host_name_verification(host_));
    bool over = false;
    stream_->handshake(asio::ssl::stream_base::client, [&](ErrorCode result) {
      code = result;
      over = true;
    });
    run_until(over);
    if (code) return failed("agree on TLS", code);
    return {};
  }

  // Without a path of its own, a request goes to the path of the URL.
  std::string target_of(const HttpRequest& request) const {
    boost::urls::url url;
    if (!request.path.empty()) url.set_path(request.path);
    for (const auto& [name, value] : query_) url.params().append({name, value});
    for (const auto& [name, value] : request.query) url.params().append({name, value});
    const std::string target = prefix_ + std::string(url.encoded_target());
    return target.starts_with('/') ? target : "/" + target;
  }

  // A peer that refuses a request early answers and closes while the rest is still being sent. Then its answer counts,
  // so that a connection that breaks here is no error yet.
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
    const ErrorCode code =
        run(true, [&](SocketStream& stream, auto done) { http::async_write(stream, message, std::move(done)); });
    if (code && !broke_off(code)) return failed("send the request", code);
    half_sent_ = static_cast<bool>(code);
    return {};
  }

  // The head of the answer that counts: those with a status of 1xx only announce it (RFC 9110, 15.2).
  template <class Parser>
  Status read_head(std::optional<Parser>& parser, const HttpRequest& request) {
    for (int interim = 0; interim <= kInterimAnswersMax; ++interim) {
      parser.emplace();
      parser->header_limit(kHeaderSizeMaxBytes);
      parser->body_limit(options_.body_size_max_bytes);
      if (request.method == "HEAD") parser->skip(true);
      FMESH_CHECK(wait("read the answer", [&](SocketStream& stream, auto done) {
        http::async_read_header(stream, buffer_, *parser, std::move(done));
      }));
      if (parser->get().result_int() >= 200) return {};
    }
    disconnect();
    return fail(ErrorKind::kRetryLater, options_.url + ": read the answer: only interim answers came");
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
    std::optional<http::response_parser<http::string_body>> parser;
    FMESH_CHECK(read_head(parser, request));
    FMESH_CHECK(wait("read the answer", [&](SocketStream& stream, auto done) {
      http::async_read(stream, buffer_, *parser, std::move(done));
    }));
    HttpResponse response = head_of(parser->get());
    response.body = std::move(parser->get().body());
    if (half_sent_ || !parser->get().keep_alive()) disconnect();
    return response;
  }

  Result<HttpResponse> stream_once(const HttpRequest& request, const std::function<bool(std::string_view)>& piece) {
    disconnect();
    begin_time();
    FMESH_CHECK(connect());
    FMESH_CHECK(write_request(request));
    std::optional<http::response_parser<http::buffer_body>> parser;
    FMESH_CHECK(read_head(parser, request));
    HttpResponse response = head_of(parser->get());
    const bool streams = response.status < 300;
    if (streams) parser->body_limit(boost::none);
    std::string chunk(kPieceSizeBytes, '\0');
    while (!parser->is_done()) {
      parser->get().body().data = chunk.data();
      parser->get().body().size = chunk.size();
      ErrorCode code = run(!streams, [&](SocketStream& stream, auto done) {
        http::async_read_some(stream, buffer_, *parser, std::move(done));
      });
      if (code == http::error::need_buffer) code = {};
      const std::string_view got(chunk.data(), chunk.size() - parser->get().body().size);
      if (!streams) response.body += got;
      if (streams && !got.empty() && !piece(got)) break;
      if (code == http::error::end_of_stream && !parser->chunked() && !parser->content_length()) break;
      if (code) return failed("read the answer", code);
    }
    return response;
  }

  HttpClientOptions options_;
  std::string unix_path_, host_, port_, host_header_, prefix_;
  std::vector<std::pair<std::string, std::string>> query_;  // of the URL
  bool secure_ = false, half_sent_ = false;
  SteadyClock::time_point deadline_;  // of the request at work
  asio::io_context io_{1};
  std::shared_ptr<asio::ssl::context> trust_;
  std::optional<SocketStream> stream_;
  beast::flat_buffer buffer_{kReadBufferMaxBytes};
};

}  // namespace

Result<std::unique_ptr<HttpClient>> HttpClient::make(HttpClientOptions options) {
  auto client = std::make_unique<Client>(std::move(options));
  FMESH_CHECK(client->parse_url());
  return client;
}

}  // namespace fmesh::net
