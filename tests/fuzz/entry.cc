// Any bytes are either an entry or corrupt; what could be read as an entry reads the same after it was written again.
#include "stream/entry.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace {

using namespace fmesh;
using namespace fmesh::stream;

// The payloads of an entry, and the entry built from its records again; empty if it is corrupt.
struct Copy {
  std::vector<std::string> payloads;
  SharedBytes entry;
};

Copy copy_of(const SharedBytes& bytes) {
  Copy copy;
  Result<EntryReader> reader = EntryReader::open(bytes);
  if (!reader.has_value()) return copy;
  EntryBuilder builder("fuzz", Compression::kNone);
  RecordView record;
  while (reader->next(record)) {
    copy.payloads.emplace_back(record.payload);
    if (builder.fits(record)) builder.add(record);
  }
  if (!reader->status().has_value() || builder.record_count() != copy.payloads.size()) return {};
  if (!builder.empty()) copy.entry = builder.finish(1);
  return copy;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const Copy first = copy_of(SharedBytes(std::string(reinterpret_cast<const char*>(data), size)));
  if (first.payloads.empty()) return 0;
  if (copy_of(first.entry).payloads != first.payloads) __builtin_trap();
  return 0;
}
