// The functions that tests and benchmarks run: small, and each with one property.
#include <fmesh/function.h>
#include <fmesh/json_path.h>

#include <chrono>
#include <csignal>
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
                fmesh::function<Sleeps>("sleeps"), fmesh::function<NeedsSecret>("needs-secret"),
                fmesh::function<WindowSize>("window-size"))
