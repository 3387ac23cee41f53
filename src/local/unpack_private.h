// What the readers of archives share: the tree that they write. Inside this folder only.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "local/unpack.h"

namespace fmesh::local {

// Files, folders and links below a folder that was empty. Every folder on the way to an entry is one that was made
// here, so no entry is written through a link.
class UnpackTree {
 public:
  UnpackTree(std::string archive, UnpackLimits limits) : archive_(std::move(archive)), limits_(limits) {}
  ~UnpackTree();
  UnpackTree(const UnpackTree&) = delete;
  UnpackTree& operator=(const UnpackTree&) = delete;

  Status open(const std::string& folder);
  Status add_folder(std::string_view name);
  Status begin_file(std::string_view name, bool is_program);
  Status write(std::string_view bytes);  // to the file that was begun
  Status end_file();
  // A target is taken if it begins with as many ".." as the link is deep, or fewer, and has no others.
  Status add_link(std::string_view name, std::string_view target);

  std::unexpected<Error> refuse(std::string_view name, std::string_view why) const;
  const UnpackLimits& limits() const { return limits_; }
  const Unpacked& count() const { return count_; }

 private:
  enum class Kind { kFolder, kFile, kLink };

  Result<std::string> take(std::string_view name);  // the path that it means, its folders made
  Status make_folder(const std::string& path, std::string_view name);
  Status count_entry(std::string_view name);

  const std::string archive_;  // how errors call it
  const UnpackLimits limits_;
  Unpacked count_;
  std::map<std::string, Kind, std::less<>> made_;
  std::string file_name_;  // that was begun
  int folder_fd_ = -1, file_fd_ = -1;
};

Status unpack_zip(const std::string& archive, UnpackTree& tree);
Status unpack_tar(const std::string& archive, UnpackTree& tree);  // also .tar.gz

}  // namespace fmesh::local
