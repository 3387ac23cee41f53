// What starts Pulsar's own instance (Java, Python, Go) on this machine: arguments, environment and the files that it
// reads. The same options and the same FunctionDetails as in a pod. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "model/instance_spec.h"

namespace fmesh::plan {

// What a JVM may take if the resource sets no memory, and the part of a limit that its heap may take.
inline constexpr int64_t kStockHeapDefaultBytes = 512LL * 1024 * 1024;
inline constexpr int64_t kStockHeapPercent = 70;

// How an instance reaches the streams.
struct StockStreams {
  std::string service_url;
  std::string auth_plugin, auth_parameters;  // as Pulsar's Java client names them; empty: none
  std::string tls_trust_file;                // PEM; empty: what its runtime trusts
  bool tls_insecure = false;                 // nothing is verified
  bool tls_verify_name = true;
};

// Where things are on this machine.
struct StockPlace {
  std::string program;      // java, python, or the Go program
  std::string pulsar_home;  // of the distribution; empty for Go
  std::string package;      // jar, NAR or Python file
  std::string folder;       // the instance's own, for files
  std::string nar_folder;   // where NARs are unpacked, shared
  StockStreams streams;
  int port = 0, metrics_port = 0;  // of its control service and its metrics
};

struct StockCommand {
  std::vector<std::string> arguments;              // the first is the program
  std::map<std::string, std::string> environment;  // besides fmesh's own
  std::map<std::string, std::string> files;        // by path, absolute
};

// REQUIRES: the spec is of a component whose host is kStock.
StockCommand make_stock_command(const model::InstanceSpec& spec, const StockPlace& place);

// /pulsar is where the distribution lies in upstream's images: such a path is one below `pulsar_home`.
std::string stock_path(const std::string& path, const std::string& pulsar_home);

}  // namespace fmesh::plan
