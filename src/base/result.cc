#include "base/result.h"

namespace fmesh {

std::string Error::to_string() const {
  if (place_.file.empty()) return text_;
  std::string out = place_.file;
  if (place_.line > 0) out += ":" + std::to_string(place_.line);
  if (place_.line > 0 && place_.column > 0) out += ":" + std::to_string(place_.column);
  return out + ": " + text_;
}

const char* to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kRetryNow:
      return "retry now";
    case ErrorKind::kRetryLater:
      return "retry later";
    case ErrorKind::kFixInput:
      return "fix input";
    case ErrorKind::kCorrupt:
      return "corrupt";
    case ErrorKind::kClosed:
      return "closed";
    case ErrorKind::kBug:
      return "bug";
  }
  return "unknown";
}

}  // namespace fmesh
