// Keeps one producer or consumer attached to the broker that serves its topic: looks the broker up, attaches, and when
// the connection or the broker lets go, does it again, ever more slowly. At most one attempt is under way; answers to
// earlier ones are void.
//
// A part of its owner, on the client's loop.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "stream/pulsar/client/parts.h"

namespace fmesh::stream::pulsar {

// Pauses between attempts double from the first to the last, so that a cluster that starts is not kept from it, and
// what waits for it goes on soon after.
inline constexpr int64_t kBackoffMinMs = 100;
inline constexpr int64_t kBackoffMaxMs = 10'000;
// While nothing was ever attached: how long nobody may be there before it is told. An address that is wrong stays so.
inline constexpr int64_t kNobodyThereMs = 3'000;

class Attachment {
 public:
  using Done = std::function<void(std::optional<Refusal>)>;
  struct Hooks {
    // Says PRODUCER or SUBSCRIBE on the connection; `done` is called once, later.
    std::function<void(const std::shared_ptr<Connection>&, Done)> attach;
    // It is attached from now on.
    std::function<void()> attached;
    // For good: nothing is tried any more.
    std::function<void(const Refusal&)> gave_up;
  };

  Attachment(Parts& parts, std::string topic, Hooks hooks)
      : parts_(parts), topic_(std::move(topic)), hooks_(std::move(hooks)) {}
  ~Attachment() { stop(); }
  Attachment(const Attachment&) = delete;
  Attachment& operator=(const Attachment&) = delete;

  void start();
  // The connection or the broker let go. Tries again after a pause.
  void lost(const Error& why);
  // Nothing is tried and no hook is called any more.
  void stop();

  // Null while it is not attached.
  const std::shared_ptr<Connection>& connection() const { return connection_; }
  // The connection that an attempt is under way on, or the one it is attached to; may be null.
  const std::shared_ptr<Connection>& reached() const { return reached_; }
  bool was_attached() const { return was_attached_; }
  // Counts attempts, so that who answers late can tell that another is under way.
  uint64_t attempts() const { return attempts_; }
  // Why it is not attached, as far as it is known.
  const std::optional<Refusal>& trouble() const { return trouble_; }

 private:
  void attempt();
  void failed(const Refusal& why);
  void again();

  Parts& parts_;
  const std::string topic_;
  const Hooks hooks_;
  std::shared_ptr<Connection> connection_, reached_;
  std::optional<Refusal> trouble_;
  int64_t started_ns_ = 0;
  int64_t pause_ms_ = kBackoffMinMs;
  uint64_t timer_ = 0, attempts_ = 0;
  bool was_attached_ = false, stopped_ = false;
  std::shared_ptr<int> turn_;  // replaced by each attempt: answers to earlier ones find it gone
};

}  // namespace fmesh::stream::pulsar
