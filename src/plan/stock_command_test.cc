#include "plan/stock_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>

#include "plan/local_plan.h"

namespace fmesh::plan {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr const char* kMesh = R"(apiVersion: compute.functionmesh.io/v1alpha1
kind: FunctionMesh
metadata: {name: m}
spec:
  functions:
    - name: j
      className: org.example.J
      java:
        jar: /pulsar/lib/j.jar
        extraDependenciesDir: /pulsar/extra
        javaOpts: ["-Xmx1g '-Dwho=a b'", "-Dhome=$HOME_OF_IT"]
        log: {level: debug}
      pod: {env: [{name: HOME_OF_IT, value: /x}]}
      resources: {limits: {memory: 1000Mi}}
      maxPendingAsyncRequests: 7
      secretsMap: {KEY: {path: s, key: k}}
      clusterName: here
      input: {topics: [a]}
      output: {topic: b}
    - name: p
      className: p.P
      python: {py: p.py}
      input: {topics: [b]}
      output: {topic: c}
    - name: g
      golang: {go: g, log: {level: warn}}
      input: {topics: [d, c]}
      output: {topic: e}
      retainOrdering: true
      funcConfig: {a: "it's"}
---
apiVersion: v1
kind: Secret
metadata: {name: s}
stringData: {k: v}
)";

class StockCommandTest : public testing::Test {
 protected:
  void SetUp() override {
    auto plan = make_local_plan(model::read_text("/data/m.yaml", kMesh), {.stock_python = true, .only = {}});
    ASSERT_TRUE(plan) << plan.error().to_string();
    for (const ComponentPlan& part : plan->components) specs_[part.spec.component] = part.spec;
  }

  StockCommand command(const std::string& name) {
    StockPlace place;
    place.program = "/bin/it";
    place.pulsar_home = "/opt/pulsar";
    place.package = "/data/package";
    place.folder = "/run/" + name;
    place.nar_folder = "/run/nar";
    place.streams = streams_;
    place.port = 11;
    place.metrics_port = 12;
    specs_.at(name).instance_id = 3;
    return make_stock_command(specs_.at(name), place);
  }

  static std::string after(const StockCommand& command, const std::string& option) {
    const auto found = std::ranges::find(command.arguments, option);
    return found == command.arguments.end() || found + 1 == command.arguments.end() ? "(none)" : *(found + 1);
  }

  std::map<std::string, model::InstanceSpec> specs_;
  StockStreams streams_{.service_url = "pulsar://127.0.0.1:1",
                        .auth_plugin = {},
                        .auth_parameters = {},
                        .tls_trust_file = {},
                        .tls_insecure = false,
                        .tls_verify_name = true};
};

TEST_F(StockCommandTest, EveryRuntimeGetsCredentialsAndTrust) {
  streams_ = {.service_url = "pulsar+ssl://h:1",
              .auth_plugin = "T",
              .auth_parameters = "file:///t",
              .tls_trust_file = "/ca.pem",
              .tls_insecure = false,
              .tls_verify_name = false};
  for (const char* name : {"j", "p"}) {
    const StockCommand made = command(name);
    EXPECT_EQ(after(made, "--client_auth_plugin"), "T");
    EXPECT_EQ(after(made, "--client_auth_params"), "file:///t");
    EXPECT_EQ(after(made, "--use_tls"), "true");
    EXPECT_EQ(after(made, "--tls_allow_insecure"), "false");
    EXPECT_EQ(after(made, "--hostname_verification_enabled"), "false");
    EXPECT_EQ(after(made, "--tls_trust_cert_path"), "/ca.pem");
  }
  const auto conf = boost::json::parse(command("g").arguments[2]).as_object();
  EXPECT_EQ(conf.at("clientAuthenticationParameters"), "file:///t");
  EXPECT_EQ(conf.at("tlsTrustCertsFilePath"), "/ca.pem");
  EXPECT_EQ(conf.at("tlsHostnameVerificationEnable"), false);
}

TEST_F(StockCommandTest, JavaGetsWhatAPodGets) {
  const StockCommand java = command("j");
  EXPECT_EQ(java.arguments.front(), "/bin/it");
  EXPECT_EQ(after(java, "-cp"), "/opt/pulsar/instances/java-instance.jar:/opt/pulsar/extra/*");
  EXPECT_THAT(java.arguments, Contains("-Dpulsar.functions.instance.classpath=/opt/pulsar/lib/*"));
  EXPECT_THAT(java.arguments, Contains("-Dwho=a b"));
  EXPECT_THAT(java.arguments, Contains("-Dhome=/x"));
  // The user's options are behind ours, so that theirs count.
  const auto limit = std::ranges::find(java.arguments, "-Xmx" + std::to_string(1000LL * 1024 * 1024 / 100 * 70));
  EXPECT_LT(limit, std::ranges::find(java.arguments, "-Xmx1g"));
  EXPECT_EQ(after(java, "org.apache.pulsar.functions.instance.JavaInstanceMain"), "--jar");
  EXPECT_EQ(after(java, "--jar"), "/data/package");
  EXPECT_EQ(after(java, "--instance_id"), "3");
  EXPECT_EQ(after(java, "--pulsar_serviceurl"), "pulsar://127.0.0.1:1");
  EXPECT_EQ(after(java, "--port"), "11");
  EXPECT_EQ(after(java, "--metrics_port"), "12");
  EXPECT_EQ(after(java, "--cluster_name"), "here");
  EXPECT_EQ(after(java, "--pending_async_requests"), "7");
  EXPECT_EQ(after(java, "--secrets_provider"),
            "org.apache.pulsar.functions.secretsprovider.EnvironmentBasedSecretsProvider");
  EXPECT_EQ(java.environment.at("KEY"), "v");
  EXPECT_THAT(java.files.at("/run/j/log4j2.xml"), HasSubstr("level='DEBUG'"));
  const auto details = model::parse_function_details(after(java, "--function_details"));
  ASSERT_TRUE(details) << details.error().to_string();
  EXPECT_EQ(*details, specs_.at("j").details);
  EXPECT_EQ(details->class_name, "org.example.J");
}

TEST_F(StockCommandTest, PythonGetsWhatAPodGets) {
  const StockCommand python = command("p");
  EXPECT_THAT(
      std::vector(python.arguments.begin(), python.arguments.begin() + 4),
      ElementsAre("/bin/it", "/opt/pulsar/instances/python-instance/python_instance_main.py", "--py", "/data/package"));
  EXPECT_EQ(after(python, "--logging_config_file"), "/run/p/logging.ini");
  EXPECT_EQ(after(python, "--logging_directory"), "/run/p");
  EXPECT_THAT(python.arguments, Not(Contains("--secrets_provider")));
  EXPECT_THAT(after(python, "--function_details"), HasSubstr(R"("runtime":"PYTHON")"));
}

TEST_F(StockCommandTest, GoGetsOneObjectOfJson) {
  const StockCommand go = command("g");
  ASSERT_EQ(go.arguments.size(), 3U);
  EXPECT_EQ(go.arguments[1], "-instance-conf");
  const auto conf = boost::json::parse(go.arguments[2]).as_object();
  EXPECT_EQ(conf.at("pulsarServiceURL"), "pulsar://127.0.0.1:1");
  EXPECT_EQ(conf.at("instanceID"), 3);
  EXPECT_EQ(conf.at("port"), 11);
  EXPECT_EQ(conf.at("metricsPort"), 12);
  EXPECT_EQ(conf.at("subscriptionType"), 1);
  EXPECT_EQ(conf.at("sourceSpecsTopic"), "persistent://public/default/c");
  EXPECT_TRUE(conf.at("sourceInputSpecs").as_object().contains("persistent://public/default/d"));
  EXPECT_EQ(conf.at("userConfig"), R"({"a":"it's"})");
  EXPECT_EQ(go.environment.at("LOGGING_LEVEL"), "warn");
  EXPECT_THAT(go.files, IsEmpty());
}

TEST(StockPath, MapsTheFolderOfTheImages) {
  EXPECT_EQ(stock_path("/pulsar/lib/x.jar", "/opt/p"), "/opt/p/lib/x.jar");
  EXPECT_EQ(stock_path("/pulsar", "/opt/p"), "/opt/p");
  EXPECT_EQ(stock_path("/pulsarx/y", "/opt/p"), "/pulsarx/y");
  EXPECT_EQ(stock_path("lib/x.jar", "/opt/p"), "lib/x.jar");
  EXPECT_EQ(stock_path("/pulsar/x", ""), "/pulsar/x");
}

TEST(StockSpec, RefusesWhatOnlyAClusterKnows) {
  const auto plan = make_local_plan(model::read_text("f.yaml", R"(apiVersion: compute.functionmesh.io/v1alpha1
kind: Function
metadata: {name: f}
spec:
  className: org.example.F
  java: {jar: f.jar}
  pod: {env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}]}
  input: {topics: [a]}
)"),
                                    {});
  ASSERT_FALSE(plan);
  EXPECT_THAT(plan.error().to_string(), HasSubstr("A has a value that only a cluster knows"));
}

}  // namespace
}  // namespace fmesh::plan
