// The name of a stream, as Pulsar spells topics: persistent://tenant/namespace/name, with the short forms "name"
// (public/default) and "tenant/namespace/name". A partition of a partitioned stream is "<name>-partition-<n>".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fmesh::stream {

struct TopicName {
  bool persistent = true;
  std::string tenant = "public";
  std::string name_space = "default";
  std::string local_name;

  // Errors: kFixInput that names what is wrong with `text` and shows the three accepted forms.
  static Result<TopicName> parse(std::string_view text);

  std::string full() const;                    // persistent://public/default/orders
  std::string partition(int32_t index) const;  // full() + "-partition-<index>"
  // The index if the local name ends in "-partition-<n>".
  std::optional<int32_t> partition_index() const;
  auto operator<=>(const TopicName&) const = default;
};

// How people read a full name: "orders" in public/default, "tenant/namespace/name" elsewhere. Any other text as it is.
std::string short_topic_name(std::string_view full);

}  // namespace fmesh::stream
