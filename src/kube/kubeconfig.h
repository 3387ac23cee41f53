// kubeconfig files and what one context of them says. Private to the room; config.h is the door.
//
// Several files are merged by kubectl's rules: of clusters, users and contexts of one name the first file's counts as a
// whole, the first current-context that is not empty counts, and paths are relative to the file they stand in. Unknown
// fields are passed over, as kubectl does; fields of a wrong type are errors.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kube/config.h"
#include "model/document.h"

namespace fmesh::kube {

// One kubeconfig file.
struct KubeconfigFile {
  std::string path, folder;
  std::shared_ptr<const model::Node> root;  // null: an empty file
};

// A mapping in a file, and how its fields are read. A field that is not there, or null, is empty.
// Errors: kFixInput with the place.
struct KubeconfigNode {
  const KubeconfigFile* file = nullptr;
  const model::Node* node = nullptr;  // null: nothing is there

  explicit operator bool() const { return node != nullptr; }
  Place place() const;
  Place place(std::string_view key) const;  // of that field, or of the mapping
  bool has(std::string_view key) const;

  Result<std::string> text(std::string_view key) const;
  Result<bool> truth(std::string_view key) const;
  Result<std::vector<std::string>> texts(std::string_view key) const;
  Result<KubeconfigNode> mapping(std::string_view key) const;
  Result<std::vector<KubeconfigNode>> mappings(std::string_view key) const;
  Result<std::string> data(std::string_view key) const;  // base64
  // An absolute path of a file that can be read.
  Result<std::string> file_path(std::string_view key, const ConfigSources& sources) const;
  std::string absolute(const std::string& path) const;
};

// Files that are not there are passed over if `missing_allowed`.
Result<std::vector<KubeconfigFile>> read_kubeconfigs(const ConfigSources& sources,
                                                     const std::vector<std::string>& paths, bool missing_allowed);
// None of them names a cluster, a user or a context.
bool say_nothing(const std::vector<KubeconfigFile>& files);
// REQUIRES: !say_nothing(files).
Result<ClusterConfig> resolve_context(const std::vector<KubeconfigFile>& files, const ConfigSources& sources);

// Who the user is: kubeconfig_user.cc.
Status read_user(const KubeconfigNode& user, const std::string& name, const ConfigSources& sources,
                 ClusterConfig& config);

}  // namespace fmesh::kube
