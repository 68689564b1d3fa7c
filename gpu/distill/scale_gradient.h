#pragma once

#include "gpu/distill/student.h"
#include "gpu/model/forward.h"

namespace signum {

// The loss of a student's logits against a teacher's, and its exact gradient for every scale, also
// along the path that leads through the deltas of later layers (arXiv 2402.10193, eq. 5; its
// reference implementation leaves that path out).
//
// With Y = X (W + Σ_p s_row ⊙ S ⊙ s_col)ᵀ and G = ∂L/∂Yᵀ · X:
//   ∂L/∂X = ∂L/∂Y · W_student,  ∂L/∂s_row,i = Σ_j G_ij S_ij s_col,j,
//   ∂L/∂s_col,j = Σ_i G_ij S_ij s_row,i
// G is made a block of rows at a time and never kept. Blocks and sequences are cut by sizes alone
// and added up in order, so a result does not depend on the number of threads.
class ScaleGradient {
 public:
  struct Model {
    const LlamaConfig& config;
    Student& student;
    ModelWeights& weights;      // the student's
    const float* teacher_head;  // [vocabulary, hidden]
  };
  // For batches of `sequences` rows of `tokens`. With `keep_activations` the backward pass finds
  // what the forward pass computed, else it computes each layer again. Errc::kExhausted
  // device_memory.
  static Result<std::unique_ptr<ScaleGradient>> Create(const Compute& compute, const Model& model,
                                                       int64_t sequences, int64_t tokens,
                                                       bool keep_activations);

  // A batch: token rows, and for each the teacher's hidden states [tokens, hidden].
  struct Batch {
    std::vector<int32_t> ids;
    std::vector<const float*> teacher_hidden;
  };
  // Returns the loss and leaves the gradient in gradient().
  Result<double> Run(const Batch& batch, ops::Loss loss);

  // As Student::scales(), in the backend's memory.
  const float* gradient() const { return gradient_.data(); }

 private:
  // What a product's scales get their gradient from: dy [rows, n] for outputs, x [rows, k].
  struct Product {
    const SignTensor* tensor;
    const float* dy;
    const float* x;
  };
  struct Scratch {
    ops::Buffer<float> g, columns, partial;
  };

  ScaleGradient(const Compute& compute, const Model& model, int64_t sequences, int64_t tokens)
      : compute_(compute),
        backend_(compute.backend),
        model_(model),
        all_{0, sequences, tokens},
        pieces_(compute, all_) {}
  Result<void> Allocate(bool keep_activations);
  Result<void> AllocateScratch();
  Result<void> Forward(const Batch& batch);
  Result<double> HeadLoss(const Batch& batch, ops::Loss loss);
  Result<void> HeadBackward();
  Result<void> Backward(const Batch& batch);
  Result<void> LayerProducts(int64_t layer, const float* dout);
  Result<void> AddProduct(const Product& product);
  void AddBlock(const Product& product, int64_t first, int64_t count, Scratch& scratch) const;
  void CommitBlock(const Product& product, const Scratch& scratch);
  void AddEmbedding(const Batch& batch, const float* dx);
  int64_t PartialSize(const SignTensor& tensor) const;
  int64_t BlockRows(const SignTensor& tensor) const;
  LayerActivations& Acts(int64_t layer) {
    return acts_[acts_.size() == 1 ? 0 : static_cast<size_t>(layer)];
  }

  const Compute compute_;
  ops::Backend& backend_;
  const Model model_;
  const Sequences all_;
  const Pieces pieces_;
  RopeTable rope_;
  std::vector<ops::Buffer<float>> states_;  // input of each layer, and the last one's output
  std::vector<LayerActivations> acts_;
  LayerGrads grads_;
  ops::Buffer<float> final_, final_inverse_, logits_, dstate_, dinput_, gradient_;
  ops::Buffer<double> sums_;
  std::vector<ops::Buffer<float>> teacher_logits_;  // a thread
  std::vector<Scratch> scratch_;                    // a thread
};

}  // namespace signum
