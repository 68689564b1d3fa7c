#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "tests/server/fixture.h"

namespace signum::test {

// A checkpoint's files: path and bytes.
using Files = std::vector<std::pair<std::string, std::string>>;

// The files of a folder of tests/data/tiny-llama ("base", "kjv" …).
Files TinyLlama(const std::string& name);

// A Llama of a few kilobytes: the same base for every call; a `seed` above 0 gives a fine-tune of
// it.
struct SmallModel {
  uint32_t seed = 0;
  uint32_t hidden = 64;
  uint32_t vocabulary = 48;
  bool nan = false;  // one weight of the first layer is not a number
};
Files MakeSmall(const SmallModel& model);

// Creates an upload, sends every file and returns its id. Throws where an answer is not as it
// should be.
std::string Upload(const Client& client, const Files& files);
// Only creates it; returns the upload resource. `declare` adds digests.
nlohmann::json CreateUpload(const Client& client, const Files& files, bool declare = true);

// Uploads and creates a base.
nlohmann::json CreateBase(const Client& admin, const std::string& name, const Files& files);
// Uploads and creates a version; returns the 202's body. `extra` is merged into the request,
// which asks for no distillation.
nlohmann::json Push(const Client& client, const std::string& model_path, const std::string& base,
                    const Files& files, const nlohmann::json& extra = nlohmann::json::object());
// Waits until the version that `pushed` (the 202's body) speaks of has ended, and returns its
// resource.
nlohmann::json WaitForVersion(const Client& client, const nlohmann::json& pushed);

// Path and query of an absolute URL of ours.
std::string PathOf(const std::string& url);

std::string Sha256Text(std::string_view bytes);  // "sha256:…"

}  // namespace signum::test
