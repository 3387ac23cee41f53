// Base64 as Secrets and OAuth2 keys use it: the standard alphabet with padding. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace fmesh {

// None if `text` is not base64. Line breaks in it are skipped.
std::optional<std::string> decode_base64(std::string_view text);

// One line, with padding.
std::string encode_base64(std::string_view bytes);

}  // namespace fmesh
