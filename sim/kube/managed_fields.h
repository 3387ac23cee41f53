// Who owns which field, and server-side apply on top of it: metadata.managedFields in the format FieldsV1, lists merged
// by the keys that Kubernetes' own types declare. A simple model: no versions of types, defaults are nobody's. Pure
// functions.
#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <vector>

#include "sim/kube/kinds.h"

namespace fmesh::sim {

// After a create or update by `manager`: what it changed is its own now. `before` is empty for a create.
void own_changes(const KindInfo& kind, const boost::json::object& before, boost::json::value& after,
                 const std::string& manager, const std::string& subresource, const std::string& time);
// After a create by apply: what `manager` sent is its own.
void own_applied(const KindInfo& kind, boost::json::value& stored, const boost::json::value& applied,
                 const std::string& manager, const std::string& subresource, const std::string& time);
struct FieldConflict {
  std::string manager, field;  // ".spec.template.spec.containers[name=\"main\"].image"
};
struct Applied {
  boost::json::value object;
  std::vector<FieldConflict> conflicts;  // another value and another owner, and not `force`: nothing was applied
};
// `live` with `applied` merged into it, and without what `manager` applied before and no one else owns.
Applied server_side_apply(const KindInfo& kind, const boost::json::value& live, const boost::json::value& applied,
                          const std::string& manager, const std::string& subresource, bool force,
                          const std::string& time);
// Do both say the same of every owner? Times do not count.
bool same_owners(const boost::json::value& left, const boost::json::value& right);

}  // namespace fmesh::sim
