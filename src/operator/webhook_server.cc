#include "operator/webhook_server.h"

#include <fstream>
#include <iterator>

#include "operator/webhooks.h"

namespace fmesh::op {
namespace {

Result<std::string> read_file(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  std::string text;
  if (stream) text.assign(std::istreambuf_iterator<char>(stream), {});
  if (!stream) return fail(ErrorKind::kFixInput, path + " can't be read: no such file, or no permission");
  if (text.size() > kCertificateFileMaxBytes) return fail(ErrorKind::kFixInput, path + " is too large");
  return text;
}

}  // namespace

Result<net::KeyPair> make_unsigned_pair(int64_t now_ms) {
  const int64_t from_ms = now_ms - kCertificateClockSkewMs;
  FMESH_TRY(const net::KeyPair authority,
            net::make_authority({"fmesh", {}, from_ms, now_ms + kTemporaryLifeMs * 3650}));
  return net::make_serving({"fmesh", {"localhost"}, from_ms, now_ms + kTemporaryLifeMs * 3650}, authority);
}

WebhookServer::WebhookServer(Loop& loop, kube::Api& api, WebhookServerOptions options, Tell tell)
    : loop_(loop), api_(api), options_(std::move(options)), tell_(std::move(tell)), machine_(options_.certificate) {}

Result<std::unique_ptr<WebhookServer>> WebhookServer::start(Loop& loop, kube::Api& api, WebhookServerOptions options,
                                                            Tell tell) {
  std::unique_ptr<WebhookServer> out(new WebhookServer(loop, api, std::move(options), std::move(tell)));
  const bool folder = !out->options_.certificate_folder.empty();
  FMESH_TRY(out->served_, folder ? out->read_folder() : make_unsigned_pair(loop.clock().wall_ms()));
  net::HttpServerOptions server;
  server.address = out->options_.address;
  server.body_size_max_bytes = kReviewMaxBytes;
  server.tls_pair = out->served_;
  FMESH_TRY(out->server_,
            net::HttpServer::start(server, [](const net::HttpRequest& request, const net::Respond& respond) {
              respond(answer_review(request));
            }));
  out->ready_ = folder;
  loop.post([self = out.get(), alive = out->alive_, folder] {
    if (!*alive) return;
    if (folder) {
      self->look_at_folder();
    } else {
      self->round();
    }
  });
  return out;
}

WebhookServer::~WebhookServer() {
  *alive_ = false;
  if (server_) server_->stop(kWebhookStopMs);
}

Result<net::KeyPair> WebhookServer::read_folder() const {
  net::KeyPair pair;
  FMESH_TRY(pair.certificate, read_file(options_.certificate_folder + "/tls.crt"));
  FMESH_TRY(pair.key, read_file(options_.certificate_folder + "/tls.key"));
  if (!net::key_fits(pair)) {
    return fail(ErrorKind::kFixInput,
                options_.certificate_folder + ": tls.crt and tls.key are no PEM texts, or do not belong together");
  }
  return pair;
}

void WebhookServer::look_at_folder() {
  // While the files are being replaced they may not fit; the next look finds them whole.
  const Result<net::KeyPair> pair = read_folder();
  tell_trouble(pair ? std::string() : pair.error().text());
  if (pair) adopt(*pair);
  loop_.post_after(kCertificateFolderCheckMs, [this, alive = alive_] {
    if (*alive) look_at_folder();
  });
}

void WebhookServer::round() {
  WebhookCertificate::Step step = machine_.next(loop_.clock().wall_ms());
  if (!step.request) {
    tell_trouble(machine_.trouble());
    loop_.post_after(step.wait_ms, [this, alive = alive_] {
      if (*alive) round();
    });
    return;
  }
  api_.send(std::move(*step.request), [this, alive = alive_](const Result<kube::Response>& answer) {
    if (!*alive) return;
    machine_.take(answer, loop_.clock().wall_ms());
    if (machine_.pair()) adopt(*machine_.pair());
    round();
  });
}

void WebhookServer::adopt(const net::KeyPair& pair) {
  if (pair == served_) return;
  if (const Status set = server_->set_certificate(pair); !set) return tell_trouble(set.error().text());
  served_ = pair;
  ready_ = true;
  tell_("the webhooks serve a new certificate", false);
}

void WebhookServer::tell_trouble(const std::string& trouble) {
  if (trouble == told_) return;
  told_ = trouble;
  if (!trouble.empty()) tell_(trouble + "; trying again", true);
}

}  // namespace fmesh::op
