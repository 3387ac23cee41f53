#include "kube/credentials.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "net/proxy.h"

namespace fmesh::kube {
namespace {

constexpr int kDoublingsMax = 5;

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) return fail(ErrorKind::kFixInput, path + " can't be read");
  // Of a file, empty means that something is wrong, not that nothing is wanted.
  if (text.str().empty()) return fail(ErrorKind::kFixInput, path + " is empty, or is no file");
  return text.str();
}

// Puts what the file holds into `value`; true if that is something else than before.
Result<bool> refresh(const std::string& path, std::string& value) {
  if (path.empty()) return false;
  FMESH_TRY(std::string text, read_file(path));
  if (text == value) return false;
  value = std::move(text);
  return true;
}

Result<std::string> read_token(const std::string& path) {
  FMESH_TRY(std::string token, read_file(path));
  while (!token.empty() && std::isspace(static_cast<unsigned char>(token.back()))) token.pop_back();
  if (token.empty()) return fail(ErrorKind::kFixInput, path + " has no token in it");
  const bool control =
      std::any_of(token.begin(), token.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  if (control) return fail(ErrorKind::kFixInput, path + ": the token has a line break or control character in it");
  return token;
}

std::vector<std::string> environment_of_process() {
  std::vector<std::string> out;
  for (char** one = environ; *one; ++one) out.emplace_back(*one);
  return out;
}

}  // namespace

Credentials::Credentials(Loop& loop, ClusterConfig config)
    : loop_(loop), config_(std::move(config)), environment_(environment_of_process()) {
  identity_.insecure = config_.insecure_skip_tls_verify;
  identity_.server_name = config_.tls_server_name;
  identity_.ca = config_.ca_data;
  identity_.certificate = config_.certificate_data;
  identity_.key = config_.key_data;
}

Credentials::~Credentials() {
  *cancelled_ = true;
  if (run_.joinable()) run_.join();
}

Result<std::unique_ptr<Credentials>> Credentials::make(Loop& loop, ClusterConfig config) {
  std::unique_ptr<Credentials> out(new Credentials(loop, std::move(config)));
  FMESH_CHECK(out->read_first());
  return out;
}

Status Credentials::read_first() {
  FMESH_CHECK(refresh(config_.ca_file, identity_.ca));
  FMESH_CHECK(refresh(config_.certificate_file, identity_.certificate));
  FMESH_CHECK(refresh(config_.key_file, identity_.key));
  files_read_ms_ = now_ms();
  if (!config_.username.empty() || !config_.password.empty()) {
    use_.authorization = net::basic_authorization(config_.username, config_.password);
  }
  if (!config_.token.empty()) set_token(config_.token);
  if (config_.token_file.empty()) return {};
  if (auto token = read_token(config_.token_file)) {
    set_token(*token);
  } else if (config_.token.empty()) {
    return fail(std::move(token).error());
  }
  return {};
}

void Credentials::set_token(const std::string& token) {
  std::string header = "Bearer " + token;
  if (header == use_.authorization) return;
  use_.authorization = std::move(header);
  ++use_.version;
}

bool Credentials::read_again() {
  files_read_ms_ = now_ms();
  const uint64_t before = use_.version + identity_version_;
  if (!config_.token_file.empty()) {
    if (auto token = read_token(config_.token_file)) set_token(*token);
  }
  // What can't be read, or has no key that fits yet, is read next time.
  net::TlsIdentity fresh = identity_;
  const bool read = refresh(config_.ca_file, fresh.ca) && refresh(config_.certificate_file, fresh.certificate) &&
                    refresh(config_.key_file, fresh.key);
  const bool fits = config_.certificate_file.empty() || net::key_fits({fresh.certificate, fresh.key});
  if (read && fits && fresh != identity_) {
    identity_ = std::move(fresh);
    ++identity_version_;
  }
  return use_.version + identity_version_ != before;
}

void Credentials::read_if_due() {
  if (now_ms() - files_read_ms_ >= kFilesReadEveryMs) read_again();
}

bool Credentials::plugin_due() const {
  if (!config_.exec) return false;
  return !given_ || (given_->expires_ms && loop_.clock().wall_ms() >= *given_->expires_ms);
}

void Credentials::use(std::function<void(Result<Use>)> done) {
  read_if_due();
  const bool pause = now_ms() < next_run_ms_;
  if (!running_ && (!plugin_due() || (pause && !failure_))) return done(use_);
  if (!running_ && pause) {
    loop_.post([done = std::move(done), failure = *failure_, cancelled = cancelled_] {
      if (!*cancelled) done(fail(failure));
    });
    return;
  }
  if (waiters_.size() >= kPluginWaitersMax) {
    loop_.post([done = std::move(done), cancelled = cancelled_, who = config_.context] {
      if (*cancelled) return;
      done(fail(ErrorKind::kRetryLater, who + ": " + std::to_string(kPluginWaitersMax) +
                                            " requests wait for the exec plugin already; nothing was sent"));
    });
    return;
  }
  waiters_.push_back(std::move(done));
  if (!running_) run_plugin();
}

void Credentials::refused(uint64_t version, std::function<void(bool)> done) {
  if (version != use_.version) return done(true);
  if (!config_.exec) {
    read_again();
    return done(version != use_.version);
  }
  if (!running_) {
    if (now_ms() < next_refused_run_ms_) return done(false);
    next_refused_run_ms_ = now_ms() + kRefusedEveryMs;
  }
  if (waiters_.size() >= kPluginWaitersMax) return done(false);
  waiters_.push_back(
      [version, done = std::move(done)](const Result<Use>& fresh) { done(fresh && fresh->version != version); });
  if (!running_) run_plugin();
}

bool Credentials::untrusted() {
  const uint64_t before = identity_version_;
  read_again();
  return identity_version_ != before;
}

void Credentials::run_plugin() {
  running_ = true;
  if (run_.joinable()) run_.join();
  run_ = std::thread([this, config = config_, ca = identity_.ca, environment = environment_, cancelled = cancelled_] {
    Result<PluginCredentials> result = run_exec_plugin(config, ca, environment, loop_.clock(), *cancelled);
    loop_.post([this, cancelled, result = std::move(result)]() mutable {
      if (!*cancelled) plugin_ended(std::move(result));
    });
  });
}

void Credentials::plugin_ended(Result<PluginCredentials> result) {
  running_ = false;
  next_run_ms_ = now_ms() + kPluginPauseMs;
  if (result) {
    failures_ = 0;
    failure_.reset();
    if (result->token.empty()) {
      use_.authorization.clear();
    } else {
      set_token(result->token);
    }
    if (identity_.certificate != result->certificate || identity_.key != result->key) {
      identity_.certificate = result->certificate;
      identity_.key = result->key;
      ++identity_version_;
      ++use_.version;
    }
    given_ = std::move(*result);
  } else {
    failure_ = result.error();
    const int64_t pause_ms = kPluginPauseMs << std::min(failures_++, kDoublingsMax);
    next_run_ms_ = now_ms() + std::min(pause_ms, kPluginPauseMaxMs);
  }
  // What expired is no better than nothing.
  const bool usable = !failure_ || !plugin_due();
  const auto waiters = std::exchange(waiters_, {});
  const auto cancelled = cancelled_;
  for (const auto& done : waiters) {
    if (*cancelled) return;
    if (usable) {
      done(use_);
    } else {
      done(fail(*failure_));
    }
  }
}

}  // namespace fmesh::kube
