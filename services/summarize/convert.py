"""Turns a packed GGUF model into a folder that transformers loads at once.

    python -m services.summarize.convert SOURCE TARGET

GGUF stores weights in blocks of a few bits. Computing on the blocks is several times slower on a CPU than
bfloat16, and unpacking them takes most of a minute: so it is done once, after the download, not at each start.
The tokenizer and the chat template come from the GGUF's own metadata. What the model makes of the examples of
sentence kinds is kept beside it. Nothing is read from the network, and equal input gives equal bytes on one machine.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

MAX_TIE_DIFFERENCE = 0.1
"""Relative distance up to which two packed copies of one matrix are taken for the same; the copies differ by
the error of packing, about 0.045 between 5 and 8 bits."""


def convert(source: Path, target: Path) -> None:
    """Write the model in `source` to `target` as bfloat16 safetensors with configuration and tokenizer.

    Args:
        source: folder with exactly one `*.gguf` file.
        target: folder to write to; made if missing.

    Raises:
        FileNotFoundError: there is not exactly one GGUF file.
    """
    gguf = _only_gguf(source)
    # Said before the library is imported, which is when it looks.
    os.environ.update(HF_HUB_OFFLINE="1", TQDM_DISABLE="1", HF_HUB_DISABLE_TELEMETRY="1")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    from transformers.utils import logging

    logging.disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(
        source,
        gguf_file=gguf.name,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),
        local_files_only=True,
    )
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=gguf.name, local_files_only=True)
    _check_tokenizer(tokenizer)
    _tie_embeddings(model)
    _set_stop_tokens(model, tokenizer)
    tokenizer.model_max_length = model.config.max_position_embeddings
    target.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    del model
    _keep_vectors(target)
    for path in target.iterdir():
        # safetensors writes files that only their owner may read; a container runs as somebody else.
        path.chmod(0o644)


def _keep_vectors(folder: Path) -> None:
    from services.runtime.settings import available_cores
    from services.summarize.learning import keep_vectors
    from services.summarize.transformers_engine import TransformersModel

    model = TransformersModel("", folder, device="cpu", threads=available_cores(), rows=1, window=512)
    keep_vectors(model, folder)


def _only_gguf(source: Path) -> Path:
    found = sorted(source.glob("*.gguf"))
    if len(found) != 1:
        raise FileNotFoundError(f"{source} must have exactly one .gguf file; it has {len(found)}.")
    return found[0]


def _check_tokenizer(tokenizer: Any) -> None:
    if not tokenizer.chat_template:
        raise ValueError("The GGUF file has no chat template; without it the model cannot be asked properly.")


def _tie_embeddings(model: Any) -> None:
    """Keep one matrix where the GGUF carries two packed copies of it.

    The publisher's small models use one matrix for input and output. llama.cpp packs it twice, the output
    with more bits; keeping that one saves a fifth of the memory and is nearer to the publisher's weights.
    """
    inputs = model.get_input_embeddings().weight
    outputs = model.get_output_embeddings().weight
    if inputs is outputs or inputs.shape != outputs.shape:
        return
    difference = (inputs - outputs).float().norm() / outputs.float().norm()
    if difference > MAX_TIE_DIFFERENCE:
        return
    inputs.data = outputs.data
    model.config.tie_word_embeddings = True
    model.tie_weights()


def _set_stop_tokens(model: Any, tokenizer: Any) -> None:
    """Stop at the end of the turn and at the end of the text: a model may say either."""
    ends = dict.fromkeys((tokenizer.eos_token_id, tokenizer.pad_token_id))
    model.generation_config.eos_token_id = [token for token in ends if token is not None]
    model.generation_config.pad_token_id = tokenizer.pad_token_id


def main() -> None:
    """Run `convert` on the two folders of the command line."""
    parser = argparse.ArgumentParser(prog="python -m services.summarize.convert", description=convert.__doc__)
    parser.add_argument("source", type=Path, help="folder with the .gguf file")
    parser.add_argument("target", type=Path, help="folder to write to")
    arguments = parser.parse_args()
    try:
        convert(arguments.source, arguments.target)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
