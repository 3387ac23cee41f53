// What the files of the admin API share: answers as Pulsar shapes them, and topics as paths name them.
#pragma once

#include <boost/json.hpp>
#include <string>

#include "net/http.h"
#include "stream/pulsar/server/admin_api.h"
#include "stream/topic_name.h"

namespace fmesh::stream::pulsar::server {

namespace json = boost::json;

// A topic of a path that is there: the stream, or one partition of it.
struct AdminApi::Topic {
  std::string name;        // full, as it was named
  int32_t partition = -1;  // named by its own name
  StreamInfo info;
  bool is_partitioned() const { return info.options.partitions > 0 && partition < 0; }
  size_t lane() const { return partition < 0 ? 0 : static_cast<size_t>(partition); }
};

net::HttpResponse json_answer(const json::value& value);
net::HttpResponse no_content();
// {"reason": text}, as Pulsar's clients read it.
net::HttpResponse problem(int status, const std::string& reason);
net::HttpResponse problem_of(const Error& error);
// What a broker has and this has not.
net::HttpResponse not_offered(const std::string& what);
// "2026-01-31T12:00:00.000Z"
std::string time_text(int64_t time_ms);
// "1:2"
std::string place_text(const MessageId& id);
// A body of a request; null if it is empty. Errors: kFixInput.
Result<json::value> body_of(const net::HttpRequest& request);

// The JSON of a topic's statistics; `lanes` of its stream are added up.
json::object topic_stats(const StreamInfo& info, const std::vector<size_t>& lanes,
                         const std::vector<const LiveTopic*>& live, const AdminOptions& options);

}  // namespace fmesh::stream::pulsar::server
