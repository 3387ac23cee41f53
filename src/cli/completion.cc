// fmesh completion: a script for the shell, written from the verbs and flags of the parser itself.
#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/control.h"

namespace fmesh::cli {
namespace {

struct Verb {
  std::string path;  // "stream peek"
  std::string help;
  std::vector<std::string> words;  // verbs below it and flags
};

void collect(const CLI::App& app, const std::string& path, std::vector<Verb>& verbs) {
  Verb verb{path, app.get_description(), {}};
  for (const CLI::App* below : app.get_subcommands([](const CLI::App*) { return true; }))
    verb.words.push_back(below->get_name());
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) verb.words.push_back("--" + name);
  }
  verbs.push_back(std::move(verb));
  for (const CLI::App* below : app.get_subcommands([](const CLI::App*) { return true; })) {
    collect(*below, path.empty() ? below->get_name() : path + " " + below->get_name(), verbs);
  }
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

std::string shell_quoted(const std::string& text) {
  std::string result = "'";
  for (const char c : text) {
    if (c == '\'') {
      result += "'\\''";
    } else {
      result += c;
    }
  }
  return result + "'";
}

// Finds the words before the cursor that are verbs, then offers what belongs to the deepest, and files.
std::string bash_script(const std::vector<Verb>& verbs) {
  std::string text =
      "_fmesh() {\n"
      "  local current=${COMP_WORDS[COMP_CWORD]} verb='' word words=''\n"
      "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
      "    case \"$verb $word\" in\n";
  for (const Verb& verb : verbs) {
    if (verb.path.empty()) continue;
    const size_t blank = verb.path.rfind(' ');
    const std::string before = blank == std::string::npos ? "" : verb.path.substr(0, blank);
    const std::string name = blank == std::string::npos ? verb.path : verb.path.substr(blank + 1);
    text += "      " + shell_quoted(before + " " + name) + ") verb=" + shell_quoted(verb.path) + " ;;\n";
  }
  text += "    esac\n  done\n  case \"$verb\" in\n";
  for (const Verb& verb : verbs)
    text += "    " + shell_quoted(verb.path) + ") words=" + shell_quoted(joined(verb.words)) + " ;;\n";
  return text +
         "  esac\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
         "  [[ $current == -* || -z $verb ]] || COMPREPLY+=($(compgen -f -- \"$current\"))\n"
         "}\n"
         "complete -o filenames -F _fmesh fmesh\n";
}

std::string zsh_script(const std::vector<Verb>& verbs) {
  return "#compdef fmesh\nautoload -U +X bashcompinit && bashcompinit\n" + bash_script(verbs);
}

std::string fish_script(const std::vector<Verb>& verbs) {
  std::string text = "complete -c fmesh -n __fish_use_subcommand -f\n";
  for (const Verb& verb : verbs) {
    std::string condition = verb.path.empty() ? "__fish_use_subcommand" : "";
    for (size_t begin = 0; begin < verb.path.size();) {
      const size_t end = std::min(verb.path.find(' ', begin), verb.path.size());
      condition += (condition.empty() ? "" : "; and ") + std::string("__fish_seen_subcommand_from ") +
                   verb.path.substr(begin, end - begin);
      begin = end + 1;
    }
    for (const std::string& word : verb.words) {
      text += "complete -c fmesh -n " + shell_quoted(condition) +
              (word.starts_with("--") ? " -l " + word.substr(2) : " -a " + word) + "\n";
    }
  }
  return text;
}

}  // namespace

void add_completion(CLI::App& app, Exit&) {
  CLI::App* verb = app.add_subcommand("completion", "Print a script that completes commands in your shell");
  const auto shell = std::make_shared<std::string>();
  verb->add_option("SHELL", *shell, "bash, zsh or fish")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
  verb->footer(
      "Examples:\n  source <(fmesh completion bash)\n  fmesh completion fish > ~/.config/fish/completions/fmesh.fish");
  verb->callback([&app, shell] {
    std::vector<Verb> verbs;
    collect(app, "", verbs);
    print(*shell == "bash" ? bash_script(verbs) : *shell == "zsh" ? zsh_script(verbs) : fish_script(verbs));
  });
}

}  // namespace fmesh::cli
