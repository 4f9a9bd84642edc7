"""A causal language model through transformers, several texts at once; the one file that loads it.

The model's own layers compute; what is ours is where the keys and values of the rows lie. All tokens of a step
go through the layers as one sequence, so that every weight is read once for all rows, and only attention looks
at each row by itself (as in Orca: Yu et al. 2022, "selective batching"). `transformers.generate` batches rows
of one shape that begin and end together; its continuous batching wants a GPU.

Equal requests give equal text, whoever else is served: attention, row by row, has the shape that its row gives
it, and a step is filled up to a number of tokens at which matrix products are rounded as they are with all rows.
Which numbers those are is tried out at the start: a product of another shape may add in another order (seen on
two cores: one token alone differs from all other numbers).

On a CPU the weights are packed once into the layout that oneDNN computes in; without that it packs them anew
in every step, which takes longer than the product (seen: 48 ms a step become 25).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from services.runtime.errors import Fault, MeshError
from services.summarize.engine import CHUNK_TOKENS, Chunk, Message, Step

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

REPETITION_PENALTY = 1.05
"""Qwen's own recommendation, for what was written (not for the prompt, whose words are wanted)."""

EMBEDDING_DEPTH = 0.5
"""Share of the layers after which texts are embedded. In the middle a model knows best what a text is about
and does; towards the end, only which word comes next (Skean et al. 2025, "Layer by Layer")."""

EMBEDDING_QUESTION = 'Is this something that somebody has to do? "'
"""What the model reads before a text that it embeds: it then looks for what tells (seen: where one in a
hundred of other sentences is taken for a task, all tasks are found, and without the question 70 %)."""

_TRIALS = 8

_ATTENTION = "speechmesh_rows"


class TransformersModel:
    """A `LanguageModel` on one model folder.

    Args:
        name: id under which the model answers.
        folder: the prepared model: weights, configuration, tokenizer with chat template.
        device: `cpu` or `cuda`.
        threads: processor threads for the model.
        rows: how many texts are written at once.
        window: tokens that a row holds; the model's own window bounds it too.

    Raises:
        MeshError: UNAVAILABLE when `device` is not there.
    """

    def __init__(self, name: str, folder: Path, *, device: str, threads: int, rows: int, window: int) -> None:
        if device == "cuda" and not torch.cuda.is_available():
            raise MeshError(Fault.UNAVAILABLE, "The device cuda was asked for, but there is no usable GPU.")
        transformers_logging.disable_progress_bar()
        torch.set_num_threads(threads)
        self._name = name
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        # Whether text may hold control tokens is a switch of the tokenizer itself, and texts are encoded in
        # one thread while chats are in another: each has its own.
        self._text_tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        dtype = best_dtype(device)
        self._model: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, attn_implementation=_ATTENTION, local_files_only=True
        )
        self._model.to(device).eval()
        config = self._model.config
        self._window: int = min(window, config.max_position_embeddings)
        self._rows = rows
        self._cache = _Cache(config, rows, self._window, dtype, self._model.device)
        ends = self._model.generation_config.eos_token_id
        self._ends = frozenset(ends if isinstance(ends, list) else [ends])
        if device == "cpu" and dtype is torch.bfloat16:
            _pack(self._model)
        self._widths = self._safe_widths()

    def warm_up(self) -> None:
        """Do once, shortly, all that it is for: a model that loads may still be unable to compute."""
        chat = self.chat([Message("user", "Good morning.")])
        self.read(Chunk(0, 0, chat[:CHUNK_TOKENS]))
        self.write([Step(0, min(CHUNK_TOKENS, len(chat)) - 1, chat[-1], frozenset())])
        self.embed(self.encode(["Good morning."]))

    @property
    def name(self) -> str:
        """Id of the model that really runs."""
        return self._name

    @property
    def embedding(self) -> str:
        """How vectors are made; see `LanguageModel`."""
        return f"mean after {EMBEDDING_DEPTH} of the layers, asked {EMBEDDING_QUESTION}"

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self._rows

    @property
    def window(self) -> int:
        """How many tokens a row holds."""
        return self._window

    @property
    def ends(self) -> Set[int]:
        """The tokens that end a text."""
        return self._ends

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of every text; see `LanguageModel`."""
        if not texts:
            return []
        encoded: list[list[int]] = self._text_tokenizer(
            list(texts), add_special_tokens=False, split_special_tokens=True, verbose=False
        )["input_ids"]
        return encoded

    def chat(self, messages: Sequence[Message]) -> list[int]:
        """Return the tokens of a chat; see `LanguageModel`."""
        turns = [{"role": message.role, "content": message.content} for message in messages]
        rendered = self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        tokens: list[int] = self._tokenizer(rendered, add_special_tokens=False, verbose=False)["input_ids"]
        return tokens

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens; see `LanguageModel`."""
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    @torch.inference_mode()
    def read(self, chunk: Chunk) -> None:
        """Let a row read; see `LanguageModel`."""
        assert 0 < len(chunk.tokens) <= CHUNK_TOKENS
        spans = (_Span(0, len(chunk.tokens), chunk.position, chunk.row),)
        self._forward(chunk.tokens, _positions(spans), _Layout(spans, self._cache))

    @torch.inference_mode()
    def write(self, steps: Sequence[Step]) -> list[int]:
        """Return the next token of every step's row; see `LanguageModel`."""
        spans = tuple(_Span(place, 1, step.position, step.row) for place, step in enumerate(steps))
        # Nobody looks at those that fill up.
        filling = min(width for width in self._widths if width >= len(steps)) - len(steps)
        tokens = [step.token for step in steps] + [0] * filling
        hidden = self._forward(tokens, _positions(spans) + [0] * filling, _Layout(spans, self._cache))
        logits = self._model.lm_head(hidden)[0, : len(steps)].float()
        for row, step in zip(logits, steps, strict=True):
            _penalize(row, step.written)
        # Computed together, taken together: the first of equals.
        taken: list[int] = logits.argmax(-1).tolist()
        return taken

    @torch.inference_mode()
    def embed(self, texts: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return a vector for every text; see `LanguageModel`.

        The mean over a text's tokens of what the layer at `EMBEDDING_DEPTH` makes of them.
        """
        question = len(self._question)
        spans, tokens = list[_Span](), list[int]()
        for text in texts:
            spans.append(_Span(len(tokens), len(text), question, None))
            tokens.extend(text)
        layout = _Layout(tuple(spans), self._cache, self._question_memory)
        hidden = self._embedding_layers(tokens, _positions(spans), layout)[0].float()
        return torch.stack([hidden[span.first : span.end].mean(0) for span in spans]).cpu().numpy()

    @torch.inference_mode()
    def _safe_widths(self) -> tuple[int, ...]:
        """Return the numbers of tokens of a step that give each the logits that it has with all rows, bit for bit."""
        candidates = [width for width in (2, 4, 8, 16, 32, 64, 128) if width < self._rows]
        choose = random.Random(0)
        for _ in range(_TRIALS):
            tokens = [choose.randrange(self._model.config.vocab_size) for _ in range(self._rows)]
            whole = self._logits_apart(tokens)
            candidates = [
                width for width in candidates if torch.equal(self._logits_apart(tokens[:width]), whole[:width])
            ]
        return (*candidates, self._rows)

    def _logits_apart(self, tokens: Sequence[int]) -> torch.Tensor:
        """Return the logits after each of some texts of one token, shape (tokens, vocabulary)."""
        spans = tuple(_Span(place, 1, 0, None) for place in range(len(tokens)))
        hidden = self._forward(tokens, _positions(spans), _Layout(spans, self._cache))
        logits: torch.Tensor = self._model.lm_head(hidden)[0]
        return logits

    @property
    def _decoder(self) -> Any:
        return self._model.get_decoder()

    @cached_property
    def _question(self) -> list[int]:
        # The way of the chat template up to where its user speaks.
        opening = self._tokenizer.apply_chat_template(
            [{"role": "user", "content": EMBEDDING_QUESTION}], tokenize=False, add_generation_prompt=False
        )
        before, _, _ = opening.rpartition(EMBEDDING_QUESTION)
        tokens: list[int] = self._tokenizer(before + EMBEDDING_QUESTION, add_special_tokens=False)["input_ids"]
        return tokens

    @cached_property
    def _question_memory(self) -> _Memory:
        """The keys and values of the question, which are the same for every text."""
        spans = (_Span(0, len(self._question), 0, None),)
        memory = _Memory()
        self._embedding_layers(self._question, _positions(spans), _Layout(spans, self._cache, recorded=memory))
        return memory

    def _forward(self, tokens: Sequence[int], positions: Sequence[int], layout: _Layout) -> Any:
        return self._decoder(**self._inputs(tokens, positions, layout)).last_hidden_state

    def _embedding_layers(self, tokens: Sequence[int], positions: Sequence[int], layout: _Layout) -> Any:
        """Return what the lower layers make of `tokens`, shape (1, tokens, width)."""
        layers = self._decoder.layers
        depth = max(1, round(len(layers) * EMBEDDING_DEPTH))
        inputs = self._inputs(tokens, positions, layout)
        hidden = self._decoder.embed_tokens(inputs.pop("input_ids"))
        turned = self._decoder.rotary_emb(hidden, inputs["position_ids"])
        inputs["attention_mask"] = None
        for layer in layers[:depth]:
            hidden = layer(hidden, position_embeddings=turned, **inputs)
        return hidden

    def _inputs(self, tokens: Sequence[int], positions: Sequence[int], layout: _Layout) -> dict[str, Any]:
        device = self._model.device
        return {
            "input_ids": torch.tensor([tokens], device=device),
            "position_ids": torch.tensor([positions], device=device),
            # What may see what, the layout says.
            "attention_mask": {"full_attention": None},
            "use_cache": False,
            "layout": layout,
        }


def best_dtype(device: str) -> torch.dtype:
    """Return bfloat16 where `device` computes in it, float32 elsewhere: emulated, it is slower than float32."""
    if device == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        # avx512_bf16, amx_bf16 on x86, bf16 on ARM
        capabilities = torch.cpu.get_capabilities()
        native = any(bool(there) for name, there in capabilities.items() if name.endswith("bf16"))
    return torch.bfloat16 if native else torch.float32


@dataclass(frozen=True)
class _Span:
    """Tokens of one text within the sequence that goes through the layers."""

    first: int
    count: int
    position: int
    row: int | None  # whose keys and values it sees and adds to; None: only its own, and the layout's memory

    @property
    def end(self) -> int:
        return self.first + self.count

    @cached_property
    def mask(self) -> torch.Tensor:
        """Which token of the text sees which, shape (count, position + count)."""
        return torch.ones(self.count, self.position + self.count, dtype=torch.bool).tril(self.position)


class _Cache:
    """The keys and values of all rows: (layers, rows, heads, window, width of a head)."""

    def __init__(self, config: Any, rows: int, window: int, dtype: torch.dtype, device: torch.device) -> None:
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        shape = (config.num_hidden_layers, rows, config.num_key_value_heads, window, width)
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)


class _Memory:
    """Keys and values, by layer, that texts without a row see before their own: each (1, heads, tokens, width)."""

    def __init__(self) -> None:
        self.keys = dict[int, torch.Tensor]()
        self.values = dict[int, torch.Tensor]()


@dataclass(frozen=True)
class _Layout:
    """Which tokens of a sequence belong together."""

    spans: tuple[_Span, ...]
    cache: _Cache
    memory: _Memory | None = None
    recorded: _Memory | None = None

    def held(
        self, layer: int, span: _Span, key: torch.Tensor, value: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Take a span's keys and values; return all that it sees. All are (1, heads, tokens, width)."""
        if span.row is not None:
            end = span.position + span.count
            keys, values = self.cache.keys[layer, span.row], self.cache.values[layer, span.row]
            keys[:, span.position : end], values[:, span.position : end] = key[0], value[0]
            return keys[None, :, :end], values[None, :, :end]
        if self.recorded is not None:
            self.recorded.keys[layer], self.recorded.values[layer] = key, value
        if self.memory is None:
            return key, value
        return torch.cat([self.memory.keys[layer], key], 2), torch.cat([self.memory.values[layer], value], 2)


def _positions(spans: Iterable[_Span]) -> list[int]:
    return [position for span in spans for position in range(span.position, span.position + span.count)]


def _attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    layout: _Layout,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attend, text by text. From (1, heads, tokens, width) to (1, tokens, heads, width), as transformers wants it."""
    out = torch.zeros_like(query)
    for span in layout.spans:
        place = slice(span.first, span.end)
        keys, values = layout.held(module.layer_idx, span, key[:, :, place], value[:, :, place])
        out[:, :, place] = _attended(query[:, :, place], keys, values, span, scaling)
    return out.transpose(1, 2), None


def _attended(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, span: _Span, scaling: float | None
) -> torch.Tensor:
    if span.count > 1:
        mask = span.mask.to(query.device)
        return scaled_dot_product_attention(query, keys, values, attn_mask=mask, scale=scaling, enable_gqa=True)
    # A single token sees everything: its query heads that share a key are taken for as many tokens.
    shared = query.reshape(1, keys.shape[1], -1, query.shape[-1])
    return scaled_dot_product_attention(shared, keys, values, scale=scaling).reshape(query.shape)


AttentionInterface.register(_ATTENTION, _attention)


def _penalize(logits: torch.Tensor, written: Set[int]) -> None:
    """Make what was written less likely, in place (Keskar et al. 2019, CTRL)."""
    if not written:
        return
    tokens = torch.tensor(sorted(written), device=logits.device)
    likely = logits[tokens]
    logits[tokens] = torch.where(likely > 0, likely / REPETITION_PENALTY, likely * REPETITION_PENALTY)


class _PackedLinear(torch.nn.Module):
    """A linear layer whose weights lie as oneDNN computes with them."""

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        self._weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.data)
        self._bias = linear.bias

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the layer's output, (…, in) to (…, out)."""
        product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(inputs, self._weight, self._bias, "none", [], "")
        return product


def _pack(model: torch.nn.Module) -> None:
    """Put packed layers in the place of all linear ones; the matrix of the embedding stays as it is, too."""
    for name, layer in list(model.named_modules()):
        if isinstance(layer, torch.nn.Linear):
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, _PackedLinear(layer))
