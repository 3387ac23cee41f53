// What can go wrong, as a value. An Error's kind tells the caller what to do next; its text tells a person what was
// tried, on what, and what to do. Errors that stem from a file a person wrote carry the place in it.
//
// Result<T> is std::expected with one error type, so that errors pass through every room unchanged. Nothing in fmesh
// throws across a function boundary; exceptions of libraries end where the library is called.
#pragma once

#include <expected>
#include <string>
#include <utility>

namespace fmesh {

enum class ErrorKind {
  kRetryNow,    // a race was lost; the same call may succeed at once
  kRetryLater,  // something outside is busy, full or away
  kFixInput,    // a person has to change what they wrote
  kCorrupt,     // stored bytes are not what was stored
  kClosed,      // the thing was closed or cancelled by its owner
  kBug,         // fmesh broke its own rule; report it
};

// A position in a file a person wrote. Lines and columns count from 1; 0 means "unknown".
struct Place {
  std::string file;
  int line = 0;
  int column = 0;
  bool operator==(const Place&) const = default;
};

class [[nodiscard]] Error {
 public:
  Error(ErrorKind kind, std::string text, Place place = {})
      : kind_(kind), text_(std::move(text)), place_(std::move(place)) {}

  ErrorKind kind() const { return kind_; }
  const std::string& text() const { return text_; }
  const Place& place() const { return place_; }

  // The same error with `what` in front: "open stream orders: no such file".
  Error within(std::string_view what) const { return Error(kind_, std::string(what) + ": " + text_, place_); }

  // "mesh.yaml:14:7: text", or the text alone if there is no place.
  std::string to_string() const;

 private:
  ErrorKind kind_;
  std::string text_;
  Place place_;
};

template <class T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

inline std::unexpected<Error> fail(ErrorKind kind, std::string text, Place place = {}) {
  return std::unexpected<Error>(Error(kind, std::move(text), std::move(place)));
}
inline std::unexpected<Error> fail(Error error) { return std::unexpected<Error>(std::move(error)); }

const char* to_string(ErrorKind kind);

}  // namespace fmesh

#define FMESH_CONCAT_INNER(a, b) a##b
#define FMESH_CONCAT(a, b) FMESH_CONCAT_INNER(a, b)

// FMESH_TRY(auto file, disk.open(path)): declares `file` with the value, or returns the error from this function.
#define FMESH_TRY(declaration, expression)                                          \
  auto FMESH_CONCAT(fmesh_result_, __LINE__) = (expression);                        \
  if (!FMESH_CONCAT(fmesh_result_, __LINE__))                                       \
    return ::fmesh::fail(std::move(FMESH_CONCAT(fmesh_result_, __LINE__)).error()); \
  declaration = std::move(*FMESH_CONCAT(fmesh_result_, __LINE__))

// FMESH_CHECK(file.sync()): returns the error of a Status from this function.
#define FMESH_CHECK(expression)                                                                          \
  if (auto FMESH_CONCAT(fmesh_status_, __LINE__) = (expression); !FMESH_CONCAT(fmesh_status_, __LINE__)) \
  return ::fmesh::fail(std::move(FMESH_CONCAT(fmesh_status_, __LINE__)).error())
