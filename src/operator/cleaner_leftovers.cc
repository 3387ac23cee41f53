#include "operator/cleaner_leftovers.h"

#include <fmt/format.h>

#include "operator/settings.h"
#include "plan/cluster/package.h"
#include "plan/details.h"

namespace fmesh::op {
namespace {

bool asks_for_subscriptions(const model::LiveResource& live) {
  const model::ComponentSpec& spec = live.component->spec;
  return live.kind == model::Kind::kSource ? spec.batch_source_config.has_value() : spec.cleanup_subscription;
}

bool asks_for_packages(const model::LiveResource& live) {
  const auto found = live.metadata.annotations.find(kCleanupPackage);
  return found != live.metadata.annotations.end() && found->second == "true";
}

Leftovers subscriptions_of(const model::Component& component) {
  Leftovers left;
  const model::ComponentSpec& spec = component.spec;
  const auto or_else = [](const std::string& text, const char* absent) { return text.empty() ? absent : text; };
  const std::string full =
      fmt::format("{}/{}/{}", or_else(spec.tenant, "public"), or_else(spec.name_space, "default"), component.name());
  if (component.kind == model::Kind::kSource) {
    left.subscription = "BatchSourceExecutor-" + full;
    left.topics = {fmt::format("persistent://{}-intermediate", full)};
    left.dead_topics = left.topics;
    return left;
  }
  left.subscription = spec.subscription_name.empty() ? full : spec.subscription_name;
  for (const std::string& topic : plan::input_topics(spec.input)) left.topics.push_back(model::full_topic_name(topic));
  left.patterns = plan::input_patterns(spec.input);
  return left;
}

}  // namespace

bool asks_for_cleanup(const model::LiveResource& live) {
  return asks_for_subscriptions(live) || asks_for_packages(live);
}

Leftovers leftovers_of(const model::LiveResource& live) {
  Leftovers left = asks_for_subscriptions(live) ? subscriptions_of(*live.component) : Leftovers();
  if (!asks_for_packages(live)) return left;
  const model::ComponentSpec& spec = live.component->spec;
  for (const std::string& location :
       {spec.java ? spec.java->jar_location : "", spec.python ? spec.python->py_location : "",
        spec.golang ? spec.golang->go_location : "",
        spec.generic_runtime ? spec.generic_runtime->function_file_location : ""}) {
    if (plan::is_package_name(location)) left.packages.push_back(location);
  }
  return left;
}

}  // namespace fmesh::op
