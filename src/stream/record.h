// One event. RecordView borrows from the entry it was read from and is what hot paths handle; Record owns its bytes and
// is for everything else. Field names are Pulsar's.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fmesh::stream {

struct Property {
  std::string_view key;
  std::string_view value;
};

struct RecordView {
  std::string_view payload = {};
  std::string_view key = {};           // meaningful if has_key; base64 is already undone
  std::string_view ordering_key = {};  // empty: none
  std::span<const Property> properties = {};
  int64_t event_time_ms = 0;    // 0: not set
  int64_t publish_time_ms = 0;  // of the entry
  uint64_t sequence_id = 0;
  int32_t batch_index = -1;  // -1: the entry holds this record alone, without batch framing
  bool has_key = false;
  bool null_value = false;  // a tombstone
};

struct Record {
  std::string payload;
  std::optional<std::string> key;
  std::string ordering_key;
  std::vector<std::pair<std::string, std::string>> properties;
  int64_t event_time_ms = 0;
  bool null_value = false;
};

}  // namespace fmesh::stream
