// The durable values of state tables that live in memory, as a changelog made them. From any thread.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <string>

#include "stream/staged_table.h"

namespace fmesh::stream {

class MemoryValues final : public DurableValues {
 public:
  Result<std::optional<std::string>> get(const std::string& table, std::string_view key) override;
  Result<std::map<std::string, std::string>> scan(const std::string& table, std::string_view prefix, size_t keys_max,
                                                  std::string_view after) override;
  // Nothing: the key is deleted.
  void apply(const std::string& table, std::string_view key, std::optional<std::string_view> value);
  void drop(const std::string& table);
  size_t count(const std::string& table) const;
  // Keys and values, with what the map takes beside them.
  size_t size_bytes() const;

 private:
  using Values = std::map<std::string, std::string, std::less<>>;
  mutable std::mutex mutex_;
  std::map<std::string, Values, std::less<>> tables_;
  size_t size_bytes_ = 0;
};

}  // namespace fmesh::stream
