// The `fmesh` command is a list of verbs; each verb lives in its own file and adds itself to the parser. Wiring only:
// what a verb does is done by the other rooms.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace fmesh::cli {

// Exit codes of every verb.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;    // it ran and the answer is no, or something failed
inline constexpr int kExitBadInput = 2;  // the command line or a file has to be changed

// What a verb leaves for main: the exit code after its callback ran.
struct Exit {
  int code = kExitOk;
};

using AddCommand = void (*)(CLI::App& app, Exit& exit);

// One function per verb, in the order of `fmesh --help`; the list is in main.cc.
void add_run(CLI::App& app, Exit& exit);
void add_instance(CLI::App& app, Exit& exit);
void add_fetch_package(CLI::App& app, Exit& exit);
void add_serve(CLI::App& app, Exit& exit);
void add_new(CLI::App& app, Exit& exit);
void add_validate(CLI::App& app, Exit& exit);
void add_diff(CLI::App& app, Exit& exit);
void add_why(CLI::App& app, Exit& exit);
void add_operator(CLI::App& app, Exit& exit);
void add_graph(CLI::App& app, Exit& exit);
void add_render(CLI::App& app, Exit& exit);
void add_admit(CLI::App& app, Exit& exit);
void add_crds(CLI::App& app, Exit& exit);
void add_explain(CLI::App& app, Exit& exit);
void add_status(CLI::App& app, Exit& exit);
void add_top(CLI::App& app, Exit& exit);
void add_tap(CLI::App& app, Exit& exit);
void add_logs(CLI::App& app, Exit& exit);
void add_stream(CLI::App& app, Exit& exit);
void add_test(CLI::App& app, Exit& exit);
void add_verify(CLI::App& app, Exit& exit);
void add_completion(CLI::App& app, Exit& exit);
void add_version(CLI::App& app, Exit& exit);

}  // namespace fmesh::cli
