#include "gpu/distill/make_delta.h"

#include <cstdio>
#include <system_error>

#include "gpu/distill/distill_on_device.h"
#include "storage/base/file.h"

namespace signum {
namespace {

constexpr char kNothingToDistil[] = "compressed on the CPU; there was nothing to distil";

std::string Figure(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

// A file that is gone at the end.
class Temporary {
 public:
  explicit Temporary(std::filesystem::path path) : path_(std::move(path)) {}
  ~Temporary() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

class Maker {
 public:
  Maker(const FineTune& fine, const MakeDeltaOptions& options, const std::filesystem::path& output,
        const MakeDeltaCallback& callback)
      : fine_(fine), options_(options), output_(output), callback_(callback) {}

  Result<MadeDelta> Run() {
    SIGNUM_ASSIGN(MadeDelta made, Make(options_.compress.exact_embeddings));
    if (!made.refused || made.exact_embeddings) return made;
    return Make(true);
  }

 private:
  Result<MadeDelta> Make(bool exact_embeddings) {
    MadeDelta made;
    made.exact_embeddings = exact_embeddings;
    SIGNUM_ASSIGN(const Method method, Choose(made));
    made.method = method;
    const bool measured = method != Method::kNone || options_.gate.asked();
    const Temporary plain(output_.string() + ".plain");
    SIGNUM_TRY(Compress(measured ? plain.path() : output_, made));
    if (!measured) {
      if (NamesCuda()) made.device_note = kNothingToDistil;
      return made;
    }
    SIGNUM_TRY(Distil(plain.path(), made));
    made.refused = options_.gate.Refuses(made.distilled->fidelity);
    return made;
  }

  bool NamesCuda() const {
    return options_.compress.device != "auto" && options_.compress.device != "cpu";
  }

  // The method that this model can have.
  Result<Method> Choose(MadeDelta& made) const {
    const Method asked = options_.distill.method;
    if (asked == Method::kNone && !options_.gate.asked()) return asked;
    const auto able = CheckDistillable(fine_.models);
    if (!able.has_error()) return asked;
    if (options_.gate.asked()) {
      return Fail(Errc::kUnusable, able.error().reason,
                  "a gate needs a model that can be run: " + able.error().message);
    }
    made.method_note = able.error().message;
    return Method::kNone;
  }

  Result<void> Compress(const std::filesystem::path& to, MadeDelta& made) {
    CompressOptions options = options_.compress;
    options.exact_embeddings = made.exact_embeddings;
    const auto step = [this](const CompressProgress& progress) {
      MakeDeltaProgress out;
      out.phase = "compress";
      out.tensor = progress.tensor;
      out.done = progress.bytes_total == 0 ? 1
                                           : static_cast<double>(progress.bytes_done) /
                                                 static_cast<double>(progress.bytes_total);
      return !callback_ || callback_(out);
    };
    SIGNUM_ASSIGN(made.summary, CompressCheckpoint(*fine_.models.base, fine_.models.base_digest,
                                                   *fine_.models.fine, fine_.recipe, fine_.blobs,
                                                   options, to, step));
    return {};
  }

  Result<void> Distil(const std::filesystem::path& plain, MadeDelta& made) {
    SIGNUM_ASSIGN(auto file, MappedFile::Open(plain));
    SIGNUM_ASSIGN(const auto delta, DeltaReader::Open(std::move(file), plain.string()));
    DistillOptions options = options_.distill;
    options.method = made.method;
    // The paper's method, one scale a tensor, begins with the signs of the differences.
    options.layerwise_first &= options_.compress.scales != ScaleKind::kTensor;
    const auto step = [this](const DistillProgress& progress) {
      MakeDeltaProgress out;
      out.phase = progress.phase;
      out.done = progress.done;
      out.distill = progress;
      return !callback_ || callback_(out);
    };
    SIGNUM_ASSIGN(made.distilled, OnSomeDevice(delta, options, step, made.device_note));
    made.summary.sealed = made.distilled->sealed;
    return {};
  }

  Result<DistillReport> OnSomeDevice(const std::shared_ptr<const DeltaReader>& delta,
                                     const DistillOptions& options, const DistillCallback& step,
                                     std::string& note) const {
    CpuReason why;
    DevicePool own;
    DevicePool& pool = options_.devices != nullptr ? *options_.devices : own;
    const std::string& name = options_.compress.device;
    SIGNUM_ASSIGN(auto device, pool.Take(name, options_.backend, &why));
    if (why.unexpected) note = why.text;
    DistillOptions on_device = options;
    on_device.kept = &device->kept();
    on_device.exact_products = options_.backend.exact_products();
    const DeltaModels& models = fine_.models;
    auto done = DistillOnDevice(device->backend(), {models, delta, on_device, output_}, step, note);
    // One that something went wrong on may be of no use any more.
    if (done || done.error().code == Errc::kCancelled) {
      pool.Put(name, options_.backend, std::move(device));
    }
    return done;
  }

  const FineTune& fine_;
  const MakeDeltaOptions& options_;
  const std::filesystem::path& output_;
  const MakeDeltaCallback& callback_;
};

}  // namespace

std::optional<std::string> Gate::Refuses(const Fidelity& fidelity) const {
  // Written so that a figure that is not a number does not pass.
  if (max_kl && !(fidelity.kl <= *max_kl)) {
    return "KL " + Figure(fidelity.kl) + " is above max_kl " + Figure(*max_kl);
  }
  if (min_top1 && !(fidelity.top1 >= *min_top1)) {
    return "top-1 agreement " + Figure(fidelity.top1) + " is below min_top1 " + Figure(*min_top1);
  }
  return std::nullopt;
}

Result<MadeDelta> MakeDelta(const FineTune& fine, const MakeDeltaOptions& options,
                            const std::filesystem::path& output,
                            const MakeDeltaCallback& callback) {
  return Maker(fine, options, output, callback).Run();
}

}  // namespace signum
