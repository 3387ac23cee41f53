// Addresses of brokers as Pulsar writes them. Values and pure functions.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fmesh::stream::pulsar {

// More hosts in one URL are a mistake, not a cluster.
inline constexpr size_t kServiceHostsMax = 100;

struct BrokerAddress {
  bool tls = false;
  std::string host;  // IPv6 without brackets
  uint16_t port = 0;

  std::string host_and_port() const;  // "[::1]:6650"
  std::string url() const;            // "pulsar://[::1]:6650"
  auto operator<=>(const BrokerAddress&) const = default;
};

// The hosts of "pulsar://a:6650,b:6650" or "pulsar+ssl://a"; without a port it is 6650 or 6651.
// Errors: kFixInput that names what is wrong and shows the forms.
Result<std::vector<BrokerAddress>> parse_service_url(std::string_view text);

}  // namespace fmesh::stream::pulsar
