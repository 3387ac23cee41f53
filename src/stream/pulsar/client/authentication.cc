#include "stream/pulsar/client/authentication.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

#include "stream/pulsar/credentials.h"
#include "stream/pulsar/oauth2.h"

namespace fmesh::stream::pulsar {
namespace {

// Tokens, keys and certificates; chains of trust are the largest.
constexpr size_t kFileSizeMaxBytes = 4 * 1024 * 1024;

std::string without_line_break(std::string text) {
  while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
  return text;
}

Result<std::string> read(const TextOrFile& from, const std::string& what) {
  return from.path.empty() ? Result<std::string>(from.text) : read_small_file(from.path, what);
}

// What needs no network: token, basic, tls, none.
class Local final : public Authentication {
 public:
  explicit Local(Credentials credentials) : credentials_(std::move(credentials)) {}

  std::string method() const override {
    switch (credentials_.kind) {
      case Credentials::Kind::kToken:
        return "token";
      case Credentials::Kind::kBasic:
        return "basic";
      case Credentials::Kind::kCertificate:
        return "tls";
      case Credentials::Kind::kNone:
      case Credentials::Kind::kOauth2:
        break;
    }
    return "";
  }

  void data(std::function<void(Result<std::string>)> done) override {
    if (credentials_.kind == Credentials::Kind::kNone || credentials_.kind == Credentials::Kind::kCertificate) {
      return done(std::string());
    }
    auto secret = read(credentials_.secret, method() == "token" ? "the token" : "the password");
    if (!secret) return done(fail(std::move(secret).error()));
    done(without_line_break(*std::move(secret)));
  }

  Status add_certificate(net::TlsIdentity& identity) const override {
    if (credentials_.kind != Credentials::Kind::kCertificate) return {};
    FMESH_TRY(identity.certificate, read(credentials_.certificate, "the client's certificate"));
    FMESH_TRY(identity.key, read(credentials_.secret, "the key of the client's certificate"));
    return {};
  }

 private:
  const Credentials credentials_;
};

// A token of an issuer, asked for at each need: those are few, and whoever asks at the same time shares one request.
class Oauth2 final : public Authentication {
 public:
  Oauth2(net::IoLoop& loop, Credentials credentials, AllowedHosts hosts)
      : loop_(loop), credentials_(std::move(credentials)), hosts_(std::move(hosts)) {}

  std::string method() const override { return "token"; }

  void data(std::function<void(Result<std::string>)> done) override {
    waiting_.push_back(std::move(done));
    if (waiting_.size() > 1) return;
    auto key = read(credentials_.secret, "the OAuth2 key");
    if (!key) return finish(fail(std::move(key).error()));
    Oauth2Options options;
    options.issuer_url = credentials_.issuer_url;
    options.audience = credentials_.audience;
    options.scope = credentials_.scope;
    options.key_json = *std::move(key);
    options.hosts = hosts_;
    auto begun = TokenRequest::start(loop_, std::move(options), [this](Result<std::string> token) {
      // A request may not be let go of within its own answer.
      loop_.post([over = std::shared_ptr<TokenRequest>(std::move(request_))] {});
      finish(token);
    });
    if (!begun) return finish(fail(std::move(begun).error()));
    request_ = std::move(*begun);
  }

 private:
  void finish(const Result<std::string>& token) {
    const auto waiting = std::exchange(waiting_, {});
    for (const auto& done : waiting) done(token);
  }

  net::IoLoop& loop_;
  const Credentials credentials_;
  const AllowedHosts hosts_;
  std::unique_ptr<TokenRequest> request_;
  std::vector<std::function<void(Result<std::string>)>> waiting_;  // at most one per connection
};

}  // namespace

Result<std::string> read_small_file(const std::string& path, const std::string& what) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "rbe"),
                                                   [](FILE* open) { return open == nullptr ? 0 : std::fclose(open); });
  const auto failed = [&](const std::string& why) {
    return fail(ErrorKind::kFixInput, "read " + what + " from " + path + ": " + why);
  };
  if (!file) return failed(std::strerror(errno));
  std::string text;
  std::array<char, 16 * 1024> piece{};
  while (const size_t count = std::fread(piece.data(), 1, piece.size(), file.get())) {
    text.append(piece.data(), count);
    if (text.size() > kFileSizeMaxBytes) return failed("more than " + std::to_string(kFileSizeMaxBytes) + " bytes");
  }
  if (std::ferror(file.get()) != 0) return failed(std::strerror(errno));
  return text;
}

Result<std::unique_ptr<Authentication>> Authentication::make(net::IoLoop* loop, const std::string& plugin,
                                                             const std::string& params) {
  FMESH_TRY(Credentials credentials, read_plugin(plugin, params));
  if (credentials.kind != Credentials::Kind::kOauth2) return std::make_unique<Local>(std::move(credentials));
  if (loop == nullptr) return fail(ErrorKind::kBug, "oauth2 needs a loop with a network");
  // Who starts the client says where the issuer is: any host will do.
  FMESH_TRY(AllowedHosts hosts, AllowedHosts::parse({"0.0.0.0/0", "::/0"}));
  return std::make_unique<Oauth2>(*loop, std::move(credentials), std::move(hosts));
}

}  // namespace fmesh::stream::pulsar
