#include "connect/http/http_sink.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include "base/hash.h"
#include "base/rng.h"
#include "connect/line.h"
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

void check(const Config& config, int32_t, Problems& problems) {
  net::HttpClientOptions options;
  options.url = config.text("url");
  if (const auto client = net::HttpClient::make(std::move(options)); !client)
    problems.add("url", client.error().text());
}

// 408, 425, 429 and 5xx pass.
bool worth_a_retry(int status) { return status == 408 || status == 425 || status == 429 || status >= 500; }

// The record is at fault: it is refused however often it comes. Any other answer is about the address, the credentials
// or the other side, so that no record may be given up for it.
bool blames_the_record(int status) {
  return status == 400 || status == 409 || status == 413 || status == 415 || status == 422;
}

class HttpSink final : public runtime::Sink {
 public:
  Status open(runtime::ConnectorContext& context) override {
    context_ = &context;
    FMESH_TRY(const Config config, read_config(http_sink_config(), context.spec()));
    net::HttpClientOptions options;
    options.url = config.text("url");
    options.timeout_ms = config.integer("timeoutMs");
    options.tls.ca = file_path(context.spec(), config.text("tlsCa"));
    method_ = config.text("method");
    format_ = config.text("format");
    headers_.clear();
    for (const auto& [given, value] : config.texts("headers")) {
      std::string name = given;
      for (char& c : name)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
      headers_[name] = value;
    }
    retries_ = config.integer("retries");
    batch_records_ = format_ == "each" ? 1 : static_cast<size_t>(config.integer("batchRecords"));
    batch_bytes_ = static_cast<size_t>(config.integer("batchBytes"));
    FMESH_TRY(client_, net::HttpClient::make(std::move(options)));
    rng_ = Rng(static_cast<uint64_t>(context.clock().monotonic_ns()));
    return {};
  }

  Result<std::vector<runtime::WriteFailure>> write(std::span<const stream::RecordView> records) override {
    // A batch that failed comes again as it was; what the other side took of it is not sent twice.
    if (!failed_sum_ || *failed_sum_ != sum_of(records)) {
      sent_ = 0;
      failures_.clear();
    }
    failed_sum_.reset();
    while (sent_ < records.size()) {
      std::vector<size_t> indexes;  // of one request
      std::string body;
      size_t end = sent_;
      for (; end < records.size() && indexes.size() < batch_records_; ++end) {
        if (!indexes.empty() && body.size() + records[end].payload.size() > batch_bytes_) break;
        if (append(body, records[end].payload)) {
          indexes.push_back(end);
        } else {
          failures_.push_back(
              {end, Error(ErrorKind::kFixInput,
                          format_ == "lines" ? "it holds line breaks and is no JSON" : "it is no JSON")});
        }
      }
      if (const Status sent = send(records, indexes, std::move(body)); !sent) {
        std::erase_if(failures_, [this](const runtime::WriteFailure& failure) { return failure.index >= sent_; });
        failed_sum_ = sum_of(records);
        return fail(sent.error());
      }
      sent_ = end;
    }
    sent_ = 0;
    std::ranges::sort(failures_, {}, &runtime::WriteFailure::index);
    return std::exchange(failures_, {});
  }

  void close() override { client_.reset(); }

 private:
  static uint32_t sum_of(std::span<const stream::RecordView> records) {
    uint32_t sum = static_cast<uint32_t>(records.size());
    for (const stream::RecordView& record : records) sum = crc32c(record.payload, sum);
    return sum;
  }

  // Adds a payload to a body that is not closed yet. False if the format can't hold it.
  bool append(std::string& body, std::string_view payload) const {
    const size_t before = body.size();
    if (format_ == "lines") {
      if (append_line(body, payload)) return true;
    } else if (format_ == "json-array") {
      body += body.empty() ? '[' : ',';
      body += payload;
      if (is_json(payload)) return true;
    } else {
      body += payload;
      return true;
    }
    body.resize(before);
    return false;
  }

  Status send(std::span<const stream::RecordView> records, std::span<const size_t> indexes, std::string body) {
    if (indexes.empty()) return {};
    if (format_ == "json-array") body += ']';
    FMESH_TRY(const net::HttpResponse response, request(std::move(body)));
    if (response.status >= 200 && response.status < 300) return {};
    const std::string said = "the other side answered " + std::to_string(response.status) + ": " + excerpt(response);
    if (!blames_the_record(response.status)) return fail(ErrorKind::kRetryLater, said);
    if (indexes.size() == 1) {
      failures_.push_back({indexes[0], Error(ErrorKind::kFixInput, said)});
      return {};
    }
    // One of them is refused; halves tell which.
    for (const auto half : {indexes.first(indexes.size() / 2), indexes.subspan(indexes.size() / 2)}) {
      std::string part;
      for (const size_t index : half) append(part, records[index].payload);
      FMESH_CHECK(send(records, half, std::move(part)));
    }
    return {};
  }

  // The start of what the other side said, on one line.
  static std::string excerpt(const net::HttpResponse& response) {
    constexpr size_t kExcerptMax = 200;
    std::string text = response.body.substr(0, kExcerptMax);
    for (char& c : text)
      if (static_cast<unsigned char>(c) < ' ') c = ' ';
    while (text.ends_with(' ')) text.pop_back();
    return text;
  }

  // Tries until there is an answer that more tries would not change. Errors: kRetryLater after the last try.
  Result<net::HttpResponse> request(std::string body) {
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
      wait_ms(delay_ms(attempt, response ? &*response : nullptr));
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

  void wait_ms(int64_t ms) const {
    for (; ms > 0 && !context_->stopping(); ms -= 50)
      std::this_thread::sleep_for(std::chrono::milliseconds(std::min<int64_t>(ms, 50)));
  }

  runtime::ConnectorContext* context_ = nullptr;
  std::string method_, format_;
  std::map<std::string, std::string> headers_;
  int64_t retries_ = 0;
  size_t batch_records_ = 1, batch_bytes_ = 1;
  std::unique_ptr<net::HttpClient> client_;
  Rng rng_{1};
  size_t sent_ = 0;  // records of the batch at hand that need nothing more
  std::vector<runtime::WriteFailure> failures_;
  std::optional<uint32_t> failed_sum_;  // of the batch that failed last
};

}  // namespace

ConfigTable http_sink_config() { return {kFields, &check}; }
std::unique_ptr<runtime::Sink> make_http_sink() { return std::make_unique<HttpSink>(); }

}  // namespace fmesh::connect
