// The process of `fmesh run`: opens the data directory, carries the plan of the files out, serves the control API,
// takes over changed files, and ends in order on a signal or once everything is drained.
//
// run() holds the thread it is called on, which must be the only one of the process: signals are taken there by a file
// descriptor, and everything that happens elsewhere comes to it as an event.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "local/load.h"
#include "local/open_streams.h"
#include "local/parent.h"
#include "local/stock_parts.h"
#include "observe/mesh_view.h"
#include "plan/stock_command.h"
#include "stream/client.h"
#include "stream/log/journal.h"
#include "stream/pulsar/server/server.h"

namespace fmesh::local {

// Exit codes, those of every verb.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitBadInput = 2;
inline constexpr int kExitAtOnce = 130;  // a second Ctrl-C

// Warnings and errors of functions that are shown on the terminal per second; `fmesh logs` has the rest.
inline constexpr int kLinesShownPerSecond = 20;
// How often stuck workers are counted. One timer for the process.
inline constexpr int64_t kStuckCheckMs = 5'000;

struct HostOptions {
  LoadOptions load;
  std::string data_directory;
  OpenStreams open_streams;  // null: the streams are a log in the data directory
  std::string streams_at;    // where they are else, for people
  // --- of the log ---
  stream::StreamOptions stream_defaults;
  stream::log::SyncMode sync_mode = stream::log::SyncMode::kGroupCommit;
  std::optional<stream::pulsar::server::ServerOptions>
      pulsar_server;  // none: the streams are not served to Pulsar clients
  // --- of both ---
  // For components that Pulsar's own instances run; how they reach streams that are not the log.
  StockPrograms stock;
  plan::StockStreams stock_streams;
  std::string http_address;     // empty: the Unix socket only
  std::string http_token_file;  // empty: one is made in the data directory
  bool until_drained = false;
  bool watch_files = true;
  int64_t drain_limit_ms = 10'000;
  size_t loops = 0;              // 0: one per core
  bool can_be_replaced = false;  // a parent starts it anew if it asks for it
};

// What a person sees meanwhile. Called on the thread of run() only.
struct HostUi {
  std::function<void(const std::string&)> line;         // one or more whole lines
  std::function<void(const observe::MeshState&)> tick;  // null: no live view
  int64_t tick_ms = 1'000;
};

// The address of the control API's Unix socket. A long path is reached through an open directory, since the name of a
// socket is limited to about 100 bytes.
std::string socket_address(const std::string& data_directory);

int run_host(const HostOptions& options, const HostStart& start, HostUi ui);

}  // namespace fmesh::local
