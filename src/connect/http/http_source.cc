#include "connect/http/http_source.h"

#include <algorithm>
#include <deque>
#include <map>
#include <mutex>

#include "connect/limits.h"
#include "fmesh/json.h"
#include "fmesh/json_path.h"
#include "net/address.h"
#include "net/http.h"

namespace fmesh::connect {
namespace {

const Field kFields[] = {
    {"address", FieldType::kString, "", "HOST:PORT to listen on; any but loopback needs a token or TLS"},
    {"path", FieldType::kString, "\"/\"", "path that takes POST"},
    {"batch",
     FieldType::kChoice,
     "\"none\"",
     "none: the body is one record; lines: each line is one; json-array: each element is one",
     {"none", "lines", "json-array"}},
    {"key", FieldType::kString, "\"\"",
     "top-level JSON member that becomes the key; the header x-fmesh-key goes before it"},
    {"eventTime", FieldType::kString, "\"\"", "top-level JSON member with the event time in ms since 1970"},
    {"token", FieldType::kString, "\"\"", "requests must carry \"Authorization: Bearer TOKEN\""},
    {"pendingBytes",
     FieldType::kInteger,
     "8388608",
     "bytes that may wait to become durable; beyond, the answer is 429",
     {},
     1024,
     1073741824},
    {"tlsCertificate", FieldType::kString, "\"\"", "PEM file; with tlsKey the source speaks HTTPS"},
    {"tlsKey", FieldType::kString, "\"\"", "PEM file"},
};

void check(const Config& config, int32_t instance_count, Problems& problems) {
  if (!config.text("path").starts_with('/')) problems.add("path", "expected a path that begins with /");
  const bool has_certificate = !config.text("tlsCertificate").empty(), has_key = !config.text("tlsKey").empty();
  if (has_certificate != has_key)
    problems.add(has_key ? "tlsCertificate" : "tlsKey", "is missing; TLS needs a certificate and its key");
  const Result<net::Address> address = net::parse_address(config.text("address"));
  if (!address) {
    problems.add("address", address.error().text());
    return;
  }
  if (!net::is_loopback(*address) && config.text("token").empty() && !has_certificate)
    problems.add("address", config.text("address") + " can be reached by others; set token or TLS, or use 127.0.0.1");
  if (instance_count > 1 && address->port != 0)
    problems.add("address", "several instances can't listen on one port; set replicas to 1, or port 0");
}

struct Row {
  std::string payload, key;
  bool has_key = false;
  int64_t event_time_ms = 0;
};

struct Pending {
  std::vector<Row> rows;
  size_t size_bytes = 0;
  net::Respond respond;
};

net::HttpResponse answer(int status, std::string text) {
  net::HttpResponse response;
  response.status = status;
  response.headers["content-type"] = "text/plain";
  if (status == 429 || status == 503) response.headers["retry-after"] = "1";
  response.body = std::move(text) + "\n";
  return response;
}

// Compares in a time that does not depend on where the texts differ.
bool same_secret(std::string_view a, std::string_view b) {
  unsigned char difference = a.size() == b.size() ? 0 : 1;
  for (size_t i = 0; i < a.size() && i < b.size(); ++i) difference |= static_cast<unsigned char>(a[i] ^ b[i]);
  return difference == 0;
}

class HttpSource final : public runtime::Source {
 public:
  bool non_blocking() const override { return true; }

  Status open(runtime::ConnectorContext& context) override {
    context_ = &context;
    const model::InstanceSpec& spec = context.spec();
    FMESH_TRY(const Config config, read_config(http_source_config(), spec));
    path_ = config.text("path");
    batch_ = config.text("batch");
    key_ = config.text("key");
    event_time_ = config.text("eventTime");
    token_ = config.text("token");
    pending_max_bytes_ = static_cast<size_t>(config.integer("pendingBytes"));
    net::HttpServerOptions options;
    options.address = config.text("address");
    options.tls.certificate = file_path(spec, config.text("tlsCertificate"));
    options.tls.key = file_path(spec, config.text("tlsKey"));
    options.body_size_max_bytes = std::min(options.body_size_max_bytes, pending_max_bytes_);
    // With port 0 no one knows where to send records unless it is told.
    FMESH_TRY(const net::Address address, net::parse_address(options.address));
    open_ = true;
    Result<std::unique_ptr<net::HttpServer>> server = net::HttpServer::start(
        std::move(options),
        [this](net::HttpRequest request, net::Respond respond) { take(std::move(request), std::move(respond)); });
    if (!server) return fail(server.error().within(spec.component + ".sourceConfig.address"));
    server_ = std::move(*server);
    if (address.port == 0) context.log("info", "listens on port " + std::to_string(server_->port()));
    return {};
  }

  Result<runtime::ReadResult> read(uint64_t token, runtime::RecordCollector& out) override {
    std::deque<Pending> taken;
    {
      std::lock_guard lock(mutex_);
      while (!waiting_.empty() && out.wants_more()) {
        for (const Row& row : waiting_.front().rows) {
          stream::RecordView record;
          record.payload = row.payload;
          record.key = row.key;
          record.has_key = row.has_key;
          record.event_time_ms = row.event_time_ms;
          out.add(record);
        }
        taken.push_back(std::move(waiting_.front()));
        waiting_.pop_front();
      }
    }
    runtime::ReadResult result;
    result.outcome = taken.empty() ? runtime::ReadOutcome::kIdle : runtime::ReadOutcome::kMore;
    if (!taken.empty()) {
      std::lock_guard lock(mutex_);
      durable_next_[token] = std::move(taken);
    }
    return result;
  }

  void committed(uint64_t token) override {
    for (Pending& pending : release(token))
      pending.respond(answer(200, std::to_string(pending.rows.size()) + " records"));
  }

  void failed(uint64_t token, const Error& error) override {
    for (Pending& pending : release(token)) pending.respond(answer(503, "not stored, send again: " + error.text()));
  }

  void close() override {
    std::deque<Pending> left;
    {
      std::lock_guard lock(mutex_);
      open_ = false;
      left.swap(waiting_);
      for (auto& [token, pending] : durable_next_)
        for (Pending& one : pending) left.push_back(std::move(one));
      durable_next_.clear();
      pending_bytes_ = 0;
    }
    for (Pending& pending : left) pending.respond(answer(503, "the mesh is stopping; send again"));
    if (server_) server_->stop(1'000);
    server_.reset();
  }

 private:
  std::deque<Pending> release(uint64_t token) {
    std::lock_guard lock(mutex_);
    const auto found = durable_next_.find(token);
    if (found == durable_next_.end()) return {};
    std::deque<Pending> released = std::move(found->second);
    durable_next_.erase(found);
    for (const Pending& pending : released) pending_bytes_ -= pending.size_bytes;
    return released;
  }

  // On the server's thread.
  void take(net::HttpRequest request, net::Respond respond) {
    if (request.path != path_)
      return respond(answer(404, "there is nothing here; records are taken by POST to " + path_));
    if (request.method != "POST") {
      net::HttpResponse refused = answer(405, "only POST is taken here");
      refused.headers["allow"] = "POST";
      return respond(std::move(refused));
    }
    if (!token_.empty()) {
      const auto given = request.headers.find("authorization");
      if (given == request.headers.end() || !same_secret(given->second, "Bearer " + token_))
        return respond(answer(401, "send \"Authorization: Bearer TOKEN\""));
    }
    const auto encoding = request.headers.find("content-encoding");
    if (encoding != request.headers.end() && encoding->second != "identity")
      return respond(
          answer(415, "content-encoding " + encoding->second + " is not understood; send the body as it is"));
    Pending pending;
    pending.size_bytes = request.body.size();
    const std::string why = read_rows(request, pending.rows);
    if (!why.empty()) return respond(answer(400, why));
    if (pending.rows.empty()) return respond(answer(400, "the body holds no record"));
    for (const Row& row : pending.rows)
      if (row.payload.size() + row.key.size() > kRecordMaxBytes)
        return respond(answer(413, "a record may have " + std::to_string(kRecordMaxBytes) + " bytes with its key"));
    pending.respond = respond;
    {
      std::lock_guard lock(mutex_);
      if (!open_) return respond(answer(503, "the mesh is stopping; send again"));
      if (pending_bytes_ + pending.size_bytes > pending_max_bytes_)
        return respond(answer(429, "too much waits to become durable; send again later"));
      pending_bytes_ += pending.size_bytes;
      waiting_.push_back(std::move(pending));
    }
    context_->wake();
  }

  // Empty, or what is wrong with the body.
  std::string read_rows(net::HttpRequest& request, std::vector<Row>& rows) const {
    const auto header = request.headers.find("x-fmesh-key");
    const auto add = [&](std::string_view text) -> std::string {
      Row row;
      row.payload = text;
      if (header != request.headers.end()) {
        row.key = header->second;
        row.has_key = true;
      }
      if (key_.empty() && event_time_.empty()) {
        rows.push_back(std::move(row));
        return "";
      }
      try {
        if (!key_.empty() && !row.has_key) {
          const auto value = json::member(text, key_);
          if (!value) return "record " + std::to_string(rows.size()) + ": there is no \"" + key_ + "\" for the key";
          row.key = value->starts_with('"') ? json::parse<std::string>(*value) : std::string(*value);
          row.has_key = true;
        }
        if (!event_time_.empty()) {
          const auto value = json::member(text, event_time_);
          if (!value)
            return "record " + std::to_string(rows.size()) + ": there is no \"" + event_time_ + "\" for the event time";
          row.event_time_ms = json::parse<int64_t>(*value);
        }
      } catch (const JsonError& error) {
        return "record " + std::to_string(rows.size()) + ": " + error.what();
      }
      rows.push_back(std::move(row));
      return "";
    };
    if (batch_ == "none") return request.body.empty() ? "" : add(request.body);
    if (batch_ == "lines") {
      std::string_view rest = request.body;
      while (!rest.empty()) {
        const size_t end = rest.find('\n');
        std::string_view line = rest.substr(0, end);
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (!line.empty())
          if (std::string why = add(line); !why.empty()) return why;
        if (end == std::string_view::npos) break;
        rest.remove_prefix(end + 1);
      }
      return "";
    }
    try {
      std::string why;
      json::Reader reader(request.body);
      reader.array([&] {
        const std::string_view element = reader.skip();
        if (why.empty()) why = add(element);
      });
      reader.finish();
      return why;
    } catch (const JsonError& error) {
      return std::string("the body is not a JSON array: ") + error.what();
    }
  }

  runtime::ConnectorContext* context_ = nullptr;
  std::string path_, batch_, key_, event_time_, token_;
  size_t pending_max_bytes_ = 0;
  std::unique_ptr<net::HttpServer> server_;
  std::mutex mutex_;
  std::deque<Pending> waiting_;
  std::map<uint64_t, std::deque<Pending>> durable_next_;
  size_t pending_bytes_ = 0;
  bool open_ = false;
};

}  // namespace

ConfigTable http_source_config() { return {kFields, &check}; }
std::unique_ptr<runtime::Source> make_http_source() { return std::make_unique<HttpSource>(); }

}  // namespace fmesh::connect
