// Quantities as people type and read them: sizes (512, 64K, 10M, 2G), times (500ms, 10s, 5m, 2h, 7d) and counts. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fmesh::cli {

// Bytes; K, M, G and T are powers of 1024. Errors: kFixInput with the accepted forms.
Result<int64_t> parse_size(std::string_view text);
// Milliseconds; a number without unit is seconds.
Result<int64_t> parse_duration_ms(std::string_view text);
// "NAME=N". Errors: kFixInput.
Result<std::pair<std::string, int32_t>> parse_replicas(std::string_view text);

std::string show_count(int64_t count);     // 999, 12.3k, 4.56M
std::string show_rate(double per_second);  // 0, 0.5, 12, 3.4k
std::string show_bytes(int64_t bytes);     // 512 B, 1.5 KiB
std::string show_duration(int64_t ms);     // 12 s, 3 m 04 s, 2 h 10 m, 5 d 3 h

}  // namespace fmesh::cli
