"""Writes golden/tokenizers: small BPE tokenizers and what Hugging Face's tokenizers makes of texts with them.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install tokenizers==0.23.1
    /tmp/venv/bin/python tests/data/golden/make_tokenizers.py

Pipelines as published checkpoints have them, trained on text/*.calib.txt. Byte-level:
  llama3  splits by Llama 3's pattern, `ignore_merges` (one word, "behold", can only be had by it), a template that begins
          with <|begin_of_text|>
  qwen2   NFC, splits by Qwen 2's pattern, no template; <think> is an added token that is not special
With a token for each byte, as SentencePiece's models become in JSON:
  llama2  a normalizer puts a blank before each part between added tokens
  mistral Metaspace puts one before the text alone
  always  Metaspace puts one before each part that has none, and divides at blanks
  gemma   no blank is put anywhere
cases.json: for each tokenizer, texts with `ids` (added tokens recognised) and, where it differs, `plain` (special ones taken
for text).
"""

import json
import pathlib
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

DATA = pathlib.Path(__file__).resolve().parents[1]
OUT = DATA / "golden/tokenizers"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
TEXTS = [
    "In the beginning God created the heaven and the earth.", "", " ", "   two  blanks ", "\n\n\ttabs\r\n and  lines\n",
    "I'm sure they'LL say we've DONE it, it'S 1234567 and 3.14159!", "def f(x):\n    return x ** 2  # squared\n",
    "na\u00efve caf\u00e9 na\u0131\u0308ve cafe\u0301 \u1e9b\u0323 \ufb01ne \u212bngstr\u00f6m", "\u4e2d\u6587\u5b57\u7b26 \u65e5\u672c\u8a9e \ud55c\uad6d\uc5b4 \u1100\u1161\u11a8",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 ok", "\u0661\u0662\u0663 \u2160\u00bd\u00b2 \U0001d7d8\U0001d7d9", "a\u180eb\u00a0c\u2003d\u0085e\u000bf\u2028g",
    "it\u2019s 'Tis o'clock x'\u017f '\u212a", "<|begin_of_text|>hi<|eot_id|>", "<|im_start|>user\nhi<|im_end|>\n", "<think>\nhm </think>x<think",
    "<s>[INST] hi [/INST] yes </s>  x<s> y", "\u2581x \u2581<s>\u2581y <unk>", "behold, behold! beholds  behold\nbehold", "a" * 300, "ab" * 200 + " " * 50 + "\n" * 7, "\x00\x01\x7f\ufeff\ufffd", "x\u0301\u0323\u0323\u0301 \u0958",
]


def random_text(rng):
    pools = ["abcdefghij ", "  \n\t\r", "0123456789", "'sStTrEveMlLdD", "\u00e9\u0301\u4e2d\u0e01\u0915\u094d\u0600", ".,;!?-_()[]{}#\\/\"",
             "\U0001f600\U00010348\u2028\u00a0\u3000\u200b"]
    return "".join(rng.choice(rng.choice(pools)) for _ in range(rng.randrange(1, 60)))


def train(pattern, normalizer, specials):
    tokenizer = Tokenizer(models.BPE())
    if normalizer:
        tokenizer.normalizer = normalizer
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=640, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train([str(path) for path in sorted((DATA / "text").glob("*.calib.txt"))], trainer)
    tokenizer.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in specials])
    return tokenizer


def llama3():
    tokenizer = train(LLAMA3, None, [])
    plan = json.loads(tokenizer.to_str())
    plan["model"]["ignore_merges"] = True
    plan["model"]["vocab"]["\u0120behold"] = len(plan["model"]["vocab"])
    tokenizer = Tokenizer.from_str(json.dumps(plan))
    tokenizer.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in
                                  ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")])
    begin = tokenizer.token_to_id("<|begin_of_text|>")
    template = processors.TemplateProcessing(single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A <|begin_of_text|>:1 $B:1",
                                             special_tokens=[("<|begin_of_text|>", begin)])
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    return tokenizer


def qwen2():
    tokenizer = train(QWEN2, normalizers.NFC(), ["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tokenizer.add_tokens([AddedToken(text, normalized=False, special=False) for text in ("<think>", "</think>")])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def pieces(normalizer, pre_tokenizer, decoder):
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace(split=True)
    trainer = trainers.BpeTrainer(vocab_size=400, limit_alphabet=70, show_progress=False)
    trained.train([str(path) for path in sorted((DATA / "text").glob("*.calib.txt"))], trainer)
    plan = json.loads(trained.to_str())["model"]
    first = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    rest = sorted(plan["vocab"], key=plan["vocab"].get)
    merges = [tuple(merge) for merge in plan["merges"]] + [("\u2581", "\u2581"), ("\u2581\u2581", "\u2581\u2581")]
    vocabulary = {piece: at for at, piece in enumerate(first + rest + ["\u2581\u2581", "\u2581\u2581\u2581\u2581"])}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoder
    tokenizer.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in
                                  ("<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>")])
    tokenizer.add_tokens([AddedToken(text, normalized=False, special=False) for text in ("<think>", "</think>")])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])
    return tokenizer


def sentence_pieces():
    replace = normalizers.Replace(" ", "\u2581")
    fallback = [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    strips = decoders.Sequence([*fallback, decoders.Strip(" ", 1, 0)])

    def metaspace(scheme, split):
        return pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme=scheme, split=split)

    return {"llama2": pieces(normalizers.Sequence([normalizers.Prepend("\u2581"), replace]), None, strips),
            "mistral": pieces(None, metaspace("first", False), strips),
            "always": pieces(None, metaspace("always", True), strips),
            "gemma": pieces(replace, pre_tokenizers.Split(" ", "merged_with_previous"), decoders.Sequence(fallback))}


def main():
    OUT.mkdir(exist_ok=True)
    cases = {}
    for name, tokenizer in ({"llama3": llama3(), "qwen2": qwen2()} | sentence_pieces()).items():
        tokenizer.save(str(OUT / f"{name}.json"), pretty=False)
        rng = random.Random(7)
        cases[name] = []
        for text in TEXTS + [random_text(rng) for _ in range(120)]:
            tokenizer.encode_special_tokens = False
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            tokenizer.encode_special_tokens = True
            plain = tokenizer.encode(text, add_special_tokens=False).ids
            tokenizer.encode_special_tokens = False
            case = {"text": text, "ids": ids}
            if plain != ids:
                case["plain"] = plain
            cases[name].append(case)
    lines = [json.dumps(name) + ": [\n" + ",\n".join(json.dumps(case) for case in of) + "\n]" for name, of in cases.items()]
    (OUT / "cases.json").write_text("{" + ",\n".join(lines) + "}\n")


main()
