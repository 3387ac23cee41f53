// fmesh verify: sends numbered records through a mesh, kills its host meanwhile if asked to, and checks what comes out.
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <thread>

#include "base/clock.h"
#include "base/disk.h"
#include "base/rng.h"
#include "cli/command.h"
#include "cli/control.h"
#include "local/control_server.h"
#include "local/id_ledger.h"
#include "local/stream_tools.h"
#include "observe/json.h"
#include "stream/log/log.h"

extern char** environ;

namespace fmesh::cli {
namespace {

namespace json = boost::json;

constexpr size_t kRecordsPerPublish = 1'000;
constexpr int64_t kKillPauseMinMs = 20;
constexpr int64_t kKillPauseMaxMs = 120;

// What is checked if no file is given: one built-in function that hands records on, effectively once.
constexpr const char* kOwnMesh = R"(apiVersion: compute.functionmesh.io/v1alpha1
kind: Function
metadata:
  name: verify
spec:
  name: verify
  className: identity
  genericRuntime:
    language: builtin
  processingGuarantee: effectively_once
  input:
    topics: [verify-in]
  output:
    topic: verify-out
)";

struct VerifyFlags {
  std::vector<std::string> files;
  std::string input = "verify-in", output = "verify-out", field = "id";
  int64_t records = 100'000, keys = 100;
  int kills = 0;
  uint64_t seed = 1;
  bool allow_duplicates = false, keep = false, json = false;
};

// A folder that goes with it, unless it is to be kept.
struct Folder {
  std::string path;
  bool keep = false;
  ~Folder() {
    std::error_code ignored;
    if (!keep) std::filesystem::remove_all(path, ignored);
  }
};

Result<std::unique_ptr<stream::log::Log>> open_store(Disk& disk, const Clock& clock, const std::string& directory) {
  stream::log::LogOptions options;
  options.directory = directory;
  return stream::log::Log::open(disk, clock, std::move(options));
}

Status send_ids(const VerifyFlags& flags, const std::string& directory) {
  const auto disk = make_posix_disk();
  const SystemClock clock;
  FMESH_TRY(const auto store, open_store(*disk, clock, directory));
  for (int64_t id = 0; id < flags.records;) {
    std::vector<observe::NewRecord> batch;
    for (; id < flags.records && batch.size() < kRecordsPerPublish; ++id) {
      observe::NewRecord record;
      record.key = local::IdLedger::key_of(id, flags.keys);
      record.payload = observe::to_text(json::object{{flags.field, id}});
      batch.push_back(std::move(record));
    }
    auto sent = std::make_shared<std::promise<Status>>();
    auto answer = sent->get_future();
    local::publish(*store, clock, flags.input, batch, [sent](const Result<std::vector<std::string>>& ids) {
      sent->set_value(ids ? Status() : fail(ids.error()));
    });
    FMESH_CHECK(answer.get());
  }
  return {};
}

Result<pid_t> start_run(const std::vector<std::string>& files, const std::string& directory) {
  std::vector<std::string> words = {"fmesh", "run", "--until-drained", "--data-dir", directory, "--retention-time",
                                    "3650d"};
  words.insert(words.end(), files.begin(), files.end());
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t child = -1;
  const int code = ::posix_spawn(&child, "/proc/self/exe", nullptr, nullptr, arguments.data(), environ);
  if (code != 0) return fail(ErrorKind::kRetryLater, std::string("start fmesh run: ") + std::strerror(code));
  return child;
}

// The process id of the host that runs on `directory`, 0 if none answers.
pid_t host_of(const std::string& directory) {
  const auto client = local::find_running(directory);
  if (!client || *client == nullptr) return 0;
  net::HttpRequest request;
  request.path = "/api/v1/mesh";
  const auto answer = (*client)->send(request);
  if (!answer || answer->status != 200) return 0;
  const auto state = observe::parse_json(answer->body);
  return state ? static_cast<pid_t>(observe::mesh_from_json(*state).process_id) : 0;
}

struct RunEnd {
  int code = 0;
  int kills = 0;
};

RunEnd wait_for_run(const VerifyFlags& flags, const std::string& directory, pid_t child) {
  RunEnd end;
  Rng rng(flags.seed);
  while (true) {
    int status = 0;
    const bool killing = end.kills < flags.kills;
    if (::waitpid(child, &status, killing ? WNOHANG : 0) == child) {
      end.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      return end;
    }
    if (!killing) continue;
    const auto pause = kKillPauseMinMs + static_cast<int64_t>(rng.below(kKillPauseMaxMs - kKillPauseMinMs));
    std::this_thread::sleep_for(std::chrono::milliseconds(pause));
    const pid_t host = host_of(directory);
    if (host > 0 && host != child && ::kill(host, SIGKILL) == 0) ++end.kills;
  }
}

Result<local::LedgerReport> read_ids(const VerifyFlags& flags, const std::string& directory) {
  const auto disk = make_posix_disk();
  const SystemClock clock;
  FMESH_TRY(const auto store, open_store(*disk, clock, directory));
  FMESH_TRY(const std::string topic, local::full_name(flags.output));
  FMESH_CHECK(local::check_exists(*store, topic));
  stream::ConsumerOptions options;
  options.topics = {topic};
  options.subscription = "fmesh-verify";
  options.type = stream::SubscriptionType::kExclusive;
  options.read_only = true;
  FMESH_TRY(const auto consumer, store->open_consumer(std::move(options)));
  local::IdLedger ledger(flags.records, flags.keys);
  while (true) {
    FMESH_TRY(const auto entries, consumer->poll({}));
    if (entries.empty()) break;
    for (const stream::ReceivedEntry& entry : entries) {
      FMESH_TRY(const auto records, local::records_of(entry));
      for (const observe::RecordLine& record : records) {
        const auto value = observe::parse_json(record.payload);
        const json::value* id = value && value->is_object() ? value->get_object().if_contains(flags.field) : nullptr;
        ledger.received(id != nullptr && id->is_int64() ? id->get_int64() : -1);
      }
    }
  }
  consumer->close();
  return ledger.report();
}

int verify(VerifyFlags& flags) {
  Folder folder{(std::filesystem::temp_directory_path() / "fmesh-verify-XXXXXX").string(), flags.keep};
  if (::mkdtemp(folder.path.data()) == nullptr) {
    return report(Error(ErrorKind::kRetryLater, "no temporary folder " + folder.path), flags.json);
  }
  const std::string directory = folder.path + "/data";
  if (flags.files.empty()) {
    flags.files = {folder.path + "/verify.yaml"};
    std::ofstream(flags.files.front()) << kOwnMesh;
  }
  if (const Status sent = send_ids(flags, directory); !sent) return report(sent.error(), flags.json);
  const auto child = start_run(flags.files, directory);
  if (!child) return report(child.error(), flags.json);
  const RunEnd end = wait_for_run(flags, directory, *child);
  if (end.code != kExitOk) {
    return report(Error(ErrorKind::kRetryLater, "the mesh ended with exit code " + std::to_string(end.code)),
                  flags.json);
  }
  const auto result = read_ids(flags, directory);
  if (!result) return report(result.error(), flags.json);
  const bool good = result->clean() ||
                    (flags.allow_duplicates && result->lost == 0 && result->unknown == 0 && result->reordered == 0);
  if (flags.json) {
    json::array examples(result->examples.begin(), result->examples.end());
    print(observe::to_text(json::object{{"sent", result->sent},
                                        {"received", result->received},
                                        {"lost", result->lost},
                                        {"duplicated", result->duplicated},
                                        {"reordered", result->reordered},
                                        {"unknown", result->unknown},
                                        {"kills", end.kills},
                                        {"passed", good},
                                        {"examples", std::move(examples)}}) +
          "\n");
  } else {
    print("sent " + std::to_string(result->sent) + ", received " + std::to_string(result->received) + ", lost " +
          std::to_string(result->lost) + ", duplicated " + std::to_string(result->duplicated) + ", reordered per key " +
          std::to_string(result->reordered) + ", unknown " + std::to_string(result->unknown) + "; host killed " +
          std::to_string(end.kills) + " times\n");
    for (const std::string& example : result->examples) print("  " + example + "\n");
    if (flags.keep) print("data kept in " + directory + "\n");
    if (end.kills < flags.kills) {
      print("the mesh was done before the host was killed " + std::to_string(flags.kills) +
            " times; give it more --records\n");
    }
    print(good ? "passed\n" : "FAILED\n");
  }
  return good ? kExitOk : kExitFailed;
}

}  // namespace

void add_verify(CLI::App& app, Exit& exit) {
  CLI::App* verb =
      app.add_subcommand("verify", "Send numbered records through a mesh and check that each comes out once, in order");
  const auto flags = std::make_shared<VerifyFlags>();
  verb->add_option("FILE", flags->files, "The mesh (default: one built-in function, effectively once)");
  verb->add_option("--input", flags->input, "The stream the records are put into")->capture_default_str();
  verb->add_option("--output", flags->output, "The stream they come out of")->capture_default_str();
  verb->add_option("--field", flags->field, "The field of the JSON payload that carries the number")
      ->capture_default_str();
  verb->add_option("--records", flags->records, "How many")
      ->check(CLI::Range(int64_t{1}, int64_t{100'000'000}))
      ->capture_default_str();
  verb->add_option("--keys", flags->keys, "Spread over so many keys")
      ->check(CLI::Range(int64_t{1}, int64_t{1'000'000}))
      ->capture_default_str();
  verb->add_option("--kills", flags->kills, "Kill the host (kill -9) so often meanwhile")->capture_default_str();
  verb->add_option("--seed", flags->seed, "Of the times of the kills")->capture_default_str();
  verb->add_flag("--allow-duplicates", flags->allow_duplicates, "Pass if records come more than once (at least once)");
  verb->add_flag("--keep", flags->keep, "Keep the data directory");
  verb->add_flag("--json", flags->json, "JSON instead of text");
  verb->footer(
      "Works in a data directory of its own. The functions on the way must hand the field on.\n"
      "Examples:\n  fmesh verify\n  fmesh verify --records 1000000 --kills 5\n"
      "  fmesh verify mesh.yaml --input orders --output totals --allow-duplicates");
  verb->callback([flags, &exit] { exit.code = verify(*flags); });
}

}  // namespace fmesh::cli
