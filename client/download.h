#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "client/registry.h"
#include "storage/base/byte_source.h"
#include "storage/base/digest.h"
#include "storage/base/result.h"

namespace signum::client {

// Bytes a second: a connection that stays below it for a minute is given up. One that drips would
// hold whoever waits for the file for years.
inline constexpr uint64_t kMinSpeed = 1024;

struct DownloadOptions {
  uint64_t expected_size = 0;  // what the file must end with
  // Checks the complete bytes before the file gets its name; an error that is Errc::kCorrupt drops
  // them.
  std::function<Result<void>(const ByteSource&)> verify;
  // Several connections fetch ranges of a file of `parallel_from` bytes or more at once, where the
  // server has ranges.
  int connections = 1;
  uint64_t parallel_from = uint64_t{64} << 20;
  uint64_t range_bytes = uint64_t{16} << 20;  // a multiple of kChunkBytes
  // Checks pieces of ranges once a range is here, several threads at a time; `offset` and, but for
  // the end of the file, sizes are multiples of kChunkBytes. A range that is Errc::kCorrupt is
  // fetched again, up to three times in all.
  std::function<Result<void>(uint64_t offset, ConstBytes bytes)> verify_piece;
  // Whether the file is on the disk, rather than on its way there, when the call returns.
  bool durable = true;
  // Bytes of the file that are here, and how many of them came over the wire in this call.
  std::function<void(uint64_t present, uint64_t received)> on_progress;
};

// Downloads `url` into `path`, in as many tries as the registry's `patience` allows; each byte that
// arrives for the first time earns the tries anew. Unfinished bytes are kept as "<path>.part"
// beside
// "<path>.part.etag" and go on from there in this or a later run: with Range and If-Range, so that
// bytes of two representations are never mixed (an answer of 200, another ETag or a Content-Range
// that does not fit starts over).
//
// Errors besides the registry's: Errc::kCorrupt "size_mismatch", or what `verify` found, after
// which the part is gone.
Result<void> DownloadFile(Registry& registry, const std::string& url,
                          const std::filesystem::path& path, const DownloadOptions& options);

// A `verify` that compares the whole file's digest: Errc::kCorrupt "digest_mismatch" names `what`.
std::function<Result<void>(const ByteSource&)> ExpectDigest(const Digest& expected,
                                                            std::string what);

}  // namespace signum::client
