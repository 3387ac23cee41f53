#include "local/log_ring.h"

#include <algorithm>
#include <utility>

namespace fmesh::local {
namespace {

size_t size_of(const runtime::LogLine& line) {
  return sizeof line + line.component.size() + line.level.size() + line.text.size();
}

}  // namespace

void LogRing::add(runtime::LogLine line) {
  if (line.text.size() > kLogLineMaxBytes) {
    line.text.resize(kLogLineMaxBytes);
    line.text += " ... (cut)";
  }
  std::vector<std::shared_ptr<Listening>> listeners;
  {
    const std::lock_guard lock(mutex_);
    Ring& ring = rings_[line.component];
    ring.bytes += size_of(line);
    ring.lines.push_back(line);
    while (ring.lines.size() > kLogLinesPerComponentMax || ring.bytes > kLogBytesPerComponentMax) {
      ring.bytes -= size_of(ring.lines.front());
      ring.lines.pop_front();
    }
    std::erase_if(listening_, [](const auto& weak) { return weak.expired(); });
    for (const auto& weak : listening_) {
      auto listener = weak.lock();
      if (listener && listener->component == line.component) listeners.push_back(std::move(listener));
    }
  }
  for (const auto& listener : listeners) {
    const std::lock_guard lock(listener->mutex);
    if (listener->follower && !listener->follower(line)) listener->follower = nullptr;
  }
}

std::vector<runtime::LogLine> LogRing::last(const std::string& component, size_t lines_max) const {
  const std::lock_guard lock(mutex_);
  const auto found = rings_.find(component);
  if (found == rings_.end()) return {};
  const auto& lines = found->second.lines;
  const size_t count = std::min(lines_max, lines.size());
  return {lines.end() - static_cast<std::ptrdiff_t>(count), lines.end()};
}

std::shared_ptr<void> LogRing::follow(const std::string& component, Follower follower) {
  auto listening = std::make_shared<Listening>();
  listening->component = component;
  listening->follower = std::move(follower);
  const std::lock_guard lock(mutex_);
  listening_.push_back(listening);
  return listening;
}

}  // namespace fmesh::local
