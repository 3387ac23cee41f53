#include "kube/times.h"

#include <fmt/format.h>

#include <chrono>

namespace fmesh::kube {
namespace {

std::string to_second(int64_t wall_ms) {
  using namespace std::chrono;
  const sys_seconds time{floor<seconds>(milliseconds(wall_ms))};
  const auto day = floor<days>(time);
  const year_month_day date{day};
  const hh_mm_ss clock{time - day};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), clock.hours().count(),
                     clock.minutes().count(), clock.seconds().count());
}

}  // namespace

std::string time_text(int64_t wall_ms) { return to_second(wall_ms) + "Z"; }

std::string micro_time_text(int64_t wall_ms) {
  const int64_t ms = ((wall_ms % 1000) + 1000) % 1000;
  return fmt::format("{}.{:06}Z", to_second(wall_ms), ms * 1000);
}

}  // namespace fmesh::kube
