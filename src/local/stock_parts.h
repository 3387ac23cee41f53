// What Pulsar's own instances need on this machine: the distribution, Java or a Python interpreter, the package of the
// component. Looks at files, starts nothing.
#pragma once

#include <string>

#include "base/result.h"
#include "model/instance_spec.h"

namespace fmesh::local {

struct StockPrograms {
  std::string pulsar_home;  // a folder with the distribution; empty: none
  std::string python;       // an interpreter with Pulsar's client; empty: python3
};

struct StockParts {
  std::string program;      // java, python, or the Go program; absolute
  std::string pulsar_home;  // absolute; empty for Go
  std::string package;      // absolute
};

// Errors: kFixInput with what is missing and how to get it.
Result<StockParts> find_stock_parts(const model::InstanceSpec& spec, const StockPrograms& programs);

}  // namespace fmesh::local
