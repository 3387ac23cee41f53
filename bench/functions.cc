// The native functions that bench/run.py measures.
#include <fmesh/function.h>

#include <charconv>
#include <optional>
#include <string>
#include <string_view>

namespace {

struct Identity : fmesh::Function<std::string_view, std::string_view> {
  std::optional<std::string_view> process(const std::string_view& payload, fmesh::Context&) override { return payload; }
};

// Adds 1 to the member "count" of a JSON object and leaves the rest as it is.
struct ChangeField : fmesh::Function<std::string_view, std::string_view> {
  std::optional<std::string_view> process(const std::string_view& payload, fmesh::Context&) override {
    const std::optional<std::string_view> count = fmesh::json::member(payload, "count");
    if (!count) throw fmesh::JsonError("count is missing");
    char digits[24];
    const char* end = std::to_chars(digits, digits + sizeof digits, fmesh::json::parse<int64_t>(*count) + 1).ptr;
    fmesh::json::set(changed_, payload, "count", {digits, static_cast<size_t>(end - digits)});
    return changed_;
  }

 private:
  std::string changed_;
};

}  // namespace

FMESH_FUNCTIONS(fmesh::function<Identity>("identity", FMESH_NON_BLOCKING),
                fmesh::function<ChangeField>("change_field", FMESH_NON_BLOCKING))
