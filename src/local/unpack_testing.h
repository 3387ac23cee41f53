// Archives for tests, made byte by byte, so that they can hold what no tool would write.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace fmesh::local {

inline void write_file(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}
inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

struct TarEntry {
  std::string name;
  std::string content{};
  char type = '0';
  std::string link{};
  unsigned mode = 0644;
};

inline std::string octal(uint64_t value, int digits) {
  std::string out(static_cast<size_t>(digits), '0');
  for (int i = digits; i-- > 0; value >>= 3U) out[static_cast<size_t>(i)] = static_cast<char>('0' + (value & 7U));
  return out;
}

inline std::string tar_entry(const TarEntry& entry) {
  std::string block(512, '\0');
  block.replace(0, entry.name.size(), entry.name);
  block.replace(100, 7, octal(entry.mode, 7));
  block.replace(124, 11, octal(entry.content.size(), 11));
  block[156] = entry.type;
  block.replace(157, entry.link.size(), entry.link);
  block.replace(257, 8, std::string("ustar\00000", 8));
  block.replace(148, 8, 8, ' ');
  uint64_t sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  block.replace(148, 7, octal(sum, 6) + '\0');
  std::string content = entry.content;
  content.resize((content.size() + 511) / 512 * 512, '\0');
  return block + content;
}

inline std::string tar_of(const std::vector<TarEntry>& entries) {
  std::string out;
  for (const TarEntry& entry : entries) out += tar_entry(entry);
  return out + std::string(1024, '\0');
}

// `window_bits` says the wrapping, as zlib's deflateInit2() takes it.
inline std::string deflated(const std::string& bytes, int level, int window_bits) {
  z_stream stream{};
  ::deflateInit2(&stream, level, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY);
  std::string out(::deflateBound(&stream, bytes.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  ::deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  ::deflateEnd(&stream);
  return out;
}

inline std::string gzip_of(const std::string& bytes) { return deflated(bytes, Z_BEST_SPEED, MAX_WBITS + 16); }

struct ZipEntryText {
  std::string name;
  std::string content{};
  uint32_t mode = 0100644;
  bool deflated = false;
  uint32_t said_size = UINT32_MAX;  // what the directory says; by itself the truth
  uint16_t flags = 0, method = UINT16_MAX;
};

inline std::string little(uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
  return out;
}

inline std::string raw_deflate(const std::string& bytes) { return deflated(bytes, Z_BEST_COMPRESSION, -MAX_WBITS); }

inline std::string zip_of(const std::vector<ZipEntryText>& entries) {
  std::string out, directory;
  for (const ZipEntryText& entry : entries) {
    const std::string packed = entry.deflated ? raw_deflate(entry.content) : entry.content;
    const auto crc =
        ::crc32(0, reinterpret_cast<const Bytef*>(entry.content.data()), static_cast<uInt>(entry.content.size()));
    const uint16_t method = entry.method != UINT16_MAX ? entry.method : entry.deflated ? 8 : 0;
    const uint64_t size = entry.said_size != UINT32_MAX ? entry.said_size : entry.content.size();
    const std::string common = little(entry.flags, 2) + little(method, 2) + little(0, 4) + little(crc, 4) +
                               little(packed.size(), 4) + little(size, 4) + little(entry.name.size(), 2) + little(0, 2);
    directory += little(0x02014b50, 4) + little(0x031e, 2) + little(20, 2) + common + little(0, 2) + little(0, 2) +
                 little(0, 2) + little(uint64_t{entry.mode} << 16U, 4) + little(out.size(), 4) + entry.name;
    out += little(0x04034b50, 4) + little(20, 2) + common + entry.name + packed;
  }
  return out + directory + little(0x06054b50, 4) + little(0, 4) + little(entries.size(), 2) +
         little(entries.size(), 2) + little(directory.size(), 4) + little(out.size(), 4) + little(0, 2);
}

}  // namespace fmesh::local
