// The keyed state of one function: bytes by key, and counters. One table is shared by all instances of the function in
// this process. A change is visible to the function at once and becomes durable with the Commit that carries it.
//
// If that commit fails, the instance that made the change stops and the table is opened anew from what is durable.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "stream/commit_order.h"

namespace fmesh::stream {

// Largest key and value that state takes.
inline constexpr size_t kStateKeySizeMaxBytes = 4 * 1024;
inline constexpr size_t kStateValueSizeMaxBytes = 1024 * 1024;

class StateTable {
 public:
  virtual ~StateTable() = default;
  virtual const std::string& name() const = 0;
  // Broken by a commit with changes of this table that fails: what get() gave before may be void. Whoever commits what
  // follows from a get() takes this before it and names it in Commit::relies_on. A new one is there after a failure.
  virtual std::shared_ptr<CommitOrder> order() = 0;
  // The value as the function last put it, durable or not. From any thread.
  virtual Result<std::optional<std::string>> get(std::string_view key) = 0;
  // Stages a value (nothing: the key is deleted). From any thread. It reaches the disk with a Commit that lists it.
  virtual Status put(std::string_view key, std::optional<std::string_view> value) = 0;
  // Undoes the last put() of `key`, which is in no commit: `before` is what get() gave ahead of it. Nothing happens if
  // a failed commit has voided the value already. `is_first`: no earlier put() of this key waits for a commit.
  virtual void restore(std::string_view key, std::optional<std::string_view> before, bool is_first) = 0;
  // Calls `visit` for each key in byte order until it returns false. For people: peek, status, tests.
  virtual Status scan(std::string_view prefix, std::function<bool(std::string_view, std::string_view)> visit) = 0;
};

struct StateChange {
  std::shared_ptr<StateTable> table;
  std::string key;
  std::optional<std::string> value;  // nothing: deleted
};

}  // namespace fmesh::stream
