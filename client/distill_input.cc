#include "client/distill_input.h"

#include <algorithm>

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

Result<std::shared_ptr<const Tokenizer>> OpenTokenizer(const Checkpoint& checkpoint) {
  for (const std::string_view name : Tokenizer::kFiles) {
    const auto file = std::ranges::find(checkpoint.files(), name, &CheckpointFile::path);
    if (file == checkpoint.files().end()) continue;
    SIGNUM_ASSIGN(const std::string bytes, ReadAll(*file->bytes, kMaxTextBytes));
    return Tokenizer::Open(name, bytes);
  }
  return NoTokenizer();
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
  SIGNUM_ASSIGN(const auto tokenizer, OpenTokenizer(checkpoint));
  auto rows = TokenizeText(*tokenizer, text, row_tokens, VocabularyOf(checkpoint));
  if (rows.has_error()) return InFile(path, rows.error());
  return rows;
}

bool IsTokenFile(const std::string& path) { return path.ends_with(".tokens"); }

Result<TokenRows> ReadCalibrationFile(const std::string& path, const Checkpoint& checkpoint,
                                      int64_t row_tokens) {
  return IsTokenFile(path) ? ReadTokenFile(path) : ReadTextFile(path, checkpoint, row_tokens);
}

}  // namespace signum::client
