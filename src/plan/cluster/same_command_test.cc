#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "model/resource_set.h"
#include "plan/cluster/command.h"

namespace fmesh::plan {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

bool same(const std::string& left, const std::string& right) {
  return same_command({"bash", "-c", left}, {"bash", "-c", right});
}

TEST(SameCommand, IgnoresBlanksQuotesAndTheOrderOfJsonMembers) {
  EXPECT_TRUE(same("run  --jar 'a.jar'", "run --jar a.jar"));
  EXPECT_TRUE(same("run $HOME ${HOME}", "run \"${HOME}\" $HOME"));
  EXPECT_TRUE(same(R"(run --client_auth_params '{"a":1, "b":2}')", R"(run --client_auth_params '{"b":2,"a":1}')"));
  EXPECT_TRUE(same(R"(run --function_details '{"name":"f", "autoAck":false, "userConfig":"{\"b\":1,\"a\":2.0}"}')",
                   R"(run --function_details '{"userConfig":"{\"a\":2,\"b\":1}","name":"f"}')"));
  EXPECT_TRUE(same("java --pending_async_requests 1000", "java"));
}

TEST(SameCommand, SeesEveryOtherDifference) {
  EXPECT_FALSE(same("run --jar a.jar", "run --jar b.jar"));
  EXPECT_FALSE(same("run '$HOME'", "run $HOME"));
  EXPECT_FALSE(same("run a b", "run 'a b'"));
  EXPECT_FALSE(same("run && stop", "run || stop"));
  EXPECT_FALSE(same("run '&&' stop", "run && stop"));
  EXPECT_FALSE(same(R"(run --function_details '{"name":"f"}')", R"(run --function_details '{"name":"g"}')"));
  EXPECT_FALSE(same("java --pending_async_requests 999", "java"));
  EXPECT_FALSE(same("run ${A:-x}", "run $A"));
  EXPECT_FALSE(same("run '$$A'", "run '$''$A'")) << "the kubelet makes $ of the first";
  EXPECT_FALSE(same("run '$(POD_NAME)'", "run '$''(POD_NAME)'")) << "the kubelet replaces the first";
  EXPECT_FALSE(same("run 'a", "run  'a")) << "what can't be read is compared as text";
  EXPECT_FALSE(same_command({"sh", "-c", "x"}, {"bash", "-c", "x"}));
  EXPECT_FALSE(same_command({"run", "x"}, {"run", "y"}));
}

TEST(SameCommand, ComparesLogConfigurationsByTheirSettings) {
  EXPECT_TRUE(
      same("echo \"<Root><level>INFO</level></Root>\" > /c/log.xml", "echo \"<Root level='INFO'/>\" > /c/log.xml"));
  EXPECT_FALSE(same("echo \"<Root level='WARN'/>\" > /c/log.xml", "echo \"<Root level='INFO'/>\" > /c/log.xml"));
  EXPECT_FALSE(same("echo \"<size>10MB</size>\" > /c/log.xml", "echo \"<size>50MB</size>\" > /c/log.xml"));
  EXPECT_FALSE(same("echo \"args=('f', 'D', 1, 5)\" > /c/log.ini", "echo \"args=('f', 'D', 30, 5)\" > /c/log.ini"));
  EXPECT_TRUE(same("echo \"<schedule>\"0 0 0 1 \\* \\? \\*\"</schedule>\" > /c/log.xml",
                   "echo \"<Cron schedule='0 0 0 1 * ? *'/>\" > /c/log.xml"));
  EXPECT_FALSE(same("echo INFO > /c/a.xml", "echo INFO > /c/b.xml"));
  EXPECT_FALSE(same("echo INFO > /c/a.txt", "echo 'INFO ' > /c/a.txt"));
}

TEST(SameCommand, ReadsTheConfigurationOfGoInstances) {
  const std::string upstream = R"(GO_FUNCTION_CONF={\"a\":${SHARD_ID},\"userConfig\":\"\",\"b\":\"${X}-1\"} && run)";
  EXPECT_TRUE(same(upstream, R"(GO_FUNCTION_CONF={\"b\":\"$X-1\",\"a\":$SHARD_ID,\"userConfig\":\"\"} && run)"));
  EXPECT_FALSE(same(upstream, R"(GO_FUNCTION_CONF={\"b\":\"$Y-1\",\"a\":$SHARD_ID,\"userConfig\":\"\"} && run)"));
}

// --- the commands of a real upstream operator, where the golden cases are given ---

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

// FMESH_GOLDEN, or ../shared/golden beside the source folder, where ctest runs the tests.
fs::path golden_folder() {
  const char* given = std::getenv("FMESH_GOLDEN");  // NOLINT(concurrency-mt-unsafe): tests read it only
  const fs::path root = given ? given : "../shared/golden";
  return fs::is_directory(root / "dev") ? root / "dev" : root;
}

// As the operator finds them without webhooks: what they would fill in is not there.
std::map<std::string, model::Component> components_of(const fs::path& folder, bool second) {
  std::map<std::string, model::Component> out;
  for (const char* file : {"input.yaml", "input-2.yaml"}) {
    if (!second && std::string(file) == "input-2.yaml") continue;
    for (model::Component& component : model::read_text(file, read_file(folder / file)).components) {
      const model::Node* spec = component.origin.root.get();
      for (const auto& step : component.path.steps()) {
        if (spec && std::holds_alternative<std::string>(step)) spec = spec->find(std::get<std::string>(step));
        if (spec && std::holds_alternative<size_t>(step)) spec = &spec->items.at(std::get<size_t>(step));
      }
      if (spec && !spec->find("maxPendingAsyncRequests")) component.spec.max_pending_async_requests.reset();
      const model::Node* input = spec ? spec->find("input") : nullptr;
      const model::Node* output = spec ? spec->find("output") : nullptr;
      if (!input || !input->find("typeClassName")) component.spec.input.type_class_name.clear();
      if (!output || !output->find("typeClassName")) component.spec.output.type_class_name.clear();
      if (output && !output->find("producerConf")) component.spec.output.producer_config.reset();
      const std::string kind = model::to_string(component.kind);
      const std::string suffix = kind == "Function" ? "-function" : kind == "Source" ? "-source" : "-sink";
      out[component.metadata.name + suffix] = component;
    }
  }
  return out;
}

std::vector<std::string> command_of(const json::value& container) {
  std::vector<std::string> out;
  if (const json::value* command = container.as_object().if_contains("command")) {
    for (const json::value& word : command->as_array()) out.emplace_back(word.as_string());
  }
  return out;
}

// Checks every container of ours in the StatefulSets of `file`; answers how many there were.
int compare_live(const fs::path& folder, const char* file, const ClusterOptions& options) {
  int compared = 0;
  const auto components = components_of(folder, std::string(file) == "live-2.json");
  const json::value live = json::parse(read_file(folder / file));
  for (const json::value& object : live.as_array()) {
    if (object.at("kind").as_string() != "StatefulSet") continue;
    const auto found = components.find(std::string(object.at("metadata").at("name").as_string()));
    if (found == components.end()) continue;
    const auto ours = make_pod_command(found->second, options, "{uid}");
    EXPECT_TRUE(ours) << folder << ": " << ours.error().to_string();
    if (!ours) continue;
    const json::object& pod = object.at("spec").at("template").at("spec").as_object();
    for (const char* list : {"containers", "initContainers"}) {
      if (!pod.contains(list)) continue;
      for (const json::value& container : pod.at(list).as_array()) {
        const std::string name(container.at("name").as_string());
        std::vector<std::string> expected;
        if (name.starts_with("pulsar-")) expected = ours->command;
        if (name == "downloader" && ours->downloader) expected = command_of(*ours->downloader);
        if (name == "filebeat") expected = command_of(make_log_sidecar(found->second).value_or(json::object{}));
        if (expected.empty()) continue;
        ++compared;
        EXPECT_TRUE(same_command(command_of(container), expected))
            << folder << " " << name << "\n upstream: " << command_of(container).back()
            << "\n ours:     " << expected.back();
      }
    }
  }
  return compared;
}

TEST(SameCommand, FindsUpstreamsLiveCommandsEqualToOurs) {
  const fs::path golden = golden_folder();
  if (!fs::is_directory(golden)) GTEST_SKIP() << "no golden cases at " << golden << "; set FMESH_GOLDEN";
  int compared = 0;
  for (const auto& entry : fs::directory_iterator(golden)) {
    if (!fs::exists(entry.path() / "live.json")) continue;
    const std::string expected = read_file(entry.path() / "expected.json");
    ClusterOptions options;
    options.init_containers = expected.find("-enable-init-containers") != std::string::npos;
    compared += compare_live(entry.path(), "live.json", options);
    if (fs::exists(entry.path() / "live-2.json")) compared += compare_live(entry.path(), "live-2.json", options);
  }
  EXPECT_GT(compared, 60) << golden;
  RecordProperty("compared", compared);
}

}  // namespace
}  // namespace fmesh::plan
