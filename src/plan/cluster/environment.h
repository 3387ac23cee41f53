// The environment of a container as a list in which every name appears once: Kubernetes takes the last of two equal
// names, tools that patch lists by name take any. Pure.
#pragma once

#include <boost/json/array.hpp>
#include <string>

#include "base/result.h"

namespace fmesh::plan {

// Of entries with the same name the last one stays, at its place; a $(NAME) that meant an earlier one gets that one's
// text. Entries without a name stay as they are.
// Errors: kFixInput if a $(NAME) means an earlier entry whose value comes from elsewhere (valueFrom).
Result<boost::json::array> unique_environment(const boost::json::array& entries);

// `text` as it is, in a command or a variable of a container: Kubernetes makes one $ of each two, and then nothing of
// $(NAME).
std::string literal(std::string_view text);

// `text` with each $(name) replaced; $$ is Kubernetes' escape for $.
std::string replace_reference(std::string_view text, std::string_view name, std::string_view replacement);

}  // namespace fmesh::plan
