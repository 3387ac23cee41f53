#include "stream/pulsar/oauth2.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <boost/url.hpp>

#include "net/http_async.h"

namespace fmesh::stream::pulsar {
namespace {

namespace json = boost::json;

constexpr size_t kAnswerMaxBytes = 1024 * 1024;
constexpr size_t kCodeMaxBytes = 64;

// Empty if it is missing or no text.
std::string text_at(const json::value& value, const char* name) {
  const json::value* found = value.is_object() ? value.get_object().if_contains(name) : nullptr;
  return found && found->is_string() ? std::string(found->get_string()) : "";
}

std::string form_encoded(std::string_view text) { return boost::urls::encode(text, boost::urls::unreserved_chars); }

// RFC 6749, 5.2: one of a few words; whatever else comes is not repeated.
std::string code_of(const json::value& body) {
  const std::string code = text_at(body, "error");
  for (const char c : code) {
    if ((c < 'a' || c > 'z') && c != '_') return "";
  }
  return code.size() > kCodeMaxBytes ? "" : code;
}

class Request final : public TokenRequest {
 public:
  Request(net::IoLoop& loop, Oauth2Options options, AdminUrl issuer, std::string form,
          std::function<void(Result<std::string>)> done)
      : loop_(loop),
        options_(std::move(options)),
        issuer_(std::move(issuer)),
        form_(std::move(form)),
        done_(std::move(done)) {}

  Status begin() {
    net::AsyncRequest request;
    request.target = issuer_.prefix + "/.well-known/openid-configuration";
    return ask(metadata_client_, issuer_, std::move(request), [this](const json::value& answer) {
      const auto endpoint = AdminUrl::parse(text_at(answer, "token_endpoint"));
      if (!endpoint) return done_(fail(endpoint.error().within("token_endpoint of " + issuer_.origin())));
      if (issuer_.secure && !endpoint->secure) {
        return done_(fail(ErrorKind::kFixInput, fmt::format("token_endpoint of {} is not https; the secret would be "
                                                            "sent in the clear",
                                                            issuer_.origin())));
      }
      ask_token(*endpoint);
    });
  }

 private:
  void ask_token(const AdminUrl& endpoint) {
    net::AsyncRequest request;
    request.method = "POST";
    request.target = endpoint.prefix.empty() ? "/" : endpoint.prefix;
    request.headers.emplace("content-type", "application/x-www-form-urlencoded");
    request.body = form_;
    const Status begun = ask(token_client_, endpoint, std::move(request), [this](const json::value& answer) {
      std::string token = text_at(answer, "access_token");
      if (token.empty()) return done_(fail(ErrorKind::kFixInput, issuer_.origin() + " gave no access_token"));
      done_(std::move(token));
    });
    if (!begun) done_(fail(begun.error()));
  }

  Status ask(std::unique_ptr<net::AsyncHttpClient>& client, const AdminUrl& url, net::AsyncRequest request,
             std::function<void(const json::value&)> then) {
    net::AsyncHttpClientOptions options;
    options.url = url.origin();
    options.timeout_ms = options_.timeout_ms;
    options.body_size_max_bytes = kAnswerMaxBytes;
    options.check_address = [hosts = options_.hosts, host = url.host](const std::string& ip) {
      return hosts.check(host, ip);
    };
    FMESH_TRY(client, net::AsyncHttpClient::make(loop_, std::move(options)));
    request.headers.emplace("accept", "application/json");
    client->send(std::move(request), [this, url, then = std::move(then)](const Result<net::HttpResponse>& answer) {
      if (!answer) return done_(fail(answer.error().within("OAuth2")));
      boost::system::error_code error;
      const json::value body = json::parse(answer->body, error);
      if (answer->status == 200 && !error) return then(body);
      const std::string code = error ? "" : code_of(body);
      const bool refused = answer->status == 400 || answer->status == 401 || answer->status == 403;
      done_(fail(refused ? ErrorKind::kFixInput : ErrorKind::kRetryLater,
                 fmt::format("OAuth2 at {}: answer {}{}{}", url.origin(), answer->status, code.empty() ? "" : ", ",
                             answer->status == 200 ? "that is no JSON" : code)));
    });
    return {};
  }

  net::IoLoop& loop_;
  Oauth2Options options_;
  AdminUrl issuer_;
  std::string form_;
  std::function<void(Result<std::string>)> done_;
  std::unique_ptr<net::AsyncHttpClient> metadata_client_, token_client_;
};

}  // namespace

Result<std::unique_ptr<TokenRequest>> TokenRequest::start(net::IoLoop& loop, Oauth2Options options,
                                                          std::function<void(Result<std::string>)> done) {
  auto issuer = AdminUrl::parse(options.issuer_url);
  if (!issuer) return fail(issuer.error().within("issuerUrl"));
  boost::system::error_code error;
  const json::value key = json::parse(options.key_json, error);
  const std::string id = error ? "" : text_at(key, "client_id");
  const std::string secret = error ? "" : text_at(key, "client_secret");
  if (id.empty() || secret.empty()) {
    return fail(ErrorKind::kFixInput, "the OAuth2 key: expected JSON with client_id and client_secret");
  }
  std::string form = fmt::format("grant_type=client_credentials&client_id={}&client_secret={}", form_encoded(id),
                                 form_encoded(secret));
  if (!options.audience.empty()) form += "&audience=" + form_encoded(options.audience);
  if (!options.scope.empty()) form += "&scope=" + form_encoded(options.scope);
  auto request =
      std::make_unique<Request>(loop, std::move(options), std::move(*issuer), std::move(form), std::move(done));
  FMESH_CHECK(request->begin());
  return request;
}

}  // namespace fmesh::stream::pulsar
