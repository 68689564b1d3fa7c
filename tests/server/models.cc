#include "tests/server/models.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <fstream>
#include <random>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "storage/format/safetensors.h"

namespace signum::test {
namespace {

using nlohmann::json;

void Expect(const Reply& reply, int status, const std::string& what) {
  if (reply.status == status) return;
  throw std::runtime_error(what + ": " + std::to_string(reply.status) + " " + reply.body);
}

uint16_t ToBf16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return static_cast<uint16_t>(bits >> 16);
}

// Random weights that depend on the tensor's place alone, moved a little by a fine-tune's seed.
std::string Weights(uint64_t elements, uint32_t tensor, uint32_t seed) {
  std::mt19937 base(tensor + 1);
  std::mt19937 moved(1000 * seed + tensor);
  std::normal_distribution<float> weight(0, 0.05F);
  std::normal_distribution<float> change(0, 0.004F);
  std::string bytes(2 * elements, '\0');
  for (uint64_t i = 0; i < elements; ++i) {
    float value = weight(base);
    if (seed > 0) value += change(moved);
    StoreLe<uint16_t>(bytes.data() + 2 * i, ToBf16(value));
  }
  return bytes;
}

std::string ConfigOf(const SmallModel& model) {
  const json config = {{"architectures", {"LlamaForCausalLM"}},
                       {"model_type", "llama"},
                       {"hidden_size", model.hidden},
                       {"intermediate_size", 2 * model.hidden},
                       {"num_attention_heads", 4},
                       {"num_key_value_heads", 4},
                       {"num_hidden_layers", 1},
                       {"vocab_size", model.vocabulary}};
  return config.dump(2);
}

std::string WeightFile(const SmallModel& model) {
  const uint64_t hidden = model.hidden;
  const std::string layer = "model.layers.0.";
  std::vector<SafetensorsEntry> entries;
  const auto add = [&](std::string name, std::vector<uint64_t> shape) {
    entries.push_back({{std::move(name), Dtype::kBF16, std::move(shape)}, 0, 0});
  };
  add("model.embed_tokens.weight", {model.vocabulary, hidden});
  add("lm_head.weight", {model.vocabulary, hidden});
  for (const auto* name : {"q_proj", "k_proj", "v_proj", "o_proj"}) {
    add(layer + "self_attn." + name + ".weight", {hidden, hidden});
  }
  add(layer + "mlp.gate_proj.weight", {2 * hidden, hidden});
  add(layer + "mlp.up_proj.weight", {2 * hidden, hidden});
  add(layer + "mlp.down_proj.weight", {hidden, 2 * hidden});
  add(layer + "input_layernorm.weight", {hidden});
  add(layer + "post_attention_layernorm.weight", {hidden});
  add("model.norm.weight", {hidden});
  std::string file = BuildSafetensorsHeader(entries, {{"format", "pt"}}, 8);
  for (size_t i = 0; i < entries.size(); ++i) {
    std::string data = Weights(entries[i].info.elements(), static_cast<uint32_t>(i), model.seed);
    if (model.nan && i == 2) StoreLe<uint16_t>(data.data() + 20, 0x7FC0);
    file += data;
  }
  return file;
}

}  // namespace

Files TinyLlama(const std::string& name) {
  Files files;
  const std::filesystem::path folder =
      std::filesystem::path(SIGNUM_TEST_DATA) / "tiny-llama" / name;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream in(entry.path(), std::ios::binary);
    std::ostringstream bytes;
    bytes << in.rdbuf();
    files.emplace_back(entry.path().filename().string(), bytes.str());
  }
  std::sort(files.begin(), files.end());
  return files;
}

Files MakeSmall(const SmallModel& model) {
  return {{"config.json", ConfigOf(model)}, {"model.safetensors", WeightFile(model)}};
}

std::string Sha256Text(std::string_view bytes) { return Sha256::Of(AsBytes(bytes)).Text(); }

std::string PathOf(const std::string& url) {
  return url.substr(url.find('/', url.find("://") + 3));
}

json CreateUpload(const Client& client, const Files& files, bool declare) {
  json list = json::array();
  for (const auto& [path, bytes] : files) {
    json file = {{"path", path}, {"size", bytes.size()}};
    if (declare) file["sha256"] = Sha256Text(bytes);
    list.push_back(std::move(file));
  }
  const Reply reply = client.Post("/v1/uploads", {{"files", std::move(list)}});
  Expect(reply, 201, "creating an upload");
  return reply.Json();
}

std::string Upload(const Client& client, const Files& files) {
  const json upload = CreateUpload(client, files);
  for (size_t i = 0; i < files.size(); ++i) {
    const std::string url = upload["files"][i]["url"];
    Expect(client.Call("PUT", PathOf(url), {}, files[i].second), 200, "PUT " + files[i].first);
  }
  return upload["id"];
}

json CreateBase(const Client& admin, const std::string& name, const Files& files) {
  const Reply reply = admin.Post("/v1/bases/" + name, {{"upload", Upload(admin, files)}});
  Expect(reply, 201, "creating base " + name);
  return reply.Json();
}

json Push(const Client& client, const std::string& model_path, const std::string& base,
          const Files& files, const json& extra) {
  json body = {{"upload", Upload(client, files)}, {"base", base}, {"method", "none"}};
  body.update(extra);
  const Reply reply = client.Post(model_path + "/versions", body);
  Expect(reply, 202, "creating a version of " + model_path);
  return reply.Json();
}

json WaitForVersion(const Client& client, const json& pushed) {
  const std::string path = PathOf(pushed["url"]);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(180);
  for (;;) {
    const Reply reply = client.Get(path);
    Expect(reply, 200, "GET " + path);
    json version = reply.Json();
    if (version["state"] != "queued" && version["state"] != "running") return version;
    if (std::chrono::steady_clock::now() > deadline) {
      throw std::runtime_error("version still " + version["state"].get<std::string>());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

}  // namespace signum::test
