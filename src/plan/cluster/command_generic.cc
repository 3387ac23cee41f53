#include "plan/cluster/command_parts.h"
#include "plan/cluster/shell.h"

namespace fmesh::plan {

Result<PodCommand> make_generic_command(const CommandInput& input) {
  const model::GenericRuntime& generic = *input.component.spec.generic_runtime;
  const PackageSource source{.path = generic.function_file,
                             .location = generic.function_file_location,
                             .field = "genericRuntime.functionFile",
                             .tools_in_image = true};
  FMESH_TRY(Package package, plan_package(input.component, source, input.options.init_containers));
  std::string command = package.download.empty() ? std::string() : package.download + " && ";
  command += kSetShardId + std::string("exec pulsar_rust_instance --function_file ") + shell_word(package.path) +
             " --language " + shell_word(generic.language) + " " + shared_options(input);
  if (generic.language == "python")
    command += secrets_option(input, "secrets_provider.EnvironmentBasedSecretsProvider");
  if (generic.language == "nodejs") command += secrets_option(input, "EnvironmentBasedSecretsProvider");
  command += state_option(input);
  return pod_command("sh", std::move(command), std::move(package));
}

}  // namespace fmesh::plan
