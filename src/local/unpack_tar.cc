// Reads tar (POSIX.1-1988 ustar, its pax headers of 2001, and GNU's long names), plain or in gzip.
#include <zlib.h>

#include <array>
#include <charconv>
#include <memory>
#include <optional>

#include "local/unpack_private.h"

namespace fmesh::local {
namespace {

constexpr size_t kBlockBytes = 512;
constexpr uint64_t kLongNameMaxBytes = uint64_t{64} * 1024;  // of a pax header or a long name
constexpr unsigned kGzipBufferBytes = 64 * 1024;

struct Field {
  size_t at, size;
};
constexpr Field kName{0, 100}, kMode{100, 8}, kSize{124, 12}, kChecksum{148, 8}, kLink{157, 100}, kPrefix{345, 155};
constexpr size_t kTypeAt = 156, kMagicAt = 257;

using Block = std::array<char, kBlockBytes>;

std::string_view text_of(const Block& block, Field field) {
  const std::string_view all(block.data() + field.at, field.size);
  return all.substr(0, all.find('\0'));
}

// Octal digits, or with the first bit set a number in binary.
std::optional<uint64_t> number_of(const Block& block, Field field) {
  const std::string_view all(block.data() + field.at, field.size);
  if ((static_cast<unsigned char>(all.front()) & 0x80U) != 0) {
    uint64_t value = 0;
    for (const char c : all.substr(all.size() - 8)) value = value << 8 | static_cast<unsigned char>(c);
    for (const char c : all.substr(1, all.size() - 9)) {
      if (c != 0) return std::nullopt;
    }
    return static_cast<unsigned char>(all.front()) == 0x80 ? std::optional(value) : std::nullopt;
  }
  uint64_t value = 0;
  for (const char c : all) {
    if (c >= '0' && c <= '7') {
      value = value * 8 + static_cast<uint64_t>(c - '0');
    } else if (c != ' ' && c != '\0') {
      return std::nullopt;
    }
  }
  return value;
}

// The checksum's own place counts as blanks.
bool checksum_fits(const Block& block) {
  uint64_t sum = 0;
  for (size_t i = 0; i < block.size(); ++i) {
    const bool own = i >= kChecksum.at && i < kChecksum.at + kChecksum.size;
    sum += own ? ' ' : static_cast<unsigned char>(block.at(i));
  }
  return number_of(block, kChecksum) == sum;
}

class TarReader {
 public:
  TarReader(const std::string& archive, UnpackTree& tree)
      : archive_(archive), tree_(tree), file_(gzopen(archive.c_str(), "rbe")) {}

  Status run() {
    if (!file_) return fail(ErrorKind::kFixInput, archive_ + " can't be read");
    gzbuffer(file_.get(), kGzipBufferBytes);
    while (true) {
      Block block{};
      FMESH_TRY(const bool more, read(block.data(), block.size()));
      if (!more || block == Block{}) return {};  // two empty blocks end it, the second is of no use
      if (!checksum_fits(block)) return damaged("a header's sum is wrong");
      FMESH_CHECK(take(block));
    }
  }

 private:
  struct Close {
    void operator()(gzFile_s* file) const { gzclose(file); }
  };

  std::unexpected<Error> damaged(const std::string& why) const {
    return fail(ErrorKind::kFixInput, archive_ + ": is damaged: " + why);
  }

  // False at the very end; a part of what is wanted is damage.
  Result<bool> read(char* target, size_t size) {
    const int got = gzread(file_.get(), target, static_cast<unsigned>(size));
    int code = Z_OK;
    const char* text = gzerror(file_.get(), &code);
    if (got < 0 || (code != Z_OK && code != Z_STREAM_END)) return damaged(text);
    if (got == 0) return false;
    if (static_cast<size_t>(got) != size) return damaged("it ends early");
    return true;
  }

  // The content in blocks; each piece of it goes to `use`.
  template <class Use>
  Status content(uint64_t size, Use&& use) {
    for (uint64_t left = size; left > 0;) {
      Block block{};
      FMESH_TRY(const bool more, read(block.data(), block.size()));
      if (!more) return damaged("it ends early");
      const auto part = static_cast<size_t>(std::min<uint64_t>(left, block.size()));
      FMESH_CHECK(use(std::string_view(block.data(), part)));
      left -= part;
    }
    return {};
  }

  Result<std::string> small_content(uint64_t size) {
    if (size > kLongNameMaxBytes) return damaged("a name or header of " + std::to_string(size) + " bytes");
    std::string text;
    FMESH_CHECK(content(size, [&](std::string_view piece) -> Status {
      text += piece;
      return {};
    }));
    return text;
  }

  // "26 path=a/b\n", any number of them; what is not needed is passed over.
  Status read_pax(std::string_view text) {
    while (!text.empty()) {
      size_t length = 0;
      const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), length);
      const auto digits = static_cast<size_t>(end - text.data());
      if (code != std::errc() || length <= digits + 1 || length > text.size()) return damaged("a pax header");
      std::string_view record = text.substr(digits + 1, length - digits - 1);
      if (record.ends_with('\n')) record.remove_suffix(1);
      const size_t equals = record.find('=');
      if (equals == std::string_view::npos) return damaged("a pax header");
      const std::string_view key = record.substr(0, equals), value = record.substr(equals + 1);
      if (key == "path") name_ = value;
      if (key == "linkpath") link_ = value;
      if (key == "size") {
        uint64_t size = 0;
        if (std::from_chars(value.data(), value.data() + value.size(), size).ec != std::errc())
          return damaged("a size");
        size_ = size;
      }
      text.remove_prefix(length);
    }
    return {};
  }

  static std::string name_in(const Block& block) {
    std::string name(text_of(block, kName));
    const bool ustar = std::string_view(block.data() + kMagicAt, 6) == std::string_view("ustar\0", 6);
    const std::string_view prefix = ustar ? text_of(block, kPrefix) : std::string_view();
    return prefix.empty() ? name : std::string(prefix) + "/" + name;
  }

  Status take(const Block& block) {
    const char type = block.at(kTypeAt);
    const auto stated = number_of(block, kSize);
    if (!stated) return damaged("a size");
    // What says something about the entry behind it. They count, as their number is the archive's to choose.
    if (type == 'x' || type == 'g' || type == 'L' || type == 'K') {
      if (++headers_ > 2 * tree_.limits().entries_max) return damaged("too many headers");
      FMESH_TRY(const std::string text, small_content(*stated));
      if (type == 'x') return read_pax(text);
      if (type == 'L') name_ = text.substr(0, text.find('\0'));
      if (type == 'K') link_ = text.substr(0, text.find('\0'));
      return {};
    }
    const std::string name = name_.value_or(name_in(block));
    const std::string link = link_.value_or(std::string(text_of(block, kLink)));
    const uint64_t size = size_.value_or(*stated);
    name_.reset();
    link_.reset();
    size_.reset();
    return take_entry(type, name, link, size, (number_of(block, kMode).value_or(0) & 0111U) != 0);
  }

  Status take_entry(char type, const std::string& name, const std::string& link, uint64_t size, bool is_program) {
    switch (type) {
      case '0':
      case '\0':
      case '7':
        FMESH_CHECK(tree_.begin_file(name, is_program));
        FMESH_CHECK(content(size, [&](std::string_view piece) { return tree_.write(piece); }));
        return tree_.end_file();
      case '5':
        return tree_.add_folder(name);
      case '2':
        return tree_.add_link(name, link);
      case '1':
        return tree_.refuse(name, "is a hard link; make the archive with `tar --hard-dereference`");
      default:
        return tree_.refuse(name, std::string("is neither file, folder nor link (type ") + type + ")");
    }
  }

  const std::string& archive_;
  UnpackTree& tree_;
  std::unique_ptr<gzFile_s, Close> file_;
  size_t headers_ = 0;
  std::optional<std::string> name_, link_;  // of the entry that comes next
  std::optional<uint64_t> size_;
};

}  // namespace

Status unpack_tar(const std::string& archive, UnpackTree& tree) { return TarReader(archive, tree).run(); }

}  // namespace fmesh::local
