// SHA-256 of bytes that come piece by piece. OpenSSL stays behind this header. A value that belongs to one thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace fmesh::net {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void add(std::string_view bytes);
  // 64 hexadecimal digits in lower case, of all that was added. REQUIRES: called once, at the end.
  std::string finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace fmesh::net
