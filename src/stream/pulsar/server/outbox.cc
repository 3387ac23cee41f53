#include <utility>

#include "stream/pulsar/server/outbox_private.h"
#include "stream/pulsar/wire/frame.h"

namespace fmesh::stream::pulsar::server {
namespace {
// Copying less than this costs less than a piece of its own.
constexpr size_t kCopiedEntryMaxBytes = 16 * 1024;
constexpr size_t kTextSizeBytes = 64 * 1024;
}  // namespace

void Outbox::add(const proto::BaseCommand& command) {
  wire::append_frame(text_, command);
  if (text_.size() >= kTextSizeBytes) end_text();
}

void Outbox::add(const proto::BaseCommand& command, const SharedBytes& entry) {
  text_ += wire::frame_head(command, entry.view());
  if (entry.size() <= kCopiedEntryMaxBytes) {
    text_ += entry.view();
    if (text_.size() >= kTextSizeBytes) end_text();
    return;
  }
  end_text();
  pieces_bytes_ += entry.size();
  pieces_.push_back(entry);
}

void Outbox::end_text() {
  if (text_.empty()) return;
  pieces_bytes_ += text_.size();
  pieces_.emplace_back(std::exchange(text_, {}));
}

void Outbox::flush() {
  end_text();
  if (pieces_.empty()) return;
  stream_.write(pieces_);
  pieces_.clear();
  pieces_bytes_ = 0;
}

}  // namespace fmesh::stream::pulsar::server
