// What a resource is waiting for, in words for the person who asks: the first thing in the way from the resource down
// to its pods' containers, with what the cluster says about it and the way out. Pure: objects in, sentences out.
#pragma once

#include <boost/json/value.hpp>
#include <map>
#include <string>
#include <vector>

namespace fmesh::op {

// As the API server gives them; null where there is none.
struct WhyFacts {
  boost::json::value resource;
  boost::json::value stateful_set;
  std::vector<boost::json::value> pods;
  std::vector<boost::json::value> events;   // of the StatefulSet and the pods, any order
  std::map<std::string, std::string> logs;  // "pod/container" -> last lines of the log, of logs_wanted()
};

struct WhyAnswer {
  bool ready = false;
  std::vector<std::string> lines;  // the first says what, the others how it is known and what to do
};

WhyAnswer why(const WhyFacts& facts);

// The same for a FunctionMesh: what is said of itself, before its components are asked one by one.
WhyAnswer why_mesh(const boost::json::value& mesh);

// Containers whose log would help, as (pod, container, of the run before). A container that says nothing of its
// readiness counts as ready, so those are asked, too.
struct LogWanted {
  std::string pod, container;
  bool previous = false;
  bool operator==(const LogWanted&) const = default;
};
inline constexpr size_t kLogsMax = 20;  // containers; each is a request
std::vector<LogWanted> logs_wanted(const std::vector<boost::json::value>& pods);

}  // namespace fmesh::op
