#include "cli/cluster.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <future>

#include "kube/json.h"

namespace fmesh::cli {

void add_cluster_flags(CLI::App& verb, ClusterFlags& flags) {
  verb.add_option("--kubeconfig", flags.kubeconfig, "How to reach the cluster (default: as kubectl)")
      ->type_name("FILE");
  verb.add_option("--context", flags.context, "Another context of the kubeconfig")->type_name("NAME");
  verb.add_option("-n,--namespace", flags.name_space, "Namespace of what names none (default: the context's)");
}

Result<std::unique_ptr<ClusterSession>> ClusterSession::open(const ClusterFlags& flags) {
  kube::ConfigSources sources = kube::system_sources();
  sources.kubeconfig = flags.kubeconfig;
  sources.context = flags.context;
  FMESH_TRY(kube::ClusterConfig config, kube::load_config(sources));
  std::unique_ptr<ClusterSession> session(new ClusterSession());
  session->name_space_ = flags.name_space.empty() ? config.name_space : flags.name_space;
  session->loop_ = net::IoLoop::start(session->clock_, "cluster");
  kube::HttpApiOptions options;
  options.user_agent = "fmesh/" FMESH_VERSION;
  FMESH_TRY(session->api_, kube::make_http_api(*session->loop_, std::move(config), std::move(options)));
  return session;
}

ClusterSession::~ClusterSession() {
  if (!loop_) return;
  // Its requests end on the loop that they belong to.
  std::promise<void> gone;
  loop_->post([&] {
    api_.reset();
    gone.set_value();
  });
  gone.get_future().wait();
  loop_->stop();
}

Result<kube::Response> ClusterSession::ask(const kube::Request& request) {
  std::promise<Result<kube::Response>> answer;
  loop_->post(
      [&] { api_->send(request, [&](Result<kube::Response> response) { answer.set_value(std::move(response)); }); });
  return answer.get_future().get();
}

namespace {

// The body of an answer, or what is wrong with it.
Result<std::optional<boost::json::value>> body_of(const Result<kube::Response>& answer, const std::string& what) {
  if (!answer) return fail(answer.error());
  const kube::Outcome outcome = kube::read_outcome(answer);
  if (outcome.verdict == kube::Verdict::kNotFound) return std::optional<boost::json::value>();
  if (outcome.verdict != kube::Verdict::kOk) {
    return fail(ErrorKind::kRetryLater, fmt::format("{}: {}", what, outcome.message));
  }
  FMESH_TRY(boost::json::value body, kube::read_json(answer->body));
  return std::optional<boost::json::value>(std::move(body));
}

}  // namespace

Result<std::optional<boost::json::value>> ClusterSession::get(const kube::ResourceType& type,
                                                              const kube::ObjectKey& key) {
  return body_of(ask(kube::get(type, key)), fmt::format("{} {}", type.kind, key.to_string()));
}

Result<boost::json::value> ClusterSession::list(const kube::ResourceType& type, const kube::ListOptions& options) {
  FMESH_TRY(std::optional<boost::json::value> body, body_of(ask(kube::list(type, options)), std::string(type.plural)));
  return body ? std::move(*body) : boost::json::value(boost::json::object());
}

}  // namespace fmesh::cli
