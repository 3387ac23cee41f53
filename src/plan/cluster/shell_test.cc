#include "plan/cluster/shell.h"

#include <gtest/gtest.h>

namespace fmesh::plan {
namespace {

TEST(Shell, LeavesPlainTextAsItIs) {
  for (const std::string text : {"orders", "/pulsar/lib/a-b_1.jar", "function://t/n/f@v1", "-Dx=y,z:%p+1"}) {
    EXPECT_EQ(shell_text(text), text);
    EXPECT_EQ(shell_word(text), text);
    EXPECT_EQ(shell_options(text), text);
  }
  EXPECT_EQ(shell_options("-Xms1g -Xmx2g"), "-Xms1g -Xmx2g");
}

TEST(Shell, QuotesLiteralsAsUpstreamDoes) {
  EXPECT_EQ(shell_literal(R"({"user":"o'neil"})"), R"('{"user":"o'"'"'neil"}')");
  EXPECT_EQ(shell_literal(""), "''");
  EXPECT_EQ(shell_text(""), "''");
  EXPECT_EQ(shell_text("$HOME"), "'$HOME'");
}

TEST(Shell, ExpandsNamesAndNothingElse) {
  EXPECT_EQ(shell_word("$HOME/x"), "\"$HOME/x\"");
  EXPECT_EQ(shell_word("${HOME}x"), "\"${HOME}x\"");
  EXPECT_EQ(shell_word("$(id)"), "'$''(id)'");
  EXPECT_EQ(shell_word("${HOME:-x}"), "'${HOME:-x}'");
  EXPECT_EQ(shell_word("$HOME`id`"), "\"$HOME\\`id\\`\"");
  EXPECT_EQ(shell_double_quoted("$A $(b)", false), "\\$A \\$\"\"(b)");
}

TEST(Shell, HidesFromTheKubeletWhatItWouldReplace) {
  EXPECT_EQ(shell_literal("$$(A)$$$"), "'$''$''(A)$''$''$'");
  EXPECT_EQ(shell_word("$A$(B)$$C"), "\"$A\\$\"\"(B)\\$\"\"$C\"");
}

TEST(Shell, LeavesOptionsThatAShellReadsAsTheyAreMeant) {
  for (const std::string text :
       {"-Xms1g  -Xmx2g", " $JAVA_OPTS -Dp=$P ", "-Da='x $y'  -Db=\"$B c\"", "-Xlog:gc*:file=/x", ""}) {
    EXPECT_EQ(shell_options(text), text);
  }
}

TEST(Shell, QuotesOptionsThatAShellWouldTakeForMore) {
  EXPECT_EQ(shell_options("-Da='x y'\n-Db=\"$B c\" -Dc=d\\ e"), "-Da='x y' -Db=\"$B c\" '-Dc=d e'");
  EXPECT_EQ(shell_options("-Da=b;id -Dc=`id`"), "'-Da=b;id' '-Dc=`id`'");
  EXPECT_EQ(shell_options("-Da='$(A)' * '$$'"), "'-Da=$''(A)' '*' '$''$'");
  EXPECT_EQ(shell_options("-Da=$A;b'$C'"), "\"-Da=$A;b\"'$C'");
  EXPECT_EQ(shell_options("it's open"), R"('it'"'"'s' open)");
}

}  // namespace
}  // namespace fmesh::plan
