#pragma once

#include <string_view>

#include "storage/base/byte_source.h"

namespace signum {

// True where a file begins as a zip archive (torch.save since 1.6) or a pickle of protocol 2 or
// newer. 4 bytes decide.
bool BeginsLikePickle(ConstBytes first);

// True for a file whose name says pickle (.bin, .pt, .pth, .ckpt, .pkl, .pickle) and whose bytes
// are one: zip, tar, or a pickle of any protocol. Loading such a file runs code.
Result<bool> IsPickleFile(std::string_view path, const ByteSource& bytes);

}  // namespace signum
