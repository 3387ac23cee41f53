#include "plan/cluster/volumes.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <vector>

#include "base/hash.h"
#include "plan/cluster/messaging.h"
#include "plan/cluster/refuse.h"

namespace fmesh::plan {
namespace {

namespace json = boost::json;

constexpr size_t kVolumeNameMax = 63;
constexpr const char* kLogVolume = "filebeat-logs";
constexpr const char* kLogFolder = "/pulsar/logs/functions";
constexpr const char* kDownloadVolume = "downloader-volume";

std::string name_of(const json::value& value) {
  const json::object* object = value.if_object();
  const json::value* name = object ? object->if_contains("name") : nullptr;
  return name && name->is_string() ? std::string(name->get_string()) : std::string();
}

void append(const model::Json& list, json::array& out) {
  if (!list.present() || !list.value().is_array()) return;
  for (const json::value& item : list.value().get_array()) out.push_back(item);
}

// Names volumes, so that two of different content never share a name.
class VolumeList {
 public:
  explicit VolumeList(const model::ComponentSpec& spec) {
    append(spec.pod.volumes, list_);
    for (const json::value& volume : list_) content_[name_of(volume)] = volume;
    if (!spec.volume_claim_templates.present() || !spec.volume_claim_templates.value().is_array()) return;
    for (const json::value& claim : spec.volume_claim_templates.value().get_array()) {
      const json::object* object = claim.if_object();
      const json::value* metadata = object ? object->if_contains("metadata") : nullptr;
      if (metadata) content_[name_of(*metadata)] = claim;
    }
  }

  // Adds `volume` unless it is there, and returns the name it has: its own, or one with a hash of its content if that
  // is taken by another.
  std::string add(json::object volume) {
    std::string name = name_of(volume);
    for (int attempt = 0;; ++attempt) {
      const auto found = content_.find(name);
      if (found == content_.end() && !name.empty()) break;
      if (found != content_.end() && found->second == json::value(volume)) return name;
      volume.erase("name");
      const uint32_t hash = crc32c(model::write_json(volume), static_cast<uint32_t>(attempt));
      const std::string suffix = fmt::format("-{:08x}", hash);
      name = name.substr(0, kVolumeNameMax - suffix.size()) + suffix;
      if (name.front() == '-') name = "volume" + suffix;
      rename(volume, name);
    }
    content_[name] = volume;
    list_.push_back(std::move(volume));
    return name;
  }

  json::array take() { return std::move(list_); }

 private:
  // The name stays the first member.
  static void rename(json::object& volume, const std::string& name) {
    json::object renamed{{"name", name}};
    for (const auto& member : volume) renamed.emplace(member.key(), member.value());
    volume = std::move(renamed);
  }

  json::array list_;
  std::map<std::string, json::value> content_;
};

class Planner {
 public:
  Planner(const model::Component& component, const PodCommand& command)
      : component_(component), spec_(component.spec), command_(command), volumes_(component.spec) {
    append(spec_.volume_mounts, out_.mounts);
  }

  Result<PodVolumes> run() {
    if (spec_.log_topic_agent == "sidecar") {
      const std::string name = volumes_.add({{"name", kLogVolume}, {"emptyDir", json::object{}}});
      mount({{"name", name}, {"mountPath", kLogFolder}});
    }
    if (spec_.pulsar) FMESH_CHECK(add_messaging(*spec_.pulsar, main_place(), "pulsar"));
    FMESH_CHECK(add_crypto());
    add_command_volumes(false);
    if (spec_.pulsar_package_service) {
      FMESH_CHECK(add_messaging(*spec_.pulsar_package_service, package_place(), "pulsarPackageService"));
    }
    add_command_volumes(true);
    place_downloader();
    out_.volumes = volumes_.take();
    return std::move(out_);
  }

 private:
  // The same mount twice is one.
  void mount(json::object entry) {
    const bool known = std::any_of(out_.mounts.begin(), out_.mounts.end(),
                                   [&](const json::value& other) { return other == json::value(entry); });
    if (!known) out_.mounts.push_back(std::move(entry));
  }

  Status add_secret(const SecretFile& file, const std::string& field) {
    if (file.secret.empty() || file.key.empty()) {
      return refuse_field(component_, field,
                          file.secret.empty() ? "names no Secret; give its name and the key in it"
                                              : "gives no key of the Secret '" + file.secret + "'");
    }
    json::object entry = file.volume_mount();
    const std::string name = volumes_.add(file.volume());
    renamed_[{name_of(entry), file.mount_path}] = name;
    entry["name"] = name;
    mount(std::move(entry));
    return {};
  }

  Status add_messaging(const model::PulsarMessaging& messaging, const MessagingPlace& place, const std::string& field) {
    if (const auto file = tls_file(messaging, place)) FMESH_CHECK(add_secret(*file, field + ".tlsConfig"));
    if (const auto file = oauth2_file(messaging, place)) {
      FMESH_CHECK(add_secret(*file, field + ".authConfig.oauth2Config"));
    }
    return {};
  }

  Status add_crypto_of(const std::optional<model::CryptoConfig>& config, const std::string& field) {
    if (!config) return {};
    for (const model::CryptoSecret& secret : config->crypto_secrets) {
      if (secret.as_volume.empty()) {  // a volume that nothing mounts, as upstream
        if (!secret.secret_name.empty() && !secret.secret_key.empty()) {
          volumes_.add(SecretFile{.secret = secret.secret_name, .key = secret.secret_key, .mount_path = ""}.volume());
        }
        continue;
      }
      FMESH_CHECK(add_secret({.secret = secret.secret_name, .key = secret.secret_key, .mount_path = secret.as_volume},
                             field + ".cryptoConfig.cryptoSecrets"));
    }
    return {};
  }

  Status add_crypto() {
    if (spec_.output.producer_config) {
      FMESH_CHECK(add_crypto_of(spec_.output.producer_config->crypto_config, "output.producerConf"));
    }
    for (const auto& [topic, config] : spec_.input.source_specs) {
      FMESH_CHECK(add_crypto_of(config.crypto_config, "input.sourceSpecs"));
    }
    return {};
  }

  // Logs stand before the volumes of the package service, downloads behind them.
  void add_command_volumes(bool downloads) {
    std::map<std::string, std::string> names;
    for (const json::object& volume : command_.volumes) {
      const std::string name = name_of(volume);
      if ((name == kDownloadVolume) == downloads) names[name] = volumes_.add(volume);
    }
    for (json::object entry : command_.volume_mounts) {
      const auto found = names.find(name_of(entry));
      if (found == names.end()) continue;
      entry["name"] = found->second;
      mount(std::move(entry));
    }
    if (downloads && names.contains(kDownloadVolume)) download_volume_ = names[kDownloadVolume];
  }

  void place_downloader() {
    if (!command_.downloader) return;
    json::object container = *command_.downloader;
    json::array mounts;
    if (const json::value* own = container.if_contains("volumeMounts"); own && own->is_array()) {
      mounts = own->get_array();
    }
    for (json::value& entry : mounts) {
      const std::string name = name_of(entry);
      const json::value& path = entry.get_object()["mountPath"];
      const auto found = renamed_.find({name, path.is_string() ? std::string(path.get_string()) : std::string()});
      if (found != renamed_.end()) entry.get_object()["name"] = found->second;
      if (name == kDownloadVolume && !download_volume_.empty()) entry.get_object()["name"] = download_volume_;
    }
    append(spec_.volume_mounts, mounts);
    container["volumeMounts"] = std::move(mounts);
    out_.downloader = std::move(container);
  }

  const model::Component& component_;
  const model::ComponentSpec& spec_;
  const PodCommand& command_;
  VolumeList volumes_;
  PodVolumes out_;
  std::map<std::pair<std::string, std::string>, std::string> renamed_;  // by upstream's name and mount path
  std::string download_volume_;
};

}  // namespace

Result<PodVolumes> plan_volumes(const model::Component& component, const PodCommand& command) {
  return Planner(component, command).run();
}

}  // namespace fmesh::plan
