#pragma once

#include <string>

#include "client/local_checkpoint.h"
#include "gpu/distill/distill.h"

namespace signum::client {

// Largest file of text or token ids that is read.
inline constexpr uint64_t kMaxTextBytes = uint64_t{1} << 30;

// Rows of token ids, one a line. Errors name the file.
Result<TokenRows> ReadTokenFile(const std::string& path);
// Text cut into rows by a checkpoint's tokenizer. Errors name the file.
Result<TokenRows> ReadTextFile(const std::string& path, const Checkpoint& checkpoint,
                               int64_t row_tokens);
// Either, by name: *.tokens holds ids.
Result<TokenRows> ReadCalibrationFile(const std::string& path, const Checkpoint& checkpoint,
                                      int64_t row_tokens);
bool IsTokenFile(const std::string& path);

}  // namespace signum::client
