// A Kubernetes quantity: "100m", "1.5", "1Gi", "2e3". A value, compared and converted exactly down to a billionth;
// doubles would make 0.1 + 0.2 differ from 300m.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fmesh::model {

struct Quantity {
  __int128 nanos = 0;  // value * 10^9, rounded up, as Kubernetes rounds
  auto operator<=>(const Quantity&) const = default;

  double value() const;
  int64_t whole() const;  // rounded up
  bool positive() const { return nanos > 0; }
};

// None if `text` is not a quantity, or is larger than 2^63.
std::optional<Quantity> parse_quantity(std::string_view text);

// As the API server writes it: a whole number with the largest suffix that keeps it exact, of the same family as the
// one given: 0.1 -> 100m, 1.1G -> 1100M, 0.5Gi -> 512Mi. What is no quantity is returned as it is.
std::string canonical_quantity(std::string_view text);

}  // namespace fmesh::model
