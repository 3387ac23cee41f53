#include "local/listen_guard.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <string>

namespace fmesh::local {
namespace {

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
constexpr uint32_t kArchitecture = 0;  // none: install() says so
#endif

// The process that a thread belongs to; 0 if it is gone.
int process_of(uint32_t thread) {
  std::ifstream status("/proc/" + std::to_string(thread) + "/status");
  for (std::string word; status >> word;) {
    if (word != "Tgid:") continue;
    int process = 0;
    status >> process;
    return process;
  }
  return 0;
}

int option_of(int socket, int name) {
  int value = 0;
  socklen_t size = sizeof value;
  return ::getsockopt(socket, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
}

// Binds `socket` to loopback at `port` (network order); 0 or -errno.
int bind_to_loopback(int socket, uint16_t port) {
  if (option_of(socket, SO_DOMAIN) == AF_INET) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = port;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return ::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 ? 0 : -errno;
  }
  int only_v6 = 0;
  socklen_t size = sizeof only_v6;
  ::getsockopt(socket, IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, &size);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = port;
  // A socket for both is reached by 127.0.0.1, as its owner expects.
  constexpr std::array<uint8_t, 16> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1};
  if (only_v6 != 0) {
    address.sin6_addr = in6addr_loopback;
  } else {
    std::ranges::copy(kMapped, address.sin6_addr.s6_addr);
  }
  return ::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 ? 0 : -errno;
}

// True if `address` means every interface; `port` is its port then.
bool is_every_interface(const sockaddr_storage& address, size_t size, uint16_t& port) {
  if (address.ss_family == AF_INET && size >= sizeof(sockaddr_in)) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    port = v4.sin_port;
    return v4.sin_addr.s_addr == htonl(INADDR_ANY);
  }
  if (address.ss_family != AF_INET6 || size < sizeof(sockaddr_in6) - sizeof(uint32_t)) return false;
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
  port = v6.sin6_port;
  constexpr std::array<uint8_t, 16> kMappedAny = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0};
  return IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr) ||
         std::memcmp(v6.sin6_addr.s6_addr, kMappedAny.data(), kMappedAny.size()) == 0;
}

struct Answer {
  bool go_on = true;  // the kernel does what was asked
  int error = 0;      // else: 0 or -errno
};

Answer judge_bind(const seccomp_notif& asked, int process) {
  sockaddr_storage address{};
  const size_t size = std::min<size_t>(asked.data.args[2], sizeof address);
  iovec here{&address, size};
  iovec there{reinterpret_cast<void*>(asked.data.args[1]), size};  // NOLINT(performance-no-int-to-ptr)
  if (::process_vm_readv(process, &here, 1, &there, 1, 0) != static_cast<ssize_t>(size)) return {};
  uint16_t port = 0;
  if (!is_every_interface(address, size, port)) return {};
  const int socket = descriptor_of(process, static_cast<int>(asked.data.args[0]));
  if (socket < 0) return {false, -EACCES};
  Answer answer;
  if (option_of(socket, SO_TYPE) == SOCK_STREAM) answer = {false, bind_to_loopback(socket, port)};
  ::close(socket);
  return answer;
}

// A socket that was not bound would be bound to every interface.
Answer judge_listen(const seccomp_notif& asked, int process) {
  const int socket = descriptor_of(process, static_cast<int>(asked.data.args[0]));
  if (socket < 0) return {false, -EACCES};
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  uint16_t port = 0;
  Answer answer;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) == 0 &&
      is_every_interface(address, size, port) && port == 0) {
    const int error = bind_to_loopback(socket, 0);
    if (error != 0) answer = {false, error};
  }
  ::close(socket);
  return answer;
}

}  // namespace

int ListenGuard::install() {
  if (kArchitecture == 0) return -ENOSYS;
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bind, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_listen, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
  };
  const sock_fprog program{static_cast<unsigned short>(std::size(filter)), filter};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -errno;
  // The mitigations that a filter brings by default would slow the child down and protect nobody here.
  const long fd = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                            SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program);
  return fd < 0 ? -errno : static_cast<int>(fd);
}

ListenGuard::~ListenGuard() { ::close(fd_); }

void ListenGuard::answer() const {
  seccomp_notif asked{};
  if (::ioctl(fd_, SECCOMP_IOCTL_NOTIF_RECV, &asked) != 0) return;
  const int process = process_of(asked.pid);
  Answer answer{false, -EACCES};
  // The process is the one that asked only if it still waits.
  if (process != 0 && ::ioctl(fd_, SECCOMP_IOCTL_NOTIF_ID_VALID, &asked.id) == 0)
    answer = asked.data.nr == SYS_bind ? judge_bind(asked, process) : judge_listen(asked, process);
  seccomp_notif_resp response{};
  response.id = asked.id;
  response.error = answer.error;
  if (answer.go_on) response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  ::ioctl(fd_, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

int descriptor_of(int pid, int fd) {
  // glibc 2.36 declares these for C only.
  const int process = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (process < 0) return -1;
  const int copy = static_cast<int>(::syscall(SYS_pidfd_getfd, process, fd, 0));
  const int error = errno;
  ::close(process);
  errno = error;
  return copy;
}

}  // namespace fmesh::local
