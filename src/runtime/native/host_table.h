// What a library is given: the table of functions of the C ABI, and the two handles behind its opaque pointers. Calls
// through the table come on the thread that runs the batch, those of an instance from any thread.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "fmesh/abi.h"
#include "runtime/logic.h"

// The C side knows the name only.
struct fmesh_instance {
  fmesh::runtime::LogicContext* context = nullptr;
  std::vector<fmesh_bytes> inputs;
};

namespace fmesh::runtime {

// One call of process(). Lives on the stack of the thread that runs it.
struct NativeCall : fmesh_batch {
  NativeCall(BatchContext& context, std::span<const LogicRecord> records)
      : fmesh_batch{0}, context(context), records(records) {}
  BatchContext& context;
  std::span<const LogicRecord> records;
  std::string state, error, text;  // what the library borrows
};

// The one table; lives as long as the process.
const fmesh_host& host_table();

inline fmesh_bytes to_c(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view from_c(fmesh_bytes bytes) { return {bytes.data, bytes.size}; }

}  // namespace fmesh::runtime
