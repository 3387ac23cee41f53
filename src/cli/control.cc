#include "cli/control.h"

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cerrno>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <future>
#include <mutex>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "base/disk.h"
#include "base/loop.h"
#include "cli/command.h"
#include "local/control_server.h"
#include "local/view.h"
#include "observe/api.h"
#include "observe/json.h"
#include "stream/log/log.h"

namespace fmesh::cli {
namespace {

// The text of an answer that is not 200, without its JSON around it.
Error error_of(const net::HttpResponse& response) {
  const ErrorKind kind = response.status >= 500 ? ErrorKind::kRetryLater : ErrorKind::kFixInput;
  if (const auto value = observe::parse_json(response.body); value && value->is_object()) {
    const boost::json::value* text = value->get_object().if_contains("error");
    if (text != nullptr && text->is_string()) return Error(kind, std::string(text->get_string()));
  }
  return Error(kind, response.body);
}

Error lost(const Error& error) { return error.within("the mesh that ran here has ended or does not answer"); }

// The pieces of an answer that stays open, handed from the thread that writes them to the one that reads.
class Pieces final : public net::BodyStream {
 public:
  bool write(std::string piece) override {
    const std::lock_guard lock(mutex_);
    if (closed_ || bytes_ > net::kStreamBufferMaxBytes) return false;
    bytes_ += piece.size();
    pieces_.push_back(std::move(piece));
    more_.notify_one();
    return true;
  }
  void close() override {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    more_.notify_one();
  }
  // Nothing: it has ended.
  std::optional<std::string> next() {
    std::unique_lock lock(mutex_);
    more_.wait(lock, [this] { return closed_ || !pieces_.empty(); });
    if (pieces_.empty()) return std::nullopt;
    std::string piece = std::move(pieces_.front());
    pieces_.pop_front();
    bytes_ -= piece.size();
    return piece;
  }

 private:
  std::mutex mutex_;
  std::condition_variable more_;
  std::deque<std::string> pieces_;
  size_t bytes_ = 0;
  bool closed_ = false;
};

// Calls `line` with each whole line of what `rest` holds and keeps the remainder. False: no more is wanted.
bool take_lines(std::string& rest, const std::function<bool(std::string_view)>& line) {
  size_t begin = 0;
  for (size_t end = rest.find('\n'); end != std::string::npos; begin = end + 1, end = rest.find('\n', begin)) {
    if (end > begin && !line(std::string_view(rest).substr(begin, end - begin))) return false;
  }
  rest.erase(0, begin);
  return true;
}

class Remote final : public Control {
 public:
  explicit Remote(std::unique_ptr<net::HttpClient> client) : client_(std::move(client)) {}
  bool running() const override { return true; }
  Result<std::string> ask(net::HttpRequest request) override {
    auto sent = client_->send(std::move(request));
    if (!sent) return fail(lost(sent.error()));
    net::HttpResponse response = *std::move(sent);
    if (response.status != 200) return fail(error_of(response));
    return std::move(response.body);
  }
  Status follow(net::HttpRequest request, std::function<bool(std::string_view)> line) override {
    std::string rest;
    const auto answer = client_->stream(std::move(request), [&](std::string_view piece) {
      rest += piece;
      return take_lines(rest, line);
    });
    if (!answer) return fail(lost(answer.error()));
    if (answer->status != 200) return fail(error_of(*answer));
    return {};
  }

 private:
  std::unique_ptr<net::HttpClient> client_;
};

class Opened final : public Control {
 public:
  static Result<std::unique_ptr<Control>> open(const std::string& data_directory) {
    auto opened = std::make_unique<Opened>();
    opened->disk_ = make_posix_disk();
    stream::log::LogOptions options;
    options.directory = data_directory;
    FMESH_TRY(opened->store_, stream::log::Log::open(*opened->disk_, opened->clock_, std::move(options)));
    opened->begin(data_directory);
    return opened;
  }
  static std::unique_ptr<Control> open(std::unique_ptr<stream::Client> client) {
    auto opened = std::make_unique<Opened>();
    opened->store_ = std::move(client);
    opened->begin("");
    return opened;
  }
  ~Opened() override { loop_.stop(); }
  bool running() const override { return false; }
  Result<std::string> ask(net::HttpRequest request) override {
    net::HttpResponse response = answer(std::move(request));
    if (response.status != 200) return fail(error_of(response));
    return std::move(response.body);
  }
  Status follow(net::HttpRequest request, std::function<bool(std::string_view)> line) override {
    if (disk_) {
      return fail(ErrorKind::kFixInput, "nothing runs here, so nothing new can come; start the mesh with fmesh run");
    }
    const net::HttpResponse response = answer(std::move(request));
    if (response.status != 200 || !response.stream) return fail(error_of(response));
    const auto pieces = std::make_shared<Pieces>();
    response.stream(pieces);
    std::string rest;
    while (const auto piece = pieces->next()) {
      rest += *piece;
      if (take_lines(rest, line)) continue;
      pieces->close();
      return {};
    }
    return fail(ErrorKind::kRetryLater, "the stream has ended");
  }

 private:
  void begin(const std::string& data_directory) {
    view_ = std::make_unique<local::View>(*store_, loop_, nullptr, nullptr);
    observe::MeshState fixed;
    fixed.data_directory = data_directory;
    view_->describe(std::move(fixed));
    api_ = std::make_unique<observe::Api>(*view_, observe::AccessRules{});
  }
  net::HttpResponse answer(net::HttpRequest request) {
    request.from_unix_socket = true;
    auto answer = std::make_shared<std::promise<net::HttpResponse>>();
    auto future = answer->get_future();
    api_->handle(request, [answer](net::HttpResponse response) { answer->set_value(std::move(response)); });
    return future.get();
  }

  SystemClock clock_;
  std::unique_ptr<Disk> disk_;
  std::unique_ptr<stream::Client> store_;
  ThreadLoop loop_{clock_, "control"};
  std::unique_ptr<local::View> view_;
  std::unique_ptr<observe::Api> api_;
};

}  // namespace

Result<std::unique_ptr<Control>> Control::open(const std::string& data_directory, Reach reach) {
  FMESH_TRY(auto client, local::find_running(data_directory));
  if (client) return std::make_unique<Remote>(std::move(client));
  if (reach == Reach::kRunning) {
    return fail(ErrorKind::kFixInput, "no mesh runs on " + data_directory +
                                          "; start one with fmesh run, or name its data directory with --data-dir");
  }
  std::error_code ignored;
  if (!std::filesystem::is_directory(data_directory, ignored)) {
    return fail(ErrorKind::kFixInput, "no data directory " + data_directory + "; name it with --data-dir");
  }
  auto opened = Opened::open(data_directory);
  if (!opened) {
    // Who holds the lock may be a mesh that was just about to start.
    FMESH_TRY(auto late, local::find_running(data_directory));
    if (late) return std::make_unique<Remote>(std::move(late));
  }
  return opened;
}

std::unique_ptr<Control> Control::over(std::unique_ptr<stream::Client> client) {
  return Opened::open(std::move(client));
}

Result<boost::json::value> Control::get(std::string path, std::map<std::string, std::string> query) {
  net::HttpRequest request;
  request.path = std::move(path);
  request.query = std::move(query);
  FMESH_TRY(const std::string body, ask(std::move(request)));
  return observe::parse_json(body);
}

void add_data_directory(CLI::App& app, std::string& directory) {
  directory = ".fmesh";
  app.add_option("--data-dir", directory, "Where streams, state and the socket of the mesh lie")
      ->envname("FMESH_DATA_DIR")
      ->capture_default_str();
}

int report(const Error& error, bool json) {
  if (json) {
    print(observe::to_text(boost::json::object{{"error", error.to_string()}}) + "\n");
  } else {
    std::fprintf(stderr, "fmesh: %s\n", error.to_string().c_str());
  }
  return error.kind() == ErrorKind::kFixInput ? kExitBadInput : kExitFailed;
}

void print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) return;
  std::fprintf(stderr, "fmesh: write to standard output: %s\n", std::strerror(errno));
  std::_Exit(kExitFailed);  // nothing that follows could be told either
}

}  // namespace fmesh::cli
