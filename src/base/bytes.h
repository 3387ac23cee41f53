// Bytes that are shared and never change: what an entry is from the moment it is built until its last reader is done.
// A SharedBytes is a view plus the owner that keeps it alive; copies cost one reference count. Used from any thread.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace fmesh {

class SharedBytes {
 public:
  SharedBytes() = default;
  explicit SharedBytes(std::string bytes) {
    auto owner = std::make_shared<const std::string>(std::move(bytes));
    view_ = *owner;
    owner_ = std::move(owner);
  }
  // REQUIRES: `view` lies within what `owner` keeps alive.
  SharedBytes(std::shared_ptr<const void> owner, std::string_view view) : owner_(std::move(owner)), view_(view) {}

  std::string_view view() const { return view_; }
  size_t size() const { return view_.size(); }
  bool empty() const { return view_.empty(); }
  const std::shared_ptr<const void>& owner() const { return owner_; }
  // A part of these bytes that keeps the whole alive.
  SharedBytes part(size_t offset, size_t size) const { return SharedBytes(owner_, view_.substr(offset, size)); }

 private:
  std::shared_ptr<const void> owner_;
  std::string_view view_;
};

}  // namespace fmesh
