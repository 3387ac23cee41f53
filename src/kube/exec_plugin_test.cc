#include "kube/exec_plugin.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <chrono>
#include <thread>

#include "kube/program.h"
#include "kube/times.h"
#include "net/certificate.h"

namespace fmesh::kube {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using namespace std::chrono_literals;

constexpr const char* kV1 = "client.authentication.k8s.io/v1";
const std::vector<std::string> kEnvironment = {"PATH=/usr/bin:/bin", "TWICE=first"};

ClusterConfig with_script(const std::string& script) {
  ClusterConfig config{.context = "here", .server = "https://api:6443"};
  config.exec = ExecPlugin{.api_version = kV1, .command = "sh", .arguments = {"-c", script}};
  config.exec->input = ExecPlugin::Input::kNever;
  return config;
}

Result<PluginCredentials> run(const ClusterConfig& config) {
  const std::atomic<bool> cancelled{false};
  return run_exec_plugin(config, "the ca", kEnvironment, SystemClock(), cancelled);
}

std::string credential(const std::string& status) {
  return std::string(R"({"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":)") + status +
         "}";
}

TEST(ExecPlugin, GivesAToken) {
  const auto got =
      run(with_script("echo '" + credential(R"({"token":"t","expirationTimestamp":"2026-01-31T12:00:00Z"})") + "'"));
  ASSERT_TRUE(got) << got.error().text();
  EXPECT_EQ(got->token, "t");
  EXPECT_EQ(got->expires_ms, read_time("2026-01-31T12:00:00Z"));
}

TEST(ExecPlugin, IsToldItsVariablesAndTheRequest) {
  ClusterConfig config = with_script(R"sh(test "$X-$TWICE" = y-second || exit 7
    printf '{"apiVersion":"%s","kind":"ExecCredential","status":{"token":"%s"}}' client.authentication.k8s.io/v1 \
      "$(printf %s "$KUBERNETES_EXEC_INFO" | tr -d '"')")sh");
  config.exec->env = {{"X", "y"}, {"TWICE", "second"}};
  const auto got = run(config);
  ASSERT_TRUE(got) << got.error().text();
  EXPECT_EQ(got->token, "{kind:ExecCredential,apiVersion:client.authentication.k8s.io/v1,spec:{interactive:false}}");
}

TEST(ExecPlugin, IsToldTheClusterIfItWants) {
  ClusterConfig config = with_script("");
  config.exec->provide_cluster_info = true;
  config.tls_server_name = "real";
  config.proxy_url = "http://proxy";
  config.plugin_extension = R"({"audience":"me"})";
  EXPECT_EQ(boost::json::parse(exec_info(config, "the ca", true)), boost::json::parse(R"({
    "kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "spec": {"interactive": true, "cluster": {
      "server": "https://api:6443", "tls-server-name": "real", "proxy-url": "http://proxy",
      "certificate-authority-data": "dGhlIGNh", "config": {"audience": "me"}}}})"));
  const ClusterConfig bare = [] {
    ClusterConfig out = with_script("");
    out.exec->provide_cluster_info = true;
    out.insecure_skip_tls_verify = out.disable_compression = true;
    return out;
  }();
  EXPECT_EQ(boost::json::parse(exec_info(bare, "", false)).at("spec").at("cluster"), boost::json::parse(R"({
    "server": "https://api:6443", "insecure-skip-tls-verify": true, "disable-compression": true, "config": null})"));
}

TEST(ExecPlugin, OneThatIsMissingIsToldWithTheHint) {
  ClusterConfig config = with_script("");
  config.exec->command = "no-such-plugin";
  config.exec->install_hint = "get it at https://example.com";
  const auto got = run(config);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().kind(), ErrorKind::kFixInput);
  EXPECT_EQ(got.error().text(),
            "here: exec plugin no-such-plugin: No such file or directory\nget it at https://example.com");
}

TEST(ExecPlugin, OneThatFailsIsToldWithItsLastWords) {
  testing::internal::CaptureStderr();
  const auto got = run(with_script("echo 'log in first' >&2; exit 3"));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "log in first\n");  // shown as it comes
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().kind(), ErrorKind::kRetryLater);
  EXPECT_EQ(got.error().text(), "here: exec plugin sh ended with code 3: log in first");
}

TEST(ExecPlugin, OneThatMustAskNeedsATerminal) {
  ClusterConfig config = with_script("exit 0");
  config.exec->input = ExecPlugin::Input::kAlways;
  const int terminal = ::dup(STDIN_FILENO), nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::dup2(nothing, STDIN_FILENO);
  const auto got = run(config);
  ::dup2(terminal, STDIN_FILENO);
  ::close(terminal);
  ::close(nothing);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().kind(), ErrorKind::kFixInput);
  EXPECT_THAT(got.error().text(), HasSubstr("interactiveMode: Always"));
}

TEST(ExecPlugin, AnswersThatCannotBeUsedAreToldWithTheReason) {
  const auto why = [](const std::string& text) {
    const auto got = read_exec_credential(kV1, text);
    return got ? "no error" : got.error().text();
  };
  EXPECT_THAT(why("hello"), HasSubstr("it is no JSON"));
  EXPECT_THAT(why(""), HasSubstr("it is no JSON"));
  EXPECT_THAT(why(R"({"apiVersion":"client.authentication.k8s.io/v1beta1","kind":"ExecCredential"})"),
              HasSubstr("expected ExecCredential of client.authentication.k8s.io/v1"));
  EXPECT_THAT(why(credential("{}")), HasSubstr("neither a token nor"));
  EXPECT_THAT(why(credential(R"({"clientKeyData":"k"})")), HasSubstr("clientKeyData comes without"));
  EXPECT_THAT(why(credential(R"({"clientCertificateData":"c"})")), HasSubstr("clientCertificateData comes without"));
  EXPECT_THAT(why(credential(R"({"clientCertificateData":"c","clientKeyData":"k"})")), HasSubstr("no PEM"));
  EXPECT_THAT(why(credential(R"({"token":"t","expirationTimestamp":"tomorrow"})")), HasSubstr("found \"tomorrow\""));
  // What it gave is a secret also when it can't be used.
  EXPECT_THAT(why(credential(R"({"token":"secret","clientKeyData":"secret"})")), Not(HasSubstr("\"secret")));
}

TEST(ExecPlugin, GivesACertificate) {
  const auto pair = net::make_authority({"me", {}, 0, 1'000'000'000'000});
  ASSERT_TRUE(pair);
  boost::json::object status = {{"clientCertificateData", pair->certificate}, {"clientKeyData", pair->key}};
  const auto got = read_exec_credential(kV1, credential(boost::json::serialize(status)));
  ASSERT_TRUE(got) << got.error().text();
  EXPECT_EQ(got->certificate, pair->certificate);
  EXPECT_EQ(got->key, pair->key);
  EXPECT_FALSE(got->expires_ms);
}

// --- what runs it ---

ProgramCall shell(const std::string& script, int64_t limit_ms = 10'000) {
  return {.command = "sh", .arguments = {"-c", script}, .environment = kEnvironment, .limit_ms = limit_ms};
}

TEST(Program, OneThatTakesTooLongEndsWithAllThatItStarted) {
  const std::atomic<bool> cancelled{false};
  const std::string mark = "/tmp/fmesh-program-" + std::to_string(::getpid());
  const auto begin = std::chrono::steady_clock::now();
  const auto got = run_program(shell("(sleep 1; touch " + mark + ") & sleep 30", 100), SystemClock(), cancelled);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().kind(), ErrorKind::kRetryLater);
  EXPECT_THAT(got.error().text(), StartsWith("it took longer than"));
  std::this_thread::sleep_for(1500ms);
  EXPECT_NE(::access(mark.c_str(), F_OK), 0) << "what it started lives on";
  ::unlink(mark.c_str());
}

TEST(Program, CanBeBrokenOff) {
  std::atomic<bool> cancelled{false};
  std::thread other([&] {
    std::this_thread::sleep_for(100ms);
    cancelled = true;
  });
  const auto got = run_program(shell("sleep 30"), SystemClock(), cancelled);
  other.join();
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().kind(), ErrorKind::kClosed);
}

TEST(Program, PrintsNoMoreThanIsTaken) {
  const std::atomic<bool> cancelled{false};
  const auto much = run_program(shell("head -c 1000000 /dev/zero"), SystemClock(), cancelled);
  ASSERT_TRUE(much) << much.error().text();
  EXPECT_EQ(much->output.size(), 1'000'000u);
  const auto too_much = run_program(shell("cat /dev/zero"), SystemClock(), cancelled);
  ASSERT_FALSE(too_much);
  EXPECT_THAT(too_much.error().text(), HasSubstr("it printed more than"));
}

TEST(Program, DoesNotWaitForWhatItLeavesBehind) {
  const std::atomic<bool> cancelled{false};
  const auto begin = std::chrono::steady_clock::now();
  const auto got = run_program(shell("sleep 3 & echo done"), SystemClock(), cancelled);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 2s);
  ASSERT_TRUE(got) << got.error().text();
  EXPECT_EQ(got->output, "done\n");
}

TEST(Program, HasNoInputAndTellsTheSignalThatEndedIt) {
  const std::atomic<bool> cancelled{false};
  const auto got = run_program(shell("cat; kill -9 $$"), SystemClock(), cancelled);
  ASSERT_TRUE(got) << got.error().text();
  EXPECT_EQ(got->output, "");
  EXPECT_EQ(got->code, 137);
}

TEST(Times, AreReadWithFractionsAndOffsets) {
  EXPECT_EQ(read_time("1970-01-01T00:00:01Z"), 1'000);
  EXPECT_EQ(read_time("1970-01-01T00:00:01.25Z"), 1'250);
  EXPECT_EQ(read_time("1970-01-01T01:30:00.123456789+01:30"), 123);
  EXPECT_EQ(read_time("1969-12-31T23:00:00-01:00"), 0);
  for (const char* bad : {"", "1970-01-01", "1970-01-01T00:00:00", "1970-13-01T00:00:00Z", "1970-01-01T24:00:00Z",
                          "1970-02-30T00:00:00Z", "1970-01-01T00:00:00Zx", "1970-01-01T00:00:00+01"}) {
    EXPECT_FALSE(read_time(bad)) << bad;
  }
}

}  // namespace
}  // namespace fmesh::kube
