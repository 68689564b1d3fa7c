#pragma once

#include <filesystem>
#include <string_view>

#include "storage/base/file.h"

namespace signum {

// Takes the file `lock` in a directory, for as long as the File is open; the kernel lets go of it
// when the process ends, however it does. Errc::kUnavailable with `reason` and `message` where
// somebody else has it, in this process too.
Result<File> LockDirectory(const std::filesystem::path& directory, std::string_view reason,
                           std::string_view message);

}  // namespace signum
