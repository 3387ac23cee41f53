// What a real API server refuses, as far as fmesh could write it: names, labels, duplicates, references within a pod,
// fields that may not change. Pure functions; the texts are for people, tests look at fields.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>
#include <vector>

#include "sim/kube/kinds.h"

namespace fmesh::sim {

struct Cause {
  std::string reason;  // FieldValueRequired, FieldValueInvalid, FieldValueDuplicate, FieldValueForbidden, ...
  std::string field, message;
};

std::vector<Cause> validate(const KindInfo& kind, const boost::json::value& object);
// Of an update, on top of validate(): what may not change.
std::vector<Cause> validate_update(const KindInfo& kind, const boost::json::value& before,
                                   const boost::json::value& after);

}  // namespace fmesh::sim
