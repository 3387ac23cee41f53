// What people do to streams by hand: look at records, follow them, publish, move a subscription. Works over any store,
// so the running mesh and a command on a data directory that nothing runs on share it.
//
// Functions here may block for as long as the store takes; they are called on threads of the control API or of a
// command, never on a loop. A Tap belongs to the loop it was opened on.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/loop.h"
#include "base/result.h"
#include "observe/mesh_view.h"
#include "stream/client.h"

namespace fmesh::local {

// One look gives up to this many bytes of payload, however many records were asked for.
inline constexpr size_t kPeekSizeMaxBytes = 16 * 1024 * 1024;
// Where records come over a network: how long a look waits for the next ones, and how often it asks whether any are
// left.
inline constexpr int64_t kPeekWaitMaxMs = 10'000;
inline constexpr int64_t kPeekLookMs = 20;
// A tap hands on at most this many records per pause: it shows, it does not carry.
inline constexpr uint32_t kTapRecordsPerPause = 500;
inline constexpr int64_t kTapPauseMs = 20;

// The full name. Errors: kFixInput with the accepted forms, or, if `known` is given, for a stream that is not there,
// with the closest name.
Result<std::string> full_name(const std::string& topic);
Status check_exists(stream::Client& client, const std::string& full_topic);

Result<std::vector<observe::RecordLine>> records_of(const stream::ReceivedEntry& entry);

Result<std::vector<observe::RecordLine>> peek(stream::Client& client, const std::string& topic, const std::string& from,
                                              size_t records_max);
void publish(stream::Client& client, const Clock& clock, const std::string& topic,
             const std::vector<observe::NewRecord>& records,
             std::function<void(Result<std::vector<std::string>>)> done);
Status seek(stream::Client& client, const std::string& topic, const observe::Seek& seek);
Result<std::vector<observe::StreamView>> list(stream::Client& client);

// Calls `each` on `loop` with every record appended from now on, until it returns false or the handle is let go.
Result<std::shared_ptr<void>> tap(stream::Client& client, Loop& loop, const std::string& topic,
                                  std::function<bool(const observe::RecordLine&)> each);

}  // namespace fmesh::local
