#include "storage/format/shard_name.h"

#include <algorithm>

namespace signum {

namespace {

constexpr size_t kDigits = 5;
constexpr std::string_view kOf = "-of-";
constexpr std::string_view kExtension = ".safetensors";

// Takes five digits off the end of `text`.
std::optional<size_t> TakeNumber(std::string_view* text) {
  if (text->size() < kDigits) return std::nullopt;
  const std::string_view digits = text->substr(text->size() - kDigits);
  text->remove_suffix(kDigits);
  if (!std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    return std::nullopt;
  }
  return std::stoul(std::string(digits));
}

// Takes `suffix` off the end of `text`.
bool TakeSuffix(std::string_view* text, std::string_view suffix) {
  if (!text->ends_with(suffix)) return false;
  text->remove_suffix(suffix.size());
  return true;
}

std::string FiveDigits(size_t number) {
  const std::string digits = std::to_string(number);
  return std::string(kDigits - std::min(kDigits, digits.size()), '0') + digits;
}

}  // namespace

std::string ShardName::Sibling(size_t number) const {
  return stem + "-" + FiveDigits(number) + std::string(kOf) + FiveDigits(count) +
         std::string(kExtension);
}

std::optional<ShardName> SplitShardName(std::string_view path) {
  if (!TakeSuffix(&path, kExtension)) return std::nullopt;
  const std::optional<size_t> count = TakeNumber(&path);
  if (!count || !TakeSuffix(&path, kOf)) return std::nullopt;
  const std::optional<size_t> number = TakeNumber(&path);
  if (!number || *number == 0 || *number > *count || !TakeSuffix(&path, "-")) return std::nullopt;
  return ShardName{std::string(path), *count};
}

}  // namespace signum
