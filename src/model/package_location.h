// Where the code of a function is fetched from, as a resource says it: function://tenant/namespace/name@version (also
// source://, sink://) in Pulsar's package management, or http(s)://; with #sha256=HEX behind it, what is fetched has to
// be that. A value.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace fmesh::model {

struct PackageLocation {
  std::string address;  // without the pin; the scheme in lower case
  std::string sha256;   // 64 hexadecimal digits in lower case; empty: anything is taken
  bool in_pulsar = false;
  // The address for people: without the query, which may hold a signature.
  std::string shown() const { return address.substr(0, address.find('?')); }
  bool operator==(const PackageLocation&) const = default;
};

// Errors: kFixInput: another scheme, a package without a version, a pin that is none.
Result<PackageLocation> parse_package_location(std::string_view text);

}  // namespace fmesh::model
