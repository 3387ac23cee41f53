// The functions that tests and benchmarks run: small, and each with one property.
#include <fmesh/function.h>
#include <fmesh/json_path.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

namespace {

class Identity : public fmesh::Function<std::string_view, std::string_view> {
 public:
  std::optional<std::string_view> process(const std::string_view& input, fmesh::Context&) override { return input; }
};

class Uppercase : public fmesh::Function<std::string, std::string> {
 public:
  std::optional<std::string> process(const std::string& input, fmesh::Context&) override {
    std::string out = input;
    for (char& c : out) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    return out;
  }
};

class Exclaim : public fmesh::Function<std::string, std::string> {
 public:
  void open(fmesh::Context& context) override { mark_ = context.config<std::string>("mark", "!"); }
  std::optional<std::string> process(const std::string& input, fmesh::Context&) override { return input + mark_; }

 private:
  std::string mark_;
};

// Sets "count" of a JSON object to 2 and keeps the rest.
class SetField : public fmesh::Function<std::string_view, std::string_view> {
 public:
  std::optional<std::string_view> process(const std::string_view& input, fmesh::Context&) override {
    fmesh::json::set(out_, input, "count", "2");
    return out_;
  }

 private:
  std::string out_;
};

// Counts records per payload and writes "payload=count".
class Count : public fmesh::Function<std::string, std::string> {
 public:
  std::optional<std::string> process(const std::string& input, fmesh::Context& context) override {
    return input + "=" + std::to_string(context.add_counter(input, 1));
  }
};

// Throws for payloads that begin with "bad", after an effect that has to be undone.
class Throws : public fmesh::Function<std::string, std::string> {
 public:
  std::optional<std::string> process(const std::string& input, fmesh::Context& context) override {
    context.put_state("last", input);
    if (input.rfind("bad", 0) == 0) throw std::runtime_error("can't process " + input);
    return input;
  }
};

volatile int never = 0;
volatile char* outermost = nullptr;
int overflow(int depth) {
  volatile char frame[4096];
  frame[0] = static_cast<char>(depth);
  outermost = frame;
  return never == 1 ? 0 : overflow(depth + 1) + frame[0];
}

// Dies at the record whose "n" is funcConfig.at, in the way that funcConfig.how names; once only if funcConfig.marker
// is a file to remember it by.
class CrashesAt : public fmesh::Function<std::string_view, std::string_view> {
 public:
  void open(fmesh::Context& context) override {
    at_ = context.config<int64_t>("at", -1);
    how_ = context.config<std::string>("how", "");
    marker_ = context.config<std::string>("marker", "");
  }
  std::optional<std::string_view> process(const std::string_view& input, fmesh::Context& context) override {
    context.add_counter("seen", 1);
    const auto n = fmesh::json::find(input, "n");
    if (n.type == fmesh::json::Type::kNumber && std::stoll(std::string(n.raw)) == at_ && !died_before()) die();
    return input;
  }

 private:
  bool died_before() const {
    if (marker_.empty()) return false;
    if (std::FILE* file = std::fopen(marker_.c_str(), "r")) return std::fclose(file), true;
    if (std::FILE* file = std::fopen(marker_.c_str(), "w")) std::fclose(file);
    return false;
  }
  void die() const {
    if (how_ == "segv") *reinterpret_cast<volatile int*>(static_cast<intptr_t>(never)) = 1;
    if (how_ == "abort") std::abort();
    if (how_ == "overflow") overflow(0);
    if (how_ == "thread") std::thread([] { throw std::runtime_error("nobody catches this"); }).join();
  }
  int64_t at_ = -1;
  std::string how_, marker_;
};

// Dies of the payload "poison".
class Crashes : public fmesh::Function<std::string, std::string> {
 public:
  std::optional<std::string> process(const std::string& input, fmesh::Context&) override {
    if (input == "poison") raise(SIGSEGV);
    return input;
  }
};

// Blocks for as many milliseconds as the payload says.
class Sleeps : public fmesh::Function<std::string, std::string> {
 public:
  std::optional<std::string> process(const std::string& input, fmesh::Context&) override {
    std::this_thread::sleep_for(std::chrono::milliseconds(std::stoi(input)));
    return input;
  }
};

// Starts only with a secret.
class NeedsSecret : public fmesh::Function<std::string, std::string> {
 public:
  void open(fmesh::Context& context) override {
    if (!context.secret("password")) throw std::invalid_argument("there is no secret password");
  }
  std::optional<std::string> process(const std::string& input, fmesh::Context&) override { return input; }
};

// Writes how many records a window held.
class WindowSize : public fmesh::WindowFunction<std::string_view, std::string> {
 public:
  std::optional<std::string> process(const std::vector<std::string_view>& values, const Window&,
                                     fmesh::Context&) override {
    return std::to_string(values.size());
  }
};

}  // namespace

FMESH_FUNCTIONS(fmesh::function<Identity>("identity", FMESH_NON_BLOCKING),
                fmesh::function<Uppercase>("uppercase", FMESH_NON_BLOCKING),
                fmesh::function<Exclaim>("exclaim", FMESH_NON_BLOCKING),
                fmesh::function<SetField>("set-field", FMESH_NON_BLOCKING), fmesh::function<Count>("count"),
                fmesh::function<Throws>("throws"), fmesh::function<Crashes>("crashes"),
                fmesh::function<CrashesAt>("crashes-at"), fmesh::function<Sleeps>("sleeps"),
                fmesh::function<NeedsSecret>("needs-secret"), fmesh::function<WindowSize>("window-size"))
