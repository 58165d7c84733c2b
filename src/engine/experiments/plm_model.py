"""A pretrained language model that answers by label words: the three families behind one interface.

Scores are mean log-probabilities of a label word's tokens: at the masked place, as the continuation, or as
the decoder's output. The same scores are what training improves, so zero-shot and tuned models answer alike.
torch is imported where it is used: it is an optional extra. Tensors are typed Any for the same reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

from engine.errors import BadInput
from engine.experiments.plm_prompt import Family, Prompt

_MASKED_TYPES = {"bert", "roberta", "distilbert", "albert", "electra", "deberta", "deberta-v2", "xlm-roberta"}
# Where a model names no limit (T5 has relative positions), the length that it was trained with.
_USUAL_LIMIT = 512


@dataclass(frozen=True, slots=True)
class Encoded:
    """A prompt as token ids, before and after the answer's place. `is_cut`: the utterance was shortened."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    is_cut: bool


def family_of(config: Any) -> Family:
    """The family of a model's configuration."""
    if config.is_encoder_decoder:
        return Family.SEQ2SEQ
    named = " ".join(getattr(config, "architectures", None) or ())
    if "ForMaskedLM" in named or (config.model_type in _MASKED_TYPES and "LMHead" not in named):
        return Family.MASKED
    return Family.CAUSAL


class PromptedModel:
    """One model with its tokenizer and prompt. Raises BadInput where it cannot be loaded.

    `virtual_tokens` > 0: the model's weights are frozen and that many embeddings before the prompt are what
    training changes (prompt-tuning); they start as embeddings of tokens drawn by `seed`.
    """

    def __init__(
        self,
        source: str,
        family: Family,
        prompt: Prompt,
        labels: Sequence[str],
        *,
        device: str,
        virtual_tokens: int = 0,
        seed: int = 0,
    ) -> None:
        import torch
        import transformers

        classes = {
            Family.MASKED: transformers.AutoModelForMaskedLM,
            Family.CAUSAL: transformers.AutoModelForCausalLM,
            Family.SEQ2SEQ: transformers.AutoModelForSeq2SeqLM,
        }
        # A bar for each cell's weights would drown the cells' own lines.
        transformers.utils.logging.disable_progress_bar()
        try:
            self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(source)
            self.model: Any = classes[family].from_pretrained(source, dtype=torch.float32).to(device)
        except (OSError, ValueError) as error:
            raise not_loadable(source, error) from error
        self.family, self.prompt, self.device = family, prompt, device
        self.labels = tuple(labels)
        self.words = [self._ids(" " + prompt.word(label)) for label in labels]
        if len({tuple(word) for word in self.words}) < len(self.words):
            shown = ", ".join(map(prompt.word, labels))
            raise BadInput(
                f"{source}: the tokenizer does not tell the label words apart ({shown})."
                " Choose others in the prompt file."
            )
        if family is Family.SEQ2SEQ:
            self.words = [[*word, self.tokenizer.eos_token_id] for word in self.words]
        self._pad = next(
            each for each in (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id, 0) if each is not None
        )
        self.soft: Any = None
        if virtual_tokens:
            self.model.requires_grad_(False)
            table = self.model.get_input_embeddings().weight
            drawn = torch.randint(
                len(table), (virtual_tokens,), generator=torch.Generator().manual_seed(seed)
            )
            self.soft = torch.nn.Parameter(table[drawn.to(table.device)].detach().clone())
        self.virtual_tokens = virtual_tokens

    def __repr__(self) -> str:
        return f"PromptedModel({self.family}, {len(self.labels)} labels, on {self.device})"

    @property
    def limit(self) -> int:
        """How many tokens a prompt and its answer may have."""
        config = self.model.config
        found = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
        if self.family is Family.SEQ2SEQ or found is None:
            found = min(_USUAL_LIMIT, self.tokenizer.model_max_length)
        elif config.model_type in ("roberta", "xlm-roberta"):
            # Its positions begin behind the padding's.
            found -= config.pad_token_id + 1
        return int(found) - self.virtual_tokens - max(map(len, self.words))

    def encode(self, text: str, examples: Sequence[tuple[str, str]] = ()) -> Encoded:
        """The prompt of one utterance, which is shortened at its end where the limit asks for it."""
        encoded = self._around(text, examples)
        excess = len(encoded.before) + len(encoded.after) - self.limit
        if excess <= 0:
            return encoded
        ids = self._ids(text)
        for reserve in range(8):
            # Cut text may have other tokens at its end than it had inside.
            kept = self.tokenizer.decode(ids[: max(0, len(ids) - excess - reserve)])
            encoded = self._around(kept, examples, is_cut=True)
            if len(encoded.before) + len(encoded.after) <= self.limit:
                return encoded
        raise BadInput(f"the prompt alone has more tokens than the model's {self.limit}; shorten it.")

    def length(self, text: str, examples: Sequence[tuple[str, str]] = ()) -> int:
        """Tokens of the prompt, uncut."""
        encoded = self._around(text, examples)
        return len(encoded.before) + len(encoded.after)

    def trained_parameters(self) -> list[Any]:
        """What training changes."""
        return list(self.model.parameters()) if self.soft is None else [self.soft]

    def state(self) -> dict[str, Any]:
        """What training changes, as a copy in main memory."""
        named = self.model.state_dict() if self.soft is None else {"soft": self.soft}
        return {name: tensor.detach().cpu().clone() for name, tensor in named.items()}

    def load(self, state: dict[str, Any]) -> None:
        """Take a state that `state` gave."""
        if self.soft is None:
            self.model.load_state_dict(state)
        else:
            self.soft.data.copy_(state["soft"].to(self.device))

    def scores(self, prompts: Sequence[Encoded]) -> Any:
        """(prompts, labels): mean log-probability of each label word."""
        import torch

        if self.family is Family.MASKED:
            columns: list[Any] = [None] * len(self.words)
            for size in {len(word) for word in self.words}:
                log_probabilities = self._at_masks(prompts, size)
                for i, word in enumerate(self.words):
                    if len(word) == size:
                        index = torch.tensor(word, device=self.device)[None, :, None]
                        found = log_probabilities.gather(2, index.expand(len(prompts), -1, 1))
                        columns[i] = found[:, :, 0].mean(dim=1)
            return torch.stack(columns, dim=1)
        flat = [(prompt, word) for prompt in prompts for word in self.words]
        return self._of_words(flat).reshape(len(prompts), len(self.words))

    def loss(self, prompts: Sequence[Encoded], gold: Sequence[int]) -> Any:
        """Sum over prompts: cross-entropy over labels (masked), or minus the right word's log-probability."""
        import torch

        if self.family is Family.MASKED:
            target = torch.tensor(list(gold), device=self.device)
            return torch.nn.functional.cross_entropy(self.scores(prompts), target, reduction="sum")
        return -self._of_words([(p, self.words[g]) for p, g in zip(prompts, gold, strict=True)]).sum()

    def generate(self, prompts: Sequence[Encoded]) -> list[str]:
        """What an encoder-decoder writes, read as a label; empty where it is none of the label words."""
        import torch

        encoder, mask = self._encoder(prompts)
        start = self.model.config.decoder_start_token_id
        written = torch.full((len(prompts), 1), start, device=self.device)
        for _ in range(max(map(len, self.words)) + 2):
            logits = self.model(
                encoder_outputs=(encoder,), attention_mask=mask, decoder_input_ids=written
            ).logits
            written = torch.cat([written, logits[:, -1].argmax(dim=-1, keepdim=True)], dim=1)
        words = {self.prompt.word(label): label for label in self.labels}
        answers = []
        for row in written[:, 1:].tolist():
            end = self.tokenizer.eos_token_id
            text = self.tokenizer.decode(
                row[: row.index(end)] if end in row else row, skip_special_tokens=True
            )
            answers.append(words.get(text.strip().lower().rstrip("."), ""))
        return answers

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _around(self, text: str, examples: Sequence[tuple[str, str]], *, is_cut: bool = False) -> Encoded:
        before, after = self.prompt.around_answer(text, examples)
        if self.family is not Family.MASKED:
            return Encoded(tuple(self.tokenizer(before)["input_ids"]), (), is_cut)
        first, last = (
            next(each for each in pair if each is not None)
            for pair in (
                (self.tokenizer.cls_token_id, self.tokenizer.bos_token_id),
                (self.tokenizer.sep_token_id, self.tokenizer.eos_token_id),
            )
        )
        return Encoded((first, *self._ids(before)), (*self._ids(after), last), is_cut)

    def _at_masks(self, prompts: Sequence[Encoded], size: int) -> Any:
        """(prompts, size, vocabulary) log-probabilities at `size` masks in the answer's place."""
        import torch

        masks = (self.tokenizer.mask_token_id,) * size
        rows = [(*prompt.before, *masks, *prompt.after) for prompt in prompts]
        places = torch.tensor([list(range(len(p.before), len(p.before) + size)) for p in prompts])
        return self._log_probabilities(rows, places)

    def _of_words(self, pairs: Sequence[tuple[Encoded, Sequence[int]]]) -> Any:
        """(pairs,): mean log-probability of each word behind its prompt."""
        import torch

        size = max(len(word) for _, word in pairs)
        words, real = self._padded([word for _, word in pairs])
        if self.family is Family.CAUSAL:
            rows = [(*prompt.before, *word) for prompt, word in pairs]
            # The token before predicts; places behind a short word are masked below.
            places = [
                [min(len(prompt.before) - 1 + i, len(row) - 1) for i in range(size)]
                for (prompt, _), row in zip(pairs, rows, strict=True)
            ]
            log_probabilities = self._log_probabilities(rows, torch.tensor(places))
        else:
            encoder, mask = self._encoder([prompt for prompt, _ in pairs])
            start = torch.full((len(pairs), 1), self.model.config.decoder_start_token_id, device=self.device)
            logits = self.model(
                encoder_outputs=(encoder,),
                attention_mask=mask,
                decoder_input_ids=torch.cat([start, words[:, :-1]], dim=1),
            ).logits
            log_probabilities = logits.float().log_softmax(dim=-1)
        found = log_probabilities.gather(2, words[:, :, None])[:, :, 0]
        return (found * real).sum(dim=1) / real.sum(dim=1)

    def _log_probabilities(self, rows: Sequence[Sequence[int]], places: Any) -> Any:
        """(rows, places, vocabulary) at the given places (rows, places) of each row."""
        inputs, mask = self._inputs(rows)
        places = places.to(self.device) + self.virtual_tokens
        if self.family is Family.CAUSAL and "logits_to_keep" in signature(self.model.forward).parameters:
            # Logits of whole prompts, tens of thousands of numbers a token, would be most of the memory.
            kept, places = places.unique(return_inverse=True)
            inputs["logits_to_keep"] = kept
        logits = self.model(attention_mask=mask, **inputs).logits
        index = places[:, :, None].expand(-1, -1, logits.shape[-1])
        return logits.gather(1, index).float().log_softmax(dim=-1)

    def _encoder(self, prompts: Sequence[Encoded]) -> tuple[Any, Any]:
        inputs, mask = self._inputs([prompt.before for prompt in prompts])
        return self.model.get_encoder()(attention_mask=mask, **inputs).last_hidden_state, mask

    def _inputs(self, rows: Sequence[Sequence[int]]) -> tuple[dict[str, Any], Any]:
        """The model's inputs, padded behind, and their mask; virtual tokens, if any, come first."""
        import torch

        ids, mask = self._padded(rows)
        if self.soft is None:
            return {"input_ids": ids}, mask
        soft = self.soft[None].expand(len(rows), -1, -1)
        embedded = torch.cat([soft, self.model.get_input_embeddings()(ids)], dim=1)
        ones = mask.new_ones(len(rows), self.virtual_tokens)
        return {"inputs_embeds": embedded}, torch.cat([ones, mask], dim=1)

    def _padded(self, rows: Sequence[Sequence[int]]) -> tuple[Any, Any]:
        """(ids, mask), both (rows, longest row), padded behind."""
        import torch

        size = max(map(len, rows))
        ids = [[*row, *([self._pad] * (size - len(row)))] for row in rows]
        mask = [[int(i < len(row)) for i in range(size)] for row in rows]
        return torch.tensor(ids, device=self.device), torch.tensor(mask, device=self.device)


def not_loadable(source: str, error: Exception) -> BadInput:
    """What to say about a model that transformers cannot load."""
    reason = str(error).split("\n")[0]
    return BadInput(
        f"{source}: the model cannot be loaded ({reason}). Name a folder that `save_pretrained`"
        " wrote, with its tokenizer, or a model that this machine can download."
    )


def batches(count: int, size: int) -> Iterator[slice]:
    """Slices over `count` things."""
    return (slice(start, start + size) for start in range(0, count, size))
