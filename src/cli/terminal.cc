#include "cli/terminal.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

namespace fmesh::cli {
namespace {

void write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n <= 0) return;
    text.remove_prefix(static_cast<size_t>(n));
  }
}

// The lines of `text` that a terminal with so many rows can show without scrolling.
std::string_view fitting(std::string_view text, size_t rows) {
  size_t end = 0;
  for (size_t line = 1; line < rows; ++line) {
    const size_t next = text.find('\n', end);
    if (next == std::string_view::npos) return text;
    end = next + 1;
  }
  return text.substr(0, text.find('\n', end));
}

}  // namespace

bool is_terminal(int fd) { return ::isatty(fd) == 1; }

bool wants_colours(int fd) {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return is_terminal(fd) && (no_color == nullptr || *no_color == '\0') && term != nullptr &&
         std::string_view(term) != "dumb";
}

TerminalSize terminal_size(int fd) {
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return {};
  return {size.ws_col, size.ws_row};
}

std::string LivePicture::erase() const {
  const auto lines = std::ranges::count(drawn_, '\n');
  return lines == 0 ? "" : "\x1b[" + std::to_string(lines) + "A\r\x1b[J";
}

void LivePicture::draw(const std::string& text) {
  const std::string erased = erase();
  const size_t rows = terminal_size(fd_).rows;
  drawn_ = fitting(text, rows > 1 ? rows - 1 : rows);
  if (!drawn_.empty() && !drawn_.ends_with('\n')) drawn_ += '\n';
  write_all(fd_, erased + drawn_);
}

void LivePicture::print(const std::string& lines) {
  write_all(fd_, erase() + lines + (lines.ends_with('\n') ? "" : "\n") + drawn_);
}

struct FullScreen::Saved {
  termios modes{};
  bool have_modes = false;
};

FullScreen::FullScreen(int in_fd, int out_fd) : in_fd_(in_fd), out_fd_(out_fd), saved_(new Saved) {
  if (::tcgetattr(in_fd_, &saved_->modes) == 0) {
    saved_->have_modes = true;
    termios raw = saved_->modes;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ISIG);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    ::tcsetattr(in_fd_, TCSANOW, &raw);
  }
  write_all(out_fd_, "\x1b[?1049h\x1b[?25l");
}

FullScreen::~FullScreen() {
  write_all(out_fd_, "\x1b[?25h\x1b[?1049l");
  if (saved_->have_modes) ::tcsetattr(in_fd_, TCSANOW, &saved_->modes);
  delete saved_;
}

void FullScreen::draw(const std::string& text) {
  write_all(out_fd_, "\x1b[H\x1b[J" + std::string(fitting(text, terminal_size(out_fd_).rows)));
}

char FullScreen::wait_key(int timeout_ms) {
  pollfd fd{in_fd_, POLLIN, 0};
  if (::poll(&fd, 1, timeout_ms) <= 0) return 0;
  char key = 0;
  if (::read(in_fd_, &key, 1) != 1) return 'q';
  return key == '\x03' ? 'q' : key;
}

}  // namespace fmesh::cli
