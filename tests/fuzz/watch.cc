// Whatever an API server sends, the watch machine stays whole: no crash, bounded memory, never a store change from half
// a list, never a watch without a version to start from, never silence (it is busy, or says how long to wait), and what
// it cannot use becomes trouble that is told. The input is a script: one byte chooses what happens, the rest is what is
// sent.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/rng.h"
#include "kube/store.h"
#include "kube/watch_machine.h"

namespace {

using namespace fmesh;
using namespace fmesh::kube;

void require(bool holds) {
  if (!holds) __builtin_trap();
}

class Script {
 public:
  Script(const uint8_t* data, size_t size) : text_(reinterpret_cast<const char*>(data), size) {}
  bool over() const { return text_.empty(); }
  uint8_t byte() {
    if (text_.empty()) return 0;
    const auto value = static_cast<uint8_t>(text_.front());
    text_.remove_prefix(1);
    return value;
  }
  // Up to the next zero byte.
  std::string_view text() {
    const size_t end = std::min(text_.find('\0'), text_.size());
    const std::string_view found = text_.substr(0, end);
    text_.remove_prefix(std::min(end + 1, text_.size()));
    return found;
  }

 private:
  std::string_view text_;
};

struct Driver {
  explicit Driver(bool streaming) : machine(options(streaming), rng) {}

  static WatchMachineOptions options(bool streaming) {
    WatchMachineOptions options;
    options.type = kService;
    options.streaming_list = streaming;
    return options;
  }
  void apply(WatchEvents events) {
    for (WatchEvent& event : events) {
      if (event.kind == WatchEvent::Kind::kReplace) {
        for (const ObjectPtr& object : event.objects) require(object && !object->key().name.empty());
        store.replace(std::move(event.objects), event.asked_at_ns);
        continue;
      }
      require(store.synced() && event.object);
      if (event.kind == WatchEvent::Kind::kPut) store.put(event.object);
      if (event.kind == WatchEvent::Kind::kRemove) store.remove(event.object->key(), event.object->uid());
    }
  }
  // To the next request; true: a stream.
  bool begin() {
    for (int i = 0; i < 3; ++i) {
      const WatchStep step = machine.next(clock.monotonic_ns());
      if (step.kind == WatchStep::Kind::kWait) {
        require(step.wait_ms > 0 && step.wait_ms < 15 * 60'000);
        clock.advance_ms(step.wait_ms);
        continue;
      }
      require(machine.busy() && step.request.target.starts_with("/api/v1/services"));
      const bool stream = step.kind == WatchStep::Kind::kOpen;
      const bool initial = step.request.target.find("sendInitialEvents") != std::string::npos;
      require(!stream || initial || step.request.target.find("&resourceVersion=") != std::string::npos);
      return stream;
    }
    require(false);
    return false;
  }

  ManualClock clock;
  Rng rng{1};
  Store store{clock};
  WatchMachine machine;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Script script(data, size);
  Driver driver(script.byte() % 2 == 0);
  bool stream = driver.begin();
  while (!script.over()) {
    const uint8_t what = script.byte();
    const int64_t now = driver.clock.monotonic_ns();
    const int status = what & 0x40 ? 200 : what & 0x20 ? 410 : 100 + (what & 0x0f) * 30;
    if (!stream) {
      if (what % 8 == 7) {
        driver.apply(driver.machine.on_answer(fail(ErrorKind::kRetryLater, "reset"), now));
      } else {
        driver.apply(driver.machine.on_answer(Response{status, std::string(script.text()), {}}, now));
      }
      require(!driver.machine.busy());
    } else if (what % 8 == 0) {
      driver.machine.on_end(what & 0x40 ? Status() : fail(ErrorKind::kRetryLater, "reset"), now);
      require(!driver.machine.busy());
    } else if (what % 8 == 1) {
      driver.machine.on_head(Response{status, std::string(script.text()), {}}, now);
    } else if (what % 8 == 2) {
      driver.clock.advance_ms(what * 2'000);
      if (driver.clock.monotonic_ns() >= driver.machine.idle_at_ns()) {
        driver.machine.on_idle(driver.clock.monotonic_ns());
        require(!driver.machine.busy());
      }
    } else {
      // A piece that ends a line, or does not.
      driver.apply(driver.machine.on_data(script.text(), now));
      if (driver.machine.busy() && what % 2 == 0) driver.apply(driver.machine.on_data("\n", now));
      if (!driver.machine.busy()) require(!driver.machine.trouble().empty());
    }
    if (!driver.machine.busy()) stream = driver.begin();
  }
  return 0;
}
