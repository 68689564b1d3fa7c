#pragma once

#include <string>
#include <string_view>

#include "client/download.h"
#include "client/partial_file.h"
#include "client/registry.h"

namespace signum::client {

// The reason of an error that says: this server's answers can't be put together from ranges (it has
// none, no strong ETag, or the resource is another one now). The file may still come as one.
inline constexpr std::string_view kNoRanges = "no_ranges";

// Makes `part` whole by fetching ranges of `url` over several connections, as options say. Ranges
// that are not whole go on where they stopped, in this or a later run. Errors: as DownloadFile, and
// Errc::kUnavailable no_ranges.
Result<void> DownloadRanges(Registry& registry, const std::string& url, PartialFile& part,
                            const DownloadOptions& options);

}  // namespace signum::client
