#pragma once

#include <map>
#include <memory>
#include <vector>

#include "gpu/distill/kept_base.h"
#include "gpu/distill/sign_tensor.h"
#include "gpu/rebuild.h"

namespace signum {

// Base + delta as the weights of a model, with scales that can be changed: the student of a
// distillation. W = W_base + Σ_planes s_row ⊙ S ⊙ s_col in float32, not rounded to the fine-tune's
// dtype (that happens when a checkpoint is rebuilt). What has no signs is as Rebuilder makes it.
class Student final : public WeightSource {
 public:
  struct Sources {
    std::shared_ptr<const CheckpointSource> base;
    std::shared_ptr<const CheckpointSource> fine;  // names, dtypes and shapes alone
    std::shared_ptr<const DeltaReader> delta;
    std::shared_ptr<const Rebuilder> rebuilder;
    // Of the delta file, where the backend has one.
    std::shared_ptr<const DeviceImage> image = nullptr;
  };
  static Result<std::shared_ptr<Student>> Create(ops::Backend& backend, Sources sources);

  std::optional<LinearShape> Find(std::string_view name) const override;
  Result<void> Load(std::string_view name, int64_t first, int64_t count, float* out) const override;
  Result<void> Gather(std::string_view name, const std::vector<int32_t>& rows,
                      float* out) const override;

  // A weight that has signs; null for others.
  const SignTensor* Signs(std::string_view name) const;
  // Its plane as the ops want it, from row `first` of its signs on.
  ops::SignPlane Plane(const SignTensor& tensor, size_t plane, int64_t first) const;

  const std::map<std::string, SignTensor, std::less<>>& tensors() const { return tensors_; }
  // All scales, in the backend's memory: what is trained.
  float* scales() const { return scales_.data(); }
  int64_t scale_count() const { return static_cast<int64_t>(scales_.size()); }
  // Every vector of scales, in the order of their offsets.
  std::vector<const ScaleVector*> Vectors() const;

  // The one plane of a weight in the host's memory; row scales one a row in any case.
  struct HostPlane {
    std::vector<uint8_t> sign, mask;
    std::vector<float> row, col;
    int64_t rows = 0;
    size_t row_bytes = 0;
    bool one_row_scale = false;
  };
  Result<HostPlane> DownloadPlane(const SignTensor& tensor) const;
  // Replaces its signs and row scales.
  Result<void> UploadPlane(const SignTensor& tensor, const HostPlane& plane);
  // Rows [first, first + count) of its signs: fine-tune less base, [count, columns].
  Result<std::vector<float>> Difference(const SignTensor& tensor, const WeightSource& fine,
                                        int64_t first, int64_t count) const;
  // Sign parts of the delta file whose bits were replaced.
  const std::map<std::string, std::string>& changed_signs() const { return changed_signs_; }

  // Of the backend's memory, scales included, what is not in the image.
  uint64_t device_bytes() const;
  // Gives up what it reads in the host's memory: from then on Signs and Plane alone may be called,
  // of a backend with memory of its own.
  void LeaveHost();

  // Has the bytes of the base that a step reads in the backend's memory.
  Result<void> KeepBase(KeptBase& kept);

 private:
  Student(ops::Backend& backend, Sources sources)
      : backend_(backend), sources_(std::move(sources)) {}
  Result<void> Open();
  Result<void> LoadOther(std::string_view name, int64_t first, int64_t count, float* out) const;
  Result<void> LoadListed(const SignTensor& tensor, int64_t first, int64_t count, float* out) const;
  // Rows of the base with the planes of `sign_first` (none where negative) on.
  Result<void> Make(const SignTensor& tensor, int64_t first, int64_t count, int64_t sign_first,
                    float* out) const;

  ops::Backend& backend_;
  Sources sources_;
  std::map<std::string, SignTensor, std::less<>> tensors_;
  std::map<std::string, DeviceBytes, std::less<>> base_bytes_;
  std::map<std::string, std::string> changed_signs_;
  ops::Buffer<float> scales_;
};

}  // namespace signum
