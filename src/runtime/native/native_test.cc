#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "runtime/crash_note.h"
#include "runtime/logic_testing.h"
#include "runtime/native/library.h"

namespace fmesh::runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
namespace files = std::filesystem;

const std::string kFunctions = std::string(FMESH_TEST_FUNCTIONS) + "/functions.so";
const std::string kPlainC = std::string(FMESH_TEST_FUNCTIONS) + "/plain_c.so";

class Native : public testing::Test {
 protected:
  ~Native() override { files::remove_all(cache_); }

  Result<std::unique_ptr<Logic>> make(const std::string& library, const std::string& name, std::string config = "") {
    model::InstanceSpec spec;
    spec.host = model::HostKind::kNative;
    spec.component = name;
    spec.library_path = library;
    spec.details.class_name = name;
    spec.details.user_config = std::move(config);
    context_ = std::make_unique<FakeLogicContext>(spec);
    return make_logic(spec, cache_);
  }
  // The logic of a function, opened.
  std::unique_ptr<Logic> opened(const std::string& library, const std::string& name, std::string config = "") {
    auto logic = make(library, name, std::move(config));
    EXPECT_TRUE(logic) << logic.error().text();
    const Status status = (*logic)->open(*context_);
    EXPECT_TRUE(status) << status.error().text();
    return std::move(*logic);
  }
  std::string make_error(const std::string& library, const std::string& name, std::string config = "") {
    const auto logic = make(library, name, std::move(config));
    if (logic) return "no error";
    EXPECT_EQ(logic.error().kind(), ErrorKind::kFixInput);
    return logic.error().text();
  }
  FakeBatch run(Logic& logic, const std::vector<std::string>& payloads) {
    FakeBatch batch;
    logic.process(records_of(payloads), batch);
    return batch;
  }

  const std::string cache_ = testing::TempDir() + "fmesh-native-" + std::to_string(getpid());
  std::unique_ptr<FakeLogicContext> context_;
};

TEST_F(Native, RunsCppFunctionsOfOneLibraryByName) {
  const auto upper = opened(kFunctions, "uppercase");
  EXPECT_TRUE(upper->non_blocking());
  EXPECT_THAT(run(*upper, {"a", "b1"}).payloads(), ElementsAre("A", "B1"));
  const auto exclaim = opened(kFunctions, "exclaim", R"({"mark":"?!"})");
  EXPECT_THAT(run(*exclaim, {"a"}).payloads(), ElementsAre("a?!"));
  const auto count = opened(kFunctions, "count");
  EXPECT_FALSE(count->non_blocking());
  EXPECT_THAT(run(*count, {"a", "b", "a"}).payloads(), ElementsAre("a=1", "b=1", "a=2"));
}

TEST_F(Native, ChangesOneJsonFieldAndKeepsTheRest) {
  const auto logic = opened(kFunctions, "set-field");
  const FakeBatch batch = run(*logic, {R"({"id":1.50, "count":1 ,"x":[ {"count":7} ]})", "not JSON"});
  EXPECT_THAT(batch.payloads(), ElementsAre(R"({"id":1.50, "count":2 ,"x":[ {"count":7} ]})"));
  EXPECT_THAT(batch.failures.at(1), HasSubstr("count"));
}

TEST_F(Native, AnExceptionFailsItsRecordAlone) {
  const auto logic = opened(kFunctions, "throws");
  const FakeBatch batch = run(*logic, {"a", "bad one", "c"});
  EXPECT_THAT(batch.payloads(), ElementsAre("a", "c"));
  EXPECT_EQ(batch.failures.size(), 1U);
  EXPECT_EQ(batch.failures.at(1), "can't process bad one");
}

TEST_F(Native, RunsAWindowAtOnce) {
  const auto logic = opened(kFunctions, "window-size", R"({"__WINDOWCONFIGS__":{}})");
  FakeBatch batch;
  logic->process_window(records_of({"a", "b", "c"}), {0, 1000}, batch);
  EXPECT_THAT(batch.payloads(), ElementsAre("3"));
}

TEST_F(Native, RefusesWindowsForAFunctionOfRecordsAndTheReverse) {
  EXPECT_THAT(make_error(kFunctions, "exclaim", R"({"__WINDOWCONFIGS__":{}})"), HasSubstr("fmesh::WindowFunction"));
  EXPECT_THAT(make_error(kFunctions, "window-size"), HasSubstr("has no windowConfig"));
}

TEST_F(Native, RunsALibraryWrittenInC) {
  const auto logic = opened(kPlainC, "route");
  const FakeBatch batch = run(*logic, {R"({"to":"north","n":1})", R"({"to":5})", R"({"to":"north"})", R"({"to":""})"});
  ASSERT_EQ(batch.written.size(), 2U);
  EXPECT_EQ(batch.written[0].topic, "north");
  EXPECT_EQ(batch.written[0].payload, R"({"to":"north","n":1,"routed":true})");
  EXPECT_EQ(batch.counters.at("north"), 2);
  EXPECT_EQ(batch.failures.at(1), "expected a string in \"to\"");
  EXPECT_EQ(batch.failures.at(3), "a stream needs a name");
}

TEST_F(Native, AnIndexOutsideOfTheBatchFailsTheRecordAtWork) {
  const auto logic = opened(kPlainC, "wild");
  const FakeBatch batch = run(*logic, {"a", "b"});
  EXPECT_TRUE(batch.written.empty());
  EXPECT_THAT(batch.failures.at(0), HasSubstr("record 7 of a batch of 2"));
}

TEST_F(Native, SaysWhyAFunctionDidNotStart) {
  auto logic = make(kFunctions, "needs-secret");
  ASSERT_TRUE(logic);
  const Status status = (*logic)->open(*context_);
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().text(), HasSubstr("there is no secret password"));
}

TEST_F(Native, NamesWhatIsWrongWithALibrary) {
  EXPECT_THAT(make_error("/nowhere/f.so", "f"), HasSubstr("function library /nowhere/f.so: no such file"));
  EXPECT_THAT(make_error(FMESH_TEST_FUNCTIONS, "f"), HasSubstr("found no file"));
  files::create_directories(cache_);
  const std::string text = cache_ + "/text.so";
  std::ofstream(text)
      << "this is no library, though it is long enough to hold the header of one, for the loader's sake";
  EXPECT_THAT(make_error(text, "f"), testing::AllOf(HasSubstr(text + ": it can't be loaded"), HasSubstr("ELF")));
  EXPECT_THAT(make_error(std::string(FMESH_TEST_FUNCTIONS) + "/no_symbol.so", "f"),
              HasSubstr("no symbol fmesh_library"));
  EXPECT_THAT(make_error(std::string(FMESH_TEST_FUNCTIONS) + "/wrong_version.so", "f"),
              HasSubstr("built for version 2 of the function ABI"));
  EXPECT_THAT(make_error(kFunctions, "upercase"),
              testing::AllOf(HasSubstr("it holds: identity, uppercase"), HasSubstr("did you mean uppercase?")));
}

TEST_F(Native, TheFileMayChangeUnderARunningFunction) {
  files::create_directories(cache_);
  const std::string library = cache_ + "/mine.so";
  files::copy_file(kFunctions, library);
  const auto old = opened(library, "uppercase");
  files::copy_file(kPlainC, library, files::copy_options::overwrite_existing);
  const auto fresh = opened(library, "route");
  EXPECT_THAT(run(*old, {"a"}).payloads(), ElementsAre("A"));
  EXPECT_EQ(run(*fresh, {R"({"to":"x"})"}).written.size(), 1U);
}

TEST_F(Native, DoesNotTrustADamagedCopy) {
  ASSERT_TRUE(load_library(kPlainC, cache_));
  for (const auto& entry : files::directory_iterator(cache_)) {
    const std::string copy = entry.path().string();
    // Another file under that name: the mapped one stays whole.
    files::remove(copy);
    std::ofstream(copy) << "damaged";
  }
  EXPECT_TRUE(load_library(kPlainC, cache_));
}

TEST_F(Native, ACrashNamesFunctionAndRecord) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer handles signals itself";
#endif
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        install_crash_handler(STDERR_FILENO, STDERR_FILENO);
        const auto logic = opened(kFunctions, "crashes");
        run(*logic, {"a", "b", "poison", "c"});
      },
      testing::KilledBySignal(SIGSEGV), "function crashes, instance 0, crashed at record 1:2:-1 of .*in .SIGSEGV");
}

TEST_F(Native, ARecordThatKilledTheProcessComesAloneAfterWhatWasBeforeIt) {
  const std::string topic = "persistent://public/default/in";
  set_suspects({{"uppercase", topic, {1, 1, -1, -1}, 1}, {"uppercase", topic, {1, 2, -1, -1}, 1}});
  const auto logic = opened(kFunctions, "uppercase");
  set_suspects({});
  const std::vector<std::string> payloads = {"a", "b", "c", "d"};
  const std::vector<LogicRecord> records = records_of(payloads);
  FakeBatch first;
  logic->process(records, first);
  EXPECT_THAT(first.payloads(), ElementsAre("A", "D"));
  EXPECT_EQ(first.written[1].index, 3U);
  EXPECT_THAT(first.failures.at(1), HasSubstr("died 1 time at this record; it is tried on its own"));
  // Each comes again once, and is called then, also behind others.
  FakeBatch second;
  logic->process(std::span(records).subspan(1), second);
  EXPECT_THAT(second.payloads(), ElementsAre("B", "C", "D"));
}

TEST_F(Native, ARecordThatKillsEveryProcessIsRefusedIfItHasADeadLetterStream) {
  set_suspects({{"uppercase", "persistent://public/default/in", {1, 0, -1, -1}, 3}});
  model::InstanceSpec spec;
  spec.host = model::HostKind::kNative;
  spec.component = spec.details.class_name = "uppercase";
  spec.library_path = kFunctions;
  const auto run_with = [&](int retries) {
    spec.details.retry_details = model::RetryDetails{};
    spec.details.retry_details->max_message_retries = retries;
    FakeLogicContext context(spec);
    auto logic = make_logic(spec, cache_);
    EXPECT_TRUE((*logic)->open(context));
    return run(**logic, {"a"});
  };
  EXPECT_THAT(run_with(5).failures.at(0), HasSubstr("not tried again"));
  EXPECT_THAT(run_with(0).payloads(), ElementsAre("A"));  // for ever
  set_suspects({});
}

}  // namespace
}  // namespace fmesh::runtime
