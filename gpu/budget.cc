#include "gpu/budget.h"

#include <charconv>

#include "storage/base/name.h"

namespace signum {

Result<void> ReadBudget(std::string_view text, CompressOptions& options) {
  const bool is_ratio = text.ends_with('x');
  const char* end = text.data() + text.size() - (is_ratio ? 1 : 0);
  uint64_t bytes = 0;
  double ratio = 0;
  const auto read = is_ratio ? std::from_chars(text.data(), end, ratio, std::chars_format::fixed)
                             : std::from_chars(text.data(), end, bytes);
  const bool in_range = is_ratio ? ratio >= 1 && ratio <= 1e6 : bytes > 0;
  if (read.ec != std::errc() || read.ptr != end || !in_range) {
    return Fail(Errc::kInvalid, "bad_budget",
                "budget '" + Printable(text) +
                    "' is neither a number of bytes nor a ratio of at least 1, as 12x");
  }
  options.budget_bytes = bytes;
  options.budget_ratio = ratio;
  return {};
}

}  // namespace signum
