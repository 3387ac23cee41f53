#include "local/stock_parts.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <sstream>

#include "plan/stock_command.h"

namespace fmesh::local {
namespace {

namespace fs = std::filesystem;

constexpr const char* kGetPulsar =
    "download the binary release from https://pulsar.apache.org/download (apache-pulsar-4.0.8-bin.tar.gz), unpack it, "
    "and give its folder with --pulsar-home DIR or in PULSAR_HOME";

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

bool is_program(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored) && ::access(path.c_str(), X_OK) == 0;
}

// A name without a folder is looked for where the shell would.
std::optional<std::string> find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    if (!is_program(name)) return std::nullopt;
    std::error_code ignored;
    return fs::absolute(name, ignored).string();
  }
  std::stringstream folders(environment("PATH"));
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (!folder.empty() && is_program(fs::path(folder) / name)) return (fs::path(folder) / name).string();
  }
  return std::nullopt;
}

Result<std::string> find_home(const StockPrograms& programs, const std::string& instance, const char* what) {
  const std::string given = programs.pulsar_home;
  if (given.empty())
    return fail(ErrorKind::kFixInput,
                fmt::format("it is run by Pulsar's {}, which is part of Pulsar's distribution: {}", what, kGetPulsar));
  std::error_code ignored;
  const fs::path home = fs::absolute(given, ignored).lexically_normal();
  if (!fs::exists(home / instance, ignored))
    return fail(ErrorKind::kFixInput, fmt::format("--pulsar-home {}: there is no {} in it, so it is no distribution of "
                                                  "Pulsar; {}",
                                                  given, instance, kGetPulsar));
  return home.string();
}

Result<std::string> find_java() {
  const std::string home = environment("JAVA_HOME");
  if (!home.empty()) {
    if (auto java = find_program(home + "/bin/java")) return *java;
    return fail(ErrorKind::kFixInput, fmt::format("JAVA_HOME {}: there is no bin/java in it", home));
  }
  if (auto java = find_program("java")) return *java;
  return fail(ErrorKind::kFixInput,
              "Java is missing: install version 17 or newer (Debian: apt-get install openjdk-17-jre-headless), or set "
              "JAVA_HOME to where it is");
}

Result<std::string> find_python(const StockPrograms& programs) {
  const std::string name = programs.python.empty() ? "python3" : programs.python;
  if (auto python = find_program(name)) return *python;
  return fail(
      ErrorKind::kFixInput,
      fmt::format("--stock-python {}: there is no such program; expected a Python interpreter that has Pulsar's "
                  "client (pip install 'pulsar-client[functions]')",
                  name));
}

// In the folder of the resource's file, or where it would lie in upstream's images.
Result<std::string> find_package(const model::InstanceSpec& spec, const std::string& pulsar_home) {
  const fs::path written = plan::stock_path(spec.library_path, pulsar_home);
  std::error_code ignored;
  const fs::path beside = (fs::path(spec.base_directory) / written).lexically_normal();
  if (fs::is_regular_file(beside, ignored)) return beside.string();
  const fs::path in_home = pulsar_home.empty() ? fs::path() : (fs::path(pulsar_home) / written).lexically_normal();
  if (!pulsar_home.empty() && fs::is_regular_file(in_home, ignored)) return in_home.string();
  std::string text = fmt::format("there is no file {}", beside.string());
  if (!pulsar_home.empty() && in_home != beside) text += fmt::format(" and no {}", in_home.string());
  if (!spec.stock->package_location.empty())
    text += fmt::format("; a pod downloads it from {}, this machine does not: put it there yourself",
                        spec.stock->package_location);
  return fail(ErrorKind::kFixInput, text);
}

}  // namespace

Result<StockParts> find_stock_parts(const model::InstanceSpec& spec, const StockPrograms& programs) {
  StockParts parts;
  switch (spec.details.runtime) {
    case model::DetailsRuntime::kJava: {
      FMESH_TRY(parts.pulsar_home, find_home(programs, "instances/java-instance.jar", "Java instance"));
      FMESH_TRY(parts.program, find_java());
      break;
    }
    case model::DetailsRuntime::kPython: {
      FMESH_TRY(parts.pulsar_home,
                find_home(programs, "instances/python-instance/python_instance_main.py", "Python instance"));
      FMESH_TRY(parts.program, find_python(programs));
      break;
    }
    case model::DetailsRuntime::kGo: {
      FMESH_TRY(parts.package, find_package(spec, {}));
      if (!is_program(parts.package))
        return fail(ErrorKind::kFixInput, fmt::format("{} is not executable; build it with go build", parts.package));
      parts.program = parts.package;
      return parts;
    }
  }
  FMESH_TRY(parts.package, find_package(spec, parts.pulsar_home));
  return parts;
}

}  // namespace fmesh::local
