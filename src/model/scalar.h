// What a scalar means: YAML 1.1's core types as kubectl's YAML library resolves them (and two letters that it takes for
// booleans and we do not), and JSON's numbers. Pure functions; reading of YAML and JSON shares them.
#pragma once

#include <string_view>

#include "model/document.h"

namespace fmesh::model {

// Sets type and value of `node` from a plain (unquoted) scalar: null, bool, number, else a string.
Node resolve_plain(Node node);
// Sets type and value from a JSON number. REQUIRES: node.text is a JSON number.
Node resolve_json_number(Node node);
// A float as Go prints it in JSON: 100, 0.1, 1e+21. REQUIRES: finite.
std::string print_float(double value);

}  // namespace fmesh::model
