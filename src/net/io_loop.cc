#include "net/io_loop.h"

#include <pthread.h>

#include <atomic>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <map>
#include <thread>

#include "net/io_loop_private.h"

namespace fmesh::net {
namespace {

namespace asio = boost::asio;

class AsioLoop final : public IoLoop {
 public:
  AsioLoop(const Clock& clock, std::string name)
      : clock_(clock), name_(std::move(name)), work_(asio::make_work_guard(io_)) {
    thread_ = std::thread([this] {
      pthread_setname_np(pthread_self(), name_.substr(0, 15).c_str());
      io_.run();
    });
  }
  ~AsioLoop() override { stop(); }

  void post(Task task) override { asio::post(io_, std::move(task)); }

  uint64_t post_after(int64_t delay_ms, Task task) override {
    const uint64_t ticket = ++last_ticket_;
    // Timers belong to the loop's thread.
    asio::dispatch(io_, [this, ticket, delay_ms, task = std::move(task)]() mutable {
      const auto [at, fresh] = timers_.try_emplace(ticket, io_);
      at->second.expires_after(std::chrono::milliseconds(delay_ms));
      at->second.async_wait([this, ticket, task = std::move(task)](const boost::system::error_code& code) {
        if (timers_.erase(ticket) > 0 && !code) task();
      });
    });
    return ticket;
  }

  void cancel(uint64_t ticket) override {
    asio::dispatch(io_, [this, ticket] { timers_.erase(ticket); });
  }

  bool on_loop_thread() const override { return std::this_thread::get_id() == thread_.get_id(); }
  const Clock& clock() const override { return clock_; }

  void stop() override {
    work_.reset();
    io_.stop();
    if (thread_.joinable()) thread_.join();
  }

  asio::io_context& context() { return io_; }

 private:
  const Clock& clock_;
  std::string name_;
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::map<uint64_t, asio::steady_timer> timers_;
  std::atomic<uint64_t> last_ticket_{0};
  std::thread thread_;
};

}  // namespace

std::unique_ptr<IoLoop> IoLoop::start(const Clock& clock, std::string name) {
  return std::make_unique<AsioLoop>(clock, std::move(name));
}

asio::io_context& context_of(IoLoop& loop) { return static_cast<AsioLoop&>(loop).context(); }

}  // namespace fmesh::net
