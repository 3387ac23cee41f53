// What may stand in a resource, field by field: the model's field tables are walked, and for each field they say what
// usually stands there, the smallest, the largest, and what is of the wrong type. A field that is added to a table is
// covered from then on; only Kubernetes' own types, which the tables carry whole, have a usual value here.
//
// For tests of what reads, admits, renders and rolls out resources. Pure.
#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <vector>

#include "model/document.h"
#include "model/fields.h"

namespace fmesh::sim {

// A field at its place in a resource. Lists of objects have one item, maps of objects one key.
struct FieldPlace {
  model::Path path;     // spec.functions[0].pod.labels
  std::string pointer;  // of JSON: /spec/functions/0/pod/labels
  const model::FieldInfo* field = nullptr;
  model::Kinds kinds = 0;  // whose fields are inside
};

// Every field below `spec`, parents before what is in them.
std::vector<FieldPlace> places_of(model::Kind kind);

// An object with every field; fields of one kind exclude others, so that it need not be valid.
boost::json::object full_object(const model::StructInfo& info, model::Kinds kinds);
// One item of a mesh's list, or what else stands in a field.
boost::json::value usual_value(const model::FieldInfo& field, model::Kinds kinds);
boost::json::value smallest_value(const model::FieldInfo& field, model::Kinds kinds);
boost::json::value largest_value(const model::FieldInfo& field, model::Kinds kinds);

// What no reader may take: values of other types, out of the field's limits, or not among its values; `step` is where
// in the field it stands, as a finding has it: "", "[0]", ".key".
struct WrongValue {
  boost::json::value value;
  std::string step;
};
std::vector<WrongValue> wrong_values(const model::FieldInfo& field);

// Puts `value` at `pointer`; objects on the way are made, a list on the way gets its first item.
void put_at(boost::json::value& resource, const std::string& pointer, const boost::json::value& value);
// Takes out what is at `pointer`, if it is there. False: it was not there.
bool take_at(boost::json::value& resource, const std::string& pointer);
const boost::json::value* value_at(const boost::json::value& resource, const std::string& pointer);

}  // namespace fmesh::sim
