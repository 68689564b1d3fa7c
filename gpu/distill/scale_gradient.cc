#include "gpu/distill/scale_gradient.h"

#include <algorithm>
#include <numeric>

#include "gpu/in_order.h"

namespace signum {
namespace {

constexpr int64_t kBlockRows = 128;                      // of G at once, on the host
constexpr int64_t kDeviceBlockBytes = int64_t{1} << 28;  // and on a device

}  // namespace

Result<std::unique_ptr<ScaleGradient>> ScaleGradient::Create(const Compute& compute,
                                                             const Model& model, int64_t sequences,
                                                             int64_t tokens,
                                                             bool keep_activations) {
  std::unique_ptr<ScaleGradient> out(new ScaleGradient(compute, model, sequences, tokens));
  SIGNUM_TRY(out->Allocate(keep_activations));
  SIGNUM_TRY(out->AllocateScratch());
  return out;
}

Result<void> ScaleGradient::Allocate(bool keep_activations) {
  const LlamaConfig& config = model_.config;
  const int64_t rows = all_.rows();
  const auto floats = [&](int64_t size, ops::Buffer<float>& to) -> Result<void> {
    SIGNUM_ASSIGN(to, MakeBuffer<float>(backend_, size));
    return {};
  };
  SIGNUM_ASSIGN(rope_, RopeTable::Create(backend_, config, all_.tokens));
  states_.resize(static_cast<size_t>(config.layers) + 1);
  for (auto& state : states_) SIGNUM_TRY(floats(rows * config.hidden, state));
  acts_.resize(static_cast<size_t>(keep_activations ? config.layers : 1));
  for (auto& acts : acts_) {
    SIGNUM_ASSIGN(acts, LayerActivations::Create(backend_, config, rows));
  }
  SIGNUM_ASSIGN(grads_, LayerGrads::Create(backend_, config, rows));
  for (auto* buffer : {&final_, &dstate_, &dinput_}) {
    SIGNUM_TRY(floats(rows * config.hidden, *buffer));
  }
  SIGNUM_TRY(floats(rows, final_inverse_));
  SIGNUM_TRY(floats(rows * model_.weights.vocabulary(), logits_));
  SIGNUM_TRY(floats(model_.student.scale_count(), gradient_));
  SIGNUM_ASSIGN(sums_, MakeBuffer<double>(backend_, rows));
  teacher_logits_.resize(static_cast<size_t>(compute_.threads));
  const int64_t piece_rows = pieces_.count() == 0 ? 0 : pieces_[0].rows();
  for (auto& logits : teacher_logits_) {
    SIGNUM_TRY(floats(piece_rows * model_.weights.vocabulary(), logits));
  }
  return {};
}

int64_t ScaleGradient::BlockRows(const SignTensor& tensor) const {
  if (backend_.concurrent()) return kBlockRows;
  const int64_t fit = kDeviceBlockBytes / static_cast<int64_t>(sizeof(float)) /
                      std::max<int64_t>(tensor.shape.columns, 1);
  return std::clamp<int64_t>(fit, 1, std::max<int64_t>(tensor.sign_row_count(), 1));
}

// One value for a scale of all rows and one a column, a plane.
int64_t ScaleGradient::PartialSize(const SignTensor& tensor) const {
  return static_cast<int64_t>(tensor.planes.size()) * (tensor.shape.columns + 1);
}

Result<void> ScaleGradient::AllocateScratch() {
  int64_t block = 1;
  int64_t partial = 1;
  int64_t columns = 1;
  for (const auto& [name, tensor] : model_.student.tensors()) {
    block = std::max(block, BlockRows(tensor) * tensor.shape.columns);
    partial = std::max(partial, PartialSize(tensor));
    if (tensor.listed) columns = std::max(columns, BlockRows(tensor) * all_.rows());
  }
  scratch_.resize(static_cast<size_t>(compute_.threads));
  for (Scratch& scratch : scratch_) {
    SIGNUM_ASSIGN(scratch.g, MakeBuffer<float>(backend_, block));
    SIGNUM_ASSIGN(scratch.columns, MakeBuffer<float>(backend_, columns));
    SIGNUM_ASSIGN(scratch.partial, MakeBuffer<float>(backend_, partial));
  }
  return {};
}

Result<double> ScaleGradient::Run(const Batch& batch, ops::Loss loss) {
  backend_.Zero(gradient_.data(), gradient_.size() * sizeof(float));
  SIGNUM_TRY(Forward(batch));
  SIGNUM_ASSIGN(const double value, HeadLoss(batch, loss));
  SIGNUM_TRY(HeadBackward());
  SIGNUM_TRY(Backward(batch));
  SIGNUM_TRY(CheckBackend(backend_));
  return value;
}

Result<void> ScaleGradient::Forward(const Batch& batch) {
  SIGNUM_TRY(Embed(model_.weights, batch.ids, states_[0].data()));
  for (int64_t l = 0; l < model_.config.layers; ++l) {
    SIGNUM_ASSIGN(const LayerWeights* weights, model_.weights.Layer(l));
    const LayerRun run{backend_, model_.config, rope_, l, *weights};
    const auto at = static_cast<size_t>(l);
    SIGNUM_TRY(ParallelFor(compute_, pieces_.count(), [&](size_t, int64_t p) -> Result<void> {
      ForwardLayer(run, pieces_[p], states_[at].data(), Acts(l), states_[at + 1].data());
      return {};
    }));
  }
  return {};
}

// Leaves the gradient for the logits in logits_.
Result<double> ScaleGradient::HeadLoss(const Batch& batch, ops::Loss loss) {
  const int64_t hidden = model_.config.hidden;
  const int64_t vocabulary = model_.weights.vocabulary();
  SIGNUM_ASSIGN(const float* head, model_.weights.Head());
  const float* last = states_.back().data();
  SIGNUM_TRY(ParallelFor(compute_, pieces_.count(), [&](size_t worker, int64_t p) -> Result<void> {
    const Sequences s = pieces_[p];
    const int64_t row = s.first_row();
    float* final_state = final_.data() + row * hidden;
    float* logits = logits_.data() + row * vocabulary;
    backend_.RmsNorm({last + row * hidden, model_.weights.final_norm(), final_state,
                      final_inverse_.data() + row, s.rows(), hidden, model_.config.norm_eps});
    Logits(backend_, final_state, head, s.rows(), vocabulary, hidden, logits);
    float* teacher = teacher_logits_[worker].data();
    for (int64_t i = 0; i < s.count; ++i) {
      Logits(backend_, batch.teacher_hidden[static_cast<size_t>(s.first + i)], model_.teacher_head,
             s.tokens, vocabulary, hidden, teacher + i * s.tokens * vocabulary);
    }
    backend_.LossAndGrad(
        {loss, logits, teacher, sums_.data() + row, s.rows(), vocabulary, all_.rows()});
    return {};
  }));
  std::vector<double> sums(sums_.size());
  backend_.Download(sums_.data(), sums.data(), sums.size() * sizeof(double));
  const double sum = std::accumulate(sums.begin(), sums.end(), 0.0);
  const auto rows = static_cast<double>(all_.rows());
  return loss == ops::Loss::kMse ? sum / (rows * static_cast<double>(vocabulary)) : sum / rows;
}

Result<void> ScaleGradient::HeadBackward() {
  const int64_t hidden = model_.config.hidden;
  const int64_t vocabulary = model_.weights.vocabulary();
  SIGNUM_ASSIGN(const float* head, model_.weights.Head());
  const float* last = states_.back().data();
  SIGNUM_TRY(ParallelFor(compute_, pieces_.count(), [&](size_t, int64_t p) -> Result<void> {
    const Sequences s = pieces_[p];
    const int64_t row = s.first_row();
    float* dfinal = dinput_.data() + row * hidden;
    ops::MatMulArgs args = ops::LinearInputGrad(logits_.data() + row * vocabulary, head, dfinal,
                                                s.rows(), vocabulary, hidden);
    args.accumulate = false;
    backend_.MatMul(args);
    backend_.RmsNormBackward({dfinal, last + row * hidden, model_.weights.final_norm(),
                              final_inverse_.data() + row, dstate_.data() + row * hidden, s.rows(),
                              hidden, false});
    return {};
  }));
  const SignTensor* tensor = model_.student.Signs(model_.weights.head_name());
  return AddProduct({tensor, logits_.data(), final_.data()});
}

Result<void> ScaleGradient::Backward(const Batch& batch) {
  for (int64_t l = model_.config.layers - 1; l >= 0; --l) {
    SIGNUM_ASSIGN(const LayerWeights* weights, model_.weights.Layer(l));
    const LayerRun run{backend_, model_.config, rope_, l, *weights};
    const float* input = states_[static_cast<size_t>(l)].data();
    const bool recompute = acts_.size() == 1 && model_.config.layers > 1;
    SIGNUM_TRY(ParallelFor(compute_, pieces_.count(), [&](size_t, int64_t p) -> Result<void> {
      // The layer's output is not wanted again: it goes where the gradient comes next.
      if (recompute) ForwardLayer(run, pieces_[p], input, Acts(l), dinput_.data());
      BackwardLayer(run, pieces_[p], input, Acts(l), dstate_.data(), grads_, dinput_.data());
      return {};
    }));
    SIGNUM_TRY(LayerProducts(l, dstate_.data()));
    std::swap(dstate_, dinput_);
  }
  AddEmbedding(batch, dstate_.data());
  return {};
}

Result<void> ScaleGradient::LayerProducts(int64_t layer, const float* dout) {
  const LayerActivations& acts = Acts(layer);
  const auto product = [&](LinearKind kind, const float* dy, const ops::Buffer<float>& x) {
    return AddProduct({model_.student.Signs(LinearName(layer, kind)), dy, x.data()});
  };
  SIGNUM_TRY(product(LinearKind::kQ, grads_.dq.data(), acts.normed));
  SIGNUM_TRY(product(LinearKind::kK, grads_.dk.data(), acts.normed));
  SIGNUM_TRY(product(LinearKind::kV, grads_.dv.data(), acts.normed));
  SIGNUM_TRY(product(LinearKind::kO, grads_.dmiddle.data(), acts.attended));
  SIGNUM_TRY(product(LinearKind::kGate, grads_.dgate.data(), acts.middle_normed));
  SIGNUM_TRY(product(LinearKind::kUp, grads_.dup.data(), acts.middle_normed));
  return product(LinearKind::kDown, dout, acts.gated);
}

Result<void> ScaleGradient::AddProduct(const Product& product) {
  if (product.tensor == nullptr || product.tensor->planes.empty()) return {};
  const int64_t rows = product.tensor->sign_row_count();
  const int64_t block = BlockRows(*product.tensor);
  InOrderWork work;
  work.pieces = static_cast<uint64_t>((rows + block - 1) / block);
  work.compute = [&](size_t worker, uint64_t piece) -> Result<void> {
    const int64_t first = static_cast<int64_t>(piece) * block;
    AddBlock(product, first, std::min(block, rows - first), scratch_[worker]);
    return {};
  };
  work.commit = [&](size_t worker, uint64_t) -> Result<void> {
    CommitBlock(product, scratch_[worker]);
    return {};
  };
  work.tick = []() -> Result<void> { return {}; };
  return RunInOrder(work, compute_.threads);
}

// G for rows [first, first + count) of the signs; row scales get their gradient at once, what all
// blocks share goes to scratch.partial.
void ScaleGradient::AddBlock(const Product& product, int64_t first, int64_t count,
                             Scratch& scratch) const {
  const SignTensor& tensor = *product.tensor;
  ops::MatMulArgs args;
  args.a = product.dy + first;
  args.lda = tensor.shape.rows;
  if (tensor.listed) {
    const auto* rows = reinterpret_cast<const int32_t*>(tensor.sign_rows_device.data) + first;
    backend_.CopyColumns(
        {product.dy, rows, scratch.columns.data(), all_.rows(), tensor.shape.rows, count});
    args.a = scratch.columns.data();
    args.lda = count;
  }
  args.b = product.x;
  args.ldb = tensor.shape.columns;
  args.c = scratch.g.data();
  args.ldc = tensor.shape.columns;
  args.m = count;
  args.n = tensor.shape.columns;
  args.k = all_.rows();
  args.transpose_a = true;
  backend_.MatMul(args);
  backend_.Zero(scratch.partial.data(), static_cast<size_t>(PartialSize(tensor)) * sizeof(float));
  for (size_t p = 0; p < tensor.planes.size(); ++p) {
    const TensorPlane& plane = tensor.planes[p];
    float* partial = scratch.partial.data() + static_cast<int64_t>(p) * (tensor.shape.columns + 1);
    ops::SignGradArgs grad;
    grad.plane = model_.student.Plane(tensor, p, first);
    grad.g = scratch.g.data();
    grad.drow = grad.plane.one_row_scale ? partial : gradient_.data() + plane.row.offset + first;
    grad.dcol = plane.col.size > 0 ? partial + 1 : nullptr;
    grad.rows = count;
    grad.columns = tensor.shape.columns;
    backend_.SignGrad(grad);
  }
}

void ScaleGradient::CommitBlock(const Product& product, const Scratch& scratch) {
  const SignTensor& tensor = *product.tensor;
  for (size_t p = 0; p < tensor.planes.size(); ++p) {
    const TensorPlane& plane = tensor.planes[p];
    const float* partial =
        scratch.partial.data() + static_cast<int64_t>(p) * (tensor.shape.columns + 1);
    float* row = gradient_.data() + plane.row.offset;
    float* col = gradient_.data() + plane.col.offset;
    if (model_.student.Plane(tensor, p, 0).one_row_scale) backend_.Add({row, partial, row, 1});
    if (plane.col.size > 0) backend_.Add({col, partial + 1, col, plane.col.size});
  }
}

// A token's row of the embedding gets the gradient of its place in the input.
void ScaleGradient::AddEmbedding(const Batch& batch, const float* dx) {
  const SignTensor* tensor = model_.student.Signs(kEmbeddingName);
  if (tensor == nullptr) return;
  const auto& rows = tensor->sign_rows;
  for (size_t t = 0; t < batch.ids.size(); ++t) {
    const auto at = std::lower_bound(rows.begin(), rows.end(), batch.ids[t]);
    if (at == rows.end() || *at != batch.ids[t]) continue;
    const int64_t row = at - rows.begin();
    for (size_t p = 0; p < tensor->planes.size(); ++p) {
      const TensorPlane& plane = tensor->planes[p];
      ops::SignGradArgs grad;
      grad.plane = model_.student.Plane(*tensor, p, row);
      grad.g = dx + static_cast<int64_t>(t) * tensor->shape.columns;
      grad.drow = gradient_.data() + plane.row.offset + (grad.plane.one_row_scale ? 0 : row);
      grad.dcol = plane.col.size > 0 ? gradient_.data() + plane.col.offset : nullptr;
      grad.rows = 1;
      grad.columns = tensor->shape.columns;
      backend_.SignGrad(grad);
    }
  }
}

}  // namespace signum
