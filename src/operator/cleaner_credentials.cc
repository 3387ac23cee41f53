#include "operator/cleaner_credentials.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <map>

#include "kube/json.h"
#include "model/base64.h"

namespace fmesh::op {
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
  const auto value = kube::read_json(text);
  return value && value->is_object() ? *value : json::value();
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
    out.secret.text = kube::string_at(parse_object(parameters), {"token"});
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
  const std::string_view user = kube::string_at(value, {"userId"});
  if (user.empty()) {
    return fail(ErrorKind::kFixInput, "AuthenticationBasic: expected {\"userId\":...,\"password\":...}");
  }
  Credentials out{.kind = Credentials::Kind::kBasic};
  out.secret.text = fmt::format("{}:{}", user, kube::string_at(value, {"password"}));
  return out;
}

// "tlsCertFile:/a,tlsKeyFile:/b", or the same as JSON.
Result<Credentials> read_certificate(const std::string& parameters) {
  std::map<std::string, std::string> given;
  const json::value value = parse_object(parameters);
  for (const char* name : {"tlsCertFile", "tlsKeyFile"}) given[name] = kube::string_at(value, {name});
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
    const std::string_view found = kube::string_at(value, {name});
    return std::string(found.empty() ? kube::string_at(value, {old_name}) : found);
  };
  Credentials out{.kind = Credentials::Kind::kOauth2};
  out.issuer_url = at("issuerUrl", "issuer_url");
  out.audience = at("audience", "audience");
  out.scope = at("scope", "scope");
  const std::string key = at("privateKey", "private_key");
  constexpr std::string_view kData = "data:application/json;base64,";
  if (key.starts_with(kData)) {
    out.secret.text = model::decode_base64(key.substr(kData.size())).value_or("");
  } else {
    out.secret.path = path_of(key);
  }
  if (out.issuer_url.empty() || out.secret == TextOrFile()) {
    return fail(ErrorKind::kFixInput,
                "AuthenticationOAuth2: expected {\"issuerUrl\":...,\"privateKey\":\"file:///PATH\",\"audience\":...}");
  }
  return out;
}

std::string_view text_of(const json::value& value, const char* name) { return kube::string_at(value, {name}); }

const json::array* array_at(const json::value& value, kube::JsonPath path) {
  const json::value* found = kube::find(value, path);
  return found && found->is_array() ? &found->get_array() : nullptr;
}

const json::array& array_of(const model::Json& value, const json::array& absent) {
  return value.present() && value.value().is_array() ? value.value().get_array() : absent;
}

// What `path` is called below `folder`; empty if it is not there.
std::string below(const std::string& path, std::string folder) {
  while (folder.ends_with('/')) folder.pop_back();
  return path.size() > folder.size() + 1 && path.starts_with(folder + "/") ? path.substr(folder.size() + 1) : "";
}

// The file `name` of a volume that is a Secret or a ConfigMap; no type if it has none of that name.
PodFile file_of_volume(const json::value& volume, const std::string& name) {
  const bool secret = kube::find(volume, {"secret"}) != nullptr;
  const json::value* source = kube::find(volume, {secret ? "secret" : "configMap"});
  if (!source) return {};
  PodFile out{secret ? &kube::kSecret : &kube::kConfigMap,
              std::string(text_of(*source, secret ? "secretName" : "name")), name};
  const json::array* items = array_at(*source, {"items"});
  if (!items) return out;
  for (const json::value& item : *items) {
    if (text_of(item, "path") != name) continue;
    out.key = text_of(item, "key");
    return out;
  }
  return {};
}

}  // namespace

Result<Credentials> read_plugin(const std::string& plugin, const std::string& parameters) {
  const std::string name = without_line_break(plugin);
  if (name.empty()) return Credentials();
  if (name == kTokenPlugin || name == "token") return read_token(parameters);
  if (name == kBasicPlugin || name == "basic") return read_basic(parameters);
  if (name == kTlsPlugin || name == "tls") return read_certificate(parameters);
  if (name == kOauth2Plugin || name == "oauth2") return read_oauth2(parameters);
  return fail(ErrorKind::kFixInput,
              fmt::format("authentication {} is not supported for the cleanup; use {}, {}, {} or {}", name,
                          kTokenPlugin, kBasicPlugin, kTlsPlugin, kOauth2Plugin));
}

std::string authorization_of(const Credentials& credentials) {
  const std::string& text = credentials.secret.text;
  if (credentials.kind == Credentials::Kind::kToken) return "Bearer " + without_line_break(text);
  if (credentials.kind == Credentials::Kind::kBasic) return "Basic " + model::encode_base64(text);
  return "";
}

Result<PodFile> find_pod_file(const model::ComponentSpec& spec, const std::string& path) {
  const json::array none;
  const json::array& mounts = array_of(spec.volume_mounts, none);
  const json::array& volumes = array_of(spec.pod.volumes, none);
  // The deepest mount hides those above it.
  const json::value* best = nullptr;
  for (const json::value& mount : mounts) {
    const std::string place(text_of(mount, "mountPath"));
    const bool fits = place == path || !below(path, place).empty();
    if (fits && (!best || place.size() > text_of(*best, "mountPath").size())) best = &mount;
  }
  PodFile out;
  for (const json::value& volume : volumes) {
    if (!best || text_of(volume, "name") != text_of(*best, "name")) continue;
    const std::string within = below(path, std::string(text_of(*best, "mountPath")));
    const std::string sub_path(text_of(*best, "subPath"));
    out = file_of_volume(volume, sub_path.empty() || within.empty() ? sub_path + within : sub_path + "/" + within);
  }
  if (out.type && !out.name.empty() && !out.key.empty()) return out;
  return fail(
      ErrorKind::kFixInput,
      fmt::format("{} is a file of the pod, which is in no Secret or ConfigMap that the resource mounts, so the "
                  "operator can't read it; mount it, or use tlsConfig, authConfig or cleanupAuthConfig",
                  path));
}

}  // namespace fmesh::op
