#include "kube/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/base64.h"

namespace fmesh::kube {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

constexpr const char* kAccount = "/var/run/secrets/kubernetes.io/serviceaccount/";

// Files and variables of a test.
class ConfigTest : public testing::Test {
 protected:
  Result<ClusterConfig> load() {
    ConfigSources sources;
    sources.kubeconfig = kubeconfig;
    sources.context = context;
    sources.env = [this](const std::string& name) -> std::optional<std::string> {
      const auto found = variables.find(name);
      return found == variables.end() ? std::nullopt : std::optional<std::string>(found->second);
    };
    sources.read_file = [this](const std::string& path) -> Result<std::string> {
      const auto found = files.find(path);
      if (found == files.end()) return fail(ErrorKind::kFixInput, path + ": no such file");
      return found->second;
    };
    sources.exists = [this](const std::string& path) { return files.contains(path); };
    return load_config(sources);
  }
  // One file with a cluster and a user of these fields.
  Result<ClusterConfig> load_with(const std::string& cluster, const std::string& user) {
    files["/etc/one"] =
        "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\nclusters:\n- name: k\n  cluster: "
        "{" +
        cluster + "}\nusers:\n- name: u\n  user: {" + user + "}\n";
    kubeconfig = "/etc/one";
    return load();
  }
  // The error as a person sees it.
  std::string error_with(const std::string& cluster, const std::string& user) {
    const auto config = load_with(cluster, user);
    if (config) return "no error";
    EXPECT_EQ(config.error().kind(), ErrorKind::kFixInput);
    return config.error().to_string();
  }
  ClusterConfig good(const std::string& cluster, const std::string& user) {
    auto config = load_with(cluster, user);
    EXPECT_TRUE(config) << (config ? "" : config.error().to_string());
    return config ? std::move(*config) : ClusterConfig{};
  }

  std::string kubeconfig, context;
  std::map<std::string, std::string> variables, files;
};

const std::string kServer = "server: 'https://api:6443'";
const std::string kExec = "apiVersion: client.authentication.k8s.io/v1, command: login, interactiveMode: Never";

TEST_F(ConfigTest, ReadsClusterUserAndNamespaceOfTheCurrentContext) {
  files["/etc/one"] = R"(apiVersion: v1
kind: Config
current-context: second
preferences: {colors: true}
contexts:
- {name: first, context: {cluster: a, user: a}}
- {name: second, context: {cluster: b, user: b, namespace: apps}}
clusters:
- {name: a, cluster: {server: https://a}}
- {name: b, cluster: {server: https://b/prefix/, tls-server-name: real, future-field: 1}}
users:
- {name: a, user: {token: of-a}}
- {name: b, user: {token: of-b}}
)";
  kubeconfig = "/etc/one";
  const auto config = load();
  ASSERT_TRUE(config) << config.error().to_string();
  EXPECT_EQ(config->context, "second");
  EXPECT_EQ(config->server, "https://b/prefix");
  EXPECT_EQ(config->tls_server_name, "real");
  EXPECT_EQ(config->name_space, "apps");
  EXPECT_EQ(config->token, "of-b");
  context = "first";
  const auto other = load();
  ASSERT_TRUE(other);
  EXPECT_EQ(other->token, "of-a");
  EXPECT_EQ(other->name_space, "default");
}

TEST_F(ConfigTest, MergesFilesTheFirstWins) {
  files["/a"] = R"(current-context: ''
contexts: [{name: c, context: {cluster: k, user: u}}]
clusters: [{name: k, cluster: {server: 'https://of-a'}}]
)";
  files["/b"] = R"(current-context: c
contexts: [{name: c, context: {cluster: other, user: other, namespace: of-b}}]
clusters: [{name: k, cluster: {server: 'https://of-b', tls-server-name: of-b}}]
users: [{name: u, user: {token: of-b}}]
)";
  files["/c"] = "current-context: other\n";
  variables["KUBECONFIG"] = "/a:/missing::/b:/a:/c";
  const auto config = load();
  ASSERT_TRUE(config) << config.error().to_string();
  EXPECT_EQ(config->context, "c");            // the first that names one
  EXPECT_EQ(config->server, "https://of-a");  // as a whole:
  EXPECT_EQ(config->tls_server_name, "");     // nothing of b's comes into it
  EXPECT_EQ(config->name_space, "default");
  EXPECT_EQ(config->token, "of-b");
}

TEST_F(ConfigTest, PathsAreRelativeToTheFileTheyStandIn) {
  files["/a/config"] = "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n";
  files["/b/config"] = "clusters: [{name: k, cluster: {server: 'https://k', certificate-authority: ../ca.crt}}]\n";
  files["/c/config"] =
      R"(users: [{name: u, user: {client-certificate: pki/me.crt, client-key: /keys/me.key, tokenFile: ./token}}]
)";
  for (const char* path : {"/ca.crt", "/c/pki/me.crt", "/keys/me.key", "/c/token"}) files[path] = "text";
  variables["KUBECONFIG"] = "/a/config:/b/config:/c/config";
  const auto config = load();
  ASSERT_TRUE(config) << config.error().to_string();
  EXPECT_EQ(config->ca_file, "/ca.crt");
  EXPECT_EQ(config->certificate_file, "/c/pki/me.crt");
  EXPECT_EQ(config->key_file, "/keys/me.key");
  EXPECT_EQ(config->token_file, "/c/token");
}

TEST_F(ConfigTest, DataFieldsAreDecoded) {
  const auto encoded = [](const char* text) { return encode_base64(text); };
  const ClusterConfig config =
      good(kServer + ", certificate-authority-data: " + encoded("the ca"),
           "client-certificate-data: " + encoded("the certificate") + ", client-key-data: " + encoded("the key"));
  EXPECT_EQ(config.ca_data, "the ca");
  EXPECT_EQ(config.certificate_data, "the certificate");
  EXPECT_EQ(config.key_data, "the key");
}

TEST_F(ConfigTest, AnchorsAndJsonAreYaml) {
  files["/etc/one"] = R"(current-context: c
contexts: [{name: c, context: {cluster: k, user: u}}]
clusters: [{name: k, cluster: &k {server: 'https://k'}}, {name: l, cluster: *k}]
users: [{name: u, user: {"token": "t"}}]
)";
  kubeconfig = "/etc/one";
  EXPECT_EQ(load()->server, "https://k");
  files["/etc/one"] = R"({"current-context":"c","contexts":[{"name":"c","context":{"cluster":"k","user":"u"}}],
    "clusters":[{"name":"k","cluster":{"server":"https://k"}}],"users":[{"name":"u","user":{}}]})";
  EXPECT_EQ(load()->server, "https://k");
}

TEST_F(ConfigTest, ReadsExecPlugins) {
  const ClusterConfig config = good(
      kServer + ", extensions: [{name: client.authentication.k8s.io/exec, extension: {audience: me}}]",
      "exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: bin/login, args: [a, 'b c'], env: [{name: X, "
      "value: y}], installHint: \"do \\e[1mthis\", provideClusterInfo: true}");
  ASSERT_TRUE(config.exec);
  EXPECT_EQ(config.exec->command, "/etc/bin/login");
  EXPECT_THAT(config.exec->arguments, ElementsAre("a", "b c"));
  EXPECT_THAT(config.exec->env, ElementsAre(Pair("X", "y")));
  EXPECT_EQ(config.exec->install_hint, "do U+001B[1mthis");
  EXPECT_TRUE(config.exec->provide_cluster_info);
  EXPECT_EQ(config.exec->input, ExecPlugin::Input::kIfAvailable);
  EXPECT_EQ(config.plugin_extension, R"({"audience":"me"})");
  EXPECT_EQ(good(kServer, "exec: {" + kExec + "}").exec->command, "login");
}

TEST_F(ConfigTest, WhatTheUserHasOtherwiseGoesBeforeThePlugin) {
  EXPECT_FALSE(good(kServer, "token: t, exec: {" + kExec + "}").exec);
  EXPECT_FALSE(good(kServer, "username: me, exec: {" + kExec + "}").exec);
  EXPECT_FALSE(good(kServer, "client-certificate-data: YQ==, client-key-data: YQ==, exec: {" + kExec + "}").exec);
}

TEST_F(ConfigTest, ExecPluginsThatCannotRunAreRefusedWithTheirPlace) {
  EXPECT_THAT(error_with(kServer, "exec: {apiVersion: client.authentication.k8s.io/v1alpha1, command: login}"),
              AllOf(HasSubstr("/etc/one:8:29: exec: apiVersion"), HasSubstr("v1alpha1"), HasSubstr("v1beta1")));
  EXPECT_THAT(error_with(kServer, "exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never}"),
              HasSubstr("there is no command"));
  EXPECT_THAT(error_with(kServer, "exec: {apiVersion: client.authentication.k8s.io/v1, command: login}"),
              HasSubstr("has no interactiveMode; expected Never, IfAvailable or Always"));
  EXPECT_THAT(error_with(kServer, "exec: {" + kExec + ", env: [{value: x}]}"), HasSubstr("a variable has no name"));
  EXPECT_THAT(error_with(kServer, "exec: {" + kExec + ", args: login}"),
              HasSubstr("args: found the string \"login\", expected a list"));
}

TEST_F(ConfigTest, AuthProvidersAreRefusedWithAWayOut) {
  EXPECT_THAT(error_with(kServer, "auth-provider: {name: gcp}"),
              AllOf(HasSubstr("/etc/one:8:25: user u: auth-provider is not supported"), HasSubstr("exec plugin")));
}

TEST_F(ConfigTest, ReadsImpersonation) {
  const ClusterConfig config =
      good(kServer, "token: t, as: jane, as-uid: '7', as-groups: [dev, ops], as-user-extra: {scope: [a, b], why: [c]}");
  EXPECT_EQ(config.impersonate.user, "jane");
  EXPECT_EQ(config.impersonate.uid, "7");
  EXPECT_THAT(config.impersonate.groups, ElementsAre("dev", "ops"));
  EXPECT_THAT(config.impersonate.extra,
              ElementsAre(Pair("scope", ElementsAre("a", "b")), Pair("why", ElementsAre("c"))));
  EXPECT_THAT(error_with(kServer, "as-groups: [dev]"), HasSubstr("need `as`"));
  EXPECT_THAT(error_with(kServer, "as: \"a\\nb\""), HasSubstr("control character"));
}

TEST_F(ConfigTest, ReadsPasswords) {
  const ClusterConfig config = good(kServer, "username: me, password: secret");
  EXPECT_EQ(config.username, "me");
  EXPECT_EQ(config.password, "secret");
  EXPECT_THAT(error_with(kServer, "username: me, token: t"), HasSubstr("a token and a password"));
}

TEST_F(ConfigTest, CredentialsDoNotGoOverAPlainConnection) {
  for (const char* server : {"server: 'http://api'", "server: 'api:8080'"}) {
    const ClusterConfig config = good(server, "token: t, client-certificate-data: YQ==, client-key-data: YQ==");
    EXPECT_EQ(config.token, "");
    EXPECT_EQ(config.certificate_data, "");
    EXPECT_TRUE(config.server.starts_with("http://api"));
  }
  EXPECT_EQ(good("server: 'http://api'", "username: me, password: secret").password, "");
  EXPECT_FALSE(good("server: 'http://api'", "exec: {" + kExec + "}").exec);
}

TEST_F(ConfigTest, ContradictionsAreRefused) {
  files["/ca.crt"] = files["/me.crt"] = files["/me.key"] = "text";
  EXPECT_THAT(error_with(kServer + ", certificate-authority: /ca.crt, certificate-authority-data: YQ==", ""),
              HasSubstr("both there"));
  EXPECT_THAT(error_with(kServer + ", certificate-authority: /ca.crt, insecure-skip-tls-verify: true", ""),
              HasSubstr("contradicts"));
  EXPECT_THAT(error_with(kServer, "client-certificate: /me.crt, client-certificate-data: YQ==, client-key: /me.key"),
              HasSubstr("client-certificate and client-certificate-data are both there"));
  EXPECT_THAT(error_with(kServer, "client-certificate: /me.crt"), HasSubstr("has no key"));
  EXPECT_THAT(error_with(kServer, "client-key: /me.key"), HasSubstr("has no certificate"));
}

TEST_F(ConfigTest, WrongFieldsAreRefusedWithTheirPlace) {
  EXPECT_EQ(error_with("server: [a]", ""), "/etc/one:5:21: server: found a list, expected a text");
  EXPECT_THAT(error_with("tls-server-name: x", ""), HasSubstr("the cluster has no server"));
  EXPECT_THAT(error_with(kServer + ", insecure-skip-tls-verify: 'true'", ""), HasSubstr("expected true or false"));
  EXPECT_THAT(error_with(kServer + ", certificate-authority-data: '%%'", ""), HasSubstr("this is not base64"));
  EXPECT_THAT(error_with(kServer + ", certificate-authority: gone.crt", ""),
              AllOf(HasSubstr("/etc/one:5:"), HasSubstr("certificate-authority: /etc/gone.crt: no such file")));
  EXPECT_THAT(error_with(kServer, "tokenFile: gone"), HasSubstr("tokenFile: /etc/gone: no such file"));
  EXPECT_THAT(error_with(kServer + ", proxy-url: 'ftp://me:secret@proxy'", ""),
              AllOf(HasSubstr("/etc/one:5:"), HasSubstr("proxy-url: "), Not(HasSubstr("secret"))));
  kubeconfig = "/etc/one";
  files["/etc/one"] = "- a list\n";
  EXPECT_THAT(load().error().to_string(), HasSubstr("/etc/one:1:1: found a list, expected a kubeconfig"));
  files["/etc/one"] = "a: {b\n";
  EXPECT_THAT(load().error().to_string(), HasSubstr("/etc/one:"));
  files["/etc/one"] = "users: [{name: u, user: {}}, {name: u, user: {}}]\n";
  EXPECT_THAT(load().error().to_string(), HasSubstr("/etc/one:1:37: users: \"u\" is there twice"));
}

TEST_F(ConfigTest, NamesThatAreMissingAreToldWithThoseThatAreThere) {
  kubeconfig = "/etc/one";
  files["/etc/one"] = R"(contexts:
- {name: b, context: {cluster: gone, user: u}}
- {name: a, context: {cluster: k, user: gone}}
clusters: [{name: k, cluster: {server: 'https://k'}}]
users: [{name: u, user: {}}]
)";
  EXPECT_EQ(load().error().to_string(), "/etc/one has no current-context; choose one with --context: a, b");
  context = "c";
  EXPECT_EQ(load().error().to_string(), "/etc/one has no context c; it has a, b");
  context = "b";
  EXPECT_EQ(load().error().to_string(),
            "/etc/one:2:32: context b names the cluster \"gone\", which is not there; /etc/one has k");
  context = "a";
  EXPECT_THAT(load().error().to_string(), HasSubstr("names the user \"gone\", which is not there; /etc/one has u"));
}

TEST_F(ConfigTest, ProxiesComeFromTheFileOrTheEnvironment) {
  variables["HTTPS_PROXY"] = "proxy:3128";
  variables["NO_PROXY"] = "inside";
  const ClusterConfig of_environment = good(kServer, "");
  EXPECT_EQ(of_environment.proxy, "http://proxy:3128");
  EXPECT_EQ(of_environment.proxy_url, "");  // a plugin is told what the file says
  EXPECT_EQ(good("server: 'https://inside'", "").proxy, "");
  EXPECT_EQ(good("server: 'https://inside', proxy-url: 'socks5://other'", "").proxy, "socks5://other");
}

TEST_F(ConfigTest, WithoutAFileItIsToldHowToGiveOne) {
  variables["HOME"] = "/me";
  EXPECT_EQ(load().error().to_string(),
            "no cluster is given: /me/.kube/config is missing or names no cluster; use --kubeconfig FILE, "
            "KUBECONFIG or ~/.kube/config, or run in a pod");
  files["/me/.kube/config"] =
      "current-context: c\ncontexts: [{name: c, context: {cluster: k}}]\nclusters: [{name: k, cluster: "
      "{server: 'https://k'}}]\n";
  EXPECT_EQ(load()->server, "https://k");
  kubeconfig = "/gone";  // a file that is named must be there
  EXPECT_EQ(load().error().to_string(), "/gone: no such file");
}

TEST_F(ConfigTest, InAPodTheServiceAccountCounts) {
  variables = {{"KUBERNETES_SERVICE_HOST", "10.96.0.1"}, {"KUBERNETES_SERVICE_PORT", "443"}, {"HOME", "/"}};
  files[std::string(kAccount) + "token"] = "token\n";
  files[std::string(kAccount) + "ca.crt"] = "ca";
  files[std::string(kAccount) + "namespace"] = "apps\n";
  const auto config = load();
  ASSERT_TRUE(config) << config.error().to_string();
  EXPECT_EQ(config->server, "https://10.96.0.1:443");
  EXPECT_EQ(config->name_space, "apps");
  EXPECT_EQ(config->token_file, std::string(kAccount) + "token");
  EXPECT_EQ(config->ca_file, std::string(kAccount) + "ca.crt");
  variables["POD_NAMESPACE"] = "given";
  EXPECT_EQ(load()->name_space, "given");
  variables["HTTPS_PROXY"] = "http://proxy";
  EXPECT_EQ(load()->proxy, "http://proxy");
  variables["NO_PROXY"] = "10.96.0.0/12";
  EXPECT_EQ(load()->proxy, "");
  // A file that says nothing does not stand in the way, one that names a cluster does.
  variables["KUBECONFIG"] = "/empty";
  files["/empty"] = "apiVersion: v1\nkind: Config\n";
  EXPECT_EQ(load()->context, "in-cluster");
  files["/empty"] = "clusters: [{name: k, cluster: {server: 'https://k'}}]\n";
  EXPECT_THAT(load().error().text(), HasSubstr("no current-context"));
}

TEST_F(ConfigTest, InAPodTheServiceMayHaveAnIpv6Address) {
  variables = {{"KUBERNETES_SERVICE_HOST", "fd00::1"}, {"KUBERNETES_SERVICE_PORT", "6443"}};
  files[std::string(kAccount) + "token"] = "token";
  EXPECT_EQ(load()->server, "https://[fd00::1]:6443");
}

}  // namespace
}  // namespace fmesh::kube
