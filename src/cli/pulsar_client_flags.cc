#include "cli/pulsar_client_flags.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <utility>

#include "stream/changelog/changelog_client.h"

namespace fmesh::cli {

void PulsarClientFlags::take_environment(const Variable& variable) {
  if (!from_environment) return;
  const auto text = [&](const char* name) {
    const char* found = variable(environment_prefix + name);
    return std::string(found == nullptr ? "" : found);
  };
  const auto fill = [&](std::string& field, const char* name) {
    if (field.empty()) field = text(name);
  };
  fill(url, "brokerServiceURL");
  fill(web_url, "webServiceURL");
  if (auth_plugin.empty() && auth_params.empty()) {
    fill(auth_plugin, "clientAuthenticationPlugin");
    fill(auth_params, "clientAuthenticationParameters");
  }
  fill(trust_file, "tlsTrustCertsFilePath");
  insecure = insecure || text("tlsAllowInsecureConnection") == "true";
  any_name = any_name || text("tlsHostnameVerificationEnable") == "false";
  // A topic's service URL says whether TLS is spoken; a resource says it, too.
  constexpr std::string_view kPlain = "pulsar://";
  if (text("useTls") == "true" && url.starts_with(kPlain)) url = "pulsar+ssl://" + url.substr(kPlain.size());
}

stream::pulsar::PulsarOptions PulsarClientFlags::options() const {
  stream::pulsar::PulsarOptions options;
  options.service_url = url;
  options.web_service_url = web_url;
  options.auth_plugin = auth_plugin;
  options.auth_params = auth_params;
  options.tls_trust_file = trust_file;
  options.tls_insecure = insecure;
  options.tls_verify_name = !any_name;
  options.listener_name = listener_name;
  return options;
}

Result<std::unique_ptr<stream::Client>> open_cluster(stream::pulsar::PulsarOptions options, Loop& loop) {
  FMESH_TRY(auto cluster, stream::pulsar::open_pulsar(std::move(options)));
  stream::ChangelogOptions changelogs;
  changelogs.compaction_failed = [](const std::string& topic, const Error& why) {
    std::fprintf(stderr, "fmesh: the changelog of state grows, as it is not compacted: %s: %s\n", topic.c_str(),
                 why.text().c_str());
  };
  return stream::with_changelog(std::move(cluster), loop, std::move(changelogs));
}

void add_pulsar_client_flags(CLI::App& app, PulsarClientFlags& flags) {
  const auto group = [](CLI::Option* option) { return option->group("Pulsar"); };
  CLI::Option* url = group(app.add_option("--pulsar", flags.url,
                                          "Streams are topics of this cluster: "
                                          "pulsar://HOST:PORT or pulsar+ssl://HOST:PORT")
                               ->type_name("URL"));
  group(app.add_option("--pulsar-web", flags.web_url, "Address of its admin API: http://HOST:PORT")->type_name("URL"))
      ->needs(url);
  CLI::Option* plugin = group(app.add_option("--auth-plugin", flags.auth_plugin,
                                             "Who this is: token, basic, tls, oauth2, or the class name of Pulsar's "
                                             "Java client")
                                  ->type_name("NAME"))
                            ->needs(url);
  group(app.add_option("--auth-params", flags.auth_params,
                       "Its parameters, e.g. file:///run/token or tlsCertFile:FILE,tlsKeyFile:FILE")
            ->envname("FMESH_PULSAR_AUTH_PARAMS")
            ->type_name("TEXT"))
      ->needs(plugin);
  group(app.add_option("--tls-trust", flags.trust_file,
                       "PEM file of the certificates to trust; without it, those that "
                       "the system trusts")
            ->type_name("FILE"))
      ->needs(url);
  group(app.add_flag("--tls-any-name", flags.any_name, "The certificate may have another name than the host"))
      ->needs(url);
  group(app.add_flag("--tls-insecure", flags.insecure, "Certificates are not verified at all"))->needs(url);
  group(app.add_option("--listener-name", flags.listener_name, "Which of the brokers' advertised addresses to use")
            ->type_name("NAME"))
      ->needs(url);
}

void add_pulsar_environment_flags(CLI::App& app, PulsarClientFlags& flags) {
  const auto group = [](CLI::Option* option) { return option->group("Pulsar"); };
  CLI::Option* environment = group(app.add_flag("--pulsar-env", flags.from_environment,
                                                "What is not given here comes from brokerServiceURL, webServiceURL, "
                                                "clientAuthenticationPlugin and the other variables of a pod"));
  group(
      app.add_option("--pulsar-env-prefix", flags.environment_prefix, "What their names begin with")->type_name("TEXT"))
      ->needs(environment);
}

}  // namespace fmesh::cli
