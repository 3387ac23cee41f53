// What the resources are made of, for people: `fmesh explain` and the reference pages, both made from the field tables,
// so that neither can say something else than reading does. Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "model/schema.h"

namespace fmesh::model {

// `what` is a kind and a path below it: function, function.spec.input, functionmesh.spec.functions.windowConfig.
// Errors: kFixInput with the closest spelling.
Result<std::string> explain(std::string_view what);

// The reference page of a kind, Markdown.
std::string reference_page(Kind kind);
// File name of that page: function.md.
std::string reference_file(Kind kind);

}  // namespace fmesh::model
