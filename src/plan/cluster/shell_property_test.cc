// Random texts through the real shells: what quoting means, and that parse_shell reads what they read.
#include <gtest/gtest.h>

#include "base/rng.h"
#include "plan/cluster/pod_run_test_support.h"
#include "plan/cluster/shell.h"
#include "plan/cluster/shell_parse.h"

namespace fmesh::plan {
namespace {

// Pieces that mean something to a shell or to the kubelet, and some that do not.
std::string random_text(Rng& rng) {
  static const std::vector<std::string> pieces = {
      "$",  "$$", "$(", ")", "(",  "${", "}",  "$HOME", "${MARK}", "$(MARK)", "`", "'",
      "\"", "\\", "\n", " ", "\t", "*",  "?",  "[a]",   "~",       "{a,b}",   "!", "#",
      "&&", ";",  "|",  ">", "<",  "7",  "-x", "=",     "%s",      "\xC3\xBC"};
  std::string out;
  const uint64_t count = rng.below(12);
  for (uint64_t i = 0; i < count; ++i) out += pieces[rng.below(pieces.size())];
  return out;
}

std::string expanded(std::string text, const PodRun::Environment& environment) {
  for (const auto& [name, value] : environment) {
    for (const std::string& mark : {"${" + name + "}", "$" + name}) {
      for (size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at + value.size())) {
        text.replace(at, mark.size(), value);
      }
    }
  }
  return text;
}

class ShellProperty : public testing::TestWithParam<const char*> {};

TEST_P(ShellProperty, QuotedTextArrivesAsItWas) {
  constexpr uint64_t kSeed = 20261;
  constexpr int kTexts = 400;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  Rng rng(kSeed);
  PodRun pod;
  const PodRun::Environment environment = {{"HOME", "h o*me"}, {"MARK", "m\"a'rk"}};
  std::string command = "java";
  std::vector<std::string> expected;
  for (int i = 0; i < kTexts; ++i) {
    const std::string text = random_text(rng);
    command += " " + shell_literal(text) + " " + shell_text(text) + " \"" + shell_double_quoted(text, false) + "\"";
    expected.insert(expected.end(), 3, text);
    // A name that ends the word, so that no letter follows it by chance.
    const std::string word = "-" + text + "=" + text + "$";
    if (word.find("$HOME7") != std::string::npos) continue;
    command += " " + shell_word(word);
    expected.push_back(expanded(word, environment));
  }
  const std::vector<StubCall> calls = pod.run({GetParam(), "-c", command}, environment);
  ASSERT_EQ(calls.size(), 1u) << pod.output();
  ASSERT_EQ(calls[0].arguments.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) ASSERT_EQ(calls[0].arguments[i], expected[i]) << i;

  const auto tokens = parse_shell(kubelet_reduced(command));
  ASSERT_TRUE(tokens);
  ASSERT_EQ(tokens->size(), expected.size() + 1);
  for (size_t i = 0; i < expected.size(); ++i) {
    std::string text = (*tokens)[i + 1].text;
    for (const auto& [name, value] : environment) {
      const std::string mark = std::string(kExpansionBegin) + name + std::string(kExpansionEnd);
      for (size_t at = text.find(mark); at != std::string::npos; at = text.find(mark))
        text.replace(at, mark.size(), value);
    }
    ASSERT_EQ(text, expected[i]) << i;
  }
}

TEST_P(ShellProperty, OptionsRunNothing) {
  constexpr uint64_t kSeed = 20262;
  constexpr int kTexts = 400;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  Rng rng(kSeed);
  PodRun pod;
  std::string command = "java";
  for (int i = 0; i < kTexts; ++i) command += " " + shell_options(random_text(rng));
  const std::vector<StubCall> calls = pod.run({GetParam(), "-c", command}, {{"HOME", "h o*me"}, {"MARK", "mark"}});
  ASSERT_EQ(calls.size(), 1u) << pod.output();
  EXPECT_EQ(pod.output(), "");
  EXPECT_EQ(pod.exit_status(), 0);
}

INSTANTIATE_TEST_SUITE_P(Shells, ShellProperty, testing::Values("bash", "sh"));

}  // namespace
}  // namespace fmesh::plan
