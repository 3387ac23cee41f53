#include "stream/compression.h"

#include <lz4.h>
#include <snappy.h>
#include <zlib.h>
#include <zstd.h>

#include <memory>

namespace fmesh::stream {
namespace {

constexpr int kZstdLevel = 3;  // as Pulsar's Java client

struct FreeZstd {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

size_t compress_zstd(std::string_view bytes, char* target, size_t size_max) {
  static thread_local const std::unique_ptr<ZSTD_CCtx, FreeZstd> context(ZSTD_createCCtx());
  const size_t size = ZSTD_compressCCtx(context.get(), target, size_max, bytes.data(), bytes.size(), kZstdLevel);
  return ZSTD_isError(size) ? 0 : size;
}

size_t compress_zlib(std::string_view bytes, char* target, size_t size_max) {
  uLongf size = size_max;
  const int code =
      ::compress(reinterpret_cast<Bytef*>(target), &size, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
  return code == Z_OK ? size : 0;
}

size_t bound(Compression compression, size_t size) {
  switch (compression) {
    case Compression::kLz4:
      return static_cast<size_t>(LZ4_compressBound(static_cast<int>(size)));
    case Compression::kZlib:
      return ::compressBound(size);
    case Compression::kZstd:
      return ZSTD_compressBound(size);
    case Compression::kSnappy:
      return snappy::MaxCompressedLength(size);
    case Compression::kNone:
      break;
  }
  return 0;
}

// Bytes written to `target`, which has `size` bytes; anything but `size` is an error.
size_t inflate_to(std::string_view bytes, char* target, size_t size) {
  z_stream stream{};
  if (inflateInit(&stream) != Z_OK) return SIZE_MAX;
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(target);
  stream.avail_out = static_cast<uInt>(size);
  int code = inflate(&stream, Z_SYNC_FLUSH);
  if (code == Z_OK && stream.avail_out == 0) {
    // One more byte of room shows whether the stream holds more than was said.
    Bytef beyond = 0;
    stream.next_out = &beyond;
    stream.avail_out = 1;
    code = inflate(&stream, Z_SYNC_FLUSH);
  }
  const size_t done = stream.total_out;
  inflateEnd(&stream);
  // Z_BUF_ERROR: all input is used, or the target is full, and the trailer is still to come.
  return code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR ? done : SIZE_MAX;
}

size_t decompress_zstd(std::string_view bytes, char* target, size_t size) {
  static thread_local const std::unique_ptr<ZSTD_DCtx, FreeZstd> context(ZSTD_createDCtx());
  const size_t done = ZSTD_decompressDCtx(context.get(), target, size, bytes.data(), bytes.size());
  return ZSTD_isError(done) ? SIZE_MAX : done;
}

size_t decompress_snappy(std::string_view bytes, char* target, size_t size) {
  size_t stated = 0;
  if (!snappy::GetUncompressedLength(bytes.data(), bytes.size(), &stated) || stated != size) return SIZE_MAX;
  return snappy::RawUncompress(bytes.data(), bytes.size(), target) ? stated : SIZE_MAX;
}

}  // namespace

std::string compress(Compression compression, std::string_view bytes, std::string reuse) {
  reuse.resize_and_overwrite(bound(compression, bytes.size()), [&](char* target, size_t size_max) -> size_t {
    switch (compression) {
      case Compression::kLz4:
        return static_cast<size_t>(
            LZ4_compress_default(bytes.data(), target, static_cast<int>(bytes.size()), static_cast<int>(size_max)));
      case Compression::kZlib:
        return compress_zlib(bytes, target, size_max);
      case Compression::kZstd:
        return compress_zstd(bytes, target, size_max);
      case Compression::kSnappy: {
        size_t size = 0;
        snappy::RawCompress(bytes.data(), bytes.size(), target, &size);
        return size;
      }
      case Compression::kNone:
        break;
    }
    return 0;
  });
  return reuse;
}

Result<SharedBytes> decompress(Compression compression, std::string_view bytes, size_t size_bytes) {
  auto buffer = std::make_shared_for_overwrite<char[]>(size_bytes + 1);  // some decoders dislike an empty target
  size_t done = SIZE_MAX;
  switch (compression) {
    case Compression::kLz4: {
      const int n =
          LZ4_decompress_safe(bytes.data(), buffer.get(), static_cast<int>(bytes.size()), static_cast<int>(size_bytes));
      if (n >= 0) done = static_cast<size_t>(n);
      break;
    }
    case Compression::kZlib:
      done = inflate_to(bytes, buffer.get(), size_bytes);
      break;
    case Compression::kZstd:
      done = decompress_zstd(bytes, buffer.get(), size_bytes);
      break;
    case Compression::kSnappy:
      done = decompress_snappy(bytes, buffer.get(), size_bytes);
      break;
    case Compression::kNone:
      break;
  }
  if (done != size_bytes)
    return fail(ErrorKind::kCorrupt, std::string("entry: ") + to_string(compression) + " payload of " +
                                         std::to_string(bytes.size()) + " bytes does not unpack to the " +
                                         std::to_string(size_bytes) + " bytes its metadata states");
  const std::string_view view(buffer.get(), size_bytes);
  return SharedBytes(std::move(buffer), view);
}

const char* to_string(Compression compression) {
  switch (compression) {
    case Compression::kNone:
      return "none";
    case Compression::kLz4:
      return "lz4";
    case Compression::kZlib:
      return "zlib";
    case Compression::kZstd:
      return "zstd";
    case Compression::kSnappy:
      return "snappy";
  }
  return "unknown";
}

}  // namespace fmesh::stream
