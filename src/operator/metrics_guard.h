// Who may read /metrics: whoever the API server knows by the bearer token (TokenReview) and allows to GET /metrics
// (SubjectAccessReview), as upstream's secure metrics do. Answers are kept for a while, as scrapers come often.
//
// Belongs to its loop.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/loop.h"
#include "kube/api.h"

namespace fmesh::op {

inline constexpr int64_t kAccessKeptMs = 60'000;
inline constexpr size_t kAccessKeptMax = 64;
inline constexpr size_t kAccessChecksMax = 16;  // at the same time; else 503

class MetricsGuard {
 public:
  MetricsGuard(Loop& loop, kube::Api& api) : loop_(loop), api_(api) {}
  ~MetricsGuard() { *alive_ = false; }
  // `authorization` is the header's value. `done` hears 200, 401, 403, or 503 if nobody could say; once, on the loop,
  // unless the guard ends before.
  void check(const std::string& authorization, std::function<void(int status)> done);

 private:
  struct Kept {
    int status = 0;
    int64_t until_ns = 0;
  };
  void review_access(const std::string& token, const kube::Response& answer, const std::function<void(int)>& done);
  void keep(const std::string& token, int status);

  Loop& loop_;
  kube::Api& api_;
  std::map<std::string, Kept> kept_;  // by token
  size_t checks_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace fmesh::op
