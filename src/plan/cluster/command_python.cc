#include "plan/cluster/command_parts.h"
#include "plan/cluster/log_config.h"
#include "plan/cluster/shell.h"
#include "plan/instance_words.h"

namespace fmesh::plan {

Result<PodCommand> make_python_command(const CommandInput& input) {
  const model::ComponentSpec& spec = input.component.spec;
  const PackageSource source{.path = spec.python->py, .location = spec.python->py_location, .field = "python.py"};
  FMESH_TRY(Package package, plan_package(input.component, source, input.options.init_containers));
  const LogPlan log = plan_python_log(input.component);
  std::string command = package.download.empty() ? std::string() : package.download + " && ";
  // The instance would set its own level over that of the configuration.
  command += kSetShardId +
             std::string("sed -i.bak 's/^  Log.setLevel/#&/' /pulsar/instances/python-instance/log.py && ") +
             log.write + "exec python /pulsar/instances/python-instance/python_instance_main.py --py " +
             shell_word(package.path) + " --logging_directory logs/functions --logging_file " + shell_text(spec.name) +
             "-${SHARD_ID}.log --logging_config_file " + log.path + " --install_usercode_dependencies true " +
             shared_options(input) + secrets_option(input, kPythonSecrets) + state_option(input);
  PodCommand out = pod_command("bash", std::move(command), std::move(package));
  out.volumes.insert(out.volumes.begin(), log.volumes.begin(), log.volumes.end());
  out.volume_mounts.insert(out.volume_mounts.begin(), log.volume_mounts.begin(), log.volume_mounts.end());
  return out;
}

}  // namespace fmesh::plan
