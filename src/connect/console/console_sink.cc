#include "connect/console/console_sink.h"

#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>
#include <cstring>

#include "connect/line.h"

namespace fmesh::connect {
namespace {

const Field kFields[] = {
    {"format",
     FieldType::kChoice,
     "\"payload\"",
     "payload: the payload alone; json: an object with payload, key, eventTime and properties",
     {"payload", "json"}},
};

class ConsoleSink final : public runtime::Sink {
 public:
  Status open(runtime::ConnectorContext& context) override {
    FMESH_TRY(const Config config, read_config(console_config(), context.spec()));
    json_ = config.text("format") == "json";
    return {};
  }

  Result<std::vector<runtime::WriteFailure>> write(std::span<const stream::RecordView> records) override {
    text_.clear();
    for (const stream::RecordView& record : records) {
      if (json_) {
        append_json(record);
      } else {
        append_line(text_, record.payload);
      }
    }
    for (size_t done = 0; done < text_.size();) {
      const ssize_t n = ::write(STDOUT_FILENO, text_.data() + done, text_.size() - done);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail(ErrorKind::kRetryLater, std::string("write to standard output: ") + std::strerror(errno));
      done += static_cast<size_t>(n);
    }
    return std::vector<runtime::WriteFailure>();
  }

 private:
  void append_json(const stream::RecordView& record) {
    boost::json::object line;
    boost::system::error_code code;
    boost::json::value payload = boost::json::parse(record.payload, code);
    line["payload"] = code ? boost::json::value(record.payload) : std::move(payload);
    if (record.has_key) line["key"] = record.key;
    if (record.event_time_ms != 0) line["eventTime"] = record.event_time_ms;
    if (!record.properties.empty()) {
      boost::json::object properties;
      for (const stream::Property& property : record.properties) properties[property.key] = property.value;
      line["properties"] = std::move(properties);
    }
    text_ += boost::json::serialize(line) + '\n';
  }

  bool json_ = false;
  std::string text_;
};

}  // namespace

ConfigTable console_config() { return {kFields}; }
std::unique_ptr<runtime::Sink> make_console_sink() { return std::make_unique<ConsoleSink>(); }

}  // namespace fmesh::connect
