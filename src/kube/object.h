// A Kubernetes object as the API server told it: an immutable snapshot that many readers share. What every reader asks
// for is read once; the rest stays text until someone needs it, so that ten thousand objects are small.
//
// Values; any thread.
#pragma once

#include <boost/json/fwd.hpp>
#include <boost/json/storage_ptr.hpp>
#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fmesh::kube {

// One kind of object and where the API serves it: /apis/<group>/<version>/namespaces/<ns>/<plural>, or /api/<version>
// for the core group, whose name is empty.
struct ResourceType {
  std::string_view group, version, kind, plural;
  bool namespaced = true;

  std::string api_version() const;  // "apps/v1", "v1"
  bool operator==(const ResourceType&) const = default;
};

inline constexpr ResourceType kPod{"", "v1", "Pod", "pods"};
inline constexpr ResourceType kService{"", "v1", "Service", "services"};
inline constexpr ResourceType kSecret{"", "v1", "Secret", "secrets"};
inline constexpr ResourceType kConfigMap{"", "v1", "ConfigMap", "configmaps"};
inline constexpr ResourceType kCoreEvent{"", "v1", "Event", "events"};
inline constexpr ResourceType kEvent{"events.k8s.io", "v1", "Event", "events"};
inline constexpr ResourceType kStatefulSet{"apps", "v1", "StatefulSet", "statefulsets"};
inline constexpr ResourceType kHorizontalPodAutoscaler{"autoscaling", "v2", "HorizontalPodAutoscaler",
                                                       "horizontalpodautoscalers"};
inline constexpr ResourceType kVerticalPodAutoscaler{"autoscaling.k8s.io", "v1", "VerticalPodAutoscaler",
                                                     "verticalpodautoscalers"};
inline constexpr ResourceType kJob{"batch", "v1", "Job", "jobs"};
inline constexpr ResourceType kLease{"coordination.k8s.io", "v1", "Lease", "leases"};
inline constexpr ResourceType kFunction{"compute.functionmesh.io", "v1alpha1", "Function", "functions"};
inline constexpr ResourceType kSource{"compute.functionmesh.io", "v1alpha1", "Source", "sources"};
inline constexpr ResourceType kSink{"compute.functionmesh.io", "v1alpha1", "Sink", "sinks"};
inline constexpr ResourceType kFunctionMesh{"compute.functionmesh.io", "v1alpha1", "FunctionMesh", "functionmeshes"};
inline constexpr ResourceType kBackendConfig{"compute.functionmesh.io", "v1alpha1", "BackendConfig", "backendconfigs"};
inline constexpr ResourceType kMutatingWebhook{"admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration",
                                               "mutatingwebhookconfigurations", false};
inline constexpr ResourceType kValidatingWebhook{"admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration",
                                                 "validatingwebhookconfigurations", false};
inline constexpr ResourceType kTokenReview{"authentication.k8s.io", "v1", "TokenReview", "tokenreviews", false};
inline constexpr ResourceType kSubjectAccessReview{"authorization.k8s.io", "v1", "SubjectAccessReview",
                                                   "subjectaccessreviews", false};

struct ObjectKey {
  std::string name_space, name;  // name_space is empty for cluster-wide kinds
  auto operator<=>(const ObjectKey&) const = default;
  std::string to_string() const;  // "ns/name"
};

class Object {
 public:
  // Takes what the API server sent, without managedFields and kubectl's last-applied annotation.
  // Errors: kBug if it is no object, or has no name.
  static Result<std::shared_ptr<const Object>> make(const boost::json::value& value);

  const ObjectKey& key() const { return key_; }
  const std::string& uid() const { return uid_; }
  // Opaque: equal or not, never less or more.
  const std::string& resource_version() const { return resource_version_; }
  int64_t generation() const { return generation_; }
  bool being_deleted() const { return being_deleted_; }
  // Of the owner with controller: true; empty without one.
  const std::string& owner_uid() const { return owner_uid_; }
  const std::string& owner_kind() const { return owner_kind_; }
  const std::string& owner_name() const { return owner_name_; }
  // Of what has replicas (StatefulSets, our own kinds); else 0.
  struct Counts {
    int64_t replicas = 0, ready_replicas = 0, observed_generation = 0;
  };
  const Counts& counts() const { return counts_; }
  // The whole object as compact JSON text, and parsed anew.
  const std::string& text() const { return text_; }
  boost::json::value json(boost::json::storage_ptr storage = {}) const;

 private:
  ObjectKey key_;
  std::string uid_, resource_version_, owner_uid_, owner_kind_, owner_name_, text_;
  int64_t generation_ = 0;
  Counts counts_;
  bool being_deleted_ = false;
};
using ObjectPtr = std::shared_ptr<const Object>;

}  // namespace fmesh::kube
