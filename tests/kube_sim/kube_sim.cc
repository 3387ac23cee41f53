// The simulated API server as a program, so that a test can put the same questions to it and to a real one: each line
// of the input is one request, {"method", "path", "body", "type"} or {"runMs": n}; each line of the output its answer,
// {"code", "body"}.
#include <boost/json.hpp>
#include <iostream>
#include <string>

#include "kube/json.h"
#include "sim/kube/api_server.h"

namespace {

namespace json = boost::json;
using namespace fmesh;

void run_ms(ManualClock& clock, ManualLoop& loop, int64_t ms) {
  const int64_t until = clock.monotonic_ns() + ms * 1'000'000;
  loop.run_ready();
  while (loop.advance_to_next((until - clock.monotonic_ns()) / 1'000'000)) {
  }
  clock.advance_ms((until - clock.monotonic_ns()) / 1'000'000);
}

json::value watched(ManualClock& clock, ManualLoop& loop, sim::ApiServer& server, std::string target) {
  int code = 0;
  bool over = false;
  std::string text;
  kube::Request request;
  request.target = std::move(target);
  kube::StreamHandler handler;
  handler.on_head = [&](const kube::Response& head) {
    code = head.status;
    text += head.body;
  };
  handler.on_data = [&](std::string_view piece) { text += piece; };
  handler.on_end = [&](const Status&) { over = true; };
  const auto stream = server.open(request, handler);
  for (int i = 0; i < 600 && !over; ++i) run_ms(clock, loop, 100);
  json::array events;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    if (const auto event = kube::read_json(std::string_view(text).substr(at, end - at))) events.push_back(*event);
    at = end + 1;
  }
  return {{"code", code}, {"body", std::move(events)}};
}

}  // namespace

int main() {
  ManualClock clock;
  ManualLoop loop(clock);
  sim::ApiServerOptions options;
  options.controllers.stateful_sets = false;  // the real one has no nodes, so its pods never run
  sim::ApiServer server(loop, options);
  for (std::string line; std::getline(std::cin, line);) {
    const Result<json::value> asked = kube::read_json(line);
    if (!asked) {
      std::cerr << asked.error().to_string() << "\n";
      return 1;
    }
    if (const int64_t ms = kube::int_at(*asked, {"runMs"}); ms > 0) {
      run_ms(clock, loop, ms);
      std::cout << "{}" << std::endl;
      continue;
    }
    if (const std::string_view target = kube::string_at(*asked, {"watch"}); !target.empty()) {
      std::cout << json::serialize(watched(clock, loop, server, std::string(target))) << std::endl;
      continue;
    }
    kube::Request request;
    request.method = kube::string_at(*asked, {"method"});
    request.target = kube::string_at(*asked, {"path"});
    request.content_type = kube::string_at(*asked, {"type"});
    if (const json::value* body = kube::find(*asked, {"body"}); body && !body->is_null())
      request.body = json::serialize(*body);
    run_ms(clock, loop, 50);  // replicas follow
    const kube::Response answer = server.user(request);
    const Result<json::value> body = kube::read_json(answer.body);
    std::cout << json::serialize(
                     json::object{{"code", answer.status}, {"body", body ? *body : json::value(answer.body)}})
              << std::endl;
  }
  return 0;
}
