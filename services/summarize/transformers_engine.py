"""Summaries by a causal language model through transformers; the one file that loads it.

Greedy, so that equal requests give equal text. One request at a time uses the model: on two cores a second one
would only make both slower. A step of the model is a token, or the whole prompt at the start; cancellation is
looked for before every layer, so that a long prompt need not be read to its end for a caller who has left.
"""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, StoppingCriteria
from transformers.generation.streamers import BaseStreamer
from transformers.utils import logging as transformers_logging

from services.runtime.errors import Fault, MeshError
from services.runtime.worker import Cancelled
from services.summarize.detokenizer import Detokenizer
from services.summarize.engine import Style, Summary, TextTooLong
from services.summarize.prompts import messages
from services.summarize.tidy import Tidier

MAX_NEW_TOKENS = {
    Style.BRIEF: 256,
    Style.DETAILED: 768,
    Style.ACTION_ITEMS: 512,
    Style.BULLET_POINTS: 512,
    Style.HEADLINE: 64,
}
"""Most tokens that are written. Scripts that the tokenizer hardly knows take three times those of English."""

REPETITION_PENALTY = 1.05
"""Qwen's own recommendation; it also ends the loops that greedy decoding may fall into."""

WARM_UP_TEXT = "Ana: Good morning. Ben: Good morning, Ana."


class TransformersSummarizer:
    """A `Summarizer` on one model folder.

    Args:
        model: id under which the model answers.
        folder: the prepared model: weights, configuration, tokenizer with chat template.
        device: `cpu` or `cuda`.
        threads: processor threads for the model.
        max_input_tokens: longest prompt that is taken; the model's own window bounds it too.
        max_new_tokens: most tokens that are written, by style.

    Raises:
        MeshError: UNAVAILABLE when `device` is not there.
    """

    def __init__(
        self,
        model: str,
        folder: Path,
        *,
        device: str,
        threads: int,
        max_input_tokens: int,
        max_new_tokens: Mapping[Style, int] = MAX_NEW_TOKENS,
    ) -> None:
        if device == "cuda" and not torch.cuda.is_available():
            raise MeshError(Fault.UNAVAILABLE, "The device cuda was asked for, but there is no usable GPU.")
        transformers_logging.disable_progress_bar()
        torch.set_num_threads(threads)
        self._name = model
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=best_dtype(device), local_files_only=True)
        self._model.to(device).eval()
        window = self._model.config.max_position_embeddings
        self._max_input_tokens = min(max_input_tokens, window - max(max_new_tokens.values()))
        self._max_new_tokens = max_new_tokens
        self._turn = threading.Lock()
        self._watch = _Watch(self._model)

    @property
    def model(self) -> str:
        """Id of the model that really runs."""
        return self._name

    def warm_up(self) -> None:
        """Run one real summary, short."""
        self.summarize(WARM_UP_TEXT, Style.HEADLINE, lambda _: None, lambda: False)

    def summarize(
        self, text: str, style: Style, on_text: Callable[[str], None], cancelled: Callable[[], bool]
    ) -> Summary:
        """Sum up `text`; see `Summarizer`."""
        prompt = self._prompt(text, style)
        output = _Output(self._tokenizer, style, on_text)
        with self._turn, self._watch.until(cancelled):
            self._model.generate(
                prompt.to(self._model.device),
                attention_mask=torch.ones_like(prompt, device=self._model.device),
                streamer=output,
                stopping_criteria=[_Stop(output, cancelled)],
                max_new_tokens=self._max_new_tokens[style],
                do_sample=False,
                repetition_penalty=REPETITION_PENALTY,
            )
            if cancelled():
                raise Cancelled
        return Summary(output.finish(), prompt.shape[1], output.token_count)

    def _prompt(self, text: str, style: Style) -> torch.Tensor:
        """Return the prompt's tokens, shape (1, n)."""
        prompt = self._encode(text, style)
        if len(prompt) > self._max_input_tokens:
            instructions = len(self._encode("", style))
            raise TextTooLong(len(prompt) - instructions, self._max_input_tokens - instructions)
        return torch.tensor([prompt])

    def _encode(self, text: str, style: Style) -> list[int]:
        chat = [{"role": message.role, "content": message.content} for message in messages(text, style)]
        rendered = self._tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        tokens: list[int] = self._tokenizer(rendered, add_special_tokens=False, verbose=False)["input_ids"]
        return tokens


def best_dtype(device: str) -> torch.dtype:
    """Return bfloat16 where `device` computes in it, float32 elsewhere: emulated, it is slower than float32."""
    if device == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        # avx512_bf16, amx_bf16 on x86, bf16 on ARM
        capabilities = torch.cpu.get_capabilities()
        native = any(bool(there) for name, there in capabilities.items() if name.endswith("bf16"))
    return torch.bfloat16 if native else torch.float32


class _Watch:
    """Looks for cancellation before every layer of the model.

    Only one request at a time uses the model, so that one place for its question is enough.
    """

    def __init__(self, model: Any) -> None:
        self._cancelled: Callable[[], bool] = _never
        for layer in model.get_decoder().layers:
            layer.register_forward_pre_hook(self._look)

    def until(self, cancelled: Callable[[], bool]) -> "_Watch":
        """Ask `cancelled` from now on, to the end of the `with` block."""
        self._cancelled = cancelled
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._cancelled = _never

    def _look(self, *_: object) -> None:
        if self._cancelled():
            raise Cancelled


def _never() -> bool:
    return False


class _Output(BaseStreamer):  # type: ignore[misc] # transformers is not typed
    """Tokens in, tidied text out."""

    def __init__(self, tokenizer: Any, style: Style, on_text: Callable[[str], None]) -> None:
        self._detokenizer = Detokenizer(
            lambda tokens: tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        )
        self._tidier = Tidier(style)
        self._on_text = on_text
        self._pieces: list[str] = []
        self._saw_prompt = False
        self.token_count = 0

    @property
    def done(self) -> bool:
        """Whether the text needs no more tokens."""
        return self._tidier.done

    def put(self, value: torch.Tensor) -> None:
        """Take the prompt, then one token at a time."""
        if not self._saw_prompt:
            self._saw_prompt = True
            return
        self.token_count += 1
        self._show(self._tidier.feed(self._detokenizer.feed(int(value.item()))))

    def end(self) -> None:
        """Be told that no more tokens come."""

    def finish(self) -> str:
        """Report what was held back and return the whole text."""
        self._show(self._tidier.feed(self._detokenizer.finish()))
        self._show(self._tidier.finish())
        return "".join(self._pieces)

    def _show(self, piece: str) -> None:
        if piece:
            self._pieces.append(piece)
            self._on_text(piece)


class _Stop(StoppingCriteria):  # type: ignore[misc] # transformers is not typed
    """Stops after the token at which nothing more is wanted."""

    def __init__(self, output: _Output, cancelled: Callable[[], bool]) -> None:
        self._output = output
        self._cancelled = cancelled

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: object) -> torch.Tensor:
        """Say for every row, shape (1,), whether to stop."""
        stop = self._output.done or self._cancelled()
        return torch.full((input_ids.shape[0],), stop, device=input_ids.device, dtype=torch.bool)
