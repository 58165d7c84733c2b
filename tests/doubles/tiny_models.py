"""Very small, randomly initialised models of each architecture, saved as `transformers` saves real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.doubles.labelled_conversations import FILLERS, WORDS

SPECIAL = ["<pad>", "<s>", "</s>", "<unk>", "<mask>"]


def save_tiny_model(kind: str, folder: Path, *, positions: int = 96) -> Path:
    """Save a `bert`, `roberta`, `gpt2` or `t5` of two layers, with a tokenizer of whole words; its folder."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        BertConfig,
        BertForMaskedLM,
        GPT2Config,
        GPT2LMHeadModel,
        PreTrainedTokenizerFast,
        RobertaConfig,
        RobertaForMaskedLM,
        T5Config,
        T5ForConditionalGeneration,
    )

    labels = ["search", "recommendation", "both", "planning", "others", "chit", "-", "chat"]
    texts = " ".join(
        [*WORDS.values(), *FILLERS, "each message wants one of in word what user is it does this or"]
    )
    punctuation = ['"', ".", ",", ":", "?", "answer", "Message", "It", "Each", "In", "Does", "Answer"]
    vocabulary = {
        word: i for i, word in enumerate(dict.fromkeys([*SPECIAL, *labels, *texts.split(), *punctuation]))
    }
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        mask_token="<mask>", model_max_length=positions,
        **({"cls_token": "<s>", "sep_token": "</s>"} if kind in ("bert", "roberta") else {}),
    )  # fmt: skip
    torch.manual_seed(0)
    size = {"vocab_size": len(vocabulary), "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    wide = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    model: Any
    match kind:
        case "bert":
            model = BertForMaskedLM(BertConfig(**size, **wide, max_position_embeddings=positions))
        case "roberta":
            # Two more: its positions begin behind the padding's.
            config = RobertaConfig(
                **size | {"pad_token_id": 1, "bos_token_id": 0}, **wide, max_position_embeddings=positions + 2
            )
            model = RobertaForMaskedLM(config)
        case "gpt2":
            model = GPT2LMHeadModel(GPT2Config(**size, n_embd=32, n_layer=2, n_head=2, n_positions=positions))
        case _:
            config = T5Config(
                **size, d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2, decoder_start_token_id=0
            )
            model = T5ForConditionalGeneration(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
