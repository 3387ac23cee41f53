#include "kube/requests.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <optional>
#include <utility>

#include "kube/json.h"

namespace fmesh::kube {
namespace json = boost::json;
namespace {

constexpr std::string_view kJsonType = "application/json";
constexpr int64_t kRetryAfterMaxMs = 10 * 60'000;  // a server that says more is not believed
constexpr size_t kMessageMaxBytes = 1024;

std::string collection_path(const ResourceType& type, const std::string& name_space) {
  std::string path =
      type.group.empty() ? fmt::format("/api/{}", type.version) : fmt::format("/apis/{}/{}", type.group, type.version);
  if (type.namespaced && !name_space.empty()) path += "/namespaces/" + percent_encode(name_space);
  return path.append("/").append(type.plural);
}

std::string object_path(const ResourceType& type, const ObjectKey& key, std::string_view subresource) {
  std::string path = collection_path(type, key.name_space) + "/" + percent_encode(key.name);
  if (!subresource.empty()) path.append("/").append(subresource);
  return path;
}

// Appends "?a=b&c=d"; parameters without a value are left out.
class Query {
 public:
  explicit Query(std::string path) : target_(std::move(path)) {}
  Query& with(std::string_view name, std::string_view value) {
    if (value.empty()) return *this;
    target_ += first_ ? '?' : '&';
    first_ = false;
    target_.append(name).append("=").append(percent_encode(value));
    return *this;
  }
  std::string take() { return std::move(target_); }

 private:
  std::string target_;
  bool first_ = true;
};

std::string number(int64_t value) { return value > 0 ? std::to_string(value) : std::string(); }

std::string written_by_us(std::string path) {
  return Query(std::move(path)).with("fieldManager", kFieldManager).take();
}

Request writing(std::string method, std::string target, std::string_view content_type, const json::value& body) {
  Request request;
  request.method = std::move(method);
  request.target = std::move(target);
  request.content_type = content_type;
  request.body = write_json(body);
  return request;
}

Request reading(std::string target) {
  Request request;
  request.target = std::move(target);
  return request;
}

bool has_cause(const json::value& status, std::string_view reason) {
  const json::value* causes = find(status, {"details", "causes"});
  if (!causes || !causes->is_array()) return false;
  for (const json::value& cause : causes->get_array()) {
    if (string_at(cause, {"reason"}) == reason) return true;
  }
  return false;
}

Verdict verdict_of_code(int code) {
  switch (code) {
    case 401:
    case 403:
      return Verdict::kForbidden;
    case 404:
      return Verdict::kNotFound;
    case 408:
    case 425:
      return Verdict::kUnavailable;
    case 409:
      return Verdict::kConflict;
    case 410:
      return Verdict::kGone;
    case 429:
      return Verdict::kTooMany;
    default:
      break;
  }
  if (code >= 200 && code < 300) return Verdict::kOk;
  if (code >= 400 && code < 500) return Verdict::kInvalid;
  return Verdict::kUnavailable;  // redirects too: nothing that we asked for was done
}

// Reasons decide before codes: one code may stand for several reasons. None for a reason we do not know.
std::optional<Verdict> verdict_of_reason(std::string_view reason) {
  static constexpr std::array<std::pair<std::string_view, Verdict>, 17> kReasons = {{
      {"NotFound", Verdict::kNotFound},
      {"AlreadyExists", Verdict::kAlreadyExists},
      {"Conflict", Verdict::kConflict},
      {"Gone", Verdict::kGone},
      {"Expired", Verdict::kGone},
      {"Invalid", Verdict::kInvalid},
      {"BadRequest", Verdict::kInvalid},
      {"MethodNotAllowed", Verdict::kInvalid},
      {"NotAcceptable", Verdict::kInvalid},
      {"UnsupportedMediaType", Verdict::kInvalid},
      {"RequestEntityTooLarge", Verdict::kInvalid},
      {"Unauthorized", Verdict::kForbidden},
      {"Forbidden", Verdict::kForbidden},
      {"TooManyRequests", Verdict::kTooMany},
      {"Timeout", Verdict::kUnavailable},
      {"ServerTimeout", Verdict::kUnavailable},
      {"ServiceUnavailable", Verdict::kUnavailable},
  }};
  for (const auto& [name, verdict] : kReasons) {
    if (name == reason) return verdict;
  }
  return std::nullopt;
}

Outcome outcome_of(int code, const json::value& status) {
  Outcome outcome;
  outcome.code = code;
  outcome.reason = string_at(status, {"reason"});
  outcome.message = string_at(status, {"message"});
  outcome.verdict = verdict_of_reason(outcome.reason).value_or(verdict_of_code(code));
  // Two answers for "it is still there, but going": creating what is being deleted, and creating in such a namespace.
  const bool going =
      (outcome.verdict == Verdict::kAlreadyExists && outcome.message.starts_with("object is being deleted")) ||
      has_cause(status, "NamespaceTerminating");
  if (going) outcome.verdict = Verdict::kBeingDeleted;
  const int64_t seconds = int_at(status, {"details", "retryAfterSeconds"});
  if (seconds > 0) outcome.retry_after_ms = std::min(seconds, kRetryAfterMaxMs / 1000) * 1000;
  return outcome;
}

}  // namespace

std::string percent_encode(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string encoded;
  encoded.reserve(text.size());
  for (const char character : text) {
    const auto byte = static_cast<unsigned char>(character);
    const bool unreserved = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                            (byte >= '0' && byte <= '9') || byte == '-' || byte == '.' || byte == '_' || byte == '~';
    if (unreserved) {
      encoded += character;
    } else {
      encoded += '%';
      encoded += kHex[byte >> 4];
      encoded += kHex[byte & 15];
    }
  }
  return encoded;
}

Request get(const ResourceType& type, const ObjectKey& key) { return reading(object_path(type, key, {})); }

Request list(const ResourceType& type, const ListOptions& options) {
  return reading(Query(collection_path(type, options.name_space))
                     .with("labelSelector", options.label_selector)
                     .with("fieldSelector", options.field_selector)
                     .with("resourceVersion", options.resource_version)
                     .with("resourceVersionMatch", options.resource_version_match)
                     .with("limit", number(options.limit))
                     .with("continue", options.continue_token)
                     .take());
}

Request watch(const ResourceType& type, const WatchOptions& options) {
  Query query(collection_path(type, options.name_space));
  query.with("watch", "true")
      .with("labelSelector", options.label_selector)
      .with("fieldSelector", options.field_selector)
      .with("resourceVersion", options.resource_version)
      .with("allowWatchBookmarks", options.bookmarks || options.initial_events ? "true" : "")
      .with("timeoutSeconds", number(options.timeout_s));
  if (options.initial_events) query.with("sendInitialEvents", "true").with("resourceVersionMatch", "NotOlderThan");
  return reading(query.take());
}

Request create(const ResourceType& type, const std::string& name_space, const json::value& object) {
  return writing("POST", written_by_us(collection_path(type, name_space)), kJsonType, object);
}

Request update(const ResourceType& type, const ObjectKey& key, const json::value& object,
               std::string_view subresource) {
  return writing("PUT", written_by_us(object_path(type, key, subresource)), kJsonType, object);
}

Request patch(const ResourceType& type, const ObjectKey& key, PatchKind kind, const json::value& patch,
              std::string_view subresource) {
  const std::string_view content =
      kind == PatchKind::kJson ? "application/json-patch+json" : "application/merge-patch+json";
  return writing("PATCH", written_by_us(object_path(type, key, subresource)), content, patch);
}

Request apply(const ResourceType& type, const ObjectKey& key, const json::value& object, bool force,
              std::string_view subresource) {
  std::string target = Query(object_path(type, key, subresource))
                           .with("fieldManager", kFieldManager)
                           .with("force", force ? "true" : "")
                           .take();
  return writing("PATCH", std::move(target), "application/apply-patch+yaml", object);  // JSON is YAML
}

Request remove(const ResourceType& type, const ObjectKey& key, const Preconditions& preconditions,
               Propagation propagation) {
  json::object options = {{"apiVersion", "v1"}, {"kind", "DeleteOptions"}};
  json::object conditions;
  if (!preconditions.uid.empty()) conditions["uid"] = preconditions.uid;
  if (!preconditions.resource_version.empty()) conditions["resourceVersion"] = preconditions.resource_version;
  if (!conditions.empty()) options["preconditions"] = std::move(conditions);
  switch (propagation) {
    case Propagation::kBackground:
      options["propagationPolicy"] = "Background";
      break;
    case Propagation::kForeground:
      options["propagationPolicy"] = "Foreground";
      break;
    case Propagation::kOrphan:
      options["propagationPolicy"] = "Orphan";
      break;
  }
  return writing("DELETE", object_path(type, key, {}), kJsonType, std::move(options));
}

const char* to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk:
      return "ok";
    case Verdict::kNotFound:
      return "not found";
    case Verdict::kAlreadyExists:
      return "already exists";
    case Verdict::kConflict:
      return "conflict";
    case Verdict::kBeingDeleted:
      return "being deleted";
    case Verdict::kGone:
      return "gone";
    case Verdict::kInvalid:
      return "invalid";
    case Verdict::kForbidden:
      return "forbidden";
    case Verdict::kTooMany:
      return "too many requests";
    case Verdict::kUnavailable:
      return "unavailable";
  }
  return "unknown";
}

Outcome read_outcome(const Result<Response>& answer) {
  Outcome outcome;
  if (!answer) {
    outcome.code = 0;
    outcome.verdict = answer.error().kind() == ErrorKind::kFixInput ? Verdict::kForbidden : Verdict::kUnavailable;
    outcome.message = answer.error().to_string();
    return outcome;
  }
  const Response& response = *answer;
  if (verdict_of_code(response.status) == Verdict::kOk) {
    outcome.code = response.status;
    return outcome;
  }
  const Result<json::value> body = read_json(response.body);
  outcome = outcome_of(response.status, body ? *body : json::value());
  if (outcome.verdict == Verdict::kOk) outcome.verdict = Verdict::kUnavailable;
  if (outcome.message.empty()) {
    outcome.message = fmt::format("the API server answered {}{}{}", response.status, response.body.empty() ? "" : ": ",
                                  response.body.substr(0, kMessageMaxBytes));
  }
  if (response.retry_after_ms && *response.retry_after_ms > 0)
    outcome.retry_after_ms = std::min(*response.retry_after_ms, kRetryAfterMaxMs);
  return outcome;
}

Outcome read_status(const json::value& status) {
  int code = static_cast<int>(std::clamp<int64_t>(int_at(status, {"code"}), 0, 999));
  if (string_at(status, {"status"}) == "Success") code = 200;
  Outcome outcome = outcome_of(code, status);
  if (outcome.message.empty()) outcome.message = fmt::format("the API server reports {}", code);
  return outcome;
}

}  // namespace fmesh::kube
