#pragma once

#include <map>

#include "storage/format/delta_file.h"

namespace signum {

// Copies a delta to `output` with some parts' bytes replaced by others of the same size; the rest,
// and every header field, stay. Errc::kInvalid for a part it lacks or another size.
Result<DeltaWriter::Sealed> RewriteDelta(const DeltaReader& delta,
                                         const std::map<std::string, std::string>& parts,
                                         const std::filesystem::path& output);

}  // namespace signum
