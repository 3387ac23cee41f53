// Files that a pod gets from a Secret or a ConfigMap, found so that the operator can read what its pods read. Pure
// functions.
#pragma once

#include <string>

#include "kube/object.h"
#include "model/spec.h"

namespace fmesh::op {

// What a file of the pod is made from.
struct PodFile {
  const kube::ResourceType* type = nullptr;  // kSecret or kConfigMap
  std::string name, key;
};
// By volumeMounts and pod.volumes of the resource. Errors: kFixInput if the file comes from nowhere the operator can
// read.
Result<PodFile> find_pod_file(const model::ComponentSpec& spec, const std::string& path);

}  // namespace fmesh::op
