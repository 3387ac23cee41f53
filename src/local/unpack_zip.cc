// Reads zip (PKWARE's APPNOTE 6.3): the directory at its end says what is in it; stored and deflated entries.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "local/unpack_private.h"

namespace fmesh::local {
namespace {

constexpr size_t kEndBytes = 22, kCommentMaxBytes = 65'535;
constexpr size_t kDirectoryEntryBytes = 46, kLocalBytes = 30;
constexpr uint32_t kEndMark = 0x06054b50, kDirectoryMark = 0x02014b50, kLocalMark = 0x04034b50;
constexpr uint64_t kDirectoryMaxBytes = uint64_t{16} * 1024 * 1024;  // 10,000 entries with long names
constexpr unsigned kStored = 0, kDeflated = 8, kEncryptedFlag = 1, kUnix = 3;
constexpr size_t kPieceBytes = 64 * 1024;

uint32_t number(std::string_view bytes, size_t at, size_t size) {
  uint32_t value = 0;
  for (size_t i = size; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes.at(at + i));
  return value;
}

struct ZipEntry {
  std::string name;
  uint32_t crc = 0, packed = 0, size = 0, local_at = 0, mode = 0;
  unsigned method = 0, flags = 0;
};

class ZipReader {
 public:
  ZipReader(const std::string& archive, UnpackTree& tree) : archive_(archive), tree_(tree) {}
  ~ZipReader() {
    if (fd_ >= 0) ::close(fd_);
  }
  ZipReader(const ZipReader&) = delete;
  ZipReader& operator=(const ZipReader&) = delete;

  Status run() {
    fd_ = ::open(archive_.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat status{};
    if (fd_ < 0 || ::fstat(fd_, &status) != 0)
      return fail(ErrorKind::kFixInput, archive_ + ": " + std::strerror(errno));
    file_size_ = static_cast<uint64_t>(status.st_size);
    FMESH_TRY(const std::string directory, read_directory());
    std::string_view rest = directory;
    for (uint32_t i = 0; i < entry_count_; ++i) {
      FMESH_TRY(const ZipEntry entry, next_entry(rest));
      FMESH_CHECK(take(entry));
    }
    return {};
  }

 private:
  std::unexpected<Error> damaged(const std::string& why) const {
    return fail(ErrorKind::kFixInput, archive_ + ": is damaged: " + why);
  }

  Result<std::string> read(uint64_t at, size_t size) const {
    if (at > file_size_ || size > file_size_ - at) return damaged("it ends early");
    std::string out(size, '\0');
    for (size_t done = 0; done < size;) {
      const ssize_t got = ::pread(fd_, out.data() + done, size - done, static_cast<off_t>(at + done));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return damaged("it can't be read");
      done += static_cast<size_t>(got);
    }
    return out;
  }

  Result<std::string> read_directory() {
    const size_t tail_size = static_cast<size_t>(std::min<uint64_t>(file_size_, kEndBytes + kCommentMaxBytes));
    FMESH_TRY(const std::string tail, read(file_size_ - tail_size, tail_size));
    if (tail.size() < kEndBytes) return damaged("it has no directory");
    size_t at = tail.size() - kEndBytes + 1;
    while (at > 0 && number(tail, at - 1, 4) != kEndMark) --at;
    if (at == 0) return damaged("it has no directory");
    --at;
    entry_count_ = number(tail, at + 10, 2);
    const uint32_t size = number(tail, at + 12, 4), offset = number(tail, at + 16, 4);
    if (entry_count_ == 0xffff || offset == 0xffffffff) {
      return fail(ErrorKind::kFixInput, archive_ + ": is of the large kind (zip64), which is not taken; use tar.gz");
    }
    if (size > kDirectoryMaxBytes) return damaged("a directory of " + std::to_string(size) + " bytes");
    return read(offset, size);
  }

  Result<ZipEntry> next_entry(std::string_view& rest) const {
    if (rest.size() < kDirectoryEntryBytes || number(rest, 0, 4) != kDirectoryMark) return damaged("its directory");
    ZipEntry entry;
    entry.flags = number(rest, 8, 2);
    entry.method = number(rest, 10, 2);
    entry.crc = number(rest, 16, 4);
    entry.packed = number(rest, 20, 4);
    entry.size = number(rest, 24, 4);
    entry.local_at = number(rest, 42, 4);
    const bool from_unix = number(rest, 5, 1) == kUnix;
    entry.mode = from_unix ? number(rest, 38, 4) >> 16 : 0;
    const size_t name_size = number(rest, 28, 2);
    const size_t whole = kDirectoryEntryBytes + name_size + number(rest, 30, 2) + number(rest, 32, 2);
    if (whole > rest.size()) return damaged("its directory");
    entry.name = rest.substr(kDirectoryEntryBytes, name_size);
    rest.remove_prefix(whole);
    return entry;
  }

  Status take(const ZipEntry& entry) {
    if (entry.name.ends_with('/')) return tree_.add_folder(entry.name);
    const uint32_t type = entry.mode & S_IFMT;
    if (type != 0 && type != S_IFREG) return tree_.refuse(entry.name, "is neither file nor folder; use tar for links");
    if ((entry.flags & kEncryptedFlag) != 0) return tree_.refuse(entry.name, "is encrypted");
    if (entry.method != kStored && entry.method != kDeflated) {
      return tree_.refuse(entry.name,
                          "is packed by method " + std::to_string(entry.method) + "; expected deflate, the usual one");
    }
    FMESH_TRY(const std::string local, read(entry.local_at, kLocalBytes));
    if (number(local, 0, 4) != kLocalMark) return tree_.refuse(entry.name, "is damaged");
    const uint64_t at = entry.local_at + kLocalBytes + number(local, 26, 2) + number(local, 28, 2);
    FMESH_CHECK(tree_.begin_file(entry.name, (entry.mode & 0111U) != 0));
    size_ = 0;
    crc_ = 0;
    FMESH_CHECK(entry.method == kStored ? copy(entry, at) : inflate_all(entry, at));
    if (size_ != entry.size || crc_ != entry.crc) return tree_.refuse(entry.name, "is damaged");
    return tree_.end_file();
  }

  Status write(const ZipEntry& entry, std::string_view piece) {
    size_ += piece.size();
    if (size_ > entry.size) return tree_.refuse(entry.name, "is larger than the archive says");
    crc_ = ::crc32(crc_, reinterpret_cast<const Bytef*>(piece.data()), static_cast<uInt>(piece.size()));
    return tree_.write(piece);
  }

  // The packed bytes, piece by piece, to `use`, until it is done.
  template <class Use>
  Status packed(const ZipEntry& entry, uint64_t at, Use&& use) {
    for (uint64_t done = 0; done < entry.packed;) {
      const auto size = static_cast<size_t>(std::min<uint64_t>(entry.packed - done, kPieceBytes));
      FMESH_TRY(const std::string piece, read(at + done, size));
      FMESH_CHECK(use(piece));
      done += size;
    }
    return {};
  }

  Status copy(const ZipEntry& entry, uint64_t at) {
    return packed(entry, at, [&](const std::string& piece) { return write(entry, piece); });
  }

  Status inflate_all(const ZipEntry& entry, uint64_t at) {
    z_stream stream{};
    if (::inflateInit2(&stream, -MAX_WBITS) != Z_OK) return tree_.refuse(entry.name, "there is no memory to unpack it");
    const std::unique_ptr<z_stream, int (*)(z_streamp)> end(&stream, &::inflateEnd);
    bool over = false;
    std::array<char, kPieceBytes> out{};
    return packed(entry, at, [&](const std::string& piece) -> Status {
      // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): zlib does not write there
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(piece.data()));
      stream.avail_in = static_cast<uInt>(piece.size());
      while (!over) {
        stream.next_out = reinterpret_cast<Bytef*>(out.data());
        stream.avail_out = static_cast<uInt>(out.size());
        const int code = ::inflate(&stream, Z_NO_FLUSH);
        over = code == Z_STREAM_END;
        if (code != Z_OK && !over && code != Z_BUF_ERROR) return tree_.refuse(entry.name, "is damaged");
        const size_t got = out.size() - stream.avail_out;
        FMESH_CHECK(write(entry, std::string_view(out.data(), got)));
        if (got < out.size()) break;
      }
      return {};
    });
  }

  const std::string& archive_;
  UnpackTree& tree_;
  int fd_ = -1;
  uint64_t file_size_ = 0;
  uint32_t entry_count_ = 0;
  uint64_t size_ = 0;  // of the entry at hand
  uLong crc_ = 0;
};

}  // namespace

Status unpack_zip(const std::string& archive, UnpackTree& tree) { return ZipReader(archive, tree).run(); }

}  // namespace fmesh::local
