#include "stream/pulsar/credentials.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <map>

#include "base/base64.h"

namespace fmesh::stream::pulsar {
namespace {

namespace json = boost::json;

constexpr const char* kTokenPlugin = "org.apache.pulsar.client.impl.auth.AuthenticationToken";
constexpr const char* kBasicPlugin = "org.apache.pulsar.client.impl.auth.AuthenticationBasic";
constexpr const char* kTlsPlugin = "org.apache.pulsar.client.impl.auth.AuthenticationTls";
constexpr const char* kOauth2Plugin = "org.apache.pulsar.client.impl.auth.oauth2.AuthenticationOAuth2";

std::string without_line_break(std::string text) {
  while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
  return text;
}

json::value parse_object(const std::string& text) {
  json::error_code error;
  json::value value = json::parse(text, error);
  return !error && value.is_object() ? value : json::value();
}

// Empty if it is missing or no text.
std::string text_at(const json::value& value, const char* name) {
  const json::value* found = value.is_object() ? value.get_object().if_contains(name) : nullptr;
  return found && found->is_string() ? std::string(found->get_string()) : "";
}

// "file:///a/b", "file:/a/b"; a path as it is.
std::string path_of(std::string_view text) {
  if (text.starts_with("file:")) text.remove_prefix(5);
  while (text.starts_with("//")) text.remove_prefix(1);
  return std::string(text);
}

Result<Credentials> read_token(const std::string& parameters) {
  Credentials out{.kind = Credentials::Kind::kToken};
  constexpr std::string_view kPrefix = "token:";
  if (parameters.starts_with(kPrefix)) {
    out.secret.text = parameters.substr(kPrefix.size());
  } else if (parameters.starts_with("file:")) {
    out.secret.path = path_of(without_line_break(parameters));
  } else if (parameters.starts_with('{')) {
    out.secret.text = text_at(parse_object(parameters), "token");
  } else {
    out.secret.text = parameters;
  }
  if (out.secret == TextOrFile()) {
    return fail(ErrorKind::kFixInput, "AuthenticationToken: expected token:..., file:///... or {\"token\":...}");
  }
  return out;
}

Result<Credentials> read_basic(const std::string& parameters) {
  const json::value value = parse_object(parameters);
  const std::string user = text_at(value, "userId");
  if (user.empty()) {
    return fail(ErrorKind::kFixInput, "AuthenticationBasic: expected {\"userId\":...,\"password\":...}");
  }
  Credentials out{.kind = Credentials::Kind::kBasic};
  out.secret.text = fmt::format("{}:{}", user, text_at(value, "password"));
  return out;
}

// "tlsCertFile:/a,tlsKeyFile:/b", or the same as JSON.
Result<Credentials> read_certificate(const std::string& parameters) {
  std::map<std::string, std::string> given;
  const json::value value = parse_object(parameters);
  for (const char* name : {"tlsCertFile", "tlsKeyFile"}) given[name] = text_at(value, name);
  for (size_t at = 0; !value.is_object() && at < parameters.size();) {
    const size_t end = std::min(parameters.find(',', at), parameters.size());
    const std::string part = parameters.substr(at, end - at);
    if (const size_t colon = part.find(':'); colon != std::string::npos) {
      given[part.substr(0, colon)] = without_line_break(part.substr(colon + 1));
    }
    at = end + 1;
  }
  if (given["tlsCertFile"].empty() || given["tlsKeyFile"].empty()) {
    return fail(ErrorKind::kFixInput, "AuthenticationTls: expected tlsCertFile:/PATH,tlsKeyFile:/PATH");
  }
  Credentials out{.kind = Credentials::Kind::kCertificate};
  out.certificate.path = path_of(given["tlsCertFile"]);
  out.secret.path = path_of(given["tlsKeyFile"]);
  return out;
}

Result<Credentials> read_oauth2(const std::string& parameters) {
  const json::value value = parse_object(parameters);
  const auto at = [&](const char* name, const char* old_name) {
    std::string found = text_at(value, name);
    return found.empty() ? text_at(value, old_name) : found;
  };
  Credentials out{.kind = Credentials::Kind::kOauth2};
  out.issuer_url = at("issuerUrl", "issuer_url");
  out.audience = at("audience", "audience");
  out.scope = at("scope", "scope");
  const std::string key = at("privateKey", "private_key");
  constexpr std::string_view kData = "data:application/json;base64,";
  if (key.starts_with(kData)) {
    out.secret.text = decode_base64(key.substr(kData.size())).value_or("");
  } else {
    out.secret.path = path_of(key);
  }
  if (out.issuer_url.empty() || out.secret == TextOrFile()) {
    return fail(ErrorKind::kFixInput,
                "AuthenticationOAuth2: expected {\"issuerUrl\":...,\"privateKey\":\"file:///PATH\",\"audience\":...}");
  }
  return out;
}

}  // namespace

Result<Credentials> read_plugin(const std::string& plugin, const std::string& parameters) {
  const std::string name = without_line_break(plugin);
  if (name.empty()) return Credentials();
  if (name == kTokenPlugin || name == "token") return read_token(parameters);
  if (name == kBasicPlugin || name == "basic") return read_basic(parameters);
  if (name == kTlsPlugin || name == "tls") return read_certificate(parameters);
  if (name == kOauth2Plugin || name == "oauth2") return read_oauth2(parameters);
  return fail(ErrorKind::kFixInput, fmt::format("authentication {} is not supported; use {}, {}, {} or {}", name,
                                                kTokenPlugin, kBasicPlugin, kTlsPlugin, kOauth2Plugin));
}

std::string authorization_of(const Credentials& credentials) {
  const std::string& text = credentials.secret.text;
  if (credentials.kind == Credentials::Kind::kToken) return "Bearer " + without_line_break(text);
  if (credentials.kind == Credentials::Kind::kBasic) return "Basic " + encode_base64(text);
  return "";
}

}  // namespace fmesh::stream::pulsar
