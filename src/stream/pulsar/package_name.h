// The name of a package in Pulsar's package management: function://tenant/namespace/name@version, also source:// and
// sink://. A value.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace fmesh::stream::pulsar {

struct PackageName {
  std::string type;  // "function", "source", "sink"
  std::string tenant, name_space, name, version;

  // The type in any case. Errors: kFixInput; a name without a version, which Pulsar reads as the latest, is one.
  static Result<PackageName> parse(std::string_view text);
  std::string full() const;
  bool operator==(const PackageName&) const = default;
};

}  // namespace fmesh::stream::pulsar
