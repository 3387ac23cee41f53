#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/operator_flags.h"

int main(int argc, char** argv) {
  using namespace fmesh::cli;
  // The visible list of verbs.
  constexpr AddCommand kCommands[] = {
      add_run,            //
      add_instance,       //
      add_fetch_package,  //
      add_serve,          //
      add_new,            //
      add_validate,       //
      add_diff,           //
      add_why,            //
      add_operator,       //
      add_graph,          //
      add_render,         //
      add_admit,          //
      add_crds,           //
      add_explain,        //
      add_status,         //
      add_top,            //
      add_tap,            //
      add_logs,           //
      add_stream,         //
      add_test,           //
      add_verify,         //
      add_completion,     //
      add_version,        //
  };

  CLI::App app{"fmesh runs event-streaming applications described as Kubernetes resources"};
  app.require_subcommand(1);
  Exit exit;
  for (const AddCommand add : kCommands) add(app, exit);
  std::vector<std::string> words(argv, argv + argc);
  if (words.size() > 1 && words[1] == "operator") allow_one_dash(words);
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  try {
    app.parse(argc, pointers.data());
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? kExitOk : kExitBadInput;
  }
  return exit.code;
}
