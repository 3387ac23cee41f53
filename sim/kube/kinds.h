// The kinds that the simulated API server serves, and in what they differ: a table, as the real one's strategies.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kube/object.h"

namespace fmesh::sim {

inline constexpr kube::ResourceType kNamespace{"", "v1", "Namespace", "namespaces", false};

struct KindInfo {
  kube::ResourceType type;
  bool status = false;            // has the subresource status
  bool generation = false;        // metadata.generation counts changes of the spec
  bool custom = false;            // from a CRD: kept as it is, updates need a resourceVersion
  bool scale = false;             // has the subresource scale
  bool unconditional = true;      // updates without resourceVersion are taken
  bool create_on_update = false;  // PUT makes what is not there
  bool answers_object = false;    // DELETE answers with the object, not with a Status
};
const std::vector<KindInfo>& kinds();
const KindInfo* kind_of(const kube::ResourceType& type);
std::string qualified(const kube::ResourceType& type);  // "statefulsets.apps"

// A request's target, taken apart.
struct Target {
  const KindInfo* kind = nullptr;
  kube::ObjectKey key;  // name is empty for a collection
  std::string subresource;
  std::map<std::string, std::string> query;
};
// None: no such path is served.
std::optional<Target> parse_target(std::string_view target);

// "a=b,c!=d,e in (f,g),!h,i" against labels; fields: metadata.name and metadata.namespace.
bool labels_match(std::string_view selector, const boost::json::value& object);
bool fields_match(std::string_view selector, const boost::json::value& object);

}  // namespace fmesh::sim
