// How a resource says who its pods are to Pulsar, read so that the operator can be the same: Pulsar's authentication
// plugins with their parameters, and files that a pod gets from a Secret or a ConfigMap. Pure functions.
#pragma once

#include <string>

#include "kube/object.h"
#include "model/spec.h"

namespace fmesh::op {

// A text, or the path of the pod's file that has it.
struct TextOrFile {
  std::string text, path;
  bool operator==(const TextOrFile&) const = default;
};

struct Credentials {
  enum class Kind { kNone, kToken, kBasic, kCertificate, kOauth2 };
  Kind kind = Kind::kNone;
  TextOrFile secret{};       // the token; "user:password"; the certificate's key; the OAuth2 key file
  TextOrFile certificate{};  // kCertificate
  std::string issuer_url{}, audience{}, scope{};  // kOauth2
};

// Of a plugin of Pulsar's Java client, by class name or short name. Errors: kFixInput; secrets are not repeated.
Result<Credentials> read_plugin(const std::string& plugin, const std::string& parameters);

// The header's value; empty if it is of another kind. A line break at the end, as editors leave it, does not belong to
// a token. REQUIRES: the files are read.
std::string authorization_of(const Credentials& credentials);

// What a file of the pod is made from.
struct PodFile {
  const kube::ResourceType* type = nullptr;  // kSecret or kConfigMap
  std::string name, key;
};
// By volumeMounts and pod.volumes of the resource. Errors: kFixInput if the file comes from nowhere the operator can
// read.
Result<PodFile> find_pod_file(const model::ComponentSpec& spec, const std::string& path);

}  // namespace fmesh::op
