// What the operator asks a watch for, and what it drops of the answer, so that ten thousand objects fit in little
// memory. Pure.
#pragma once

#include <boost/json/fwd.hpp>
#include <functional>
#include <string>

#include "kube/object.h"

namespace fmesh::op {

// Objects of others need not be known. Empty: all.
std::string label_selector(const kube::ResourceType& type);
std::function<void(boost::json::value&)> trim_for(const kube::ResourceType& type);

}  // namespace fmesh::op
