#include "local/control_server.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "local/host.h"

namespace fmesh::local {
namespace {

constexpr size_t kTokenSizeBytes = 32;
constexpr int64_t kStopLimitMs = 500;

constexpr int64_t kAnswerLimitMs = 5'000;  // of a command's question

// Does not wait: a listener whose queue is full is one too.
bool somebody_listens(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return false;
  path.copy(address.sun_path, path.size());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const bool connected = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  const bool busy = !connected && errno == EAGAIN;
  ::close(fd);
  return connected || busy;
}

std::string made_up_token() {
  static constexpr char kHex[] = "0123456789abcdef";
  std::array<unsigned char, kTokenSizeBytes> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) return "";
  std::string token;
  for (const unsigned char byte : bytes) {
    token += kHex[byte >> 4];
    token += kHex[byte & 15];
  }
  return token;
}

Result<std::string> read_token(const std::string& path) {
  std::ifstream file(path);
  std::string token;
  if (!file || !std::getline(file, token) || token.empty()) {
    return fail(ErrorKind::kFixInput, "token file " + path + ": expected a file whose first line is the token");
  }
  return token;
}

Result<std::string> make_token(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) == 0) return read_token(path);
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  const std::string token = made_up_token();
  const std::string line = token + "\n";
  if (fd < 0 || token.empty() || ::write(fd, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
    const std::string cause = std::strerror(errno);
    if (fd >= 0) ::close(fd);
    return fail(ErrorKind::kFixInput, "make the token file " + path + ": " + cause);
  }
  ::close(fd);
  return token;
}

class Server final : public ControlServer {
 public:
  Server(observe::MeshView& view, observe::AccessRules rules, std::string token_file)
      : api_(view, std::move(rules)), token_file_(std::move(token_file)) {}
  ~Server() override {
    if (tcp_) tcp_->stop(kStopLimitMs);
    if (socket_) socket_->stop(kStopLimitMs);
  }
  Status listen(const std::string& address, std::unique_ptr<net::HttpServer>& server) {
    net::HttpServerOptions options;
    options.address = address;
    FMESH_TRY(server,
              net::HttpServer::start(std::move(options), [this](const net::HttpRequest& request, net::Respond respond) {
                api_.handle(request, std::move(respond));
              }));
    return {};
  }
  uint16_t http_port() const override { return tcp_ ? tcp_->port() : 0; }
  const std::string& token_file() const override { return token_file_; }

  observe::Api api_;
  std::string token_file_;
  std::unique_ptr<net::HttpServer> socket_, tcp_;
};

}  // namespace

Result<std::unique_ptr<ControlServer>> ControlServer::start(observe::MeshView& view, ControlServerOptions options) {
  observe::AccessRules rules;
  std::string token_file = options.http_token_file;
  if (!options.http_address.empty()) {
    if (token_file.empty()) {
      token_file = options.data_directory + "/http-token";
      FMESH_TRY(rules.token, make_token(token_file));
    } else {
      FMESH_TRY(rules.token, read_token(token_file));
    }
  }
  auto server = std::make_unique<Server>(view, std::move(rules), std::move(token_file));
  // The data directory is locked by this process, so a socket that lies there is left from one that died.
  const std::string address = socket_address(options.data_directory);
  ::unlink(address.substr(address.find(':') + 1).c_str());
  FMESH_CHECK(server->listen(address, server->socket_));
  if (!options.http_address.empty()) {
    const bool port_only = options.http_address.starts_with(':');
    FMESH_CHECK(server->listen((port_only ? "127.0.0.1" : "") + options.http_address, server->tcp_));
  }
  return server;
}

Result<std::unique_ptr<net::HttpClient>> find_running(const std::string& data_directory) {
  const std::string address = socket_address(data_directory);
  const std::string path = address.substr(address.find(':') + 1);
  if (!somebody_listens(path)) return nullptr;
  FMESH_TRY(auto client,
            net::HttpClient::make(
                {.url = address, .timeout_ms = kAnswerLimitMs, .body_size_max_bytes = 256 * 1024 * 1024, .tls = {}}));
  net::HttpRequest request;
  request.path = "/healthz";
  const auto answer = client->send(request);
  if (answer && answer->status == 200) return client;
  if (!somebody_listens(path)) return nullptr;  // it ended meanwhile
  return fail(ErrorKind::kRetryLater, "the process that runs on " + data_directory + " does not answer; its id is in " +
                                          data_directory + "/lock");
}

}  // namespace fmesh::local
