#include "client/terminal.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace signum::client {

namespace {
constexpr int kBarWidth = 28;
}

std::string HumanBytes(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1024 && unit < 5; ++unit) value /= 1024;
  return Fixed(value, unit == 0 ? 0 : 1) + " " + kUnits[unit];
}

std::string Fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof(text), "%.*f", digits, value);
  return text;
}

ProgressLine::ProgressLine(std::string label)
    : label_(std::move(label)), terminal_(::isatty(STDERR_FILENO) != 0) {}

ProgressLine::~ProgressLine() {
  if (terminal_ && drawn_) std::fputc('\n', stderr);
}

void ProgressLine::Update(uint64_t done, uint64_t total, std::string_view note) {
  const auto now = std::chrono::steady_clock::now();
  const bool ends = done >= total && !complete_;
  const auto pause = terminal_ ? std::chrono::milliseconds{100} : std::chrono::milliseconds{3000};
  if (!ends && last_ != std::chrono::steady_clock::time_point{} && now - last_ < pause) return;
  complete_ = done >= total;
  last_ = now;
  Draw(done, total, note);
}

void ProgressLine::Draw(uint64_t done, uint64_t total, std::string_view note) {
  const double part = total == 0 ? 1.0 : static_cast<double>(done) / static_cast<double>(total);
  const std::string text(note.substr(0, 40));
  if (!terminal_) {
    std::fprintf(stderr, "%s: %3.0f %% %s\n", label_.c_str(), part * 100, text.c_str());
    return;
  }
  const int filled = std::clamp(static_cast<int>(part * kBarWidth), 0, kBarWidth);
  const std::string bar = std::string(static_cast<size_t>(filled), '#') +
                          std::string(static_cast<size_t>(kBarWidth - filled), '.');
  std::fprintf(stderr, "\r%s [%s] %3.0f %% %s\x1b[K", label_.c_str(), bar.c_str(), part * 100,
               text.c_str());
  std::fflush(stderr);
  drawn_ = true;
}

std::string Table::Format() const {
  std::vector<size_t> widths(rows_.front().size(), 0);
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line += std::string(widths[i] - row[i].size() + 2, ' ');
    }
    out += line + "\n";
  }
  return out;
}

}  // namespace signum::client
