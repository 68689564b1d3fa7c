#pragma once

#include <chrono>
#include <functional>
#include <thread>

namespace signum {

// Whether `holds` comes true within 20 s.
inline bool Eventually(const std::function<bool()>& holds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{20};
  while (std::chrono::steady_clock::now() < end) {
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds{5});
  }
  return holds();
}

}  // namespace signum
