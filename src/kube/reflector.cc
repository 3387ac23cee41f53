#include "kube/reflector.h"

#include <boost/json.hpp>
#include <utility>

#include "kube/watch_machine.h"

namespace fmesh::kube {
namespace {

constexpr int64_t kExpireEveryMs = 5'000;  // own writes that were never told are looked for

class ReflectorOnLoop final : public Reflector {
 public:
  ReflectorOnLoop(Api& api, Loop& loop, Rng& rng, Store& store, ReflectorOptions options)
      : api_(api),
        loop_(loop),
        store_(store),
        name_space_(options.name_space),
        machine_(machine_options(std::move(options)), rng) {}

  ~ReflectorOnLoop() override {
    *alive_ = false;
    loop_.cancel(step_timer_);
    loop_.cancel(idle_timer_);
    loop_.cancel(expire_timer_);
  }

  void begin() {
    later(step_timer_, 0, [this] { step(); });
    expire_later();
  }

  const std::string& trouble() const override { return machine_.trouble(); }

 private:
  static WatchMachineOptions machine_options(ReflectorOptions options) {
    WatchMachineOptions machine;
    machine.type = options.type;
    machine.name_space = std::move(options.name_space);
    machine.label_selector = std::move(options.label_selector);
    machine.field_selector = std::move(options.field_selector);
    machine.trim = std::move(options.trim);
    machine.page_size = options.page_size;
    return machine;
  }

  int64_t now_ns() const { return loop_.clock().monotonic_ns(); }

  // Callbacks may come after the end of this reflector: the loop and the api outlive it.
  template <class Function>
  auto guarded(Function function) {
    return [alive = alive_, function = std::move(function)](auto&&... arguments) {
      if (*alive) function(std::forward<decltype(arguments)>(arguments)...);
    };
  }
  template <class Function>
  void later(uint64_t& ticket, int64_t delay_ms, Function function) {
    loop_.cancel(ticket);
    ticket = loop_.post_after(delay_ms, guarded(std::move(function)));
  }

  void step() {
    if (machine_.busy()) return;
    stream_.reset();
    WatchStep next = machine_.next(now_ns());
    switch (next.kind) {
      case WatchStep::Kind::kWait:
        later(step_timer_, next.wait_ms, [this] { step(); });
        break;
      case WatchStep::Kind::kSend:
        api_.send(std::move(next.request),
                  guarded([this](Result<Response> answer) { took(machine_.on_answer(answer, now_ns())); }));
        break;
      case WatchStep::Kind::kOpen:
        open(std::move(next.request));
        break;
    }
  }

  void open(Request request) {
    const uint64_t number = ++stream_number_;  // what an earlier stream still says is not listened to
    const auto of_this = [this, number] { return number == stream_number_; };
    StreamHandler handler;
    handler.on_head = guarded([this, of_this](Response head) {
      if (!of_this()) return;
      machine_.on_head(head, now_ns());
      took({});
    });
    handler.on_data = guarded([this, of_this](std::string_view piece) {
      if (of_this()) took(machine_.on_data(piece, now_ns()));
    });
    handler.on_end = guarded([this, of_this](Status end) {
      if (!of_this()) return;
      machine_.on_end(end, now_ns());
      took({});
    });
    stream_ = api_.open(std::move(request), std::move(handler));
    watch_idle();
  }

  void watch_idle() {
    const int64_t left_ms = (machine_.idle_at_ns() - now_ns()) / 1'000'000 + 1;
    later(idle_timer_, left_ms, [this] {
      if (!machine_.busy() || !stream_) return;
      if (now_ns() < machine_.idle_at_ns()) return watch_idle();
      machine_.on_idle(now_ns());
      took({});
    });
  }

  void took(WatchEvents events) {
    const std::shared_ptr<bool> alive = alive_;  // a reader may end us
    for (WatchEvent& event : events) {
      switch (event.kind) {
        case WatchEvent::Kind::kReplace:
          store_.replace(std::move(event.objects), event.asked_at_ns, name_space_);
          break;
        case WatchEvent::Kind::kPut:
          store_.put(std::move(event.object));
          break;
        case WatchEvent::Kind::kRemove:
          store_.remove(event.object->key(), event.object->uid());
          break;
      }
      if (!*alive) return;
    }
    if (machine_.busy()) return;
    ++stream_number_;
    loop_.cancel(idle_timer_);
    // Not here: we may be within a callback of the stream that step() lets go of.
    later(step_timer_, 0, [this] { step(); });
  }

  void expire_later() {
    later(expire_timer_, kExpireEveryMs, [this] {
      expire_later();
      store_.expire();
    });
  }

  Api& api_;
  Loop& loop_;
  Store& store_;
  std::string name_space_;  // empty: all
  WatchMachine machine_;
  std::unique_ptr<ApiStream> stream_;
  uint64_t stream_number_ = 0;
  uint64_t step_timer_ = 0, idle_timer_ = 0, expire_timer_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace

std::unique_ptr<Reflector> Reflector::start(Api& api, Loop& loop, Rng& rng, Store& store, ReflectorOptions options) {
  auto reflector = std::make_unique<ReflectorOnLoop>(api, loop, rng, store, std::move(options));
  reflector->begin();
  return reflector;
}

}  // namespace fmesh::kube
