#pragma once

#include <string_view>

#include "storage/engine.h"

namespace signum {

// The partition of a key: up to and including its second '/' ("t/acme/" of "t/acme/m/chat"); the
// whole key where it has fewer.
std::string_view PartitionOf(std::string_view key);

// Errc::kInvalid "batch_spans_partitions" names two keys of different partitions.
Result<void> CheckOnePartition(const Batch& batch);

}  // namespace signum
