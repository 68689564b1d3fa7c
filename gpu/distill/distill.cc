#include "gpu/distill/distill.h"

#include <chrono>
#include <cstring>
#include <fstream>

#include "gpu/distill/layerwise.h"
#include "gpu/distill/positive_zeros.h"
#include "gpu/distill/rewrite_delta.h"
#include "gpu/distill/train_state.h"
#include "gpu/model/checkpoint_weights.h"
#include "gpu/model/generate.h"

namespace signum {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kSaveEvery{10};

// Half of the memory nobody uses.
uint64_t FreeMemory() {
  std::ifstream info("/proc/meminfo");
  std::string name;
  uint64_t kib = 0;
  std::string unit;
  while (info >> name >> kib >> unit) {
    if (name == "MemAvailable:") return kib * 1024 / 2;
  }
  return uint64_t{4} << 30;
}

class Reporter {
 public:
  explicit Reporter(const DistillCallback& callback) : callback_(callback) {}
  Result<void> operator()(const DistillProgress& progress) const {
    if (!callback_ || callback_(progress)) return {};
    return Fail(Errc::kCancelled, "cancelled", "stopped while it was distilled");
  }
  // Progress of a model pass that is [from, to] of a phase.
  ModelProgress Phase(std::string_view phase, double from = 0, double to = 1) const {
    return [this, phase, from, to](double done) {
      DistillProgress progress;
      progress.phase = phase;
      progress.done = from + (to - from) * done;
      return (*this)(progress);
    };
  }

 private:
  const DistillCallback& callback_;
};

// The models of a delta on a backend, opened when first wanted.
class Session {
 public:
  Session(ops::Backend& backend, const DeltaModels& models, int threads, uint64_t memory,
          KeptBase* kept = nullptr)
      : compute(backend, threads),
        models_(models),
        memory_(memory > 0 ? memory : FreeMemory()),
        kept_(kept != nullptr ? *kept : own_kept_) {
    kept_.Use(models_.base_digest);
  }

  Result<void> Open(const std::shared_ptr<const DeltaReader>& delta) {
    SIGNUM_ASSIGN(base_config, ParseLlamaConfig(models_.base_config));
    SIGNUM_ASSIGN(fine_config, ParseLlamaConfig(models_.fine_config));
    SIGNUM_ASSIGN(auto rebuilder,
                  Rebuilder::Create(models_.base, models_.base_digest, models_.base_blobs, delta));
    SIGNUM_ASSIGN(student, Student::Create(compute.backend, {models_.base, models_.fine, delta,
                                                             std::move(rebuilder)}));
    const auto fine = MakeCheckpointWeights(compute.backend, models_.fine);
    // Two models at a time; the third is opened once the first has done its part.
    const auto vocabulary = fine->Find(kEmbeddingName);
    resident = 2 * ResidentBytes(fine_config, vocabulary ? vocabulary->rows : 0) <= memory_;
    SIGNUM_ASSIGN(teacher, ModelWeights::Create(compute, fine_config, fine, resident));
    SIGNUM_ASSIGN(weights, ModelWeights::Create(compute, fine_config, student, resident));
    if (resident) SIGNUM_TRY(student->KeepBase(kept_));
    return {};
  }

  Result<Fidelity> Evaluate(const TokenRows& rows, const Reporter& report) {
    SIGNUM_ASSIGN(
        const auto base,
        ModelWeights::Create(compute, base_config,
                             MakeCheckpointWeights(compute.backend, models_.base), false));
    weights->Refresh();
    // Exactly, whatever precision the training had: fidelity is a statement about the delta.
    const auto exact = compute.backend.host_memory() ? ops::MakeCpuBackend() : nullptr;
    const Compute measure(exact != nullptr ? *exact : compute.backend, compute.threads);
    return MeasureFidelity(measure, {base_config, fine_config, *base, *teacher, *weights}, rows,
                           report.Phase("evaluate"));
  }

  const Compute compute;
  LlamaConfig base_config, fine_config;
  std::shared_ptr<Student> student;
  std::unique_ptr<ModelWeights> teacher, weights;
  bool resident = false;

 private:
  const DeltaModels& models_;
  const uint64_t memory_;
  KeptBase own_kept_{compute.backend};
  KeptBase& kept_;
};

class Distillation {
 public:
  Distillation(Session& session, const DistillOptions& options, const Reporter& report,
               TrainingKey key)
      : session_(session), options_(options), report_(report), key_(std::move(key)) {}

  Result<void> Run(DistillReport& out) {
    SIGNUM_TRY(FindRows());
    out.calibration_tokens = static_cast<int64_t>(training_.ids.size());
    const bool trains = options_.method == Method::kDistill;
    ops::Buffer<float> teacher_hidden;
    if (trains) {
      SIGNUM_ASSIGN(teacher_hidden,
                    HiddenStates(session_.compute, session_.fine_config, *session_.teacher,
                                 training_, report_.Phase("calibrate", 0.9, 1)));
    }
    if (options_.method == Method::kLayerwise || (trains && options_.layerwise_first)) {
      SIGNUM_TRY(Layerwise(session_.compute, session_.fine_config, *session_.student,
                           *session_.teacher, *session_.weights, training_,
                           report_.Phase("layerwise")));
    } else if (trains) {
      SIGNUM_TRY(
          CountZerosAsPositive(session_.compute, *session_.student, session_.teacher->source()));
    }
    if (trains) SIGNUM_TRY(Train(teacher_hidden, out));
    SIGNUM_ASSIGN(out.fidelity, session_.Evaluate(held_out_, report_));
    return {};
  }

 private:
  // Rows to train on and rows to measure on: none is both.
  Result<void> FindRows() {
    TokenRows all;
    if (auto saved = Saved()) {
      all = std::move(saved->rows);
      resumed_ = std::move(saved->state);
    } else if (options_.calibration) {
      all = *options_.calibration;
    } else {
      GenerateOptions generate;
      const bool trains = options_.method != Method::kNone;
      generate.rows = (trains ? options_.calibration_rows : 0) + options_.held_out_rows;
      generate.tokens = options_.row_tokens + 1;
      generate.seed = options_.train.seed;
      SIGNUM_ASSIGN(all, Generate(session_.compute, session_.fine_config, *session_.teacher,
                                  generate, report_.Phase("calibrate", 0, 0.9)));
    }
    SIGNUM_TRY(CheckTokens(all, session_.teacher->vocabulary()));
    SIGNUM_TRY(Split(all));
    if (!options_.state_file.empty() && !resumed_) {
      SIGNUM_TRY(SaveTraining(options_.state_file, key_, {all, std::nullopt}));
    }
    all_ = std::move(all);
    return {};
  }

  std::optional<SavedTraining> Saved() const {
    if (options_.state_file.empty()) return std::nullopt;
    return LoadTraining(options_.state_file, key_);
  }

  // The last rows are held out: held_out_rows, but no more than a fifth; all, where none is wanted
  // for calibration.
  Result<void> Split(const TokenRows& all) {
    const int64_t share = std::max<int64_t>(all.count() / 5, 1);
    const int64_t held =
        options_.method == Method::kNone ? all.count() : std::min(options_.held_out_rows, share);
    if (all.count() < 2 || all.tokens < 2) {
      return Fail(Errc::kUnusable, "no_tokens",
                  "the calibration text has " + std::to_string(all.ids.size()) + " tokens in " +
                      std::to_string(all.count()) +
                      " rows; it needs two rows of two tokens or more");
    }
    training_.tokens = all.tokens - 1;
    held_out_.tokens = all.tokens;
    for (int64_t r = 0; r < all.count(); ++r) {
      const auto row = all.Row(r);
      const bool train = r < all.count() - held;
      auto& to = train ? training_.ids : held_out_.ids;
      to.insert(to.end(), row.begin(), row.end() - (train ? 1 : 0));
    }
    return {};
  }

  Result<void> Train(const ops::Buffer<float>& teacher_hidden, DistillReport& out) {
    SIGNUM_ASSIGN(const float* head, session_.teacher->Head());
    SIGNUM_ASSIGN(const auto trainer,
                  ScaleTrainer::Create(session_.compute,
                                       {session_.fine_config, *session_.student, *session_.weights,
                                        head, training_, teacher_hidden.data()},
                                       options_.train, session_.resident));
    if (resumed_) SIGNUM_TRY(trainer->Restore(*resumed_));
    const auto trained = Steps(*trainer, out);
    out.steps = trainer->step();
    // What was reached is kept, whatever ended it: a cancelled job or one that failed can be looked
    // at, one that was interrupted goes on from there.
    if (trained.has_error()) SIGNUM_TRY(Save(*trainer));
    return trained;
  }

  Result<void> Steps(ScaleTrainer& trainer, DistillReport& out) {
    const int64_t first = trainer.step();
    const Clock::time_point begin = Clock::now();
    Clock::time_point saved = begin;
    while (!trainer.done()) {
      SIGNUM_ASSIGN(const double loss, trainer.Step());
      if (trainer.step() == 1) out.first_loss = loss;
      out.last_loss = loss;
      SIGNUM_TRY(Report(trainer, loss, first, begin));
      if (Clock::now() - saved < kSaveEvery) continue;
      SIGNUM_TRY(Save(trainer));
      saved = Clock::now();
    }
    return {};
  }

  Result<void> Save(const ScaleTrainer& trainer) const {
    if (options_.state_file.empty()) return {};
    return SaveTraining(options_.state_file, key_, {all_, trainer.State()});
  }

  Result<void> Report(const ScaleTrainer& trainer, double loss, int64_t first,
                      Clock::time_point begin) const {
    const std::chrono::duration<double> passed = Clock::now() - begin;
    DistillProgress progress;
    progress.phase = "distill";
    progress.step = trainer.step();
    progress.steps = options_.train.steps;
    progress.done = static_cast<double>(progress.step) / static_cast<double>(progress.steps);
    progress.loss = loss;
    if (passed.count() > 0) {
      progress.steps_per_second = static_cast<double>(trainer.step() - first) / passed.count();
    }
    return report_(progress);
  }

  Session& session_;
  const DistillOptions& options_;
  const Reporter& report_;
  const TrainingKey key_;
  TokenRows all_, training_, held_out_;
  std::optional<TrainState> resumed_;
};

// Signs are not in a state file: it fits the rules that chose them.
constexpr char kSignRules[] = "2 ";

// What calibration rows were made for.
std::string RowsKey(const DeltaReader& delta, const DistillOptions& options) {
  const TrainOptions& train = options.train;
  std::string key = kSignRules + delta.header().base.Text() + " " + delta.recipe().Serialize();
  for (const double number :
       {static_cast<double>(train.steps), static_cast<double>(train.batch),
        static_cast<double>(train.loss), train.learning_rate, train.column_rate,
        static_cast<double>(train.seed), static_cast<double>(options.calibration_rows),
        static_cast<double>(options.row_tokens), static_cast<double>(options.held_out_rows),
        static_cast<double>(options.calibration.has_value())}) {
    key += " " + std::to_string(number);
  }
  key += " " + delta.header().codec + " " + delta.header().scales;
  if (!options.exact_products) key += " fast";
  return Sha256::Of(AsBytes(key)).Text();
}

// A header names every tensor of its delta with its shape.
Result<std::string> HeaderKey(const DeltaReader& delta) {
  std::string header(delta.data_begin(), '\0');
  SIGNUM_TRY(delta.file()->Read(
      0, MutableBytes(reinterpret_cast<std::byte*>(header.data()), header.size())));
  return Sha256::Of(AsBytes(header)).Text();
}

// The scales, and the signs where they may have changed, as parts of the delta file.
std::map<std::string, std::string> ChangedParts(ops::Backend& backend, const Student& student) {
  std::vector<float> scales(static_cast<size_t>(student.scale_count()));
  backend.Download(student.scales(), scales.data(), scales.size() * sizeof(float));
  std::map<std::string, std::string> parts;
  for (const ScaleVector* vector : student.Vectors()) {
    parts[vector->part].assign(reinterpret_cast<const char*>(scales.data() + vector->offset),
                               static_cast<size_t>(vector->size) * sizeof(float));
  }
  for (const auto& [part, bits] : student.changed_signs()) parts[part] = bits;
  return parts;
}

}  // namespace

std::string_view MethodName(Method method) {
  switch (method) {
    case Method::kNone:
      return "none";
    case Method::kLayerwise:
      return "layerwise";
    case Method::kDistill:
      return "distill";
  }
  return "none";
}

std::optional<Method> MethodFromName(std::string_view name) {
  for (const Method method : {Method::kNone, Method::kLayerwise, Method::kDistill}) {
    if (MethodName(method) == name) return method;
  }
  return std::nullopt;
}

std::string_view LossName(ops::Loss loss) { return loss == ops::Loss::kKl ? "kl" : "mse"; }

std::optional<ops::Loss> LossFromName(std::string_view name) {
  for (const ops::Loss loss : {ops::Loss::kMse, ops::Loss::kKl}) {
    if (LossName(loss) == name) return loss;
  }
  return std::nullopt;
}

Result<void> CheckDistillable(const DeltaModels& models) {
  for (const auto* config : {&models.base_config, &models.fine_config}) {
    const auto parsed = ParseLlamaConfig(*config);
    if (parsed.has_error()) return parsed.error();
  }
  const auto backend = ops::MakeCpuBackend();
  const Compute compute(*backend, 1);
  SIGNUM_ASSIGN(const LlamaConfig config, ParseLlamaConfig(models.fine_config));
  return ModelWeights::Check(compute, config, MakeCheckpointWeights(*backend, models.fine));
}

Result<DistillReport> DistillDelta(ops::Backend& backend, const DeltaModels& models,
                                   const std::shared_ptr<const DeltaReader>& delta,
                                   const DistillOptions& options,
                                   const std::filesystem::path& output,
                                   const DistillCallback& callback) {
  const Reporter report(callback);
  Session session(backend, models, options.threads, options.memory_bytes, options.kept);
  SIGNUM_TRY(session.Open(delta));
  DistillReport out;
  SIGNUM_ASSIGN(const std::string header, HeaderKey(*delta));
  const TrainingKey key{RowsKey(*delta, options), header};
  SIGNUM_TRY(Distillation(session, options, report, key).Run(out));
  SIGNUM_ASSIGN(out.sealed, RewriteDelta(*delta, ChangedParts(backend, *session.student), output));
  return out;
}

Result<Fidelity> EvaluateDelta(ops::Backend& backend, const DeltaModels& models,
                               const std::shared_ptr<const DeltaReader>& delta,
                               const TokenRows& rows, int threads, uint64_t memory_bytes,
                               const DistillCallback& callback) {
  const Reporter report(callback);
  Session session(backend, models, threads, memory_bytes);
  SIGNUM_TRY(session.Open(delta));
  return session.Evaluate(rows, report);
}

}  // namespace signum
