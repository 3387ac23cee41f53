// What a connection is about to send: commands and entries of one turn of the loop leave with one write. Small entries
// are copied behind their commands, so that thousands of messages cost a few pieces; large ones go as they are.
//
// On the loop.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "net/byte_stream.h"
#include "stream/pulsar/server/answer_private.h"

namespace fmesh::stream::pulsar::server {

class Outbox {
 public:
  explicit Outbox(net::ByteStream& stream) : stream_(stream) {}
  void add(const proto::BaseCommand& command);
  void add(const proto::BaseCommand& command, const SharedBytes& entry);
  bool empty() const { return text_.empty() && pieces_.empty(); }
  void flush();
  // Not yet taken by the system.
  size_t queued_bytes() const { return stream_.queued_bytes() + pieces_bytes_ + text_.size(); }

 private:
  void end_text();

  net::ByteStream& stream_;
  std::string text_;
  std::vector<SharedBytes> pieces_;
  size_t pieces_bytes_ = 0;
};

}  // namespace fmesh::stream::pulsar::server
