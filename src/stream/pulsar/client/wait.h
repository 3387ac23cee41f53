// Waiting, on a thread that may, for something that happens on the client's loop.
#pragma once

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "stream/pulsar/client/parts.h"

namespace fmesh::stream::pulsar {

// What `begin` starts has its own time limit; this one is for a client that ends meanwhile.
inline constexpr int64_t kWaitSlackMs = 5'000;

// Calls begin(done) on the loop and returns what `done` is called with.
// Errors: kBug on a loop's own thread; kClosed if the client has ended.
template <class T>
Result<T> wait_on_loop(const std::shared_ptr<Parts>& parts, const std::string& what, int64_t limit_ms,
                       std::function<void(std::function<void(Result<T>)>)> begin) {
  if (parts->loop.on_loop_thread()) return fail(ErrorKind::kBug, what + ": waited for on the client's own loop");
  if (parts->loop_ended) return fail(ErrorKind::kClosed, what + ": the client is closed");
  const auto promise = std::make_shared<std::promise<Result<T>>>();
  auto future = promise->get_future();
  parts->loop.post([begin = std::move(begin), promise, told = std::make_shared<bool>(false)] {
    begin([promise, told](Result<T> result) {
      if (!std::exchange(*told, true)) promise->set_value(std::move(result));
    });
  });
  if (future.wait_for(std::chrono::milliseconds(limit_ms + kWaitSlackMs)) != std::future_status::ready) {
    return fail(ErrorKind::kRetryLater, what + ": no answer within " + std::to_string(limit_ms + kWaitSlackMs) + " ms");
  }
  return future.get();
}

}  // namespace fmesh::stream::pulsar
