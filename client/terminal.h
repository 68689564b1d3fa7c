#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace signum::client {

// "1.5 MiB"
std::string HumanBytes(uint64_t bytes);
// "12.34": `digits` after the point.
std::string Fixed(double value, int digits);

// Progress of one thing on standard error: a bar that redraws itself on a terminal; elsewhere plain
// lines, one every few seconds, so that logs stay readable.
class ProgressLine {
 public:
  explicit ProgressLine(std::string label);
  ~ProgressLine();  // ends the line that is being drawn
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void Update(uint64_t done, uint64_t total, std::string_view note = {});

 private:
  void Draw(uint64_t done, uint64_t total, std::string_view note);

  std::string label_;
  bool terminal_;
  bool drawn_ = false;
  bool complete_ = false;
  std::chrono::steady_clock::time_point last_{};
};

// Rows in aligned columns on standard output.
class Table {
 public:
  explicit Table(std::vector<std::string> titles) : rows_{std::move(titles)} {}
  void Add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::string Format() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace signum::client
