// Runs a pod's command for tests: a real shell, a folder in place of /pulsar, and stub programs that write down their
// arguments. The kubelet's part, $(NAME) and $$, is done first, as in a cluster. The folder stands for the container:
// "/pulsar/" and "/usr/share/filebeat/" in the command become folders in it, so no privilege is needed; the programs
// found are the stubs and a few of the system's (mkdir, ls, chmod, sed). One test owns a PodRun.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace fmesh::plan {

// One start of a stub.
struct StubCall {
  std::string program;
  std::vector<std::string> arguments;
  bool operator==(const StubCall&) const = default;
};

inline void PrintTo(const StubCall& call, std::ostream* out) {
  *out << call.program;
  for (const std::string& argument : call.arguments) *out << "\n    [" << argument << "]";
}

class PodRun {
 public:
  using Environment = std::map<std::string, std::string>;

  PodRun() {
    std::string pattern = (std::filesystem::temp_directory_path() / "fmesh-pod-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    for (const char* folder : {"bin", "pulsar/bin", "pulsar/lib", "pulsar/instances/python-instance", "pulsar/download",
                               "usr/share/filebeat/config"}) {
      std::filesystem::create_directories(root_ / folder);
    }
    for (const char* tool : {"mkdir", "ls", "chmod", "sed", "cat"}) link_tool(tool);
    for (const char* jar :
         {"com.fasterxml.jackson.dataformat-jackson-dataformat-yaml-2.jar", "org.yaml-snakeyaml-3.jar"}) {
      std::ofstream(root_ / "pulsar/lib" / jar) << "jar";
    }
    std::ofstream(root_ / "pulsar/instances/python-instance/log.py") << "  Log.setLevel(level)\n";
    for (const char* program : {"java", "python", "pulsarctl", "pulsar_rust_instance"})
      stub("bin/" + std::string(program));
    stub("pulsar/bin/pulsar-admin");
    stub("usr/share/filebeat/filebeat");
  }
  ~PodRun() { std::filesystem::remove_all(root_); }
  PodRun(const PodRun&) = delete;
  PodRun& operator=(const PodRun&) = delete;

  // A program that writes down how it was started. `path` is below the root, or absolute in the container.
  void stub(const std::string& path) {
    const std::filesystem::path file = path.starts_with("/") ? root_ / path.substr(1) : root_ / path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << "#!/bin/sh\nprintf '%s\\0' \"$#\" \"$0\" \"$@\" >> '" << calls().string() << "'\n";
    std::filesystem::permissions(file, std::filesystem::perms::owner_all);
  }

  // A path of the container as the command sees it here.
  std::string here(std::string text) const {
    for (const std::string folder : {"/pulsar/", "/usr/share/filebeat/"}) {
      for (size_t at = text.find(folder); at != std::string::npos;
           at = text.find(folder, at + root_.string().size() + 1)) {
        text.insert(at, root_.string());
      }
    }
    return text;
  }

  // What the stubs were started with, in order. The working directory is /pulsar.
  std::vector<StubCall> run(const std::vector<std::string>& command, const Environment& environment) {
    std::filesystem::remove(calls());
    std::vector<std::string> words;
    for (const std::string& word : command) words.push_back(here(kubelet_expanded(word, environment)));
    words.front() = words.front().starts_with("/") ? words.front() : "/bin/" + words.front();
    status_ = execute(words, environment);
    return read_calls();
  }
  int exit_status() const { return status_; }
  std::string output() const { return read(root_ / "output"); }
  std::string read_container_file(const std::string& path) const { return read(root_ / path.substr(1)); }
  const std::filesystem::path& root() const { return root_; }
  // Files that no command should make: a sign that text of a user was run.
  bool was_hacked() const {
    return std::filesystem::exists(root_ / "pulsar/HACKED") || std::filesystem::exists(root_ / "HACKED");
  }

  // As Kubernetes does it: $(NAME) is a variable if there is one, $$ is $.
  static std::string kubelet_expanded(const std::string& text, const Environment& environment) {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '$' || i + 1 == text.size()) {
        out += text[i];
        continue;
      }
      const size_t end = text[i + 1] == '(' ? text.find(')', i + 2) : std::string::npos;
      if (text[i + 1] == '$') {
        out += '$';
        ++i;
      } else if (end != std::string::npos) {
        const auto found = environment.find(text.substr(i + 2, end - i - 2));
        out += found == environment.end() ? text.substr(i, end + 1 - i) : found->second;
        i = end;
      } else {
        out += '$';
      }
    }
    return out;
  }

 private:
  std::filesystem::path calls() const { return root_ / "calls"; }

  static std::string read(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    std::stringstream out;
    out << in.rdbuf();
    return out.str();
  }

  void link_tool(const std::string& tool) {
    for (const std::string folder : {"/bin/", "/usr/bin/"}) {
      if (!std::filesystem::exists(folder + tool)) continue;
      std::filesystem::create_symlink(folder + tool, root_ / "bin" / tool);
      return;
    }
    ADD_FAILURE() << "no " << tool << " on this machine";
  }

  int execute(const std::vector<std::string>& words, const Environment& environment) {
    std::vector<std::string> variables{"PATH=" + (root_ / "bin").string()};
    for (const auto& [name, value] : environment) variables.push_back(name + "=" + here(value));
    std::vector<char*> arguments, settings;
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    for (const std::string& variable : variables) settings.push_back(const_cast<char*>(variable.c_str()));
    arguments.push_back(nullptr);
    settings.push_back(nullptr);
    const std::string folder = (root_ / "pulsar").string(), output = (root_ / "output").string();
    std::fflush(nullptr);  // or the child writes out what the parent had buffered
    const pid_t child = ::fork();
    if (child == 0) {
      if (::chdir(folder.c_str()) == 0 && std::freopen(output.c_str(), "w", stdout) && ::dup2(1, 2) == 2) {
        ::execve(arguments[0], arguments.data(), settings.data());
      }
      ::_exit(126);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  std::vector<StubCall> read_calls() const {
    std::vector<std::string> words;
    std::stringstream in(read(calls()));
    for (std::string word; std::getline(in, word, '\0');) words.push_back(word);
    std::vector<StubCall> out;
    for (size_t i = 0; i + 1 < words.size();) {
      const size_t count = std::stoul(words[i]);
      StubCall call{.program = words[i + 1].substr(words[i + 1].rfind('/') + 1), .arguments = {}};
      for (size_t k = 0; k < count && i + 2 + k < words.size(); ++k) call.arguments.push_back(words[i + 2 + k]);
      i += 2 + count;
      out.push_back(std::move(call));
    }
    return out;
  }

  std::filesystem::path root_;
  int status_ = -1;
};

}  // namespace fmesh::plan
