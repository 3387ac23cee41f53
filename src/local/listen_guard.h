// Keeps what a child process listens on to this machine. Pulsar's own instances listen on every interface and can't be
// told otherwise; they need the network to reach what their connectors connect to, so a network of their own is no way.
// Instead the kernel asks here before a process of the child binds a TCP socket (seccomp's user notification): one that
// means every interface is bound to loopback in its place. An address that is named, and what is no TCP, goes through.
//
// install() runs in the child between fork and exec and makes system calls only. The rest is the parent's, on one
// thread. It guards against accidents, not against a child that means harm.
#pragma once

#include <cstdint>

namespace fmesh::local {

class ListenGuard {
 public:
  // In the child: returns the descriptor that notifications come by, which is closed on exec; below 0: -errno.
  static int install();
  // In the parent: `notify_fd` is that descriptor as its own. Takes it over.
  explicit ListenGuard(int notify_fd) : fd_(notify_fd) {}
  ~ListenGuard();
  ListenGuard(const ListenGuard&) = delete;
  ListenGuard& operator=(const ListenGuard&) = delete;

  int fd() const { return fd_; }
  // Answers one process that waits; called when fd() is readable.
  void answer() const;

 private:
  int fd_;
};

// A copy of descriptor `fd` of the process `pid`, or -1 with errno.
int descriptor_of(int pid, int fd);

}  // namespace fmesh::local
