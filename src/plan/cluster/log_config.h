// What makes an instance log as `log` says: a configuration file that the command writes before it starts, or a
// ConfigMap of the user that is mounted at the same place. Pure.
#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <vector>

#include "model/resource_set.h"

namespace fmesh::plan {

struct LogPlan {
  std::string path;   // of the configuration file
  std::string write;  // command that writes it, with " && " behind; empty: a ConfigMap is mounted there
  std::string level;  // as the runtime calls it; empty: the user gave none
  std::vector<boost::json::object> volumes, volume_mounts;
};

LogPlan plan_java_log(const model::Component& component);    // log4j2, XML or YAML
LogPlan plan_python_log(const model::Component& component);  // logging.config, INI
// Go takes its level from the environment.
std::vector<boost::json::object> go_log_environment(const model::Component& component);

// True if log files are carried to the log topic by a sidecar.
bool logs_by_sidecar(const model::ComponentSpec& spec);

// What a log configuration says, whatever its wording: levels, layouts, rotation. Sorted, each once.
std::vector<std::string> log_settings(std::string_view configuration);

}  // namespace fmesh::plan
