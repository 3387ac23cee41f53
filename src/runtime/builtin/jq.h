// A compiled jq expression (libjq). Compiled once, run once per record. Belongs to one thread at a time.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fmesh::runtime {

class JqProgram {
 public:
  // Errors: kFixInput with jq's own message.
  static Result<std::unique_ptr<JqProgram>> compile(const std::string& expression);
  virtual ~JqProgram() = default;

  // Runs the expression on one JSON text and calls `each` with every result as compact JSON.
  // Errors: kFixInput: the text is not JSON, or the expression failed on it, in jq's words.
  virtual Status run(std::string_view json, const std::function<void(std::string_view)>& each) = 0;
};

}  // namespace fmesh::runtime
