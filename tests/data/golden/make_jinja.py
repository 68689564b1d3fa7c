"""Writes golden/jinja/: what Python's jinja2, set up as transformers does, makes of templates, and tokenizers of some.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install jinja2==3.1.6 tokenizers==0.23.1
    /tmp/venv/bin/python tests/data/golden/make_jinja.py

*.jinja are written for these tests in the styles of known families; none is taken from a checkpoint. cases.json has
  conversations  lists of messages
  templates      for each file, what it makes of each conversation, with and without the generation prompt; null: it raises
  constructs     small templates, each with what it makes of `variables`; null: it is refused
tokens.json: for some templates and each conversation the ids that transformers gives the model, by tokenizer of golden/tokenizers.
The clock stands at 2024-07-26.
"""

import datetime
import json
import pathlib

import jinja2
import jinja2.ext
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tokenizers import Tokenizer

from jinja_constructs import CONSTRUCTS, VARIABLES

HERE = pathlib.Path(__file__).resolve().parent / "jinja"
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}


class Generation(jinja2.ext.Extension):
    """{% generation %}, as transformers has it: a block that is called, with a scope of its own."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_say"), [], [], body).set_lineno(line)

    def _say(self, caller):
        return caller()


def environment():
    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    made.filters["tojson"] = tojson
    made.globals["raise_exception"] = raise_exception
    made.globals["strftime_now"] = lambda form: datetime.datetime(2024, 7, 26).strftime(form)
    return made


def rendered(env, source, **variables):
    try:
        return env.from_string(source).render(**variables)
    except Exception:
        return None


def talk(*turns):
    return [{"role": role, "content": content} for role, content in turns]


CONVERSATIONS = [
    talk(("user", "Hi")),
    talk(("system", "Be brief."), ("user", "Hi")),
    talk(("system", " S \n"), ("user", "  U\n\n"), ("assistant", "A "), ("user", "V")),
    talk(("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"), ("user", "e")),
    talk(("user", "")),
    talk(("system", ""), ("user", ""), ("assistant", ""), ("user", "x")),
    talk(("user", "na\u00efve \u4e2d\u6587 \U0001f600 \u2028 \u00df\r\nx"), ("assistant", "<think>\nhm\n</think>\n\nok 'q' \"d\" \\ "),
         ("user", "{{ x }} {% if %}")),
    talk(("user", "u"), ("assistant", "<think>\nhm\n</think>\n\nok")),
    talk(("assistant", "A")),
    talk(("user", "u"), ("user", "v")),
    talk(("system", "s"), ("system", "t"), ("user", "u")),
]


# Tokenizer, template, and what it calls the beginning of a text.
TOKENIZED = [("qwen2", "chatml", ""), ("qwen2", "qwen3", ""), ("qwen2", "zephyr", ""), ("llama3", "llama31", "<|begin_of_text|>"),
             ("llama3", "command", "<|begin_of_text|>")]


def tokenized(env):
    for name, style, begin in TOKENIZED:
        tokenizer = Tokenizer.from_file(str(HERE.parent / "tokenizers" / f"{name}.json"))
        source = (HERE / f"{style}.jinja").read_text()
        texts = [rendered(env, source, messages=talk, tools=None, documents=None, add_generation_prompt=True, bos_token=begin,
                          eos_token="<|endoftext|>") for talk in CONVERSATIONS]
        yield {"tokenizer": name, "template": style, "bos_token": begin,
               "ids": [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]}


def main():
    env = environment()
    out = {"conversations": CONVERSATIONS, "templates": {}, "variables": VARIABLES, "constructs": []}
    for path in sorted(HERE.glob("*.jinja")):
        source = path.read_text()
        out["templates"][path.stem] = [[rendered(env, source, messages=talk, tools=None, documents=None, add_generation_prompt=asked, **TOKENS)
                                        for asked in (True, False)] for talk in CONVERSATIONS]
    for source in CONSTRUCTS:
        out["constructs"].append([source, rendered(env, source, **VARIABLES)])
    (HERE / "cases.json").write_text(json.dumps(out, indent=0, ensure_ascii=True) + "\n")
    rows = ",\n".join(json.dumps(row) for row in tokenized(env))
    (HERE / "tokens.json").write_text("[" + rows + "]\n")


main()
