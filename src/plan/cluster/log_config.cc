#include "plan/cluster/log_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <map>
#include <optional>
#include <set>

#include "plan/cluster/shell.h"

namespace fmesh::plan {
namespace {

namespace json = boost::json;

constexpr const char* kJavaFolder = "/pulsar/conf/java-log/";
constexpr const char* kPythonFolder = "/pulsar/conf/python-log/";
constexpr const char* kPythonFile = "python_instance_logging.ini";
constexpr const char* kJsonFormat = "json";
constexpr int kFilesKept = 5;
constexpr const char* kLinePattern = "%d{ISO8601_OFFSET_DATE_TIME_HHMM} [%t] %-5level %logger{36} - %msg%n";
constexpr const char* kLogFile = "${sys:pulsar.function.log.dir}/${sys:pulsar.function.log.file}";
constexpr const char* kShadedBookKeeper = "org.apache.pulsar.functions.runtime.shaded.org.apache.bookkeeper";

// When a log file is closed and another begun, in the words of each runtime.
struct Rotation {
  std::string cron;         // log4j; by time
  int size_megabytes = 0;   // by size
  std::string python_when;  // TimedRotatingFileHandler: unit and count
  int python_interval = 0;
};

std::optional<Rotation> rotation_of(const std::string& policy) {
  static const std::map<std::string, Rotation> table = {
      {"TimedPolicyWithDaily", {.cron = "0 0 0 * * ? *", .python_when = "D", .python_interval = 1}},
      {"TimedPolicyWithWeekly", {.cron = "0 0 0 ? * 1 *", .python_when = "W0", .python_interval = 1}},
      {"TimedPolicyWithMonthly", {.cron = "0 0 0 1 * ? *", .python_when = "D", .python_interval = 30}},
      {"SizedPolicyWith10MB", {.cron = "", .size_megabytes = 10, .python_when = "", .python_interval = 0}},
      {"SizedPolicyWith50MB", {.cron = "", .size_megabytes = 50, .python_when = "", .python_interval = 0}},
      {"SizedPolicyWith100MB", {.cron = "", .size_megabytes = 100, .python_when = "", .python_interval = 0}},
  };
  const auto found = table.find(policy);
  return found == table.end() ? std::nullopt : std::optional(found->second);
}

// A sidecar reads files, so there are some even if the user asked for no rotation.
std::optional<Rotation> rotation_of(const model::ComponentSpec& spec, const model::LogSettings& log) {
  std::optional<Rotation> rotation = rotation_of(log.rotate_policy);
  if (!rotation && logs_by_sidecar(spec)) rotation = rotation_of("SizedPolicyWith10MB");
  return rotation;
}

std::string upper(std::string text) {
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return text;
}

// Levels that log4j does not have become INFO, as upstream has it.
std::string java_level(const std::string& level) {
  constexpr std::array<std::string_view, 8> kLevels = {"all",  "trace", "debug", "info",
                                                       "warn", "error", "fatal", "off"};
  return std::find(kLevels.begin(), kLevels.end(), level) == kLevels.end() ? "INFO" : upper(level);
}

std::string python_level(const std::string& level) {
  if (level == "debug" || level == "error") return upper(level);
  if (level == "warn") return "WARNING";
  return level == "fatal" ? "CRITICAL" : "INFO";
}

// Files that are full are numbered, so that only the last ones are kept; log4j counts per date where there is one.
const char* file_suffix(const std::optional<Rotation>& rotation) {
  return rotation && rotation->cron.empty() ? "%i" : "%d{yyyy-MM-dd}-%i";
}

std::string java_xml_layout(const model::LogSettings& log) {
  if (log.format == kJsonFormat) return "<JSONLayout complete='false' compact='true' eventEol='true'/>";
  return fmt::format("<PatternLayout pattern='{}'/>", kLinePattern);
}

std::string java_xml(const model::LogSettings& log, const std::optional<Rotation>& rotation) {
  const std::string layout = java_xml_layout(log);
  std::string file, reference;
  if (rotation) {
    const std::string trigger = rotation->cron.empty()
                                    ? fmt::format("<SizeBasedTriggeringPolicy size='{}MB'/>", rotation->size_megabytes)
                                    : fmt::format("<CronTriggeringPolicy schedule='{}'/>", rotation->cron);
    file = fmt::format(
        "  <RollingRandomAccessFile name='File' fileName='{0}.log' "
        "filePattern='{0}.{4}.log.gz'>\n"
        "   {1}\n"
        "   <Policies>{2}</Policies>\n"
        "   <DefaultRolloverStrategy max='{3}'/>\n"
        "  </RollingRandomAccessFile>\n",
        kLogFile, layout, trigger, kFilesKept, file_suffix(rotation));
    reference = "<AppenderRef ref='File'/>";
  }
  return fmt::format(
      "<Configuration monitorInterval='30'>\n"
      " <Appenders>\n"
      "  <Console name='Console' target='SYSTEM_OUT'>{1}</Console>\n"
      "{2}"
      " </Appenders>\n"
      " <Loggers>\n"
      "  <Logger name='{4}' level='${{sys:bk.log.level:-{0}}}' additivity='false'>"
      "<AppenderRef ref='Console'/>{3}</Logger>\n"
      "  <Root level='${{sys:pulsar.log.level:-{0}}}'><AppenderRef ref='Console'/>{3}</Root>\n"
      " </Loggers>\n"
      "</Configuration>",
      java_level(log.level), layout, file, reference, kShadedBookKeeper);
}

// The layout of an appender, `indent` blanks deep.
std::string java_yaml_layout(const model::LogSettings& log) {
  if (log.format == kJsonFormat) return "JSONLayout: {complete: false, compact: true, eventEol: true}";
  return fmt::format("PatternLayout: {{pattern: '{}'}}", kLinePattern);
}

// A file is always written: upstream's YAML has it, XML has not.
std::string java_yaml(const model::LogSettings& log, const std::optional<Rotation>& rotation) {
  std::string triggers =
      "{TimeBasedTriggeringPolicy: {interval: 1, modulate: true}, SizeBasedTriggeringPolicy: {size: 10MB}}";
  if (rotation) {
    triggers = rotation->cron.empty()
                   ? fmt::format("{{SizeBasedTriggeringPolicy: {{size: {}MB}}}}", rotation->size_megabytes)
                   : fmt::format("{{CronTriggeringPolicy: {{schedule: '{}'}}}}", rotation->cron);
  }
  return fmt::format(
      "Configuration:\n"
      "  monitorInterval: 30\n"
      "  Appenders:\n"
      "    Console:\n"
      "      name: Console\n"
      "      target: SYSTEM_OUT\n"
      "      {1}\n"
      "    RollingRandomAccessFile:\n"
      "      name: File\n"
      "      fileName: '{2}.log'\n"
      "      filePattern: '{2}.{6}.log.gz'\n"
      "      {1}\n"
      "      Policies: {3}\n"
      "      DefaultRolloverStrategy: {{max: {4}}}\n"
      "  Loggers:\n"
      "    Logger:\n"
      "      name: {5}\n"
      "      level: '${{sys:bk.log.level:-{0}}}'\n"
      "      additivity: false\n"
      "      AppenderRef: [{{ref: Console}}, {{ref: File}}]\n"
      "    Root:\n"
      "      level: '${{sys:pulsar.log.level:-{0}}}'\n"
      "      AppenderRef: [{{ref: Console}}, {{ref: File}}]\n",
      java_level(log.level), java_yaml_layout(log), kLogFile, triggers, kFilesKept, kShadedBookKeeper,
      file_suffix(rotation));
}

// A Python string within an INI value: quotes and ends of lines by Python's rules, % by configparser's.
std::string python_string(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\\' || c == '\'') out += '\\';
    if (c == '\n' || c == '\r') {
      out += c == '\n' ? "\\n" : "\\r";
    } else {
      out += c;
    }
    if (c == '%') out += '%';
  }
  return out + "'";
}

std::string python_ini(const model::ComponentSpec& spec, const model::LogSettings& log,
                       const std::optional<Rotation>& rotation) {
  const std::string level = python_level(log.level);
  std::string handlers = "console", file;
  if (rotation) {
    const std::string name = python_string("logs/functions/" + spec.name + ".log");
    const bool timed = !rotation->python_when.empty();
    handlers += ",file";
    file = fmt::format("[handler_file]\nclass=logging.handlers.{}\nlevel={}\nformatter=line\nargs=({}, {}, {})\n",
                       timed ? "TimedRotatingFileHandler" : "RotatingFileHandler", level, name,
                       timed ? fmt::format("'{}', {}", rotation->python_when, rotation->python_interval)
                             : fmt::format("'a', {}", rotation->size_megabytes * 1024 * 1024),
                       kFilesKept);
  }
  const std::string formatter =
      log.format == kJsonFormat
          ? "class=pythonjsonlogger.jsonlogger.JsonFormatter\nformat=%(message)s\n"
          : "format=[%(asctime)s] [%(levelname)s] %(filename)s:%(lineno)d %(message)s\ndatefmt=%Y-%m-%d %H:%M:%S %z\n";
  return fmt::format(
      "[loggers]\nkeys=root\n"
      "[handlers]\nkeys={1}\n"
      "[formatters]\nkeys=line\n"
      "[logger_root]\nlevel={0}\nhandlers={1}\n"
      "[handler_console]\nclass=logging.StreamHandler\nlevel={0}\nformatter=line\nargs=(sys.stdout,)\n"
      "{2}"
      "[formatter_line]\n{3}",
      level, handlers, file, formatter);
}

// The user's ConfigMap in place of ours.
LogPlan mounted_config(const model::KeyReference& reference, const char* suffix, const std::string& folder,
                       const std::string& file) {
  const std::string name = reference.name + suffix;
  LogPlan plan;
  plan.path = folder + file;
  plan.volumes.push_back(
      {{"name", name},
       {"configMap",
        {{"name", reference.name}, {"items", json::array{json::object{{"key", reference.key}, {"path", file}}}}}}});
  plan.volume_mounts.push_back({{"name", name}, {"mountPath", folder}});
  return plan;
}

std::string write_file(const std::string& content, const std::string& path) {
  return "echo \"" + shell_double_quoted(content, false) + "\" > " + path + " && ";
}

model::LogSettings settings(const std::optional<model::LogSettings>* log) {
  return log && *log ? **log : model::LogSettings{};
}

}  // namespace

bool logs_by_sidecar(const model::ComponentSpec& spec) { return spec.log_topic_agent == "sidecar"; }

LogPlan plan_java_log(const model::Component& component) {
  const model::ComponentSpec& spec = component.spec;
  const model::LogSettings log = settings(component.spec.java ? &component.spec.java->log : nullptr);
  const bool yaml = log.java_log4j_config_file_type == "yaml";
  const std::string file = yaml ? "java_instance_log4j.yaml" : "java_instance_log4j.xml";
  LogPlan plan;
  if (log.log_config) plan = mounted_config(*log.log_config, "-java-log-conf", kJavaFolder, file);
  plan.path = kJavaFolder + file;
  if (!log.level.empty()) plan.level = java_level(log.level);
  if (log.log_config) return plan;
  const std::optional<Rotation> rotation = rotation_of(spec, log);
  const std::string content = yaml ? java_yaml(log, rotation) : java_xml(log, rotation);
  plan.write = "mkdir -p " + std::string(kJavaFolder) + " && " + write_file(content, plan.path);
  return plan;
}

LogPlan plan_python_log(const model::Component& component) {
  const model::ComponentSpec& spec = component.spec;
  const model::LogSettings log = settings(component.spec.python ? &component.spec.python->log : nullptr);
  if (log.log_config) return mounted_config(*log.log_config, "-python-log-conf", kPythonFolder, kPythonFile);
  LogPlan plan;
  plan.path = std::string(kPythonFolder) + kPythonFile;
  plan.write = "mkdir -p " + std::string(kPythonFolder) + " logs/functions && " +
               write_file(python_ini(spec, log, rotation_of(spec, log)), plan.path);
  if (!log.level.empty()) {
    plan.level = python_level(log.level);
    plan.write += "sed -i.bak 's/^level=.*/level=" + plan.level + "/g' " + plan.path + " && ";
  }
  return plan;
}

std::vector<json::object> go_log_environment(const model::Component& component) {
  constexpr std::array<std::string_view, 7> kLevels = {"trace", "debug", "info", "warn", "error", "fatal", "panic"};
  const model::LogSettings log = settings(component.spec.golang ? &component.spec.golang->log : nullptr);
  if (log.log_config) return {};
  const bool known = std::find(kLevels.begin(), kLevels.end(), log.level) != kLevels.end();
  return {json::object{{"name", "LOGGING_LEVEL"}, {"value", known ? log.level : std::string("info")}}};
}

std::vector<std::string> log_settings(std::string_view configuration) {
  static const std::set<std::string, std::less<>> words = {"OFF",
                                                           "TRACE",
                                                           "DEBUG",
                                                           "INFO",
                                                           "WARN",
                                                           "WARNING",
                                                           "ERROR",
                                                           "FATAL",
                                                           "CRITICAL",
                                                           "ALL",
                                                           "JSONLayout",
                                                           "JsonLayout",
                                                           "PatternLayout",
                                                           "JsonFormatter",
                                                           "TimedRotatingFileHandler",
                                                           "RotatingFileHandler",
                                                           "RollingRandomAccessFile",
                                                           "CronTriggeringPolicy",
                                                           "TimeBasedTriggeringPolicy",
                                                           "SizeBasedTriggeringPolicy"};
  std::set<std::string> found;
  const auto is_word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  for (size_t i = 0; i < configuration.size();) {
    if (!is_word(configuration[i])) {
      ++i;
      continue;
    }
    size_t end = i;
    while (end < configuration.size() && is_word(configuration[end])) ++end;
    const std::string_view word = configuration.substr(i, end - i);
    const bool size = word.ends_with("MB") && word.size() > 2 && word[0] >= '0' && word[0] <= '9';
    if (words.contains(word) || size) found.emplace(word);
    i = end;
  }
  // Schedules and the arguments of Python's handlers, up to the character that ends them.
  const auto add_after = [&](std::string_view mark, std::string_view ends) {
    for (size_t at = configuration.find(mark); at != std::string_view::npos; at = configuration.find(mark, at + 1)) {
      const size_t begin = at + mark.size();
      found.emplace(std::string(mark) +
                    std::string(configuration.substr(begin, configuration.find_first_of(ends, begin) - begin)));
    }
  };
  add_after("0 0 0 ", "\"'<\n");
  add_after("args=(", ")\n");
  return {found.begin(), found.end()};
}

}  // namespace fmesh::plan
