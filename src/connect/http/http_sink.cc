#include "connect/http/http_sink.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <thread>

#include "base/rng.h"
#include "net/http.h"

namespace fmesh::connect {
namespace {

const Field kFields[] = {
    {"url", FieldType::kString, "", "http:// or https:// URL that takes the records"},
    {"method", FieldType::kChoice, "\"POST\"", "method of the requests", {"POST", "PUT"}},
    {"format",
     FieldType::kChoice,
     "\"each\"",
     "each: a request per record; lines: a line per record; json-array: an array of records",
     {"each", "lines", "json-array"}},
    {"batchRecords",
     FieldType::kInteger,
     "500",
     "records per request at most, for lines and json-array",
     {},
     1,
     100000},
    {"batchBytes", FieldType::kInteger, "1048576", "bytes per request at most", {}, 1, 67108864},
    {"headers", FieldType::kStringMap, "{}", "headers of each request; \"${NAME}\" is a secret"},
    {"timeoutMs", FieldType::kInteger, "30000", "time for one request", {}, 1, 3600000},
    {"retries",
     FieldType::kInteger,
     "5",
     "further tries of a request, before the instance takes the batch back",
     {},
     0,
     1000},
    {"tlsCa", FieldType::kString, "\"\"", "PEM file with authorities to trust beside the system's"},
};

constexpr int64_t kRetryDelayMinMs = 200;
constexpr int64_t kRetryDelayMaxMs = 30'000;

// 408, 425, 429 and 5xx pass; the rest of 4xx will be refused again.
bool worth_a_retry(int status) { return status == 408 || status == 425 || status == 429 || status >= 500; }

class HttpSink final : public runtime::Sink {
 public:
  Status open(runtime::ConnectorContext& context) override {
    context_ = &context;
    FMESH_TRY(const Config config, read_config(kFields, context.spec()));
    net::HttpClientOptions options;
    options.url = config.text("url");
    options.timeout_ms = config.integer("timeoutMs");
    options.tls.ca = config.text("tlsCa");
    method_ = config.text("method");
    format_ = config.text("format");
    headers_ = config.texts("headers");
    retries_ = config.integer("retries");
    batch_records_ = format_ == "each" ? 1 : static_cast<size_t>(config.integer("batchRecords"));
    batch_bytes_ = static_cast<size_t>(config.integer("batchBytes"));
    Result<std::unique_ptr<net::HttpClient>> client = net::HttpClient::make(std::move(options));
    if (!client) return fail(client.error().within(context.spec().component + ".sinkConfig.url"));
    client_ = std::move(*client);
    rng_ = Rng(static_cast<uint64_t>(context.clock().monotonic_ns()));
    return {};
  }

  Result<std::vector<runtime::WriteFailure>> write(std::span<const stream::RecordView> records) override {
    std::vector<runtime::WriteFailure> failures;
    for (size_t begin = 0; begin < records.size();) {
      size_t end = begin, size = 0;
      while (end < records.size() && end - begin < batch_records_ &&
             (end == begin || size + records[end].payload.size() <= batch_bytes_))
        size += records[end++].payload.size();
      FMESH_CHECK(send(records, begin, end, failures));
      begin = end;
    }
    return failures;
  }

  void close() override { client_.reset(); }

 private:
  Status send(std::span<const stream::RecordView> records, size_t begin, size_t end,
              std::vector<runtime::WriteFailure>& failures) {
    FMESH_TRY(const net::HttpResponse response, request(body_of(records.subspan(begin, end - begin))));
    if (response.status >= 200 && response.status < 300) return {};
    if (end - begin == 1) {
      failures.push_back(
          {begin, Error(ErrorKind::kFixInput, "the other side answered " + std::to_string(response.status) + ": " +
                                                  response.body.substr(0, 200))});
      return {};
    }
    // One of them is refused; halves tell which.
    const size_t middle = begin + (end - begin) / 2;
    FMESH_CHECK(send(records, begin, middle, failures));
    return send(records, middle, end, failures);
  }

  // Tries until there is an answer that more tries would not change. Errors: kRetryLater after the last try.
  Result<net::HttpResponse> request(const std::string& body) {
    for (int64_t attempt = 0;; ++attempt) {
      net::HttpRequest request;
      request.method = method_;
      request.path.clear();  // that of the URL
      request.headers = headers_;
      request.headers.try_emplace("content-type", format_ == "lines" ? "application/x-ndjson" : "application/json");
      request.body = body;
      Result<net::HttpResponse> response = client_->send(std::move(request));
      if (response && !worth_a_retry(response->status)) return response;
      if (!response && response.error().kind() == ErrorKind::kFixInput) return response;
      if (attempt >= retries_ || context_->stopping()) {
        if (!response) return fail(response.error());
        return fail(ErrorKind::kRetryLater, "the other side answered " + std::to_string(response->status) + " " +
                                                std::to_string(attempt + 1) + " times");
      }
      sleep_ms(delay_ms(attempt, response ? &*response : nullptr));
    }
  }

  int64_t delay_ms(int64_t attempt, const net::HttpResponse* response) {
    if (response != nullptr) {
      const auto header = response->headers.find("retry-after");
      int64_t seconds = 0;
      if (header != response->headers.end() &&
          std::from_chars(header->second.data(), header->second.data() + header->second.size(), seconds).ec ==
              std::errc() &&
          seconds >= 0)
        return std::min(seconds * 1000, kRetryDelayMaxMs);
    }
    const int64_t delay = std::min(kRetryDelayMinMs << std::min<int64_t>(attempt, 20), kRetryDelayMaxMs);
    return delay / 2 + static_cast<int64_t>(rng_.below(static_cast<uint64_t>(delay / 2) + 1));
  }

  void sleep_ms(int64_t ms) {
    for (; ms > 0 && !context_->stopping(); ms -= 50)
      std::this_thread::sleep_for(std::chrono::milliseconds(std::min<int64_t>(ms, 50)));
  }

  std::string body_of(std::span<const stream::RecordView> records) const {
    std::string body;
    if (format_ == "json-array") body += '[';
    for (const stream::RecordView& record : records) {
      if (format_ == "json-array" && body.size() > 1) body += ',';
      body += record.payload;
      if (format_ == "lines") body += '\n';
    }
    if (format_ == "json-array") body += ']';
    return body;
  }

  runtime::ConnectorContext* context_ = nullptr;
  std::string method_, format_;
  std::map<std::string, std::string> headers_;
  int64_t retries_ = 0;
  size_t batch_records_ = 1, batch_bytes_ = 1;
  std::unique_ptr<net::HttpClient> client_;
  Rng rng_{1};
};

}  // namespace

std::span<const Field> http_sink_fields() { return kFields; }
std::unique_ptr<runtime::Sink> make_http_sink() { return std::make_unique<HttpSink>(); }

}  // namespace fmesh::connect
