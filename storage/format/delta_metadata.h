#pragma once

#include <map>
#include <string>

#include "storage/format/delta_parts.h"

namespace signum {

// `__metadata__` of a delta file with this header.
std::map<std::string, std::string> DeltaMetadata(const DeltaHeader& header);

// The header that the metadata states, with codecs holding the stated ones only. Errc::kUnusable
// not_a_delta, unsupported_version, unsupported_layout; Errc::kCorrupt bad_codec, bad_metadata.
Result<DeltaHeader> ParseDeltaMetadata(const std::map<std::string, std::string>& metadata);

}  // namespace signum
