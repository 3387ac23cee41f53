// Base64 as Secrets use it: the standard alphabet with padding. Here because a Secret beside the resources is read
// without an API server that would decode it. A pure function.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace fmesh::model {

// None if `text` is not base64. Line breaks in it are skipped.
std::optional<std::string> decode_base64(std::string_view text);

// One line, with padding.
std::string encode_base64(std::string_view bytes);

}  // namespace fmesh::model
