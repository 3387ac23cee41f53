#include "runtime/window.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>

namespace fmesh::runtime {

Result<std::optional<WindowOptions>> WindowOptions::from_user_config(std::string_view user_config) {
  boost::system::error_code code;
  const boost::json::value config = boost::json::parse(
      user_config.empty() ? "{}" : boost::json::string_view(user_config.data(), user_config.size()), code);
  if (code || !config.is_object()) return std::optional<WindowOptions>();
  const boost::json::value* found = config.as_object().if_contains("__WINDOWCONFIGS__");
  if (found == nullptr) return std::optional<WindowOptions>();
  // Upstream writes it as an object, Pulsar's own tools as text.
  boost::json::value window = *found;
  if (window.is_string()) window = boost::json::parse(window.as_string(), code);
  if (code || !window.is_object()) return fail(ErrorKind::kFixInput, "windowConfig is not an object");
  const auto number = [&](const char* name) -> int64_t {
    const boost::json::value* value = window.as_object().if_contains(name);
    return value != nullptr && value->is_number() ? value->to_number<int64_t>() : 0;
  };
  const auto text = [&](const char* name) -> std::string {
    const boost::json::value* value = window.as_object().if_contains(name);
    return value != nullptr && value->is_string() ? std::string(value->as_string()) : "";
  };
  WindowOptions options;
  options.length_count = number("windowLengthCount");
  options.length_ms = number("windowLengthDurationMs");
  options.slide_count = number("slidingIntervalCount");
  options.slide_ms = number("slidingIntervalDurationMs");
  options.max_lag_ms = number("maxLagMs");
  options.late_data_topic = text("lateDataTopic");
  const std::string extractor = text("timestampExtractorClassName");
  options.event_time = !extractor.empty();
  if (extractor.starts_with("field:")) options.event_time_field = extractor.substr(6);
  if ((options.length_count > 0) == (options.length_ms > 0))
    return fail(ErrorKind::kFixInput,
                "windowConfig: set exactly one of windowLengthCount and windowLengthDurationMs, above 0");
  if (options.length_count > 0 && options.event_time)
    return fail(ErrorKind::kFixInput, "windowConfig: a window by count takes no timestampExtractorClassName here");
  if (!options.late_data_topic.empty() && !options.event_time)
    return fail(ErrorKind::kFixInput,
                "windowConfig.lateDataTopic needs timestampExtractorClassName: only event time can be late");
  if (options.slide_count <= 0) options.slide_count = options.length_count;
  if (options.slide_ms <= 0) options.slide_ms = options.length_ms;
  return std::optional<WindowOptions>(std::move(options));
}

void Windows::resume(std::string_view progress) {
  if (progress.size() < 2 || progress[1] != ':') return;
  int64_t value = 0;
  std::from_chars(progress.data() + 2, progress.data() + progress.size(), value);
  if (progress[0] == 'c') carried_ = value;
  if (progress[0] == 't' && options_.event_time) last_end_ms_ = value;
}

bool Windows::add(Ticket ticket, int64_t time_ms, const std::string& source, size_t sources) {
  if (options_.length_count > 0) {
    open_.push_back({time_ms, ticket});
    if (carried_ > 0) {
      --carried_;
    } else {
      ++since_fired_;
    }
    return true;
  }
  sources_ = sources;
  if (options_.event_time) {
    auto [newest, fresh] = newest_ms_.try_emplace(source, time_ms);
    if (!fresh) newest->second = std::max(newest->second, time_ms);
    // The last window that takes it ends below time + length.
    if (last_end_ms_ && time_ms <= *last_end_ms_ + options_.slide_ms - options_.length_ms) return false;
  }
  const auto after = std::upper_bound(open_.begin(), open_.end(), time_ms,
                                      [](int64_t time, const Open& open) { return time < open.time_ms; });
  open_.insert(after, {time_ms, ticket});
  return true;
}

std::optional<int64_t> Windows::watermark() const {
  if (newest_ms_.size() < std::max<size_t>(sources_, 1)) return std::nullopt;
  int64_t oldest = INT64_MAX;
  for (const auto& [source, newest] : newest_ms_) oldest = std::min(oldest, newest);
  return oldest - options_.max_lag_ms;
}

std::vector<Windows::Fired> Windows::fire(int64_t now_ms) {
  if (options_.length_count > 0) return fire_counts();
  if (!options_.event_time) return fire_times(now_ms - 1);
  const std::optional<int64_t> mark = watermark();
  // A record at the watermark itself may still come.
  return mark ? fire_times(*mark - 1) : std::vector<Fired>();
}

std::vector<Windows::Fired> Windows::close_all() {
  if (!options_.event_time) return {};
  return open_.empty() ? std::vector<Fired>()
                       : fire_times(open_.back().time_ms + options_.length_ms + options_.slide_ms);
}

std::vector<Windows::Fired> Windows::fire_counts() {
  std::vector<Fired> fired;
  while (since_fired_ >= options_.slide_count) {
    since_fired_ -= options_.slide_count;
    // The window ends behind the records that this round did not count yet.
    const size_t end = open_.size() - static_cast<size_t>(since_fired_);
    const size_t length = std::min(end, static_cast<size_t>(options_.length_count));
    Fired window;
    for (size_t i = end - length; i < end; ++i) window.records.push_back(open_[i].ticket);
    const int64_t keep = std::max<int64_t>(options_.length_count - options_.slide_count, 0);
    const size_t released = end > static_cast<size_t>(keep) ? end - static_cast<size_t>(keep) : 0;
    for (size_t i = 0; i < released; ++i) window.released.push_back(open_[i].ticket);
    open_.erase(open_.begin(), open_.begin() + static_cast<std::ptrdiff_t>(released));
    window.progress = "c:" + std::to_string(end - released);
    fired.push_back(std::move(window));
  }
  return fired;
}

int64_t Windows::first_end_after(int64_t time_ms) const {
  // The smallest multiple of the slide that is not below the time.
  const int64_t slide = options_.slide_ms;
  const int64_t down = time_ms >= 0 ? time_ms / slide : -((-time_ms + slide - 1) / slide);
  return down * slide >= time_ms ? down * slide : (down + 1) * slide;
}

std::vector<Windows::Fired> Windows::fire_times(int64_t up_to_ms) {
  std::vector<Fired> fired;
  while (!open_.empty()) {
    int64_t end = first_end_after(open_.front().time_ms);
    if (last_end_ms_) end = std::max(end, *last_end_ms_ + options_.slide_ms);
    if (end > up_to_ms) break;
    Fired window;
    window.start_ms = end - options_.length_ms;
    window.end_ms = end;
    for (const Open& open : open_) {
      if (open.time_ms > end) break;
      if (open.time_ms > window.start_ms) window.records.push_back(open.ticket);
    }
    // Not in (end + slide - length, ...], which is where the next window begins.
    while (!open_.empty() && open_.front().time_ms <= end + options_.slide_ms - options_.length_ms) {
      window.released.push_back(open_.front().ticket);
      open_.pop_front();
    }
    last_end_ms_ = end;
    // Times of arrival are new after a restart, so only event time goes on where it was.
    if (options_.event_time) window.progress = "t:" + std::to_string(end);
    fired.push_back(std::move(window));
  }
  return fired;
}

std::optional<int64_t> Windows::next_end_ms() const {
  if (options_.length_count > 0 || options_.event_time || open_.empty()) return std::nullopt;
  int64_t end = first_end_after(open_.front().time_ms);
  if (last_end_ms_) end = std::max(end, *last_end_ms_ + options_.slide_ms);
  return end + 1;
}

}  // namespace fmesh::runtime
