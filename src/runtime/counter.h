// How a counter lies in the state: 8 bytes big endian, as Pulsar's state store keeps them. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fmesh::runtime {

std::string encode_counter(int64_t value);
// 0 for no value. Errors: kFixInput if what is stored under `key` is no counter.
Result<int64_t> decode_counter(std::string_view key, const std::optional<std::string>& stored);

}  // namespace fmesh::runtime
