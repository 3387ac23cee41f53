// How to follow one kind of objects, as a machine without IO: it says which request comes next or how long to wait, is
// fed the answers, and tells what changed. A list (paged, or streamed where the server does that) gives the whole; a
// watch then continues from its version; a watch that ends continues from the last version told; only a server that has
// forgotten that version (410 Gone, in three guises) makes it list anew.
//
// Belongs to the Reflector; tests and the fuzzer feed it anything.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "kube/api.h"
#include "kube/object.h"
#include "kube/requests.h"

namespace fmesh::kube {

inline constexpr size_t kWatchLineMaxBytes = 8 * 1024 * 1024;  // one event; objects are at most 3 MiB in etcd
inline constexpr size_t kUnreadableMax = 2;                    // broken events in a row before the whole is listed anew

struct WatchMachineOptions {
  ResourceType type;
  std::string name_space;  // empty: all
  std::string label_selector, field_selector;
  std::function<void(boost::json::value&)> trim;  // before an object is made; may be null
  int32_t page_size = 500;
  bool streaming_list = true;  // ask for it; a server that refuses is asked for pages
};

struct WatchEvent {
  enum class Kind { kReplace, kPut, kRemove } kind = Kind::kPut;
  ObjectPtr object;                // kPut; kRemove: its last state
  std::vector<ObjectPtr> objects;  // kReplace: all there are
  int64_t asked_at_ns = 0;         // kReplace: see Store::replace
};
using WatchEvents = std::vector<WatchEvent>;

struct WatchStep {
  enum class Kind { kSend, kOpen, kWait } kind = Kind::kWait;
  Request request;      // kSend: answered by on_answer; kOpen: by on_head, on_data and on_end
  int64_t wait_ms = 0;  // kWait: then ask again
};

class WatchMachine {
 public:
  WatchMachine(WatchMachineOptions options, Rng& rng) : options_(std::move(options)), rng_(rng) {}

  // What to do now. REQUIRES: !busy().
  WatchStep next(int64_t now_ns);
  // A request is under way or a stream is open. If it turns false, what is open is let go of and next() asked.
  bool busy() const { return busy_; }

  WatchEvents on_answer(const Result<Response>& answer, int64_t now_ns);
  void on_head(const Response& head, int64_t now_ns);
  WatchEvents on_data(std::string_view piece, int64_t now_ns);
  void on_end(const Status& end, int64_t now_ns);
  // When an open stream without another piece is taken for dead (half-open TCP); on_idle() at or after it.
  int64_t idle_at_ns() const { return idle_at_ns_; }
  void on_idle(int64_t now_ns);

  // Why the last attempt failed; empty if it goes well.
  const std::string& trouble() const { return trouble_; }
  const std::string& resource_version() const { return version_; }

 private:
  enum class Phase {
    kEmpty,         // nothing is known: list
    kPaging,        // some pages are here
    kInitialWatch,  // a streaming list is open
    kListed,        // the whole is known up to version_: watch
    kWatching,
  };

  WatchStep send_list();
  WatchStep open_watch(bool initial, int64_t now_ns);
  WatchEvents take_page(boost::json::value page, int64_t now_ns);
  void on_list_failed(const Outcome& outcome, int64_t now_ns);
  void take_line(std::string_view line, int64_t now_ns, WatchEvents& events);
  void take_error(const boost::json::value& status, int64_t now_ns);
  void take_bookmark(const boost::json::value& bookmark, WatchEvents& events);
  Result<ObjectPtr> make(boost::json::value object) const;
  void unreadable(const std::string& why, int64_t now_ns);
  void start_over();
  void failed(const std::string& why, int64_t now_ns, int64_t at_least_ms = 0);
  std::string what() const;

  WatchMachineOptions options_;
  Rng& rng_;
  Phase phase_ = Phase::kEmpty;
  bool busy_ = false;
  std::string version_;  // to continue from: of a list, an event or a bookmark, never of our own writes
  std::string continue_token_;
  bool paging_expired_ = false, whole_list_ = false, streaming_refused_ = false;
  std::map<ObjectKey, ObjectPtr> gathered_;  // while the list is incomplete
  int64_t asked_at_ns_ = 0;                  // the list
  std::string partial_line_;
  bool told_anything_ = false;  // this stream
  size_t unreadable_ = 0;       // in a row
  int failures_ = 0;
  int64_t opened_at_ns_ = 0, idle_at_ns_ = 0, not_before_ns_ = 0, idle_ms_ = 0;
  bool head_seen_ = false;
  std::string trouble_;
};

}  // namespace fmesh::kube
