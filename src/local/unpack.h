// Unpacks an archive that others made: zip, tar and tar.gz. Nothing of it lands outside of the folder, neither by its
// name nor through a link, and what it may hold is bounded, as a small file can promise a large one.
//
// Blocks its caller; any thread. Nobody else may write into the folder meanwhile.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fmesh::local {

struct UnpackLimits {
  // A function with the libraries it needs; a pod's ephemeral storage is often limited to a few GiB.
  uint64_t bytes_max = uint64_t{1} * 1024 * 1024 * 1024;
  size_t entries_max = 10'000;  // files, folders and links
};

struct Unpacked {
  uint64_t bytes = 0;
  size_t entries = 0;
};

enum class ArchiveKind { kNone, kZip, kTar, kGzip };
inline constexpr size_t kArchiveHeadBytes = 512;
// By the first kArchiveHeadBytes of a file, or all of it.
ArchiveKind archive_kind(std::string_view head);

// Files get mode 0644, or 0755 if the archive says that they are programs; nothing else of owners and modes is kept.
// REQUIRES: `folder` is there and empty.
// Errors: kFixInput that names the entry: a path that leads out, a link that leads out or is a hard one, a device, an
// entry given twice, one that is encrypted or damaged, or more than the limits allow. What was written stays.
Result<Unpacked> unpack(const std::string& archive, const std::string& folder, const UnpackLimits& limits);

}  // namespace fmesh::local
