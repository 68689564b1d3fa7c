#include "storage/partition.h"

#include <string>

namespace signum {

std::string_view PartitionOf(std::string_view key) {
  const size_t first = key.find('/');
  const size_t second = first == key.npos ? key.npos : key.find('/', first + 1);
  return key.substr(0, second == key.npos ? key.size() : second + 1);
}

Result<void> CheckOnePartition(const Batch& batch) {
  std::string_view first;
  const auto check = [&first](const std::string& key) -> Result<void> {
    if (first.empty()) first = key;
    if (PartitionOf(key) == PartitionOf(first)) return {};
    return Fail(Errc::kInvalid, "batch_spans_partitions",
                "keys '" + std::string(first) + "' and '" + key + "' are of two partitions");
  };
  for (const Precondition& condition : batch.preconditions) SIGNUM_TRY(check(condition.key));
  for (const Mutation& mutation : batch.mutations) SIGNUM_TRY(check(mutation.key));
  return {};
}

}  // namespace signum
