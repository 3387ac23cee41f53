// The door to an API server: requests go out as values, answers come back to a callback. HttpApi speaks to a real one;
// the simulator's ApiServer is another, so everything above this line runs the same in both.
//
// Everything happens on one loop: send() is called there and callbacks run there.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fmesh::kube {

struct Request {
  std::string method = "GET";
  std::string target;        // path and query, percent-encoded: "/api/v1/pods?limit=500"
  std::string content_type;  // of the body; empty: none
  std::string body;
  int64_t timeout_ms = 0;  // 0: the api's own; of a stream: between two pieces
};

struct Response {
  int status = 0;
  std::string body;
  std::optional<int64_t> retry_after_ms;  // the header Retry-After
};

// Ends the stream when it is let go of; no callback runs afterwards.
class ApiStream {
 public:
  virtual ~ApiStream() = default;
};

struct StreamHandler {
  // The head. An answer other than 200 comes with its body, and on_end follows.
  std::function<void(Response)> on_head;
  std::function<void(std::string_view)> on_data;
  // Once: success if the server closed the stream in order, else kRetryLater with the cause.
  std::function<void(Status)> on_end;
};

class Api {
 public:
  virtual ~Api() = default;
  // `done` runs once, later, never within send(). Error kRetryLater: no answer; whether the server carried the request
  // out is unknown. Error kFixInput: credentials or trust; nothing was sent.
  virtual void send(Request request, std::function<void(Result<Response>)> done) = 0;
  virtual std::unique_ptr<ApiStream> open(Request request, StreamHandler handler) = 0;
};

}  // namespace fmesh::kube
