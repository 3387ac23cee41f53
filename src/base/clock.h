// Time as a parameter. Logic never asks the system for the time; it asks the Clock it was given, so that a test or the
// simulator decides how late it is. Clocks are used from any thread.
#pragma once

#include <atomic>
#include <cstdint>

namespace fmesh {

class Clock {
 public:
  virtual ~Clock() = default;
  // Milliseconds since the Unix epoch; may jump.
  virtual int64_t wall_ms() const = 0;
  // Nanoseconds since some fixed moment; never goes back.
  virtual int64_t monotonic_ns() const = 0;
};

class SystemClock final : public Clock {
 public:
  int64_t wall_ms() const override;
  int64_t monotonic_ns() const override;
};

// Stands still until told to move. Both times move together.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(int64_t wall_ms = 1'700'000'000'000) : start_ms_(wall_ms) {}
  int64_t wall_ms() const override { return start_ms_ + elapsed_ns_.load() / 1'000'000; }
  int64_t monotonic_ns() const override { return elapsed_ns_.load(); }
  void advance_ms(int64_t ms) { elapsed_ns_ += ms * 1'000'000; }

 private:
  int64_t start_ms_;
  std::atomic<int64_t> elapsed_ns_{0};
};

}  // namespace fmesh
