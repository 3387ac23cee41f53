// What a pod gets from `pulsar` and `pulsarPackageService`: environment from the ConfigMap and Secrets they name, and
// the files of OAuth2 and TLS, at upstream's places. The words of commands and the pod template both build on it. Pure.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <vector>

#include "model/spec.h"

namespace fmesh::plan {

// Where a service's settings are found in a pod.
struct MessagingPlace {
  std::string environment_prefix;  // of every variable
  std::string oauth2_folder, tls_folder;
};
const MessagingPlace& main_place();     // of `pulsar`
const MessagingPlace& package_place();  // of `pulsarPackageService`: PACKAGE_, /etc/oauth2-package-service, ...

// One key of a Secret as a file: <mount_path>/<key>.
struct SecretFile {
  std::string secret, key, mount_path;
  std::string path() const { return mount_path + "/" + key; }
  std::string volume_name() const;
  boost::json::object volume() const;
  boost::json::object volume_mount() const;
};

// A volume's name by upstream's rule: <secret>-<key> in lower case, what may not be in a name as one '-', at most 63.
std::string secret_volume_name(const std::string& secret, const std::string& key);

std::optional<SecretFile> oauth2_file(const model::PulsarMessaging& messaging, const MessagingPlace& place);
// Also while tlsConfig.enabled is false.
std::optional<SecretFile> tls_file(const model::PulsarMessaging& messaging, const MessagingPlace& place);

// envFrom: the ConfigMap, authSecret, tlsSecret.
boost::json::array env_from(const model::PulsarMessaging& messaging, const MessagingPlace& place);

// How a program is told who it is. `parameters` is a shell word already.
struct ClientAuth {
  std::string plugin, parameters;
};
// None if no authentication is asked for.
std::optional<ClientAuth> client_auth(const model::PulsarMessaging& messaging, const MessagingPlace& place);

// Upstream's JSON for Pulsar's OAuth2 plugins. `more` is put behind it.
std::string oauth2_parameters(const model::Oauth2Config& config, const SecretFile& key_file,
                              const boost::json::object& more = {});

// pulsar-admin or pulsarctl, as far as the sub-command: "/pulsar/bin/pulsar-admin --admin-url $webServiceURL".
std::string pulsar_admin_command(const model::PulsarMessaging& messaging, const MessagingPlace& place);
std::string pulsarctl_command(const model::PulsarMessaging& messaging, const MessagingPlace& place);

inline constexpr const char* kOauth2Plugin = "org.apache.pulsar.client.impl.auth.oauth2.AuthenticationOAuth2";

}  // namespace fmesh::plan
