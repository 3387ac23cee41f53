// Any body that a webhook is sent gets an answer: never a crash, a hang, or a patch for what was refused. The first
// byte chooses the path.
#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <string>

#include "kube/json.h"
#include "operator/webhooks.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  constexpr const char* kKinds[] = {"function", "source", "sink", "functionmesh"};
  fmesh::net::HttpRequest request;
  request.method = "POST";
  request.path =
      std::string(data[0] & 4 ? "/mutate" : "/validate") + "-compute-functionmesh-io-v1alpha1-" + kKinds[data[0] & 3];
  request.body.assign(reinterpret_cast<const char*>(data) + 1, size - 1);
  const fmesh::net::HttpResponse answer = fmesh::op::answer_review(request);
  if (answer.status != 200) return 0;
  const auto body = fmesh::kube::read_json(answer.body);
  if (!body) __builtin_trap();
  const auto* response = fmesh::kube::find(*body, {"response"});
  if (!response) __builtin_trap();
  if (!fmesh::kube::bool_at(*response, {"allowed"}) && fmesh::kube::find(*response, {"patch"})) __builtin_trap();
  return 0;
}
