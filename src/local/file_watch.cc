#include "local/file_watch.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>
#include <thread>

namespace fmesh::local {
namespace {

// What to look for in one folder; an empty set stands for every file in it.
using Watched = std::map<int, std::set<std::string>>;

class InotifyWatch final : public FileWatch {
 public:
  InotifyWatch(int inotify, int stop, Watched watched, std::function<void()> changed)
      : inotify_(inotify), stop_(stop), watched_(std::move(watched)), changed_(std::move(changed)) {
    thread_ = std::thread([this] { run(); });
  }

  ~InotifyWatch() override {
    const uint64_t one = 1;
    static_cast<void>(::write(stop_, &one, sizeof one) == sizeof one);
    thread_.join();
    ::close(inotify_);
    ::close(stop_);
  }

 private:
  void run() {
    pthread_setname_np(pthread_self(), "files");
    bool pending = false;
    while (true) {
      std::array<pollfd, 2> fds = {pollfd{inotify_, POLLIN, 0}, pollfd{stop_, POLLIN, 0}};
      const int ready = ::poll(fds.data(), fds.size(), pending ? kFileChangeQuietMs : -1);
      if (ready < 0 && errno != EINTR) return;
      if (fds[1].revents != 0) return;
      if (ready == 0 && pending) {
        pending = false;
        changed_();
      }
      if (ready > 0 && fds[0].revents != 0) pending = read_events() || pending;
    }
  }

  bool read_events() {
    alignas(inotify_event) std::array<char, 4096> buffer;
    bool ours = false;
    while (true) {
      const ssize_t size = ::read(inotify_, buffer.data(), buffer.size());
      if (size <= 0) return ours;
      for (ssize_t at = 0; at < size;) {
        inotify_event event;
        std::memcpy(&event, buffer.data() + at, sizeof event);
        const char* name = buffer.data() + at + sizeof event;
        const auto found = watched_.find(event.wd);
        if (found != watched_.end() && event.len != 0 && (found->second.empty() || found->second.contains(name)))
          ours = true;
        at += static_cast<ssize_t>(sizeof event + event.len);
      }
    }
  }

  int inotify_, stop_;
  Watched watched_;
  std::function<void()> changed_;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<FileWatch>> FileWatch::start(const std::vector<std::string>& paths,
                                                    std::function<void()> changed) {
  const int inotify = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (inotify < 0) return fail(ErrorKind::kRetryLater, std::string("watch files: ") + std::strerror(errno));
  Watched watched;
  for (const std::string& path : paths) {
    std::error_code ignored;
    const bool whole = std::filesystem::is_directory(path, ignored);
    const std::filesystem::path file(path);
    const std::string folder = whole ? path : file.has_parent_path() ? file.parent_path().string() : ".";
    const int id =
        ::inotify_add_watch(inotify, folder.c_str(), IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE);
    if (id < 0) {
      const std::string cause = std::strerror(errno);
      ::close(inotify);
      return fail(ErrorKind::kRetryLater, "watch " + folder + ": " + cause + "; changes of files are not noticed");
    }
    const auto [entry, fresh] = watched.try_emplace(id);
    if (whole) entry->second.clear();
    if (!whole && (fresh || !entry->second.empty())) entry->second.insert(file.filename().string());
  }
  return std::make_unique<InotifyWatch>(inotify, ::eventfd(0, EFD_CLOEXEC), std::move(watched), std::move(changed));
}

}  // namespace fmesh::local
