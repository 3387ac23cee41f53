// The terminal this process talks to, if it is one: size, colours, and a picture that is drawn over and over. Used on
// one thread.
#pragma once

#include <cstddef>
#include <string>

namespace fmesh::cli {

bool is_terminal(int fd);
// A terminal, NO_COLOR is not set and TERM is not "dumb".
bool wants_colours(int fd);
struct TerminalSize {
  size_t columns = 80, rows = 24;
};
TerminalSize terminal_size(int fd);

// Some lines at the end of the output that are redrawn in place; other lines are written above them. On destruction the
// last picture stays.
class LivePicture {
 public:
  explicit LivePicture(int fd) : fd_(fd) {}
  // Replaces the picture; lines that the terminal has no rows for are left out. REQUIRES: no line is wider than the
  // terminal.
  void draw(const std::string& text);
  // Writes lines above the picture.
  void print(const std::string& lines);

 private:
  std::string erase() const;
  int fd_;
  std::string drawn_;
};

// The whole screen, for as long as it lives: no echo, keys at once, the old content comes back at the end.
class FullScreen {
 public:
  FullScreen(int in_fd, int out_fd);
  ~FullScreen();
  FullScreen(const FullScreen&) = delete;
  void draw(const std::string& text);
  // Waits up to `timeout_ms` for a key; 0 if none came. Ctrl-C and the end of input give 'q'.
  char wait_key(int timeout_ms);

 private:
  struct Saved;
  int in_fd_, out_fd_;
  Saved* saved_;
};

}  // namespace fmesh::cli
