#include "gpu/distill/layerwise.h"

#include <array>
#include <cmath>

#include "gpu/distill/feedback_signs.h"
#include "gpu/distill/inverse_factor.h"
#include "gpu/in_order.h"

namespace signum {
namespace {

constexpr int64_t kRowsAtOnce = 64;
constexpr double kDamping = 1.0;  // of H's mean diagonal
constexpr int kSweeps = 3;        // of signs and then scales (gpu/KERNELS.md, "Layer by layer")

// XᵀX of inputs that come piece by piece.
class Moment {
 public:
  explicit Moment(int64_t size) : size_(size), sum_(static_cast<size_t>(size * size)) {}
  void Add(const std::vector<float>& share) {
    for (size_t i = 0; i < sum_.size(); ++i) sum_[i] += share[i];
  }
  double Damping() const {
    double trace = 0;
    for (int64_t i = 0; i < size_; ++i) trace += double{sum_[static_cast<size_t>(i * size_ + i)]};
    return std::max(kDamping * trace / static_cast<double>(size_), 1e-30);
  }
  const std::vector<float>& sum() const { return sum_; }
  int64_t size() const { return size_; }

 private:
  int64_t size_;
  std::vector<float> sum_;
};

class LayerwiseRun {
 public:
  LayerwiseRun(const Compute& compute, const LlamaConfig& config, Student& student,
               ModelWeights& teacher, ModelWeights& weights, const TokenRows& rows)
      : compute_(compute),
        backend_(compute.backend),
        config_(config),
        student_(student),
        teacher_(teacher),
        weights_(weights),
        all_{0, rows.count(), rows.tokens},
        pieces_(compute, all_, 4),
        rows_(rows) {}

  Result<void> Run(const ModelProgress& progress) {
    SIGNUM_TRY(Prepare());
    for (int64_t l = 0; l < config_.layers; ++l) {
      SIGNUM_TRY(progress(static_cast<double>(l) / static_cast<double>(config_.layers + 1)));
      SIGNUM_TRY(Layer(l));
    }
    SIGNUM_TRY(Head());
    return CheckBackend(backend_);
  }

 private:
  Result<void> Prepare() {
    SIGNUM_ASSIGN(rope_, RopeTable::Create(backend_, config_, all_.tokens));
    SIGNUM_ASSIGN(states_, MakeBuffer<float>(backend_, all_.rows() * config_.hidden));
    SIGNUM_TRY(Embed(weights_, rows_.ids, states_.data()));
    acts_.resize(static_cast<size_t>(compute_.threads));
    outputs_.resize(acts_.size());
    const int64_t rows = pieces_[0].rows();
    for (size_t i = 0; i < acts_.size(); ++i) {
      SIGNUM_ASSIGN(acts_[i], LayerActivations::Create(backend_, config_, rows));
      SIGNUM_ASSIGN(outputs_[i], MakeBuffer<float>(backend_, rows * config_.hidden));
    }
    return {};
  }

  Result<void> Layer(int64_t l) {
    SIGNUM_ASSIGN(auto moments, LayerMoments(l));
    const auto choose = [&](LinearKind kind, const Moment& moment) {
      return Improve(LinearName(l, kind), moment);
    };
    for (const LinearKind kind : {LinearKind::kQ, LinearKind::kK, LinearKind::kV}) {
      SIGNUM_TRY(choose(kind, moments[0]));
    }
    SIGNUM_TRY(choose(LinearKind::kO, moments[1]));
    SIGNUM_TRY(choose(LinearKind::kGate, moments[2]));
    SIGNUM_TRY(choose(LinearKind::kUp, moments[2]));
    SIGNUM_TRY(choose(LinearKind::kDown, moments[3]));
    weights_.Refresh();
    return Advance(l);
  }

  // Of the inputs of qkv, o, gate and up, down: in the fine-tune's layer on the student's states.
  Result<std::vector<Moment>> LayerMoments(int64_t l) {
    SIGNUM_ASSIGN(const LayerWeights* layer, teacher_.Layer(l));
    const LayerRun run{backend_, config_, rope_, l, *layer};
    const std::array<int64_t, 4> sizes = {config_.hidden, config_.q_size(), config_.hidden,
                                          config_.intermediate};
    std::vector<Moment> moments;
    moments.reserve(sizes.size());
    for (const int64_t size : sizes) moments.emplace_back(size);
    std::vector<std::array<std::vector<float>, 4>> shares(acts_.size());
    InOrderWork work;
    work.pieces = static_cast<uint64_t>(pieces_.count());
    work.compute = [&](size_t worker, uint64_t piece) -> Result<void> {
      const Sequences s = pieces_[static_cast<int64_t>(piece)];
      LayerActivations& acts = acts_[worker];
      ForwardLayer(run, {0, s.count, s.tokens}, states_.data() + s.first_row() * config_.hidden,
                   acts, outputs_[worker].data());
      const std::array<const float*, 4> inputs = {acts.normed.data(), acts.attended.data(),
                                                  acts.middle_normed.data(), acts.gated.data()};
      for (size_t i = 0; i < inputs.size(); ++i) {
        SIGNUM_ASSIGN(shares[worker][i], Gram(inputs[i], s.rows(), sizes[i]));
      }
      return {};
    };
    work.commit = [&](size_t worker, uint64_t) -> Result<void> {
      for (size_t i = 0; i < moments.size(); ++i) moments[i].Add(shares[worker][i]);
      return {};
    };
    work.tick = []() -> Result<void> { return {}; };
    SIGNUM_TRY(RunInOrder(work, compute_.threads));
    return moments;
  }

  Result<std::vector<float>> Gram(const float* x, int64_t rows, int64_t size) const {
    SIGNUM_ASSIGN(const auto gram, MakeBuffer<float>(backend_, size * size));
    ops::MatMulArgs args;
    args.a = x;
    args.b = x;
    args.c = gram.data();
    args.m = args.n = args.lda = args.ldb = args.ldc = size;
    args.k = rows;
    args.transpose_a = true;
    backend_.MatMul(args);
    std::vector<float> out(gram.size());
    backend_.Download(gram.data(), out.data(), out.size() * sizeof(float));
    return out;
  }

  // The student's layer, with its new signs, over the states.
  Result<void> Advance(int64_t l) {
    SIGNUM_ASSIGN(const LayerWeights* layer, weights_.Layer(l));
    const LayerRun run{backend_, config_, rope_, l, *layer};
    return ParallelFor(compute_, pieces_.count(), [&](size_t worker, int64_t p) -> Result<void> {
      const Sequences s = pieces_[p];
      float* x = states_.data() + s.first_row() * config_.hidden;
      ForwardLayer(run, {0, s.count, s.tokens}, x, acts_[worker], x);
      return {};
    });
  }

  Result<void> Head() {
    const std::string& name = weights_.head_name();
    if (name == kEmbeddingName) return {};  // tied: the embedding's rows serve two masters
    ops::Buffer<float> inverse(backend_, static_cast<size_t>(all_.rows()));
    backend_.RmsNorm({states_.data(), weights_.final_norm(), states_.data(), inverse.data(),
                      all_.rows(), config_.hidden, config_.norm_eps});
    Moment moment(config_.hidden);
    SIGNUM_ASSIGN(const auto gram, Gram(states_.data(), all_.rows(), config_.hidden));
    moment.Add(gram);
    SIGNUM_TRY(Improve(name, moment));
    weights_.Refresh();
    return {};
  }

  Result<void> Improve(const std::string& name, const Moment& moment) {
    const SignTensor* tensor = student_.Signs(name);
    if (tensor == nullptr || tensor->planes.size() != 1) return {};
    SIGNUM_ASSIGN(const std::vector<float> factor,
                  InverseFactor(moment.sum(), moment.size(), moment.Damping()));
    SIGNUM_ASSIGN(Student::HostPlane plane, student_.DownloadPlane(*tensor));
    for (int sweep = 0; sweep < kSweeps; ++sweep) SIGNUM_TRY(Sweep(*tensor, factor, moment, plane));
    return student_.UploadPlane(*tensor, plane);
  }

  // Chooses the signs for the row scales that are there, then the scales for those signs.
  Result<void> Sweep(const SignTensor& tensor, const std::vector<float>& factor,
                     const Moment& moment, Student::HostPlane& plane) {
    std::vector<double> with_delta(static_cast<size_t>(plane.rows));
    std::vector<double> with_self(with_delta.size());
    const Pieces blocks(compute_, {0, plane.rows, 1}, kRowsAtOnce);
    SIGNUM_TRY(ParallelFor(compute_, blocks.count(), [&](size_t, int64_t p) -> Result<void> {
      const Sequences block = blocks[p];
      SIGNUM_ASSIGN(const std::vector<float> delta,
                    student_.Difference(tensor, teacher_.source(), block.first, block.count));
      FeedbackSigns args;
      args.delta = delta.data();
      args.factor = factor.data();
      args.moment = moment.sum().data();
      args.row_scale = plane.row.data() + block.first;
      args.col_scale = plane.col.empty() ? nullptr : plane.col.data();
      const auto at = static_cast<size_t>(block.first) * plane.row_bytes;
      args.mask = plane.mask.empty() ? nullptr : plane.mask.data() + at;
      args.sign = plane.sign.data() + at;
      args.with_delta = with_delta.data() + block.first;
      args.with_self = with_self.data() + block.first;
      args.rows = block.count;
      args.columns = moment.size();
      ChooseSigns(args);
      return {};
    }));
    FitScales(with_delta, with_self, plane);
    return {};
  }

  // The best scale of each row, or of all where there is one.
  static void FitScales(const std::vector<double>& with_delta, const std::vector<double>& with_self,
                        Student::HostPlane& plane) {
    double all_delta = 0;
    double all_self = 0;
    for (size_t r = 0; r < with_delta.size(); ++r) {
      all_delta += with_delta[r];
      all_self += with_self[r];
      if (plane.one_row_scale || !(with_self[r] > 0) || !std::isfinite(with_delta[r])) continue;
      plane.row[r] = static_cast<float>(with_delta[r] / with_self[r]);
    }
    if (!plane.one_row_scale || !(all_self > 0) || !std::isfinite(all_delta)) return;
    plane.row.assign(plane.row.size(), static_cast<float>(all_delta / all_self));
  }

  const Compute& compute_;
  ops::Backend& backend_;
  const LlamaConfig& config_;
  Student& student_;
  ModelWeights& teacher_;
  ModelWeights& weights_;
  const Sequences all_;
  const Pieces pieces_;
  const TokenRows& rows_;
  RopeTable rope_;
  ops::Buffer<float> states_;
  std::vector<LayerActivations> acts_;       // a thread
  std::vector<ops::Buffer<float>> outputs_;  // a thread
};

}  // namespace

Result<void> Layerwise(const Compute& compute, const LlamaConfig& config, Student& student,
                       ModelWeights& teacher, ModelWeights& weights, const TokenRows& rows,
                       const ModelProgress& progress) {
  return LayerwiseRun(compute, config, student, teacher, weights, rows).Run(progress);
}

}  // namespace signum
