#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace signum {

// Byte pair encoding (Sennrich et al. 2016, arXiv 1508.07909) over bytes or characters: a word's
// neighbours are merged, the pair of the lowest rank first, until no pair of it is in the table.
// O(n log n) in the word's length, so that text from outside can't take quadratic time. Immutable
// once built.
class BytePairs {
 public:
  void AddToken(std::string bytes, int32_t id) { ids_.insert_or_assign(std::move(bytes), id); }
  // Merges are ranked in the order of the calls. False where one of the three is not a token.
  bool AddMerge(const std::string& left, const std::string& right);
  // A word that is a token is that token, whatever its merges would make of it ("ignore_merges").
  void PreferWholeWords() { whole_words_ = true; }
  // Words begin as characters instead of bytes; one that is no token as its bytes' tokens,
  // "<0x0A>".
  void BeginWithCharacters() { characters_ = true; }
  // Call it after the last token, before the first Encode. False where a byte has no token, and
  // with characters needs one.
  bool Finish();

  // Appends the ids of `word`. A byte that is no token is left out.
  void Encode(std::string_view word, std::vector<int32_t>& ids) const;
  int32_t Find(std::string_view bytes) const;  // -1 where it is no token

 private:
  struct Merge {
    int32_t rank;
    int32_t id;
  };
  struct Symbol;
  std::vector<int32_t> SymbolsOf(std::string_view word) const;
  class Word;
  struct TextHash : std::hash<std::string_view> {
    using is_transparent = void;
  };

  std::unordered_map<std::string, int32_t, TextHash, std::equal_to<>> ids_;
  std::unordered_map<uint64_t, Merge> merges_;  // by left id << 32 | right id
  int32_t bytes_[256] = {};                     // ids of single bytes; -1: none
  bool whole_words_ = false;
  bool characters_ = false;
};

}  // namespace signum
