#include "plan/cluster/messaging.h"

#include <boost/json.hpp>

#include "model/json.h"
#include "plan/cluster/shell.h"

namespace fmesh::plan {
namespace {

namespace json = boost::json;

constexpr size_t kVolumeNameMax = 63;

std::string boolean(bool value) { return value ? "true" : "false"; }

// " --issuer-endpoint U --audience A ..." of pulsarctl's context.
std::string oauth2_context(const model::Oauth2Config& config, const SecretFile& key_file) {
  std::string out = " --issuer-endpoint " + shell_word(config.issuer_url) + " --audience " +
                    shell_word(config.audience) + " --key-file " + shell_word(key_file.path());
  if (!config.scope.empty()) out += " --scope " + shell_word(config.scope);
  return out;
}

std::string admin_tls(const model::PulsarMessaging& messaging, const MessagingPlace& place) {
  if (!messaging.tls_config) {
    if (messaging.tls_secret.empty()) return {};
    return " --tls-allow-insecure --tls-enable-hostname-verification --tls-trust-cert-path $" +
           place.environment_prefix + "tlsTrustCertsFilePath";
  }
  const model::TlsConfig& tls = *messaging.tls_config;
  if (!tls.enabled) return {};
  std::string out;
  if (tls.allow_insecure) out += " --tls-allow-insecure";
  if (tls.hostname_verification) out += " --tls-enable-hostname-verification";
  if (const auto file = tls_file(messaging, place)) out += " --tls-trust-cert-path " + shell_word(file->path());
  return out;
}

std::string pulsarctl_tls(const model::PulsarMessaging& messaging, const MessagingPlace& place) {
  const std::string& prefix = place.environment_prefix;
  if (!messaging.tls_config) {
    if (messaging.tls_secret.empty()) return {};
    return " --tls-allow-insecure=${" + prefix + "tlsAllowInsecureConnection:-false}" +
           " --tls-enable-hostname-verification=${" + prefix + "tlsHostnameVerificationEnable:-true}" +
           " --tls-trust-cert-path $" + prefix + "tlsTrustCertsFilePath";
  }
  const model::TlsConfig& tls = *messaging.tls_config;
  if (!tls.enabled) return {};
  std::string out = " --tls-allow-insecure=" + boolean(tls.allow_insecure) +
                    " --tls-enable-hostname-verification=" + boolean(tls.hostname_verification);
  if (const auto file = tls_file(messaging, place)) out += " --tls-trust-cert-path " + shell_word(file->path());
  return out;
}

}  // namespace

const MessagingPlace& main_place() {
  static const MessagingPlace place{
      .environment_prefix = "", .oauth2_folder = "/etc/oauth2", .tls_folder = "/etc/tls/pulsar-functions"};
  return place;
}

const MessagingPlace& package_place() {
  static const MessagingPlace place{.environment_prefix = "PACKAGE_",
                                    .oauth2_folder = "/etc/oauth2-package-service",
                                    .tls_folder = "/etc/tls/pulsar-functions-package-service"};
  return place;
}

std::string secret_volume_name(const std::string& secret, const std::string& key) {
  std::string out;
  bool replaced = false;
  for (char c : secret + "-" + key) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    const bool allowed = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    if (allowed || !replaced) out += allowed ? c : '-';
    replaced = !allowed;
  }
  if (out.size() > kVolumeNameMax) out.resize(kVolumeNameMax);
  const size_t begin = out.find_first_not_of('-');
  if (begin == std::string::npos) return {};
  return out.substr(begin, out.find_last_not_of('-') - begin + 1);
}

std::string SecretFile::volume_name() const { return secret_volume_name(secret, key); }

json::object SecretFile::volume() const {
  return {{"name", volume_name()},
          {"secret", {{"secretName", secret}, {"items", json::array{json::object{{"key", key}, {"path", key}}}}}}};
}

json::object SecretFile::volume_mount() const { return {{"name", volume_name()}, {"mountPath", mount_path}}; }

std::optional<SecretFile> oauth2_file(const model::PulsarMessaging& messaging, const MessagingPlace& place) {
  if (!messaging.auth_config || !messaging.auth_config->oauth2_config) return std::nullopt;
  const model::Oauth2Config& config = *messaging.auth_config->oauth2_config;
  return SecretFile{.secret = config.key_secret_name, .key = config.key_secret_key, .mount_path = place.oauth2_folder};
}

std::optional<SecretFile> tls_file(const model::PulsarMessaging& messaging, const MessagingPlace& place) {
  if (!messaging.tls_config) return std::nullopt;
  const model::TlsConfig& config = *messaging.tls_config;
  if (config.cert_secret_name.empty() || config.cert_secret_key.empty()) return std::nullopt;
  return SecretFile{.secret = config.cert_secret_name, .key = config.cert_secret_key, .mount_path = place.tls_folder};
}

json::array env_from(const model::PulsarMessaging& messaging, const MessagingPlace& place) {
  json::array out;
  const auto add = [&](const char* kind, const std::string& name) {
    if (name.empty()) return;
    json::object& entry = out.emplace_back(json::object{}).get_object();
    if (!place.environment_prefix.empty()) entry.emplace("prefix", place.environment_prefix);
    entry.emplace(kind, json::object{{"name", name}});
  };
  add("configMapRef", messaging.pulsar_config);
  add("secretRef", messaging.auth_secret);
  add("secretRef", messaging.tls_secret);
  return out;
}

std::string oauth2_parameters(const model::Oauth2Config& config, const SecretFile& key_file, const json::object& more) {
  const std::string path = key_file.path();
  json::object out{{"credentials_url", "file://" + path},
                   {"privateKey", path},
                   {"private_key", path},
                   {"issuerUrl", config.issuer_url},
                   {"issuer_url", config.issuer_url},
                   {"audience", config.audience},
                   {"scope", config.scope}};
  for (const auto& member : more) out.insert_or_assign(member.key(), member.value());
  return model::write_json(out);
}

std::optional<ClientAuth> client_auth(const model::PulsarMessaging& messaging, const MessagingPlace& place) {
  if (messaging.auth_config && messaging.auth_config->oauth2_config) {
    return ClientAuth{.plugin = kOauth2Plugin,
                      .parameters = shell_literal(
                          oauth2_parameters(*messaging.auth_config->oauth2_config, *oauth2_file(messaging, place)))};
  }
  if (messaging.auth_config && messaging.auth_config->generic_auth) {
    const model::GenericAuth& generic = *messaging.auth_config->generic_auth;
    return ClientAuth{.plugin = shell_word(generic.client_authentication_plugin),
                      .parameters = shell_literal(generic.client_authentication_parameters)};
  }
  if (messaging.auth_secret.empty()) return std::nullopt;
  return ClientAuth{.plugin = "$" + place.environment_prefix + "clientAuthenticationPlugin",
                    .parameters = "$" + place.environment_prefix + "clientAuthenticationParameters"};
}

std::string pulsar_admin_command(const model::PulsarMessaging& messaging, const MessagingPlace& place) {
  std::string out = "/pulsar/bin/pulsar-admin --admin-url $" + place.environment_prefix + "webServiceURL";
  if (const auto auth = client_auth(messaging, place)) {
    out += " --auth-plugin " + auth->plugin + " --auth-params " + auth->parameters;
  }
  return out + admin_tls(messaging, place);
}

std::string pulsarctl_command(const model::PulsarMessaging& messaging, const MessagingPlace& place) {
  const std::string url = " --admin-service-url $" + place.environment_prefix + "webServiceURL";
  std::string out = "export PATH=$PATH:/pulsar/bin &&  ";
  if (messaging.auth_config && messaging.auth_config->oauth2_config) {
    const model::Oauth2Config& config = *messaging.auth_config->oauth2_config;
    out += "pulsarctl context set downloader" + url + oauth2_context(config, *oauth2_file(messaging, place)) +
           " && pulsarctl oauth2 activate && pulsarctl";
  } else if (const auto auth = client_auth(messaging, place)) {
    out += "( pulsarctl oauth2 activate --auth-params " + auth->parameters + " || true ) && pulsarctl --auth-plugin " +
           auth->plugin + " --auth-params " + auth->parameters + url;
  } else {
    out += "pulsarctl" + url;
  }
  return out + pulsarctl_tls(messaging, place);
}

}  // namespace fmesh::plan
