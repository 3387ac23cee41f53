// fmesh stream ls, peek, publish, seek, create and rm.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>

#include "cli/command.h"
#include "cli/control.h"
#include "cli/pulsar_client_flags.h"
#include "cli/tables.h"
#include "cli/terminal.h"
#include "cli/units.h"
#include "observe/json.h"
#include "observe/routes.h"

namespace fmesh::cli {
namespace {

namespace json = boost::json;

// Lines of standard input that are published together.
constexpr size_t kPublishBatchRecords = 1'000;
constexpr size_t kPublishBatchBytes = 1024 * 1024;

struct StreamFlags {
  std::string data_directory, stream, from = "earliest", subscription, id, key, file;
  std::string retention_size, retention_time;
  std::vector<std::string> records, properties;
  int64_t limit = 10, time_ms = -1;
  int partitions = 0;
  bool json = false;
  PulsarClientFlags pulsar;
};

Result<std::unique_ptr<Control>> open_control(const StreamFlags& flags) {
  if (!flags.pulsar.given()) return Control::open(flags.data_directory, Reach::kEither);
  FMESH_TRY(auto client, stream::pulsar::open_pulsar(flags.pulsar.options()));
  return Control::over(std::move(client));
}

net::HttpRequest request_for(const StreamFlags& flags, std::string method, const std::string& behind) {
  net::HttpRequest request;
  request.method = std::move(method);
  request.path = "/api/v1/streams/" + flags.stream + behind;
  return request;
}

// Sends a change and prints what came back.
int carry_out(const StreamFlags& flags, net::HttpRequest request, const std::string& said) {
  auto control = open_control(flags);
  if (!control) return report(control.error(), flags.json);
  const auto answer = (*control)->ask(std::move(request));
  if (!answer) return report(answer.error(), flags.json);
  print(flags.json ? *answer : said + "\n");
  return kExitOk;
}

int list(const StreamFlags& flags) {
  auto control = open_control(flags);
  if (!control) return report(control.error(), flags.json);
  const auto streams = (*control)->get("/api/v1/streams");
  if (!streams) return report(streams.error(), flags.json);
  Look look;
  if (is_terminal(STDOUT_FILENO)) look = {terminal_size(STDOUT_FILENO).columns, 0, wants_colours(STDOUT_FILENO)};
  print(flags.json ? observe::to_text(*streams) + "\n" : render_streams(observe::streams_from_json(*streams), look));
  return kExitOk;
}

int peek(const StreamFlags& flags) {
  auto control = open_control(flags);
  if (!control) return report(control.error(), flags.json);
  const auto answer = (*control)->get("/api/v1/streams/" + flags.stream + "/records",
                                      {{"from", flags.from}, {"limit", std::to_string(flags.limit)}});
  if (!answer) return report(answer.error(), flags.json);
  for (const json::value& record : answer->at("records").as_array()) {
    print((flags.json ? observe::to_text(record) : render_record(observe::record_from_json(record), false)) + "\n");
  }
  return kExitOk;
}

// A record of the command line or of a line: JSON stays JSON, anything else is text.
json::value to_record(const StreamFlags& flags, const std::string& payload, const json::object& properties) {
  json::object record;
  if (!flags.key.empty()) record["key"] = flags.key;
  if (!properties.empty()) record["properties"] = properties;
  record["base64"] = observe::to_base64(payload);
  return record;
}

Result<json::object> read_properties(const std::vector<std::string>& texts) {
  json::object properties;
  for (const std::string& text : texts) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos) return fail(ErrorKind::kFixInput, "--property " + text + ": expected NAME=VALUE");
    properties[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return properties;
}

int publish(const StreamFlags& flags) {
  const auto properties = read_properties(flags.properties);
  if (!properties) return report(properties.error(), flags.json);
  auto control = open_control(flags);
  if (!control) return report(control.error(), flags.json);
  json::array ids;
  size_t count = 0;
  const auto send = [&](json::array& records) -> Status {
    if (records.empty()) return {};
    net::HttpRequest request = request_for(flags, "POST", "/records");
    request.body = observe::to_text(json::object{{"records", records}});
    records.clear();
    FMESH_TRY(const std::string answer, (*control)->ask(std::move(request)));
    FMESH_TRY(const json::value value, observe::parse_json(answer));
    count += value.at("ids").as_array().size();
    if (!flags.json) return {};
    for (const json::value& id : value.at("ids").as_array()) ids.push_back(id);
    return {};
  };
  json::array batch;
  for (const std::string& record : flags.records) batch.push_back(to_record(flags, record, *properties));
  Status sent = send(batch);
  if (flags.records.empty()) {
    // What a person types is sent at once.
    const size_t batch_max_bytes = isatty(STDIN_FILENO) != 0 ? 0 : kPublishBatchBytes;
    size_t batch_bytes = 0;
    std::string line;
    while (sent && std::getline(std::cin, line)) {
      batch.push_back(to_record(flags, line, *properties));
      batch_bytes += line.size();
      if (batch_bytes < batch_max_bytes && batch.size() < kPublishBatchRecords) continue;
      sent = send(batch);
      batch_bytes = 0;
    }
    if (sent) sent = send(batch);
  }
  if (!sent) {
    return report(
        count > 0 ? sent.error().within(std::to_string(count) + " records were published, then") : sent.error(),
        flags.json);
  }
  print(flags.json ? observe::to_text(json::object{{"ids", std::move(ids)}}) + "\n"
                   : std::to_string(count) + (count == 1 ? " record\n" : " records\n"));
  return kExitOk;
}

int seek(const StreamFlags& flags) {
  net::HttpRequest request = request_for(flags, "POST", "/seek");
  json::object body{{"subscription", flags.subscription}};
  if (!flags.id.empty()) body["id"] = flags.id;
  if (flags.time_ms >= 0) body["timeMs"] = flags.time_ms;
  request.body = observe::to_text(body);
  return carry_out(flags, std::move(request), flags.subscription + " moved");
}

int create(const StreamFlags& flags) {
  json::object body{{"partitions", flags.partitions}};
  if (!flags.retention_size.empty()) {
    const auto size = parse_size(flags.retention_size);
    if (!size) return report(size.error().within("--retention-size"), flags.json);
    body["retentionSizeBytes"] = *size;
  }
  if (!flags.retention_time.empty()) {
    const auto time = parse_duration_ms(flags.retention_time);
    if (!time) return report(time.error().within("--retention-time"), flags.json);
    body["retentionTimeMs"] = *time;
  }
  std::error_code ignored;  // what is wrong with it shows when it is opened
  if (!flags.pulsar.given()) std::filesystem::create_directories(flags.data_directory, ignored);
  net::HttpRequest request = request_for(flags, "PUT", "");
  request.body = observe::to_text(body);
  return carry_out(flags, std::move(request), flags.stream + " is there");
}

CLI::App* add_verb(CLI::App& parent, const char* name, const char* help, StreamFlags& flags) {
  CLI::App* verb = parent.add_subcommand(name, help);
  add_data_directory(*verb, flags.data_directory);
  add_pulsar_client_flags(*verb, flags.pulsar);
  verb->add_flag("--json", flags.json, "JSON instead of text");
  return verb;
}

void add_name(CLI::App* verb, StreamFlags& flags) {
  verb->add_option("STREAM", flags.stream, "Name, tenant/namespace/name or full name")->required();
}

}  // namespace

void add_stream(CLI::App& app, Exit& exit) {
  CLI::App* parent = app.add_subcommand("stream", "Look at streams and change them, whether a mesh runs or not");
  parent->require_subcommand(1);
  const auto flags = std::make_shared<StreamFlags>();

  CLI::App* ls = add_verb(*parent, "ls", "List the streams and their subscriptions", *flags);
  ls->callback([flags, &exit] { exit.code = list(*flags); });

  CLI::App* look = add_verb(*parent, "peek", "Show records without taking them", *flags);
  add_name(look, *flags);
  look->add_option("--from", flags->from, "earliest, latest (the last ones) or a message id")->capture_default_str();
  look->add_option("-n,--limit", flags->limit, "At most so many")
      ->check(CLI::Range(int64_t{1}, observe::kRecordsPerRequestMax));
  look->footer(
      "Examples:\n  fmesh stream peek orders\n  fmesh stream peek orders --from latest -n 1 --json\n  fmesh stream "
      "peek "
      "orders --pulsar pulsar://127.0.0.1:6650");
  look->callback([flags, &exit] { exit.code = peek(*flags); });

  CLI::App* send = add_verb(*parent, "publish", "Append records", *flags);
  add_name(send, *flags);
  send->add_option("RECORD", flags->records,
                   "Payloads, one record each; without any, every line of standard input is one");
  send->add_option("--key", flags->key, "The key of each record");
  send->add_option("--property", flags->properties, "A property of each record")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  send->footer(
      "Examples:\n  fmesh stream publish orders '{\"id\": 1}' --key k1\n  fmesh stream publish orders < "
      "orders.jsonl");
  send->callback([flags, &exit] { exit.code = publish(*flags); });

  CLI::App* move = add_verb(*parent, "seek", "Move a subscription", *flags);
  add_name(move, *flags);
  move->add_option("--subscription", flags->subscription, "Its name, as stream ls shows it")->required();
  auto* id = move->add_option("--id", flags->id, "earliest, latest or a message id: the next record to read");
  move->add_option("--time", flags->time_ms, "Or: the first record published at this time, in ms since 1970")
      ->excludes(id);
  move->footer("Examples:\n  fmesh stream seek orders --subscription public/default/enrich --id earliest");
  move->callback([flags, &exit] { exit.code = seek(*flags); });

  CLI::App* make = add_verb(*parent, "create", "Make a stream", *flags);
  add_name(make, *flags);
  make->add_option("--partitions", flags->partitions, "0: not partitioned")->check(CLI::Range(0, 10'000));
  make->add_option("--retention-size", flags->retention_size, "Acknowledged bytes kept per partition")
      ->type_name("SIZE");
  make->add_option("--retention-time", flags->retention_time, "How long acknowledged records are kept")
      ->type_name("TIME");
  make->footer("Examples:\n  fmesh stream create orders --partitions 4 --retention-size 1G --retention-time 7d");
  make->callback([flags, &exit] { exit.code = create(*flags); });

  CLI::App* remove = add_verb(*parent, "rm", "Delete a stream that nobody reads", *flags);
  add_name(remove, *flags);
  remove->callback(
      [flags, &exit] { exit.code = carry_out(*flags, request_for(*flags, "DELETE", ""), flags->stream + " is gone"); });
}

}  // namespace fmesh::cli
