// How the package of a component (jar, NAR, Python file, Go binary, file of a generic runtime) gets into its pod: it is
// in the image, or the main container fetches it before it starts, or an init container does. Pure.
#pragma once

#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/resource_set.h"

namespace fmesh::plan {

// What the runtime says of its package.
struct PackageSource {
  std::string path;             // where the runtime expects it; relative to /pulsar
  std::string location;         // where it is fetched from; empty: it is in the image
  const char* field;            // "java.jar", for errors
  bool tools_in_image = false;  // the image always has pulsarctl and wget (generic runners)
};

struct Package {
  std::string path;                               // for the runtime's command, unquoted
  std::string download;                           // command of the main container that fetches it; empty: none
  std::optional<boost::json::object> downloader;  // or the init container that does
  std::vector<boost::json::object> volumes, volume_mounts;  // of the pod, of the main container
};

// Errors: kFixInput for a path at which an init container's file can't be mounted: with $NAME, a folder, with ':'.
Result<Package> plan_package(const model::Component& component, const PackageSource& source, bool init_container);

// The command that fetches `location` to `target` (a path), with what the image has. The last part of it is one simple
// command or a group, so that " && " can follow.
std::string download_command(const model::ComponentSpec& spec, const std::string& location, const std::string& target,
                             bool has_pulsarctl, bool has_wget);

// True for Pulsar's package names: function://, source://, sink://.
bool is_package_name(const std::string& location);
bool is_http_url(const std::string& location);
// True if the image is one of upstream's runners that carry pulsarctl and wget.
bool image_has_tools(const std::string& image);

}  // namespace fmesh::plan
