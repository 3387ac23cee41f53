// Admission: what the API server asks before it stores a Function, Source, Sink or FunctionMesh. Two steps, apart as
// they are for the API server: mutate fills in what was left out, validate says yes, or names everything that is wrong.
// Webhooks (webhooks.h) and `fmesh admit` are two callers of the same functions.
//
// Pure functions on values; any thread.
#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <vector>

namespace fmesh::op {

struct AdmissionError {
  std::string field;   // as upstream spells it: spec.classname
  std::string path;    // exact: spec.functions[1].className
  std::string detail;  // what was found, what was expected
};

struct AdmissionAnswer {
  bool allowed = true;
  std::string message;  // if refused: all errors in one line
  std::vector<AdmissionError> errors;
  std::vector<std::string> warnings;
  boost::json::value object;  // with defaults; as it came if it can't be read
};

// `object` with defaults, canonical quantities and without unknown fields (a warning each). What has the spec of
// `before` (null: it is created) or is being deleted stays as it is: a finalizer must not change what runs. A
// FunctionMesh only loses unknown fields, as its items are defaulted when they become resources. Never refuses.
AdmissionAnswer mutate(const boost::json::value& before, const boost::json::value& object);
// The rules, for an object after mutate(). An update is not refused for what `before` had already.
AdmissionAnswer validate_create(const boost::json::value& object);
AdmissionAnswer validate_update(const boost::json::value& before, const boost::json::value& object);

// Both steps.
AdmissionAnswer admit_create(const boost::json::value& object);
AdmissionAnswer admit_update(const boost::json::value& before, const boost::json::value& object);

}  // namespace fmesh::op
