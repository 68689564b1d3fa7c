"""Writes greedy.json: what the small family says next, by PyTorch, for tests of the serving engine.

usage: make_greedy.py    needs torch, transformers and sentencepiece; was run with torch 2.4.1, transformers 4.51.3

For each of 20 prompts its ids (BOS and SentencePiece's) and, for the base and every fine-tune with its exact
weights in float32, the 24 tokens of greedy decoding. `margin` is the least distance between the two largest logits
anywhere: above what the order of float32 sums changes (about 1e-5), so that every right implementation finds them.
"""

import json
import pathlib

import sentencepiece
import torch
from transformers import LlamaForCausalLM

HERE = pathlib.Path(__file__).resolve().parent
FAMILY = HERE.parent / "tiny-llama"
MODELS = ("base", "kjv", "pysrc", "sqlite")
LENGTH = 24
PROMPTS = (
    "In the beginning God", "And the LORD said unto Moses,", "Blessed are the", "The king of Israel",
    "def __init__(self,", "import os", "class TestCase(unittest", "    return self.", "for i in range(",
    "The SELECT statement", "CREATE TABLE t1(", "If the sqlite3_step() function", "An index on",
    "The word means", "A small animal", "In computing, a file is", "The method returns a", "Python is",
    "When the value of x is", "1 2 3 4",
)


def greedy(model, ids):
    """The tokens of greedy decoding and the least margin on the way."""
    margin, out = float("inf"), []
    for _ in range(LENGTH):
        logits = model(torch.tensor([ids + out])).logits[0, -1]
        top = torch.topk(logits, 2)
        margin = min(margin, (top.values[0] - top.values[1]).item())
        out.append(top.indices[0].item())
    return out, margin


def main():
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(FAMILY / "base/tokenizer.model"))
    prompts = [{"text": text, "ids": [tokenizer.bos_id(), *tokenizer.encode(text)]} for text in PROMPTS]
    torch.set_num_threads(1)
    margins, models = {}, {}
    with torch.no_grad():
        for name in MODELS:
            model = LlamaForCausalLM.from_pretrained(FAMILY / name, torch_dtype=torch.float32).eval()
            results = [greedy(model, prompt["ids"]) for prompt in prompts]
            models[name] = [tokens for tokens, _ in results]
            margins[name] = min(margin for _, margin in results)
            print(name, margins[name], flush=True)
    document = {"margin": min(margins.values()), "prompts": prompts, "models": models}
    lines = json.dumps(document, indent=None, separators=(",", ":")).replace("],[", "],\n[").replace("},{", "},\n{")
    (HERE / "greedy.json").write_text(lines + "\n")


if __name__ == "__main__":
    main()
