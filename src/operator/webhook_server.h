// The webhooks as a running server: HTTPS with a certificate from a folder, re-read as it changes, or with fmesh's own
// (webhook_certificate.h). Every replica serves, leading or not. Requests are answered on the server's own thread.
//
// Belongs to its loop, where it is made, used and destroyed.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "base/loop.h"
#include "base/result.h"
#include "kube/api.h"
#include "net/http.h"
#include "operator/webhook_certificate.h"

namespace fmesh::op {

inline constexpr int64_t kCertificateFolderCheckMs = 5'000;
inline constexpr int64_t kWebhookStopMs = 1'000;         // for reviews that are being answered
inline constexpr int64_t kTemporaryLifeMs = 86'400'000;  // of what is served until the real one is there
inline constexpr size_t kCertificateFileMaxBytes = 1024 * 1024;

struct WebhookServerOptions {
  std::string address;
  std::string certificate_folder;  // tls.crt and tls.key; empty: our own
  WebhookCertificateOptions certificate;
};

// A certificate for `localhost` signed by nobody: for servers whose peers don't check.
Result<net::KeyPair> make_unsigned_pair(int64_t now_ms);

class WebhookServer {
 public:
  // `tell` hears what is worth a line in the log; second argument: a trouble.
  using Tell = std::function<void(const std::string&, bool)>;

  // From any thread, before the loop uses it. Errors: kFixInput: the address, or what is in the folder.
  static Result<std::unique_ptr<WebhookServer>> start(Loop& loop, kube::Api& api, WebhookServerOptions options,
                                                      Tell tell);
  ~WebhookServer();
  // True once it serves a certificate that the API server can trust.
  bool ready() const { return ready_; }
  uint16_t port() const { return server_->port(); }

 private:
  WebhookServer(Loop& loop, kube::Api& api, WebhookServerOptions options, Tell tell);
  Result<net::KeyPair> read_folder() const;
  void look_at_folder();
  void round();
  void adopt(const net::KeyPair& pair);
  void tell_trouble(const std::string& trouble);

  Loop& loop_;
  kube::Api& api_;
  const WebhookServerOptions options_;
  const Tell tell_;
  WebhookCertificate machine_;
  std::unique_ptr<net::HttpServer> server_;
  net::KeyPair served_;
  std::string told_;
  std::atomic<bool> ready_{false};
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace fmesh::op
