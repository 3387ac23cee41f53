#include "cli/operator_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <map>

namespace fmesh::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// The environment of a test; ends with it.
class Environment {
 public:
  explicit Environment(std::map<std::string, std::string> values) : values_(std::move(values)) {
    for (const auto& [name, value] : values_) ::setenv(name.c_str(), value.c_str(), 1);
  }
  ~Environment() {
    for (const auto& [name, value] : values_) ::unsetenv(name.c_str());
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  std::map<std::string, std::string> values_;
};

OperatorFlags parse(std::vector<std::string> words = {}) {
  CLI::App app;
  OperatorFlags flags;
  add_operator_flags(app, flags);
  add_process_flags(app, flags);
  words.insert(words.begin(), {"fmesh", "operator"});
  allow_one_dash(words);
  words.erase(words.begin() + 1);
  std::vector<const char*> pointers;
  for (const std::string& word : words) pointers.push_back(word.c_str());
  app.parse(static_cast<int>(pointers.size()), pointers.data());
  return flags;
}

kube::ConfigSources files(std::map<std::string, std::string> there) {
  kube::ConfigSources sources;
  sources.env = [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value ? std::optional<std::string>(value) : std::nullopt;
  };
  sources.read_file = [there = std::move(there)](const std::string& path) -> Result<std::string> {
    const auto found = there.find(path);
    if (found == there.end()) return fail(ErrorKind::kFixInput, path + ": no such file");
    return found->second;
  };
  return sources;
}

constexpr const char* kKubeconfig =
    "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n"
    "clusters: [{name: k, cluster: {server: 'https://127.0.0.1:1'}}]\nusers: [{name: u, user: {token: t}}]\n";

Result<op::ProcessOptions> read(const OperatorFlags& flags, std::map<std::string, std::string> more = {}) {
  more.emplace("/kubeconfig", kKubeconfig);
  kube::ConfigSources sources = files(std::move(more));
  sources.kubeconfig = "/kubeconfig";
  return read_operator_flags(flags, sources);
}

TEST(OperatorFlags, DefaultsAreUpstreams) {
  const OperatorFlags flags = parse();
  EXPECT_EQ(flags.metrics_address, ":8443");
  EXPECT_TRUE(flags.metrics_secure);
  EXPECT_EQ(flags.health_address, ":8000");
  EXPECT_FALSE(flags.enable_leader_election);
  EXPECT_EQ(flags.leader_election_id, "a3f45fce.functionmesh.io");
  EXPECT_EQ(flags.leader_election_namespace, "");
  EXPECT_EQ(flags.certificate_folder, "");
  EXPECT_EQ(flags.webhook_address, ":9443");
  EXPECT_EQ(flags.config_file, "");
  EXPECT_EQ(flags.watched_namespace, "");
  EXPECT_FALSE(flags.enable_init_containers);
  EXPECT_EQ(flags.global_backend_config, "");
  EXPECT_EQ(flags.global_backend_config_namespace, "default");
  EXPECT_EQ(flags.namespaced_backend_config, "backend-config");
  EXPECT_TRUE(flags.add_default_affinity);
  EXPECT_FALSE(flags.pause_rollout);
  EXPECT_TRUE(flags.meshes);
  EXPECT_TRUE(flags.webhooks);
}

// Every flag of upstream's operator, by one of the forms that manifests use.
TEST(OperatorFlags, UpstreamsAreTaken) {
  const OperatorFlags flags = parse({"--metrics-addr=:1",
                                     "--metrics-secure=false",
                                     "-health-probe-addr",
                                     ":2",
                                     "--enable-leader-election",
                                     "--leader-election-id=id",
                                     "-leader-election-namespace=home",
                                     "--cert-dir",
                                     "/certs",
                                     "--config-file=/c.yaml",
                                     "--watched-namespace=shop",
                                     "--enable-pprof=true",
                                     "--pprof-addr=:3",
                                     "--enable-init-containers=true",
                                     "--global-backend-config=g",
                                     "--global-backend-config-namespace=gn",
                                     "-namespaced-backend-config=n",
                                     "--add-default-affinity=false",
                                     "--pause-rollout=true",
                                     "--kubeconfig=/k"});
  EXPECT_EQ(flags.metrics_address, ":1");
  EXPECT_FALSE(flags.metrics_secure);
  EXPECT_EQ(flags.health_address, ":2");
  EXPECT_TRUE(flags.enable_leader_election);
  EXPECT_EQ(flags.leader_election_id, "id");
  EXPECT_EQ(flags.leader_election_namespace, "home");
  EXPECT_EQ(flags.certificate_folder, "/certs");
  EXPECT_EQ(flags.config_file, "/c.yaml");
  EXPECT_EQ(flags.watched_namespace, "shop");
  EXPECT_TRUE(flags.enable_init_containers);
  EXPECT_EQ(flags.global_backend_config, "g");
  EXPECT_EQ(flags.global_backend_config_namespace, "gn");
  EXPECT_EQ(flags.namespaced_backend_config, "n");
  EXPECT_FALSE(flags.add_default_affinity);
  EXPECT_TRUE(flags.pause_rollout);
  EXPECT_EQ(flags.kubeconfig, "/k");
}

TEST(OperatorFlags, UpstreamsEnvironmentCounts) {
  const Environment environment({{"METRICS_ADDR", ":1"},
                                 {"HEALTH_PROBE_ADDR", ":2"},
                                 {"ENABLE_LEADER_ELECTION", "true"},
                                 {"LEADER_ELECTION_ID", "id"},
                                 {"LEADER_ELECTION_NAMESPACE", "home"},
                                 {"CERT_DIR", "/certs"},
                                 {"CONFIG_FILE", "/c.yaml"},
                                 {"WATCHED_NAMESPACE", "shop"},
                                 {"ENABLE_PPROF", "true"},
                                 {"PPROF_ADDR", ":3"},
                                 {"ENABLE_INIT_CONTAINERS", "true"},
                                 {"GLOBAL_BACKEND_CONFIG", "g"},
                                 {"GLOBAL_BACKEND_CONFIG_NAMESPACE", "gn"},
                                 {"NAMESPACED_BACKEND_CONFIG", "n"},
                                 {"ADD_DEFAULT_AFFINITY", "false"},
                                 {"PAUSE_ROLLOUT", "true"},
                                 {"ENABLE_FUNCTION_MESH_CONTROLLER", "false"},
                                 {"ENABLE_WEBHOOKS", "false"},
                                 {"RUN_AS_NON_ROOT", "true"}});
  OperatorFlags flags = parse();
  EXPECT_EQ(flags.config_file, "/c.yaml");
  EXPECT_EQ(flags.certificate_folder, "/certs");
  auto options = read(flags, {{"/c.yaml", "runnerImages: {java: mine:1}\n"}});
  ASSERT_TRUE(options) << options.error().to_string();
  EXPECT_THAT(options->metrics_address, HasSubstr(":1"));
  EXPECT_THAT(options->health_address, HasSubstr(":2"));
  EXPECT_TRUE(options->leader_election);
  EXPECT_EQ(options->leader_election_id, "id");
  EXPECT_EQ(options->leader_election_namespace, "home");
  EXPECT_THAT(options->settings.watched_namespaces, ElementsAre("shop"));
  EXPECT_TRUE(options->settings.cluster.init_containers);
  EXPECT_EQ(options->settings.cluster.global_backend_config, "g");
  EXPECT_EQ(options->settings.cluster.global_backend_config_namespace, "gn");
  EXPECT_EQ(options->settings.cluster.namespaced_backend_config, "n");
  EXPECT_FALSE(options->settings.cluster.add_default_affinity);
  EXPECT_TRUE(options->settings.cluster.run_as_non_root);
  EXPECT_TRUE(options->settings.pause_rollout);
  EXPECT_FALSE(options->settings.meshes);
  EXPECT_FALSE(options->webhooks);
}

TEST(OperatorFlags, NamespacesMayBeSeveral) {
  const auto options = read(parse({"--watched-namespaces=a,b", "--watched-namespace=c"}));
  ASSERT_TRUE(options) << options.error().to_string();
  EXPECT_THAT(options->settings.watched_namespaces, ElementsAre("a", "b", "c"));
}

TEST(OperatorFlags, TheLogLevelOfTheConfigFileCounts) {
  const OperatorFlags flags = parse({"--config-file=/c.yaml", "--log-level=warn"});
  EXPECT_EQ(read_log_level(flags, files({{"/c.yaml", "logLevel: debug\n"}})).value_or(""), "debug");
  EXPECT_EQ(read_log_level(flags, files({{"/c.yaml", "{}"}})).value_or(""), "warn");
  EXPECT_FALSE(read_log_level(flags, files({})));
}

TEST(OperatorFlags, ALeaseNeedsANamespaceOutsideOfAPod) {
  const auto options = read(parse({"--enable-leader-election"}));
  ASSERT_FALSE(options);
  EXPECT_THAT(options.error().text(), HasSubstr("--leader-election-namespace"));
}

}  // namespace
}  // namespace fmesh::cli
