#include "local/fetch_package.h"

#include <fmt/format.h>

#include <array>
#include <boost/url.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <thread>

#include "base/base64.h"
#include "base/clock.h"
#include "local/download.h"
#include "stream/pulsar/address.h"
#include "stream/pulsar/client/authentication.h"
#include "stream/pulsar/package_name.h"

namespace fmesh::local {
namespace {

namespace files = std::filesystem;
namespace pulsar = stream::pulsar;

// Within the folder, so that what is whole is renamed, not copied.
constexpr const char* kWorkFolder = ".fetching";
constexpr size_t kShownMax = 20;  // names of an archive in an error

std::string encoded(std::string_view text) { return boost::urls::encode(text, boost::urls::unreserved_chars); }

std::unexpected<Error> failed(const files::path& path, const std::error_code& code) {
  return fail(ErrorKind::kFixInput, path.string() + ": " + code.message());
}

bool stays_packed(const std::string& file) { return file.ends_with(".zip") || file.ends_with(".whl"); }

class Fetch {
 public:
  explicit Fetch(const FetchOptions& options)
      : options_(options),
        folder_(options.folder),
        work_(folder_ / kWorkFolder),
        loop_(net::IoLoop::start(clock_, "fetch")) {}
  ~Fetch() {
    if (authentication_) {
      // It lives on the loop.
      std::promise<void> gone;
      loop_->post([&] {
        authentication_.reset();
        gone.set_value();
      });
      gone.get_future().wait();
    }
    loop_->stop();
    std::error_code code;
    files::remove_all(work_, code);
  }
  Fetch(const Fetch&) = delete;
  Fetch& operator=(const Fetch&) = delete;

  Result<FetchedPackage> run(const std::function<void(const std::string&)>& line) {
    FMESH_CHECK(check_file());
    std::error_code code;
    files::create_directories(folder_, code);
    if (code) return failed(folder_, code);
    files::remove_all(work_, code);  // of a run that was killed
    files::create_directory(work_, code);
    if (code) return failed(work_, code);
    FMESH_TRY(const Downloaded got, download_patiently(line));
    const std::string& pin = options_.location.sha256;
    if (!pin.empty() && pin != got.sha256) {
      return fail(ErrorKind::kFixInput, fmt::format("{}: what came has the SHA-256 {}, expected {}; it is not used",
                                                    options_.location.shown(), got.sha256, pin));
    }
    out_.sha256 = got.sha256;
    out_.bytes = got.bytes;
    FMESH_CHECK(put_in_place());
    return out_;
  }

 private:
  files::path part() const { return work_ / "part"; }

  Status check_file() const {
    const files::path file(options_.file);
    bool plain = !file.empty() && file.is_relative();
    for (const files::path& step : file) plain = plain && !step.empty() && step != "." && step != "..";
    if (plain) return {};
    return fail(ErrorKind::kFixInput,
                fmt::format("'{}' is no name in a package; expected a relative path such as enrich.so", options_.file));
  }

  Result<Downloaded> download_patiently(const std::function<void(const std::string&)>& line) {
    int64_t delay_ms = options_.retry_delay_ms;
    for (int attempt = 1;; ++attempt, delay_ms *= 2) {
      auto got = options_.location.in_pulsar ? from_pulsar() : from_web();
      if (got || got.error().kind() != ErrorKind::kRetryLater || attempt >= options_.attempts_max) return got;
      line(fmt::format("{}; again in {} ms", got.error().text(), delay_ms));
      std::this_thread::sleep_for(std::chrono::milliseconds(delay_ms));
    }
  }

  DownloadOptions download_options(std::string url) const {
    DownloadOptions how;
    how.url = std::move(url);
    how.file = part();
    how.size_max_bytes = options_.size_max_bytes;
    how.stall_timeout_ms = options_.stall_timeout_ms;
    how.redirects_max = kFetchRedirectsMax;
    return how;
  }

  Result<Downloaded> from_web() {
    DownloadOptions how = download_options(options_.location.address);
    if (!options_.ca_file.empty()) {
      FMESH_TRY(how.tls.ca, pulsar::read_small_file(options_.ca_file, "the certificates to trust"));
    }
    return download(*loop_, how);
  }

  Result<Downloaded> from_pulsar() {
    FMESH_TRY(const pulsar::PackageName name, pulsar::PackageName::parse(options_.location.address));
    if (options_.pulsar.web_service_url.empty()) {
      return fail(ErrorKind::kFixInput, name.full() +
                                            ": Pulsar's admin API has it; give its address (--pulsar-web, or "
                                            "webServiceURL in the ConfigMap of pulsar.pulsarConfig)");
    }
    FMESH_TRY(const pulsar::AdminUrl url, pulsar::AdminUrl::parse(options_.pulsar.web_service_url));
    DownloadOptions how = download_options(
        fmt::format("{}{}/admin/v3/packages/{}/{}/{}/{}/{}", url.origin(), url.prefix, name.type, encoded(name.tenant),
                    encoded(name.name_space), encoded(name.name), encoded(name.version)));
    if (!authentication_) {
      FMESH_TRY(authentication_,
                pulsar::Authentication::make(loop_.get(), options_.pulsar.auth_plugin, options_.pulsar.auth_params));
    }
    how.tls.insecure = options_.pulsar.tls_insecure;
    how.tls.any_name = !options_.pulsar.tls_verify_name;
    FMESH_CHECK(authentication_->add_certificate(how.tls));
    if (!options_.pulsar.tls_trust_file.empty()) {
      FMESH_TRY(how.tls.ca, pulsar::read_small_file(options_.pulsar.tls_trust_file, "the certificates to trust"));
    }
    FMESH_TRY(how.authorization, authorization());
    auto got = download(*loop_, how);
    if (!got) return fail(got.error().within(name.full()));
    return got;
  }

  Result<std::string> authorization() {
    const std::string method = authentication_->method();
    if (method != "token" && method != "basic") return std::string();
    const auto promise = std::make_shared<std::promise<Result<std::string>>>();
    auto future = promise->get_future();
    loop_->post([this, promise] {
      authentication_->data([promise](Result<std::string> data) { promise->set_value(std::move(data)); });
    });
    FMESH_TRY(const std::string data, future.get());
    return method == "token" ? "Bearer " + data : "Basic " + encode_base64(data);
  }

  Status put_in_place() {
    std::array<char, kArchiveHeadBytes> buffer{};
    std::ifstream stream(part(), std::ios::binary);
    stream.read(buffer.data(), buffer.size());
    const std::string_view head(buffer.data(), static_cast<size_t>(stream.gcount()));
    const ArchiveKind kind = archive_kind(head);
    if (stays_packed(options_.file)) {
      if (kind == ArchiveKind::kZip) return move_single();
      return fail(ErrorKind::kFixInput,
                  fmt::format("{}: is no zip, which {} has to be", options_.location.shown(), options_.file));
    }
    if (kind != ArchiveKind::kNone) return unpack_all();
    if (options_.file.ends_with(".so") && !head.starts_with("\x7f"
                                                            "ELF")) {
      return fail(ErrorKind::kFixInput,
                  fmt::format("{}: is neither a library nor an archive (zip, tar, tar.gz), but {} is to come from it",
                              options_.location.shown(), options_.file));
    }
    return move_single();
  }

  Status move_single() {
    const files::path target = folder_ / options_.file;
    std::error_code code;
    files::create_directories(target.parent_path(), code);
    if (code) return failed(target.parent_path(), code);
    files::permissions(part(), files::perms(0644), code);
    if (!code) files::rename(part(), target, code);
    if (code) return failed(target, code);
    return {};
  }

  Status unpack_all() {
    const files::path tree = work_ / "tree";
    std::error_code code;
    files::create_directory(tree, code);
    if (code) return failed(tree, code);
    const auto unpacked = unpack(part(), tree, options_.unpack);
    if (!unpacked) return fail(told_by_name(unpacked.error()));
    out_.unpacked = *unpacked;
    if (!files::is_regular_file(tree / options_.file, code)) {
      return fail(ErrorKind::kFixInput, fmt::format("{}: has no file {}; there are {}", options_.location.shown(),
                                                    options_.file, names_in(tree)));
    }
    for (const auto& entry : files::directory_iterator(tree, code)) {
      const files::path target = folder_ / entry.path().filename();
      files::remove_all(target, code);
      if (!code) files::rename(entry.path(), target, code);
      if (code) return failed(target, code);
    }
    if (code) return failed(tree, code);
    return {};
  }

  // Nobody knows the name that it had here.
  Error told_by_name(const Error& error) const {
    std::string text = error.text();
    const std::string here = part();
    if (text.starts_with(here)) text = options_.location.shown() + text.substr(here.size());
    return Error(error.kind(), std::move(text));
  }

  static std::string names_in(const files::path& tree) {
    std::string out;
    size_t count = 0;
    std::error_code code;
    for (const auto& entry : files::recursive_directory_iterator(tree, code)) {
      if (!entry.is_regular_file(code)) continue;
      if (++count > kShownMax) return out + ", ...";
      out += (out.empty() ? "" : ", ") + entry.path().lexically_relative(tree).string();
    }
    return out.empty() ? "none" : out;
  }

  const FetchOptions& options_;
  const files::path folder_, work_;
  SystemClock clock_;
  std::unique_ptr<net::IoLoop> loop_;
  std::unique_ptr<pulsar::Authentication> authentication_;
  FetchedPackage out_;
};

}  // namespace

Result<FetchedPackage> fetch_package(const FetchOptions& options, const std::function<void(const std::string&)>& line) {
  return Fetch(options).run(line);
}

}  // namespace fmesh::local
