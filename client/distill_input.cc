#include "client/distill_input.h"

#include "gpu/distill/calibration.h"
#include "storage/base/file.h"

namespace signum::client {
namespace {

Error InFile(const std::string& path, const Error& error) {
  return Fail(error.code, error.reason, path + ": " + error.message);
}

// The rows a model's embedding has.
int64_t VocabularyOf(const Checkpoint& checkpoint) {
  const auto at = checkpoint.Find(kEmbeddingName);
  return at ? static_cast<int64_t>(checkpoint.tensors()[*at].shape[0]) : 0;
}

}  // namespace

Result<TokenRows> ReadTokenFile(const std::string& path) {
  SIGNUM_ASSIGN(const std::string text, ReadFile(path, kMaxTextBytes));
  auto rows = ParseTokenRows(text);
  if (rows.has_error()) return InFile(path, rows.error());
  return rows;
}

Result<TokenRows> ReadTextFile(const std::string& path, const Checkpoint& checkpoint,
                               int64_t row_tokens) {
  SIGNUM_ASSIGN(const std::string text, ReadFile(path, kMaxTextBytes));
  for (const CheckpointFile& file : checkpoint.files()) {
    if (file.path != "tokenizer.model") continue;
    SIGNUM_ASSIGN(const std::string model, ReadAll(*file.bytes, kMaxTextBytes));
    auto rows = TokenizeText(model, text, row_tokens, VocabularyOf(checkpoint));
    if (rows.has_error()) return InFile(path, rows.error());
    return rows;
  }
  return NoTokenizer();
}

bool IsTokenFile(const std::string& path) { return path.ends_with(".tokens"); }

Result<TokenRows> ReadCalibrationFile(const std::string& path, const Checkpoint& checkpoint,
                                      int64_t row_tokens) {
  return IsTokenFile(path) ? ReadTokenFile(path) : ReadTextFile(path, checkpoint, row_tokens);
}

}  // namespace signum::client
