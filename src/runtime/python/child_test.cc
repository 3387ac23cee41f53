// Python functions where `fmesh run` has them: in a child process. What a child does to itself is done to no one else,
// and no record is lost by it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>

#include "runtime/python/python_testing.h"

namespace fmesh::runtime {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class PythonChild : public PythonCase {
 protected:
  PythonChild() { in_child_ = true; }
  // The lines of the log that do not come from functions.
  std::string logs() const {
    std::string all;
    for (const std::string& line : context_->logs) all += line + "\n";
    return all;
  }
};

TEST_F(PythonChild, DoesWhatTheHostDoes) {
  spec_.secrets["password"] = "s3cret";
  spec_.details.user_config = R"({"limit":7})";
  ASSERT_TRUE(open(R"py(
from pulsar import Function

class Does(Function):
    def process(self, input, context):
        context.incr_counter("n", 1)
        context.put_state(input, "seen")
        context.publish("audit", input, properties={"p": "v"}, message_conf={"partition_key": "k"})
        context.record_metric("size", len(input))
        print("at", input)
        if input == "bad":
            raise ValueError("bad")
        return "%s %d %s %d %r" % (context.get_secret("password"), context.get_counter("n"), context.get_state(input),
                                   context.get_user_config_value("limit"), context.get_state("bad"))
)py",
                   "Does"));
  const FakeBatch batch = run({"a", "bad", "c"});
  EXPECT_EQ(batch.failures.size(), 1U);
  EXPECT_THAT(batch.failures.at(1), HasSubstr("ValueError: bad"));
  // What the failed record did to the state is undone for those behind it.
  EXPECT_THAT(batch.payloads(), ElementsAre("a", "s3cret 1 b'seen' 7 None", "bad", "c", "s3cret 2 b'seen' 7 None"));
  EXPECT_EQ(batch.written[0].key, "k");
  EXPECT_EQ(batch.written[0].properties.at("p"), "v");
  logic_->close();
  EXPECT_EQ(context_->metrics.at("size"), 1);
  EXPECT_THAT(context_->logs, ElementsAre("info: at a", "info: at bad", "info: at c"));
}

TEST_F(PythonChild, ReadsStateOfTheHostOnceInABatch) {
  ASSERT_TRUE(open(R"py(
class Reads:
    def process(self, input, context):
        context.incr_counter("n", 5)
        return "%d %r" % (context.get_counter("n"), context.get_state("kept"))
)py",
                   "Reads"));
  FakeBatch batch;
  batch.state["kept"] = "before";
  batch.state["n"] = std::string("\0\0\0\0\0\0\1\0", 8);
  const std::vector<std::string> payloads = {"a", "b"};
  logic_->process(records_of(payloads), batch);
  EXPECT_THAT(batch.payloads(), ElementsAre("261 b'before'", "266 b'before'"));
  EXPECT_EQ(batch.counters.at("n"), 10);
}

TEST_F(PythonChild, ARecordThatKillsTheProcessFailsAndTheOthersAreDone) {
  ASSERT_TRUE(open(R"py(
import ctypes, os

class Dies:
    def process(self, input, context):
        context.put_state("last", input)
        if input == "crash":
            ctypes.string_at(0)
        if input == "exit":
            os._exit(7)
        return input
)py",
                   "Dies"));
  const FakeBatch batch = run({"a", "crash", "b", "exit", "c"});
  EXPECT_THAT(batch.payloads(), ElementsAre("a", "b", "c"));
  EXPECT_EQ(batch.failures.size(), 2U);
  EXPECT_THAT(batch.failures.at(1), HasSubstr("its Python process died of SIGSEGV"));
  EXPECT_THAT(batch.failures.at(3), HasSubstr("its Python process ended itself with exit code 7"));
  EXPECT_THAT(logs(),
              AllOf(HasSubstr("died of SIGSEGV at record 1:1:-1 of in; another one goes on"),
                    HasSubstr(module() + ".py\", line 8 in process"), HasSubstr("exit code 7 at record 1:3:-1")));
  EXPECT_EQ(batch.state.at("last"), "c");
}

TEST_F(PythonChild, ABatchOfPoisonEndsAndIsDeliveredAgain) {
  ASSERT_TRUE(open("import os\n\ndef process(input):\n    os._exit(1)\n"));
  const FakeBatch batch = run(std::vector<std::string>(20, "x"));
  EXPECT_EQ(batch.failures.size(), 20U);
  EXPECT_THAT(batch.payloads(), IsEmpty());
}

TEST_F(PythonChild, AProcessThatIsKilledBetweenBatchesIsReplaced) {
  ASSERT_TRUE(open("import os\n\ndef process(input):\n    return str(os.getpid())\n"));
  const std::string first = run({"a"}).payloads().at(0);
  ASSERT_EQ(::kill(std::stoi(first), SIGKILL), 0);
  const FakeBatch batch = run({"a", "b"});
  EXPECT_THAT(batch.failures, IsEmpty());
  ASSERT_EQ(batch.payloads().size(), 2U);
  EXPECT_NE(batch.payloads()[0], first);
}

TEST_F(PythonChild, AProcessThatIsKilledAtWorkFailsNoRecord) {
  ASSERT_TRUE(open(R"py(
import os, signal

def process(input):
    mark = os.path.join(os.path.dirname(__file__), "mark")
    if input == "b" and not os.path.exists(mark):
        open(mark, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return input
)py"));
  const FakeBatch batch = run({"a", "b", "c"});
  EXPECT_THAT(batch.failures, IsEmpty());
  EXPECT_THAT(batch.payloads(), ElementsAre("a", "b", "c"));
}

TEST_F(PythonChild, ARecordThatTakesTooLongIsEndedAndSaysWhereItWas) {
  spec_.details.source->timeout_ms = 1'000;
  ASSERT_TRUE(open(R"py(
def process(input):
    while input == "endless":
        pass
    return input
)py"));
  const FakeBatch batch = run({"a", "endless", "b"});
  EXPECT_THAT(batch.payloads(), ElementsAre("a", "b"));
  EXPECT_THAT(batch.failures.at(1), HasSubstr("did not come back within timeoutMs"));
  EXPECT_THAT(logs(), AllOf(HasSubstr(module() + ".py\", line "), HasSubstr(" in process")));
}

TEST_F(PythonChild, AProcessThatTheFunctionForksIsNoInstance) {
  ASSERT_TRUE(open(R"py(
import os, subprocess, sys

def process(input):
    child = os.fork()
    if child == 0:
        return "from the fork"
    os.waitpid(child, 0)
    return subprocess.run([sys.executable, "-c", "print(1 + 1)"], capture_output=True, text=True).stdout.strip()
)py"));
  EXPECT_THAT(run({"a", "b"}).payloads(), ElementsAre("2", "2"));
}

TEST_F(PythonChild, TwoFunctionsHaveModulesOfTheSameName) {
  const auto folder = folder_;
  std::vector<std::unique_ptr<Logic>> logics;
  std::vector<std::unique_ptr<FakeLogicContext>> contexts;
  for (const std::string name : {"one", "two"}) {
    std::filesystem::create_directories(folder / name);
    std::ofstream(folder / name / "helper.py") << "NAME = '" << name << "'\n";
    std::ofstream(folder / name / "main.py") << "import helper\n\ndef process(input):\n    return helper.NAME\n";
    spec_.library_path = folder / name / "main.py";
    spec_.details.class_name = "main";
    contexts.push_back(std::make_unique<FakeLogicContext>(spec_));
    auto made = make_logic(spec_, folder_ / "cache");
    ASSERT_TRUE(made);
    logics.push_back(std::move(*made));
    ASSERT_TRUE(logics.back()->open(*contexts.back()));
  }
  const std::vector<std::string> payloads = {"x"};
  for (size_t i = 0; i < 2; ++i) {
    FakeBatch batch;
    logics[i]->process(records_of(payloads), batch);
    EXPECT_THAT(batch.payloads(), ElementsAre(i == 0 ? "one" : "two"));
  }
}

TEST_F(PythonChild, AnErrorAtTheStartIsTold) {
  const Status status = open("import nowhere_to_be_found\n");
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind(), ErrorKind::kFixInput);
  EXPECT_THAT(status.error().text(), HasSubstr("No module named 'nowhere_to_be_found'"));
  const Status died = open("import os\nprint('goodbye')\nos._exit(3)\n", "");
  ASSERT_FALSE(died);
  EXPECT_EQ(died.error().kind(), ErrorKind::kRetryLater);
  EXPECT_THAT(died.error().text(), HasSubstr("its Python process ended itself with exit code 3 while it started"));
}

TEST_F(PythonChild, WhatIsWrittenPastPythonIsLoggedToo) {
  ASSERT_TRUE(open("import os\n\ndef process(input):\n    os.write(2, b'from below\\n')\n"));
  run({"a"});
  logic_->close();
  EXPECT_THAT(context_->logs, Contains("info: from below"));
}

TEST_F(PythonChild, AWindowThatKillsTheProcessFails) {
  ASSERT_TRUE(open(R"py(
import os

def process(inputs):
    if "exit" in inputs:
        os._exit(1)
    return ",".join(inputs)
)py"));
  FakeBatch batch;
  const std::vector<std::string> good = {"a", "b"}, bad = {"a", "exit"};
  logic_->process_window(records_of(bad), {0, 10}, batch);
  EXPECT_EQ(batch.failures.size(), 1U);
  logic_->process_window(records_of(good), {0, 10}, batch);
  EXPECT_THAT(batch.payloads(), ElementsAre("a,b"));
}

TEST_F(PythonChild, LargeRecordsCross) {
  ASSERT_TRUE(open("def process(input):\n    return input * 2\n"));
  const std::string large(6 * 1024 * 1024, 'x');
  const FakeBatch batch = run({large, "a", large});
  EXPECT_THAT(batch.failures, IsEmpty());
  EXPECT_EQ(batch.payloads().at(2).size(), 2 * large.size());
}

}  // namespace
}  // namespace fmesh::runtime
