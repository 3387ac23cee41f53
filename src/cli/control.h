// How commands reach a mesh: through the socket of the process that runs on a data directory, or, if none does, by
// opening the directory themselves and asking the same API in place. Used on the thread of the command.
#pragma once

#include <boost/json/value.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http.h"
#include "stream/client.h"

namespace CLI {
class App;
}

namespace fmesh::cli {

enum class Reach {
  kRunning,  // only a running process will do
  kEither,   // else the directory is opened
};

class Control {
 public:
  // Errors: kFixInput if nothing runs there (kRunning), if there is no such directory, or if it can't be opened.
  static Result<std::unique_ptr<Control>> open(const std::string& data_directory, Reach reach);
  // What `client` leads to, looked at and changed in place.
  static std::unique_ptr<Control> over(std::unique_ptr<stream::Client> client);
  virtual ~Control() = default;
  virtual bool running() const = 0;
  // Errors: what the API answered, as text, if it is not 200.
  virtual Result<std::string> ask(net::HttpRequest request) = 0;
  // Calls `line` with each line of an answer that stays open, until it returns false.
  virtual Status follow(net::HttpRequest request, std::function<bool(std::string_view)> line) = 0;

  Result<boost::json::value> get(std::string path, std::map<std::string, std::string> query = {});
};

// "--data-dir", by default $FMESH_DATA_DIR or .fmesh in the current directory.
void add_data_directory(CLI::App& app, std::string& directory);

// Prints "fmesh: text" to stderr, or with `json` {"error": text} to stdout, and returns the exit code that fits.
int report(const Error& error, bool json = false);
// To stdout, as it is; ends the process if that is not possible (a full disk).
void print(std::string_view text);

}  // namespace fmesh::cli
