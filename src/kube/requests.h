// Requests to the API server as pure values, and what its answers mean (Kubernetes API concepts; Status objects).
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "kube/api.h"
#include "kube/object.h"

namespace fmesh::kube {

struct ListOptions {
  std::string name_space;  // empty: all
  std::string label_selector, field_selector;
  std::string resource_version;  // empty: the newest; "0": any, may be old
  std::string resource_version_match;
  int32_t limit = 0;           // 0: no paging
  std::string continue_token;  // of the page before
};

struct WatchOptions {
  std::string name_space;
  std::string label_selector, field_selector;
  std::string resource_version;
  bool bookmarks = true;
  bool initial_events = false;  // streaming list (sendInitialEvents)
  int32_t timeout_s = 0;
};

struct Preconditions {
  std::string uid, resource_version;  // empty: not checked
};

enum class Propagation { kBackground, kForeground, kOrphan };
enum class PatchKind { kJson, kMerge };

inline constexpr std::string_view kFieldManager = "fmesh-operator";

// A name for path segments and query values, percent-encoded by RFC 3986.
std::string percent_encode(std::string_view text);

Request get(const ResourceType& type, const ObjectKey& key);
Request list(const ResourceType& type, const ListOptions& options);
Request watch(const ResourceType& type, const WatchOptions& options);
Request create(const ResourceType& type, const std::string& name_space, const boost::json::value& object);
// Replaces the whole object; the body's resourceVersion makes it conditional.
Request update(const ResourceType& type, const ObjectKey& key, const boost::json::value& object,
               std::string_view subresource = {});
Request patch(const ResourceType& type, const ObjectKey& key, PatchKind kind, const boost::json::value& patch,
              std::string_view subresource = {});
// Server-side apply under kFieldManager.
Request apply(const ResourceType& type, const ObjectKey& key, const boost::json::value& object, bool force,
              std::string_view subresource = {});
Request remove(const ResourceType& type, const ObjectKey& key, const Preconditions& preconditions,
               Propagation propagation);

// What an answer asks of the caller.
enum class Verdict {
  kOk,
  kNotFound,       // 404
  kAlreadyExists,  // 409 with that reason
  kConflict,       // 409: the object is newer than what was sent, or a precondition does not hold
  kBeingDeleted,   // 409/403: the object, or its namespace, is going
  kGone,           // 410, or reason Expired: list again
  kInvalid,        // 400, 422 and others of their kind: the same request will never succeed
  kForbidden,      // 401, 403: rights or credentials are missing; may be granted later
  kTooMany,        // 429: obey retry_after_ms
  kUnavailable,    // 5xx, 408, no answer: the outcome is unknown, read before trying again
};
const char* to_string(Verdict verdict);

struct Outcome {
  Verdict verdict = Verdict::kOk;
  int code = 200;
  std::string reason, message;  // of the Status object
  int64_t retry_after_ms = 0;
};
// Reads the answer, its Status object if it is one.
Outcome read_outcome(const Result<Response>& answer);
// The same for a Status object, as a watch sends it in an ERROR event.
Outcome read_status(const boost::json::value& status);

}  // namespace fmesh::kube
