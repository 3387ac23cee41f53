#include "plan/cluster/package.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <filesystem>

#include "plan/cluster/messaging.h"
#include "plan/cluster/shell.h"

namespace fmesh::plan {
namespace {

namespace json = boost::json;

constexpr const char* kDownloaderImage = "streamnative/pulsarctl:2.10.2.3";
constexpr const char* kDownloadVolume = "downloader-volume";
constexpr const char* kDownloadFolder = "/pulsar/download";

// The scheme in lower case, if `location` has one of `schemes`; else empty.
template <size_t Count>
std::string scheme_of(const std::string& location, const std::array<std::string_view, Count>& schemes) {
  std::string lower = location.substr(0, location.find("://"));
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  const bool found =
      location.find("://") != std::string::npos && std::find(schemes.begin(), schemes.end(), lower) != schemes.end();
  return found ? lower : std::string();
}

constexpr std::array<std::string_view, 3> kPackageSchemes = {"function", "source", "sink"};
constexpr std::array<std::string_view, 2> kHttpSchemes = {"http", "https"};

// Upstream knows schemes in lower case only, and so do its tools.
template <size_t Count>
std::string with_lower_scheme(const std::string& location, const std::array<std::string_view, Count>& schemes) {
  const std::string scheme = scheme_of(location, schemes);
  return scheme + location.substr(scheme.size());
}

struct DownloadService {
  const model::PulsarMessaging* messaging;
  const MessagingPlace* place;
};

DownloadService download_service(const model::ComponentSpec& spec) {
  static const model::PulsarMessaging none;
  if (spec.pulsar_package_service) return {.messaging = &*spec.pulsar_package_service, .place = &package_place()};
  return {.messaging = spec.pulsar ? &*spec.pulsar : &none, .place = &main_place()};
}

// Fetches over HTTP with what an unknown image has.
std::string http_download_with_any_tool(const std::string& url, const std::string& target) {
  return "if command -v wget > /dev/null; then wget " + url + " -O " + target +
         "; elif command -v curl > /dev/null; then curl -fsSL " + url + " -o " + target +
         "; elif command -v python3 > /dev/null; then python3 -c "
         "'import sys, urllib.request; urllib.request.urlretrieve(sys.argv[1], sys.argv[2])' " +
         url + " " + target +
         "; else echo \"this image has no wget, curl or python3 to fetch the package with\" >&2; " + "exit 1; fi";
}

// As upstream puts it in place: /pulsar stays, everything else goes below it.
std::string below_pulsar(const std::string& path) {
  const bool there = path.starts_with("/pulsar/");
  return there ? path : (path.starts_with("/") ? "/pulsar" + path : "/pulsar/" + path);
}

json::object make_downloader(const model::ComponentSpec& spec, const std::string& location, const std::string& target) {
  const DownloadService service = download_service(spec);
  json::array mounts{json::object{{"name", kDownloadVolume}, {"mountPath", kDownloadFolder}}};
  if (!is_http_url(location)) {
    if (const auto file = oauth2_file(*service.messaging, *service.place)) mounts.push_back(file->volume_mount());
    if (const auto file = tls_file(*service.messaging, *service.place)) mounts.push_back(file->volume_mount());
  }
  json::object out{
      {"name", "downloader"},
      {"image", spec.downloader_image.empty() ? kDownloaderImage : spec.downloader_image},
      {"command", json::array{"sh", "-c", download_command(spec, location, target, true, true)}},
  };
  if (json::array sources = env_from(*service.messaging, *service.place); !sources.empty()) {
    out.emplace("envFrom", std::move(sources));
  }
  out.emplace("env", json::array{json::object{{"name", "HOME"}, {"value", "/tmp"}}});
  out.emplace("volumeMounts", std::move(mounts));
  out.emplace("imagePullPolicy", "IfNotPresent");
  return out;
}

}  // namespace

bool is_package_name(const std::string& location) { return !scheme_of(location, kPackageSchemes).empty(); }
bool is_http_url(const std::string& location) { return !scheme_of(location, kHttpSchemes).empty(); }

bool image_has_tools(const std::string& image) {
  constexpr std::array<std::string_view, 3> kFlavours = {"pulsarctl", "sn", "generic"};
  constexpr std::array<std::string_view, 5> kLanguages = {"java", "python", "go", "nodejs", "base"};
  for (const std::string_view flavour : kFlavours) {
    for (const std::string_view language : kLanguages) {
      std::string name = "pulsar-functions-";
      name.append(flavour).append("-").append(language).append("-runner");
      if (image.find(name) != std::string::npos) return true;
    }
  }
  return false;
}

std::string download_command(const model::ComponentSpec& spec, const std::string& location, const std::string& target,
                             bool has_pulsarctl, bool has_wget) {
  const std::string to = shell_word(target);
  if (is_http_url(location)) {
    const std::string url = shell_word(with_lower_scheme(location, kHttpSchemes));
    return has_wget ? "wget " + url + " -O " + to : http_download_with_any_tool(url, to);
  }
  const DownloadService service = download_service(spec);
  const std::string admin = has_pulsarctl ? pulsarctl_command(*service.messaging, *service.place)
                                          : pulsar_admin_command(*service.messaging, *service.place);
  if (is_package_name(location)) {
    return admin + " packages download " + shell_word(with_lower_scheme(location, kPackageSchemes)) + " --path " + to;
  }
  return admin + " functions download --path " + shell_word(location) + " --destination-file " + to;
}

Result<Package> plan_package(const model::Component& component, const PackageSource& source, bool init_container) {
  const model::ComponentSpec& spec = component.spec;
  Package out;
  out.path = source.path;
  if (!init_container) {
    const bool tools = source.tools_in_image || image_has_tools(spec.image);
    if (!source.location.empty()) {
      out.download = download_command(spec, source.location, source.path, tools || spec.image_has_pulsarctl,
                                      tools || spec.image_has_wget);
    }
    return out;
  }
  if (source.location.empty()) {
    // What is in the image stays where the user says it is.
    if (!source.path.starts_with("/") && !source.path.empty()) out.path = below_pulsar(source.path);
    return out;
  }
  if (shell_expands(source.path)) {
    return fail(ErrorKind::kFixInput,
                component.name() + ": spec." + source.field + " is '" + source.path +
                    "', but with init containers the package is mounted at a fixed path: write it without variables",
                component.origin.place(component.path));
  }
  const std::filesystem::path path = std::filesystem::path(below_pulsar(source.path)).lexically_normal();
  const std::string file = path.filename().string();
  if (file.empty() || path.string().find(':') != std::string::npos) {
    return fail(ErrorKind::kFixInput,
                component.name() + ": spec." + source.field + " is '" + source.path +
                    "', where no file can be mounted; expected the path of a file without ':'",
                component.origin.place(component.path));
  }
  out.path = path.string();
  out.downloader = make_downloader(spec, source.location, std::string(kDownloadFolder) + "/" + file);
  out.volumes.push_back({{"name", kDownloadVolume}, {"emptyDir", json::object{}}});
  // The file alone is mounted: a mount of its folder would hide what the image has there.
  out.volume_mounts.push_back({{"name", kDownloadVolume}, {"mountPath", out.path}, {"subPath", file}});
  return out;
}

}  // namespace fmesh::plan
