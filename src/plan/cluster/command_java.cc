#include <fmt/format.h>

#include <array>

#include "model/quantity.h"
#include "plan/cluster/command_parts.h"
#include "plan/cluster/log_config.h"
#include "plan/cluster/shell.h"
#include "plan/instance_words.h"

namespace fmesh::plan {
namespace {

constexpr int64_t kDirectMemoryPart = 5;  // of the memory limit; the heap takes 70 %

// As Kubernetes writes a decimal quantity: 220000000 is 220M.
std::string decimal_quantity(int64_t value) {
  constexpr std::array<std::string_view, 7> kSuffixes = {"", "k", "M", "G", "T", "P", "E"};
  size_t power = 0;
  while (value != 0 && value % 1000 == 0 && power + 1 < kSuffixes.size()) {
    value /= 1000;
    ++power;
  }
  return fmt::format("{}{}", value, kSuffixes[power]);
}

std::string direct_memory(const model::ComponentSpec& spec) {
  const auto limit = spec.resources.limits.find("memory");
  if (limit == spec.resources.limits.end()) return "0";  // the JVM's own choice
  const auto quantity = model::parse_quantity(limit->second);
  return decimal_quantity(quantity ? quantity->whole() / kDirectMemoryPart : 0);
}

std::string class_path(const model::JavaRuntime& java) {
  std::string out = java.instance_path.empty() ? "/pulsar/instances/java-instance.jar" : shell_word(java.instance_path);
  // Readers of YAML log configurations, whose versions differ from image to image.
  out +=
      ":$(echo /pulsar/lib/com.fasterxml.jackson.dataformat-jackson-dataformat-yaml-*.jar)"
      ":$(echo /pulsar/lib/org.yaml-snakeyaml-*.jar)";
  if (!java.extra_dependencies_dir.empty()) out += ":" + shell_word(java.extra_dependencies_dir) + "/*";
  return out;
}

std::string java_options(const model::JavaRuntime& java) {
  std::string out;
  for (const std::string& option : java.java_opts) {
    const std::string words = shell_options(option);
    if (!out.empty() && !words.empty()) out += ' ';
    out += words;
  }
  return out;
}

std::string jvm_options(const model::ComponentSpec& spec, const LogPlan& log) {
  const std::string level =
      log.level.empty() ? std::string() : fmt::format("-Dpulsar.log.level={0} -Dbk.log.level={0}", log.level);
  // Upstream leaves two blanks where a piece is empty; the command of a running pod should stay as it is.
  return fmt::format(
      "-Dpulsar.functions.instance.classpath=/pulsar/lib/* -Dlog4j.configurationFile={} "
      "-Dpulsar.function.log.dir=logs/functions -Dpulsar.function.log.file={}-${{SHARD_ID}} "
      "-Dpulsar.allocator.exit_on_oom=true {} -XX:MaxRAMPercentage=70 -XX:MaxDirectMemorySize={} -XX:+UseG1GC "
      "-XX:+HeapDumpOnOutOfMemoryError -XX:HeapDumpPath=/pulsar/tmp/heapdump-%p.hprof "
      "-XX:+ExitOnOutOfMemoryError -Xlog:gc*:file=/pulsar/logs/gc.log:time,level,tags:filecount=5,filesize=10M {}",
      log.path, shell_text(spec.name), level, direct_memory(spec), java_options(*spec.java));
}

std::string tail_options(const CommandInput& input) {
  const model::ComponentSpec& spec = input.component.spec;
  std::string out;
  if (spec.inline_source || spec.inline_sink) out += " --connectors_directory /pulsar/connectors";
  out += secrets_option(input, kJavaSecrets);
  const std::string state = state_option(input);
  out += state;
  if (!state.empty() && spec.stateful_config->pulsar->java_provider) {
    out += " --state_storage_impl_class " + shell_word(spec.stateful_config->pulsar->java_provider->class_name);
  }
  if (input.component.kind == model::Kind::kFunction && spec.max_pending_async_requests) {
    out += fmt::format(" --pending_async_requests {}", *spec.max_pending_async_requests);
  }
  return out;
}

}  // namespace

Result<PodCommand> make_java_command(const CommandInput& input) {
  const model::ComponentSpec& spec = input.component.spec;
  const model::JavaRuntime& java = *spec.java;
  const PackageSource source{.path = java.jar, .location = java.jar_location, .field = "java.jar"};
  FMESH_TRY(Package package, plan_package(input.component, source, input.options.init_containers));
  const LogPlan log = plan_java_log(input.component);
  std::string command = package.download.empty() ? std::string() : package.download + " && ";
  command += kSetShardId + log.write + "exec java -cp " + class_path(java) + " " + jvm_options(spec, log) + " " +
             (java.entry_class.empty() ? std::string(kJavaInstanceClass) : shell_word(java.entry_class)) + " --jar " +
             shell_word(package.path) + " " + shared_options(input) + tail_options(input);
  PodCommand out = pod_command("bash", std::move(command), std::move(package));
  out.volumes.insert(out.volumes.begin(), log.volumes.begin(), log.volumes.end());
  out.volume_mounts.insert(out.volume_mounts.begin(), log.volume_mounts.begin(), log.volume_mounts.end());
  return out;
}

}  // namespace fmesh::plan
