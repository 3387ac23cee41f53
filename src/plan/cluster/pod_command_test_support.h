// What the tests of pod commands share: components, texts that would break an unquoted command, and a fixture that
// makes a component's command and runs it (pod_run_test_support.h).
#pragma once

#include <gtest/gtest.h>

#include "plan/cluster/command.h"
#include "plan/cluster/pod_run_test_support.h"

namespace fmesh::plan {

using Words = std::vector<std::string>;

inline constexpr const char* kUid = "0e6f6b8c-1111-2222-3333-444455556666";

inline const PodRun::Environment kEnvironment = {{"POD_NAME", "orders-function-7"},
                                                 {"webServiceURL", "http://broker:8080"},
                                                 {"brokerServiceURL", "pulsar://broker:6650"},
                                                 {"PACKAGE_webServiceURL", "http://packages:8080"},
                                                 {"clientAuthenticationPlugin", "corp.Plugin"},
                                                 {"clientAuthenticationParameters", "token:abc"},
                                                 {"tlsTrustCertsFilePath", "/tls/ca.pem"},
                                                 {"MARK", "a  mark"}};

// What may stand in any field of a resource. Each would break or take over an unquoted command.
inline const Words kNasty = {
    "two words",
    "it's",
    "\"quoted\"",
    "$(touch HACKED)",
    "`touch HACKED`",
    "; touch HACKED;",
    "&& touch HACKED #",
    "'; touch HACKED; '",
    "\"; touch HACKED; \"",
    "$(POD_NAME) $$ $$(POD_NAME) $",
    "line\nbreak\ttab",
    "\xC3\xBC\xE2\x86\x92\xF0\x9F\x90\x9F",
    "back\\slash \\",
    "* ? [a-z] ~ {a,b} !x -n > /dev/null | <x (y)",
    "${MARK:-x} $((1+1)) $'x' ${} $1 %s %d",
};

inline model::Component component(model::Kind kind) {
  model::Component out;
  out.kind = kind;
  out.metadata.name = "orders";
  out.spec.name = "orders";
  out.spec.tenant = "public";
  out.spec.name_space = "default";
  out.spec.cluster_name = "blue";
  out.spec.resources.limits = {{"memory", "1100M"}};
  out.spec.resources.requests = {{"memory", "1Gi"}, {"cpu", "1200m"}};
  out.spec.input.topics = {"in"};
  out.spec.output.topic = "out";
  out.spec.pulsar.emplace().pulsar_config = "pulsar";
  return out;
}

inline model::Component java(model::Kind kind = model::Kind::kFunction) {
  model::Component out = component(kind);
  out.spec.java.emplace().jar = "a.jar";
  return out;
}

class PodCommandInShell : public testing::Test {
 protected:
  std::vector<StubCall> run(const model::Component& component, const ClusterOptions& options = {}) {
    const auto command = make_pod_command(component, options, kUid);
    EXPECT_TRUE(command) << command.error().to_string();
    if (!command) return {};
    std::vector<StubCall> calls = pod.run(command->command, kEnvironment);
    EXPECT_EQ(pod.exit_status(), 0) << command->command.back() << "\n" << pod.output();
    EXPECT_FALSE(pod.was_hacked()) << command->command.back();
    return calls;
  }
  PodRun pod;
};

}  // namespace fmesh::plan
