#include "operator/why.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <sstream>

#include "operator/settings.h"

namespace fmesh::op {
namespace {

namespace json = boost::json;

const json::value* at(const json::value& value, std::initializer_list<std::string_view> path) {
  const json::value* here = &value;
  for (const std::string_view name : path) {
    const json::object* object = here->if_object();
    here = object ? object->if_contains(name) : nullptr;
    if (!here) return nullptr;
  }
  return here;
}

std::string text(const json::value& value, std::initializer_list<std::string_view> path) {
  const json::value* found = at(value, path);
  return found && found->is_string() ? std::string(found->get_string()) : std::string();
}

int64_t number(const json::value& value, std::initializer_list<std::string_view> path, int64_t absent = 0) {
  const json::value* found = at(value, path);
  return found && found->is_int64() ? found->get_int64() : absent;
}

const json::array& list(const json::value& value, std::initializer_list<std::string_view> path) {
  static const json::array none;
  const json::value* found = at(value, path);
  return found && found->is_array() ? found->get_array() : none;
}

std::string name_of(const json::value& object) { return text(object, {"metadata", "name"}); }

bool contains_any(std::string_view haystack, std::initializer_list<std::string_view> needles) {
  return std::any_of(needles.begin(), needles.end(),
                     [&](std::string_view needle) { return haystack.find(needle) != std::string_view::npos; });
}

// The newest message of an Event about `name` with one of `reasons`; Events of both API groups are read.
std::string event_text(const std::vector<json::value>& events, const std::string& name,
                       std::initializer_list<std::string_view> reasons) {
  std::string newest, found;
  for (const json::value& event : events) {
    const std::string about =
        at(event, {"regarding"}) ? text(event, {"regarding", "name"}) : text(event, {"involvedObject", "name"});
    const std::string reason = text(event, {"reason"});
    if (about != name || std::find(reasons.begin(), reasons.end(), reason) == reasons.end()) continue;
    std::string when = text(event, {"lastTimestamp"});
    if (when.empty()) when = text(event, {"eventTime"});
    if (when.empty()) when = text(event, {"metadata", "creationTimestamp"});
    if (!found.empty() && when < newest) continue;
    newest = when;
    found = text(event, {"note"}).empty() ? text(event, {"message"}) : text(event, {"note"});
  }
  return found;
}

struct Container {
  const json::value* status = nullptr;
  bool init = false;
};

std::vector<Container> containers_of(const json::value& pod) {
  std::vector<Container> out;
  for (const json::value& status : list(pod, {"status", "initContainerStatuses"})) out.push_back({&status, true});
  for (const json::value& status : list(pod, {"status", "containerStatuses"})) out.push_back({&status, false});
  return out;
}

const json::value* terminated(const json::value& status) {
  if (const json::value* now = at(status, {"state", "terminated"})) return now;
  return at(status, {"lastState", "terminated"});
}

bool says_broker_is_away(std::string_view line) {
  return contains_any(line, {"UnknownHostException", "no such host", "Name or service not known", "Connection refused",
                             "connection refused", "ConnectException", "Timeout exceeded", "dial tcp"});
}
bool says_broker_refuses(std::string_view line) {
  return contains_any(line, {"AuthenticationException", "AuthorizationException", "Unauthorized", "not authorized",
                             "AuthenticationError", "AuthorizationError"});
}

constexpr size_t kLogLineMaxBytes = 400;  // a person reads it in a terminal
constexpr size_t kFreshLines = 5;         // of the log of a container that runs: what stands further up may be over

// At the end of a character.
std::string_view cut(std::string_view line) {
  if (line.size() <= kLogLineMaxBytes) return line;
  size_t end = kLogLineMaxBytes;
  while (end > 0 && (static_cast<unsigned char>(line[end]) & 0xc0) == 0x80) --end;
  return line.substr(0, end);
}

// Without empty lines and the frames of a Java stack.
std::vector<std::string> lines_of(const std::string& log) {
  std::vector<std::string> out;
  std::istringstream stream(log);
  for (std::string line; std::getline(stream, line);) {
    const size_t begin = line.find_first_not_of(" \t\r");
    if (begin == std::string::npos) continue;
    const std::string_view said = std::string_view(line).substr(begin);
    if (begin > 0 && (said.starts_with("at ") || said.starts_with("... "))) continue;
    out.emplace_back(cut(said.substr(0, said.find_last_not_of(" \t\r") + 1)));
  }
  return out;
}

bool ended_well(const json::value& status) {
  const json::value* end = at(status, {"state", "terminated"});
  return end && number(*end, {"exitCode"}) == 0;
}

class PodQuestion {
 public:
  PodQuestion(const WhyFacts& facts, const json::value& pod) : facts_(facts), pod_(pod), name_(name_of(pod)) {}

  // Of a pod that is ready: containers that ended before and may do so again, or say that the broker is away.
  std::vector<std::string> doubts() const {
    std::vector<std::string> lines;
    for (const Container& container : containers_of(pod_)) {
      const json::value& status = *container.status;
      const json::value* end = at(status, {"lastState", "terminated"});
      if (container.init) continue;
      const std::string name = text(status, {"name"});
      if (!end) {
        const std::vector<std::string> log = log_of(name);
        std::vector<std::string> found;
        if (add_broker(found, log, kFreshLines)) {
          lines.push_back(fmt::format("the log of container {} of pod {} ends with: {}", name, name_, log.back()));
          lines.insert(lines.end(), found.begin(), found.end());
        }
        continue;
      }
      const std::string reason = text(*end, {"reason"});
      lines.push_back(fmt::format(
          "container {} of pod {} was started again {} times; at {} it ended with exit code {}{}", name, name_,
          number(status, {"restartCount"}, 1), text(*end, {"finishedAt"}), number(*end, {"exitCode"}),
          reason.empty() || reason == "Error" || reason == "Completed" ? "" : " (" + reason + ")"));
      add_log(lines, name);
    }
    return lines;
  }

  // Empty if the pod is ready.
  std::vector<std::string> ask() const {
    if (at(pod_, {"metadata", "deletionTimestamp"})) return {fmt::format("pod {} is ending", name_)};
    for (const json::value& condition : list(pod_, {"status", "conditions"})) {
      if (text(condition, {"type"}) == "PodScheduled" && text(condition, {"status"}) == "False") {
        return {fmt::format("pod {} fits on no node: {}", name_, text(condition, {"message"})),
                "lower resources.requests, change nodeSelector, affinity or tolerations under spec.pod, or add nodes"};
      }
    }
    for (const Container& container : containers_of(pod_)) {
      std::vector<std::string> lines = about(container);
      if (!lines.empty()) return lines;
    }
    if (text(pod_, {"status", "phase"}) != "Running") return starting();
    return {};
  }

 private:
  std::vector<std::string> starting() const {
    const std::string mount = event_text(facts_.events, name_, {"FailedMount", "FailedAttachVolume"});
    if (!mount.empty()) {
      return {fmt::format("pod {} waits for a volume: {}", name_, mount),
              "see that the Secrets, ConfigMaps and claims named under spec.pod.volumes and spec.pulsar exist"};
    }
    const std::string sandbox = event_text(facts_.events, name_, {"FailedCreatePodSandBox"});
    if (!sandbox.empty()) return {fmt::format("pod {} gets no sandbox on its node: {}", name_, sandbox)};
    const std::string reason = text(pod_, {"status", "reason"});
    return {fmt::format("pod {} is {}{}", name_, text(pod_, {"status", "phase"}),
                        reason.empty() ? "" : fmt::format(" ({}: {})", reason, text(pod_, {"status", "message"})))};
  }

  std::vector<std::string> log_of(const std::string& container) const {
    const auto found = facts_.logs.find(name_ + "/" + container);
    return found == facts_.logs.end() ? std::vector<std::string>() : lines_of(found->second);
  }

  // The last thing that was said, and what in it points at the broker.
  void add_log(std::vector<std::string>& lines, const std::string& container) const {
    const std::vector<std::string> log = log_of(container);
    if (log.empty()) return;
    lines.push_back(fmt::format("its last log line: {}", log.back()));
    add_broker(lines, log, log.size());
  }

  // Looks at the last `count` lines.
  static bool add_broker(std::vector<std::string>& lines, const std::vector<std::string>& log, size_t count) {
    for (size_t back = 1; back <= std::min(count, log.size()); ++back) {
      const std::string& line = log[log.size() - back];
      const bool away = says_broker_is_away(line);
      if (!away && !says_broker_refuses(line)) continue;
      if (back > 1) lines.push_back(fmt::format("before that: {}", line));
      lines.emplace_back(
          away ? "it does not reach the broker: check brokerServiceURL in the ConfigMap of spec.pulsar.pulsarConfig"
               : "the broker refuses it: check spec.pulsar.authConfig or spec.pulsar.authSecret");
      return true;
    }
    return false;
  }

  std::vector<std::string> about(const Container& container) const {
    const json::value& status = *container.status;
    const std::string name = text(status, {"name"});
    const std::string which =
        fmt::format("{} {} of pod {}", container.init ? "init container" : "container", name, name_);
    const std::string reason = text(status, {"state", "waiting", "reason"});
    const std::string message = text(status, {"state", "waiting", "message"});
    const std::string why_text = message.empty() ? "" : ": " + message;
    if (contains_any(reason, {"ImagePull", "ErrImage", "InvalidImageName", "ImageInspectError"})) {
      return {fmt::format("{} can't get its image {}: {}{}", which, text(status, {"image"}), reason, why_text),
              "check spec.image, and spec.pod.imagePullSecrets if the registry asks who you are"};
    }
    if (reason == "CreateContainerConfigError" || reason == "CreateContainerError") {
      return {fmt::format("{} can't be made{}", which, why_text),
              "make what is missing: the pulsarConfig ConfigMap, a Secret of secretsMap or authSecret, or its key"};
    }
    const json::value* end = terminated(status);
    // A component runs for ever, so any end is one too many; Java instances end with 0 when they lose the broker.
    const bool ended = end && !at(status, {"state", "running"}) && (!container.init || number(*end, {"exitCode"}) != 0);
    const bool crashed = reason == "CrashLoopBackOff" || reason == "RunContainerError" || ended;
    if (crashed) return crash(which, name, end, why_text);
    if (reason == "PodInitializing" || reason == "ContainerCreating") {
      std::vector<std::string> lines = starting();
      const std::string pulling = event_text(facts_.events, name_, {"Pulling"});
      if (lines.size() == 1 && !pulling.empty()) return {fmt::format("{} is being made: {}", which, pulling)};
      return lines;
    }
    const json::value* ready = at(status, {"ready"});
    if (!container.init && ready && ready->is_bool() && !ready->get_bool()) {
      std::vector<std::string> lines = {fmt::format("{} runs and is not ready yet", which)};
      const std::string probe = event_text(facts_.events, name_, {"Unhealthy"});
      if (!probe.empty()) lines.push_back(probe);
      add_log(lines, name);
      return lines;
    }
    return {};
  }

  std::vector<std::string> crash(const std::string& which, const std::string& name, const json::value* end,
                                 const std::string& why_text) const {
    std::vector<std::string> lines;
    if (!end) {
      lines.push_back(fmt::format("{} can't be started{}", which, why_text));
      return lines;
    }
    const std::string end_reason = text(*end, {"reason"});
    lines.push_back(fmt::format(
        "{} ended with exit code {}{} and is started again and again", which, number(*end, {"exitCode"}),
        end_reason.empty() || end_reason == "Error" || end_reason == "Completed" ? "" : " (" + end_reason + ")"));
    if (end_reason == "OOMKilled") lines.push_back("it needs more memory: raise spec.resources.limits.memory");
    const std::string said = text(*end, {"message"});
    if (!said.empty()) lines.push_back("it said: " + said);
    add_log(lines, name);
    lines.push_back(fmt::format("kubectl logs {} -c {} --previous shows the rest", name_, name));
    return lines;
  }

  const WhyFacts& facts_;
  const json::value& pod_;
  std::string name_;
};

std::string annotation(const json::value& resource, std::string_view name) {
  return text(resource, {"metadata", "annotations", name});
}

// What is in the way before any pod counts; empty if nothing is.
std::vector<std::string> about_resource(const WhyFacts& facts) {
  const json::value& resource = facts.resource;
  const std::string kind = text(resource, {"kind"});
  const std::string name = name_of(resource);
  if (at(resource, {"metadata", "deletionTimestamp"})) {
    std::string finalizers;
    for (const json::value& finalizer : list(resource, {"metadata", "finalizers"})) {
      if (finalizer.is_string()) finalizers += (finalizers.empty() ? "" : ", ") + std::string(finalizer.get_string());
    }
    const std::string cleanup = event_text(facts.events, name, {"CleanupRetried"});
    if (finalizers.find(kCleanupFinalizer) != std::string::npos && !cleanup.empty()) {
      return {fmt::format("{} {} is being deleted; its cleanup in Pulsar does not go through: {}", kind, name, cleanup),
              fmt::format("after the operator's --cleanup-deadline it goes all the same; to skip the cleanup: kubectl "
                          "annotate {} {} {}=false",
                          kind, name, kNeedCleanup)};
    }
    return {fmt::format("{} {} is being deleted; it waits for {}", kind, name,
                        finalizers.empty() ? "its pods" : "the finalizer " + finalizers)};
  }
  if (annotation(resource, "compute.functionmesh.io/managed") == "false") {
    return {fmt::format(
        "{} {} has the annotation compute.functionmesh.io/managed: \"false\": no operator looks after it", kind, name)};
  }
  const int64_t generation = number(resource, {"metadata", "generation"});
  const json::value* status = at(resource, {"status"});
  const std::string reason = text(resource, {"status", "reason"});
  const std::string message = text(resource, {"status", "message"});
  if (!status || (number(*status, {"observedGeneration"}) == 0 && message.empty())) {
    return {fmt::format("no operator has looked at {} {} yet", kind, name),
            "see that one runs and watches this namespace: kubectl get pods -A -l "
            "app.kubernetes.io/name=function-mesh-operator"};
  }
  if (reason == "Invalid" || reason == "Blocked" || reason == "NotCreated") return {message};
  if (number(*status, {"observedGeneration"}) != generation) {
    return {fmt::format("the last change (generation {}) is not carried out yet; the operator has seen generation {}{}",
                        generation, number(*status, {"observedGeneration"}), message.empty() ? "" : ": " + message)};
  }
  return {};
}

}  // namespace

std::vector<LogWanted> logs_wanted(const std::vector<json::value>& pods) {
  std::vector<LogWanted> out;
  for (const json::value& pod : pods) {
    for (const Container& container : containers_of(pod)) {
      const json::value& status = *container.status;
      const bool ran_before = at(status, {"lastState", "terminated"}) != nullptr;
      const bool has_run = ran_before || at(status, {"state", "running"}) || at(status, {"state", "terminated"});
      if (!has_run || out.size() == kLogsMax || (container.init && ended_well(status))) continue;
      const bool previous = ran_before && !at(status, {"state", "terminated"});
      out.push_back({name_of(pod), text(status, {"name"}), previous});
    }
  }
  return out;
}

WhyAnswer why(const WhyFacts& facts) {
  const std::string kind = text(facts.resource, {"kind"});
  const std::string name = name_of(facts.resource);
  if (std::vector<std::string> lines = about_resource(facts); !lines.empty()) return {false, std::move(lines)};
  if (facts.stateful_set.is_null()) return {false, {fmt::format("the StatefulSet of {} {} is missing", kind, name)}};
  const std::string set = name_of(facts.stateful_set);
  const int64_t wanted = number(facts.stateful_set, {"spec", "replicas"}, 1);
  const int64_t ready = number(facts.stateful_set, {"status", "readyReplicas"});
  if (wanted == 0) return {true, {fmt::format("{} {} is scaled to zero: no pod is wanted", kind, name)}};
  const auto pods = static_cast<int64_t>(facts.pods.size());
  if (pods < wanted) {
    const std::string refused = event_text(facts.events, set, {"FailedCreate", "FailedUpdate"});
    if (!refused.empty()) {
      return {false,
              {fmt::format("{} of {} pods exist; the cluster refuses more: {}", pods, wanted, refused),
               "a quota, a pod security level or another admission rule of the namespace stands against it"}};
    }
  }
  for (const json::value& pod : facts.pods) {
    if (std::vector<std::string> lines = PodQuestion(facts, pod).ask(); !lines.empty())
      return {false, std::move(lines)};
  }
  if (pods < wanted) return {false, {fmt::format("{} of {} pods exist; the others are being made", pods, wanted)}};
  if (ready < wanted) return {false, {fmt::format("{} of {} pods are ready", ready, wanted)}};
  WhyAnswer answer{true, {fmt::format("{} {} is ready: {} of {} pods", kind, name, ready, wanted)}};
  if (!text(facts.resource, {"status", "pendingChange"}).empty()) {
    answer.lines.push_back(text(facts.resource, {"status", "message"}));
  }
  for (const json::value& pod : facts.pods) {
    for (std::string& line : PodQuestion(facts, pod).doubts()) answer.lines.push_back(std::move(line));
  }
  return answer;
}

WhyAnswer why_mesh(const json::value& mesh) {
  WhyFacts facts;
  facts.resource = mesh;
  if (std::vector<std::string> lines = about_resource(facts); !lines.empty()) return {false, std::move(lines)};
  const std::string reason = text(mesh, {"status", "reason"});
  return {reason == "Ready",
          {fmt::format("FunctionMesh {}: {} components ready", name_of(mesh), text(mesh, {"status", "ready"}))}};
}

}  // namespace fmesh::op
