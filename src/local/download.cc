#include "local/download.h"

#include <fmt/format.h>

#include <boost/url.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <future>
#include <memory>
#include <utility>

#include "net/digest.h"
#include "net/http_async.h"

namespace fmesh::local {
namespace {

struct Address {
  bool secure = false;
  std::string origin;  // https://host:port
  std::string target;  // path and query
};

// Without the query, which may hold a signature.
std::string shown(const std::string& url) { return url.substr(0, url.find('?')); }

Result<Address> read_address(const std::string& text) {
  const auto url = boost::urls::parse_uri(text);
  if (!url || (url->scheme() != "http" && url->scheme() != "https") || url->encoded_host().empty()) {
    return fail(ErrorKind::kFixInput, shown(text) + " is no address; expected http(s)://HOST/PATH");
  }
  if (url->has_userinfo()) {
    return fail(ErrorKind::kFixInput, "an address with a user or a password in it is not taken");
  }
  Address out;
  out.secure = url->scheme() == "https";
  out.origin = fmt::format("{}://{}", std::string_view(url->scheme()), std::string_view(url->encoded_host_and_port()));
  out.target = std::string(url->encoded_path());
  if (out.target.empty()) out.target = "/";
  if (url->has_query()) out.target += "?" + std::string(url->encoded_query());
  return out;
}

// What an answer says of itself, cut for people.
std::string excerpt(const net::HttpResponse& response) {
  std::string text = response.body.substr(0, 200);
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  return text.empty() ? "" : ": " + text;
}

bool may_pass(int status) { return status == 408 || status == 425 || status == 429 || status >= 500; }

// One answer: its body goes to the file as it comes. On the loop.
class Answer {
 public:
  Answer(const DownloadOptions& options, FILE* file) : options_(options), file_(file) {}

  net::HttpStreamHandler handler() {
    return {.on_head = [this](const net::HttpResponse& head) { take_head(head); },
            .on_data = [this](std::string_view piece) { take(piece); },
            .on_end = [this](const Status& outcome) { end(outcome); }};
  }
  std::future<Status> future() { return promise_.get_future(); }

  const net::HttpResponse& head() const { return head_; }
  Downloaded result() { return {.sha256 = digest_.finish(), .bytes = bytes_}; }

 private:
  void take_head(const net::HttpResponse& head) {
    head_ = head;
    const auto length = head.headers.find("content-length");
    if (head.status != 200 || length == head.headers.end()) return;
    if (std::strtoull(length->second.c_str(), nullptr, 10) > options_.size_max_bytes) refuse_size();
  }

  void take(std::string_view piece) {
    if (over_) return;
    bytes_ += piece.size();
    if (bytes_ > options_.size_max_bytes) return refuse_size();
    digest_.add(piece);
    if (std::fwrite(piece.data(), 1, piece.size(), file_) != piece.size()) {
      end(fail(ErrorKind::kFixInput, "write " + options_.file + ": " + std::strerror(errno)));
    }
  }

  void refuse_size() {
    end(fail(ErrorKind::kFixInput, fmt::format("is larger than {} bytes", options_.size_max_bytes)));
  }

  void end(const Status& outcome) {
    if (!std::exchange(over_, true)) promise_.set_value(outcome);
  }

  const DownloadOptions& options_;
  FILE* file_;
  std::promise<Status> promise_;
  net::HttpResponse head_;
  net::Sha256 digest_;
  uint64_t bytes_ = 0;
  bool over_ = false;
};

// Runs `task` on the loop and waits.
template <class Task>
void on_loop(net::IoLoop& loop, Task&& task) {
  std::promise<void> done;
  loop.post([&] {
    task();
    done.set_value();
  });
  done.get_future().wait();
}

class Download {
 public:
  Download(net::IoLoop& loop, const DownloadOptions& options) : loop_(loop), options_(options) {}

  Result<Downloaded> run() {
    std::string url = options_.url;
    for (int redirects = 0;; ++redirects) {
      FMESH_TRY(const Address address, read_address(url));
      FMESH_TRY(const std::string next, get(address));
      if (next.empty()) return result_;
      if (redirects == options_.redirects_max) {
        return fail(ErrorKind::kFixInput, fmt::format("{}: more than {} redirects", shown(options_.url), redirects));
      }
      FMESH_TRY(url, follow(address, url, next));
    }
  }

 private:
  Result<std::string> follow(const Address& from, const std::string& base_text, const std::string& location) const {
    const auto base = boost::urls::parse_uri(base_text);
    const auto reference = boost::urls::parse_uri_reference(location);
    boost::urls::url resolved;
    if (!base || !reference || !boost::urls::resolve(*base, *reference, resolved)) {
      return fail(ErrorKind::kFixInput,
                  fmt::format("{}: leads to {}, which is no address", from.origin, shown(location)));
    }
    resolved.remove_fragment();
    FMESH_TRY(const Address to, read_address(std::string(resolved.buffer())));
    if (from.secure && !to.secure) {
      return fail(ErrorKind::kFixInput, fmt::format("{}: leads to {}, which is not followed: it would be without TLS",
                                                    from.origin, to.origin));
    }
    if (!options_.authorization.empty() && to.origin != from.origin) {
      return fail(ErrorKind::kFixInput, fmt::format("{}: leads to {}, which is not told who we are; give that address, "
                                                    "or one of a proxy or load balancer, as webServiceURL",
                                                    from.origin, to.origin));
    }
    return std::string(resolved.buffer());
  }

  // Where it leads on; empty: it is here.
  Result<std::string> get(const Address& address) {
    net::AsyncHttpClientOptions how;
    how.url = address.origin;
    if (address.secure) how.tls = options_.tls;
    how.timeout_ms = options_.stall_timeout_ms;
    how.body_size_max_bytes = size_t{64} * 1024;  // of an answer that is none
    const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(options_.file.c_str(), "wbe"), &std::fclose);
    if (!file) return fail(ErrorKind::kFixInput, options_.file + ": " + std::strerror(errno));
    Answer answer(options_, file.get());
    auto future = answer.future();
    Status made;
    std::unique_ptr<net::AsyncHttpClient> client;
    std::unique_ptr<net::HttpStream> stream;
    on_loop(loop_, [&] {
      auto opened = net::AsyncHttpClient::make(loop_, std::move(how));
      if (!opened) {
        made = fail(opened.error());
        return;
      }
      client = std::move(*opened);
      net::AsyncRequest request;
      request.target = address.target;
      if (!options_.authorization.empty()) request.headers.emplace("authorization", options_.authorization);
      stream = client->open(std::move(request), answer.handler());
    });
    if (!made) return fail(made.error().within(address.origin));
    const Status outcome = future.get();
    on_loop(loop_, [&] {
      stream.reset();
      client.reset();
    });
    if (!outcome) return fail(outcome.error().within(shown(options_.url)));
    if (std::fflush(file.get()) != 0) return fail(ErrorKind::kFixInput, options_.file + ": " + std::strerror(errno));
    return judge(answer);
  }

  Result<std::string> judge(Answer& answer) {
    const net::HttpResponse& head = answer.head();
    if (head.status == 200) {
      result_ = answer.result();
      return std::string();
    }
    const auto location = head.headers.find("location");
    const bool leads_on =
        head.status == 301 || head.status == 302 || head.status == 303 || head.status == 307 || head.status == 308;
    if (leads_on && location != head.headers.end() && !location->second.empty()) return location->second;
    return fail(may_pass(head.status) ? ErrorKind::kRetryLater : ErrorKind::kFixInput,
                fmt::format("{}: the answer is {}{}", shown(options_.url), head.status, excerpt(head)));
  }

  net::IoLoop& loop_;
  const DownloadOptions& options_;
  Downloaded result_;
};

}  // namespace

Result<Downloaded> download(net::IoLoop& loop, const DownloadOptions& options) { return Download(loop, options).run(); }

}  // namespace fmesh::local
