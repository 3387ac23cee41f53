#include "kube/times.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>

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

std::optional<int64_t> read_time(const std::string& text) {
  using namespace std::chrono;
  int year = 0, length = 0;
  unsigned month = 0, day = 0, hour = 0, minute = 0, second = 0;
  if (std::sscanf(text.c_str(), "%4d-%2u-%2u%*1[Tt]%2u:%2u:%2u%n", &year, &month, &day, &hour, &minute, &second,
                  &length) != 6) {
    return std::nullopt;
  }
  const year_month_day date{std::chrono::year(year), std::chrono::month(month), std::chrono::day(day)};
  if (!date.ok() || hour > 23 || minute > 59 || second > 60) return std::nullopt;
  const char* rest = text.c_str() + length;
  int64_t ms = 0;
  if (*rest == '.') {
    int64_t unit = 100;
    for (++rest; *rest >= '0' && *rest <= '9'; ++rest, unit /= 10) ms += (*rest - '0') * unit;
  }
  int64_t offset_minutes = 0;
  if (*rest == '+' || *rest == '-') {
    unsigned ahead_hours = 0, ahead_minutes = 0;
    int used = 0;
    if (std::sscanf(rest + 1, "%2u:%2u%n", &ahead_hours, &ahead_minutes, &used) != 2 || rest[1 + used] != '\0')
      return std::nullopt;
    offset_minutes = (*rest == '-' ? -1 : 1) * static_cast<int64_t>(ahead_hours * 60 + ahead_minutes);
  } else if ((*rest != 'Z' && *rest != 'z') || rest[1] != '\0') {
    return std::nullopt;
  }
  const auto at =
      sys_days(date) + hours(hour) + minutes(static_cast<int64_t>(minute) - offset_minutes) + seconds(second);
  return duration_cast<milliseconds>(at.time_since_epoch()).count() + ms;
}

}  // namespace fmesh::kube
