#include "stream/pulsar/package_name.h"

#include <fmt/format.h>

#include <array>

namespace fmesh::stream::pulsar {

Result<PackageName> PackageName::parse(std::string_view text) {
  const auto refuse = [&] {
    return fail(
        ErrorKind::kFixInput,
        fmt::format("package \"{}\": expected function://TENANT/NAMESPACE/NAME@VERSION, or the same with source:// "
                    "or sink://",
                    text));
  };
  const size_t scheme = text.find("://");
  if (scheme == std::string_view::npos) return refuse();
  PackageName out;
  out.type = text.substr(0, scheme);
  for (char& c : out.type) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  if (out.type != "function" && out.type != "source" && out.type != "sink") return refuse();
  std::string_view rest = text.substr(scheme + 3);
  const size_t at = rest.rfind('@');
  if (at == std::string_view::npos) return refuse();
  out.version = rest.substr(at + 1);
  rest = rest.substr(0, at);
  std::array<std::string*, 3> parts = {&out.tenant, &out.name_space, &out.name};
  for (size_t i = 0; i < parts.size(); ++i) {
    const size_t slash = rest.find('/');
    const bool last = i + 1 == parts.size();
    if (last != (slash == std::string_view::npos)) return refuse();
    *parts[i] = rest.substr(0, slash);
    rest = last ? "" : rest.substr(slash + 1);
  }
  for (const std::string* part : {&out.tenant, &out.name_space, &out.name, &out.version}) {
    // "." and ".." would lead elsewhere in the path of a request.
    if (part->empty() || *part == "." || *part == ".." || part->find('/') != std::string::npos) return refuse();
  }
  return out;
}

std::string PackageName::full() const {
  return fmt::format("{}://{}/{}/{}@{}", type, tenant, name_space, name, version);
}

}  // namespace fmesh::stream::pulsar
