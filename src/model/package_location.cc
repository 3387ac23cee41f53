#include "model/package_location.h"

#include <fmt/format.h>

#include <algorithm>

namespace fmesh::model {
namespace {

constexpr size_t kSha256Digits = 64;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

// tenant/namespace/name@version. A version has to be named: "the latest" would be other code after each restart.
bool is_package(std::string_view rest) {
  const size_t at = rest.find('@');
  if (at == std::string_view::npos || rest.find('@', at + 1) != std::string_view::npos) return false;
  const std::string_view name = rest.substr(0, at), version = rest.substr(at + 1);
  if (version.empty() || version.find('/') != std::string_view::npos) return false;
  const bool empty_part = name.starts_with('/') || name.ends_with('/') || name.find("//") != std::string_view::npos;
  return std::ranges::count(name, '/') == 2 && !empty_part;
}

}  // namespace

Result<PackageLocation> parse_package_location(std::string_view text) {
  PackageLocation out;
  const size_t scheme_end = text.find("://");
  const std::string scheme = scheme_end == std::string_view::npos ? "" : lower(text.substr(0, scheme_end));
  out.in_pulsar = scheme == "function" || scheme == "source" || scheme == "sink";
  if (!out.in_pulsar && scheme != "http" && scheme != "https") {
    return fail(ErrorKind::kFixInput,
                fmt::format("{} is no place of a package; expected function://TENANT/NAMESPACE/NAME@VERSION, or an "
                            "http(s) address",
                            text));
  }
  const size_t pin = text.find('#');
  if (pin != std::string_view::npos) {
    constexpr std::string_view kPin = "#sha256=";
    const std::string digits = lower(text.substr(std::min(pin + kPin.size(), text.size())));
    const bool hexadecimal =
        std::ranges::all_of(digits, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
    if (!text.substr(pin).starts_with(kPin) || digits.size() != kSha256Digits || !hexadecimal) {
      return fail(ErrorKind::kFixInput,
                  fmt::format("{}: behind # expected sha256= and {} hexadecimal digits", text, kSha256Digits));
    }
    out.sha256 = digits;
  }
  const std::string_view rest = text.substr(scheme_end + 3, std::min(pin, text.size()) - scheme_end - 3);
  if (out.in_pulsar ? !is_package(rest) : rest.empty() || rest.starts_with('/')) {
    return fail(ErrorKind::kFixInput,
                fmt::format("{}: expected {}", text,
                            out.in_pulsar ? scheme + "://TENANT/NAMESPACE/NAME@VERSION" : scheme + "://HOST/PATH"));
  }
  out.address = fmt::format("{}://{}", scheme, rest);
  return out;
}

}  // namespace fmesh::model
