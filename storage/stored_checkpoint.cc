#include <algorithm>

#include "storage/object_store.h"

namespace signum {

namespace {

constexpr uint64_t kMaxRecipeBytes = 256ull << 20;

// A file of which only the header is at hand: enough to parse it.
class HeaderSource final : public ByteSource {
 public:
  HeaderSource(std::shared_ptr<const ByteSource> header, uint64_t file_size)
      : header_(std::move(header)), file_size_(file_size) {}
  uint64_t size() const override { return file_size_; }
  Result<void> Read(uint64_t offset, MutableBytes out) const override {
    return header_->Read(offset, out);
  }

 private:
  std::shared_ptr<const ByteSource> header_;
  uint64_t file_size_;
};

Error BadRecipe(const RecipeFile& file, std::string_view why) {
  return Fail(Errc::kCorrupt, "bad_recipe", "recipe of '" + file.path + "': " + std::string(why));
}

// The parsed header of a safetensors file of a recipe, whose tensors are as many as the recipe
// names.
Result<SafetensorsHeader> ReadHeader(const ObjectStore& objects, const RecipeFile& file) {
  SIGNUM_ASSIGN(auto bytes, objects.Open(file.header));
  if (bytes->size() != file.header_size) return BadRecipe(file, "its header has another size");
  const HeaderSource source(std::move(bytes), file.size);
  SIGNUM_ASSIGN(SafetensorsHeader header, ParseSafetensors(source, file.path));
  if (header.tensors.size() != file.tensors.size()) {
    return BadRecipe(file, "its header has another number of tensors");
  }
  return header;
}

}  // namespace

Result<std::shared_ptr<const StoredCheckpoint>> StoredCheckpoint::Open(const ObjectStore& objects,
                                                                       const Digest& recipe) {
  SIGNUM_ASSIGN(const auto bytes, objects.Open(recipe));
  SIGNUM_ASSIGN(const std::string json, ReadAll(*bytes, kMaxRecipeBytes));
  std::shared_ptr<StoredCheckpoint> stored(new StoredCheckpoint(objects));
  SIGNUM_ASSIGN(stored->recipe_, Recipe::Parse(json));
  std::vector<std::pair<TensorInfo, Digest>> tensors;
  for (const RecipeFile& file : stored->recipe_.files) {
    if (!file.safetensors) continue;
    SIGNUM_ASSIGN(SafetensorsHeader header, ReadHeader(objects, file));
    for (size_t i = 0; i < header.tensors.size(); ++i) {
      tensors.emplace_back(std::move(header.tensors[i].info), file.tensors[i]);
    }
  }
  std::sort(tensors.begin(), tensors.end(),
            [](const auto& a, const auto& b) { return a.first.name < b.first.name; });
  for (auto& [info, digest] : tensors) {
    stored->tensors_.push_back(std::move(info));
    stored->digests_.push_back(digest);
  }
  return std::shared_ptr<const StoredCheckpoint>(std::move(stored));
}

Result<std::shared_ptr<const ByteSource>> StoredCheckpoint::Open(size_t index) const {
  SIGNUM_ASSIGN(auto data, objects_.Open(digests_[index]));
  if (data->size() == tensors_[index].bytes()) return data;
  return Fail(Errc::kCorrupt, "bad_recipe",
              "tensor '" + tensors_[index].name + "' has another size in the store");
}

Result<std::shared_ptr<const ByteSource>> StoredCheckpoint::OpenFile(std::string_view path) const {
  const RecipeFile* const file = recipe_.Find(path);
  if (file == nullptr) {
    return Fail(Errc::kNotFound, "unknown_file",
                "the checkpoint has no file '" + std::string(path.substr(0, 255)) + "'");
  }
  if (!file->safetensors) return objects_.Open(file->digest);
  std::vector<std::shared_ptr<const ByteSource>> parts;
  SIGNUM_ASSIGN(parts.emplace_back(), objects_.Open(file->header));
  for (const Digest& tensor : file->tensors) {
    SIGNUM_ASSIGN(parts.emplace_back(), objects_.Open(tensor));
  }
  auto whole = std::make_shared<const ConcatSource>(std::move(parts));
  if (whole->size() != file->size) return BadRecipe(*file, "its parts have another size together");
  return std::shared_ptr<const ByteSource>(std::move(whole));
}

}  // namespace signum
