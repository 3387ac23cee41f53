// Opens a log over the journal of a directory.
#include "stream/log/core.h"
#include "stream/log/log.h"

namespace fmesh::stream::log {
namespace {
constexpr const char* kStateFile = "/state.db";
}  // namespace

Result<std::unique_ptr<Log>> Log::open(Disk& disk, const Clock& clock, LogOptions options) {
  const std::string state_directory = options.state_directory.empty() ? options.directory : options.state_directory;
  auto core =
      std::make_shared<Core>(clock, options.stream_defaults, state_directory + kStateFile, options.journal.own_thread);
  FMESH_CHECK(disk.make_directories(options.directory));
  options.journal.directory = options.directory;
  FMESH_TRY(auto journal, Journal::open(disk, clock, std::move(options.journal), *core));
  core->start(std::move(journal));
  return make_log(std::move(core));
}

}  // namespace fmesh::stream::log
