// Topic patterns: regular expressions over full names of streams, as Pulsar has them. Bounded in size and time, since
// people write them. Pure functions.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fmesh::plan {

inline constexpr size_t kPatternMaxBytes = 1000;  // longer ones are no names of streams

// Errors: kFixInput with what is wrong with the expression.
Status check_pattern(std::string_view pattern);
// The topics that match as a whole, with or without their scheme. An expression that is not valid matches nothing.
std::vector<std::string> matching_topics(std::string_view pattern, const std::set<std::string>& topics);

}  // namespace fmesh::plan
