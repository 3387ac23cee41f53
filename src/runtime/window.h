// Which records make a window, and when: the pure core of window functions. Records go in as tickets with times,
// windows come out as lists of tickets. Count and time, tumbling and sliding; time is arrival time or event time with a
// watermark (facts: pulsar.md 6.9). A time window covers (end - length, end]; event-time ends are multiples of the
// slide.
//
// Unlike Pulsar, a record is late only if no window that is still open takes it. No IO and no clock: time is an
// argument.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fmesh::runtime {

struct WindowOptions {
  int64_t length_count = 0, slide_count = 0;  // records; 0: by time
  int64_t length_ms = 0, slide_ms = 0;
  bool event_time = false;
  std::string event_time_field;  // a top-level JSON member with the time in ms; empty: the record's event time
  int64_t max_lag_ms = 0;
  std::string late_data_topic;

  // From the JSON of `__WINDOWCONFIGS__` in a function's userConfig; nothing if there is none.
  // Errors: kFixInput for what upstream's admission refuses too.
  static Result<std::optional<WindowOptions>> from_user_config(std::string_view user_config);
};

class Windows {
 public:
  using Ticket = uint64_t;
  struct Fired {
    int64_t start_ms = 0, end_ms = 0;  // 0 and 0: by count
    std::vector<Ticket> records;       // oldest first
    std::vector<Ticket> released;      // in no later window
    std::string progress;              // to be stored with the window's commit, and given to resume()
  };

  explicit Windows(WindowOptions options) : options_(std::move(options)) {}

  // Goes on behind what a former run fired.
  void resume(std::string_view progress);

  // Takes a record. False: it is late. `time_ms` is its event time, or the time of its arrival; `source` is the stream
  // it came from, of `sources` there are.
  bool add(Ticket ticket, int64_t time_ms, const std::string& source, size_t sources);
  // Windows that are complete at `now_ms` (arrival time; ignored for event time and counts), oldest first.
  std::vector<Fired> fire(int64_t now_ms);
  // No more records will come: event-time windows close.
  std::vector<Fired> close_all();

  // When the next arrival-time window ends, if there is one with records.
  std::optional<int64_t> next_end_ms() const;
  size_t open_records() const { return open_.size(); }

 private:
  struct Open {
    int64_t time_ms;
    Ticket ticket;
  };
  std::vector<Fired> fire_counts();
  std::vector<Fired> fire_times(int64_t up_to_ms);
  int64_t first_end_after(int64_t time_ms) const;
  std::optional<int64_t> watermark() const;

  WindowOptions options_;
  std::deque<Open> open_;    // by time, or in order of arrival for counts
  int64_t since_fired_ = 0;  // arrivals since the last window by count
  int64_t carried_ = 0;      // count: records of a former run that were in its last window already
  std::optional<int64_t> last_end_ms_;
  std::map<std::string, int64_t> newest_ms_;  // event time, by source
  size_t sources_ = 1;
};

}  // namespace fmesh::runtime
