// Any text is an object or an error. What an object kept can be read again and is the same object; nothing of
// managedFields or the last-applied annotation is in it. Answers of any kind have a verdict.
#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "kube/json.h"
#include "kube/object.h"
#include "kube/requests.h"

using namespace fmesh::kube;

namespace {

// Boost.JSON reads numbers of many digits or a large exponent with an error in the last digit.
bool has_fraction(const boost::json::value& value) {
  if (value.is_double()) return true;
  if (const boost::json::array* array = value.if_array()) {
    for (const boost::json::value& item : *array) {
      if (has_fraction(item)) return true;
    }
  }
  if (const boost::json::object* object = value.if_object()) {
    for (const auto& [key, part] : *object) {
      if (has_fraction(part)) return true;
    }
  }
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const int code = size == 0 ? 200 : 100 + data[0] * 2;
  const Outcome outcome = read_outcome(Response{code, text, {}});
  if (outcome.verdict == Verdict::kOk && (code < 200 || code > 299)) __builtin_trap();
  if (outcome.retry_after_ms < 0 || outcome.retry_after_ms > 600'000) __builtin_trap();

  const auto value = read_json(text);
  if (!value) return 0;
  (void)read_status(*value);
  const auto object = Object::make(*value);
  if (!object) return 0;
  const auto again = Object::make((*object)->json());
  if (!again || (*again)->key() != (*object)->key()) __builtin_trap();
  if ((*again)->text() != (*object)->text() && !has_fraction(*value)) __builtin_trap();
  if ((*again)->uid() != (*object)->uid() || (*again)->owner_uid() != (*object)->owner_uid()) __builtin_trap();
  const boost::json::value kept = (*object)->json();
  if (find(kept, {"metadata", "managedFields"})) __builtin_trap();
  if (find(kept, {"metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"})) __builtin_trap();
  return 0;
}
