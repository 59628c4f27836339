"""Trains the quick start's base model: a tiny Qwen2 that has read weak stories, and writes like them."""

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from writing_rl.quickstart.dataset import messages

# Padding is not the end of a turn: a model that is trained to stop must not take the one for the other.
PAD, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
VOCABULARY = 1536
MAX_POSITIONS = 1024

# Chosen for two CPU cores: wide and shallow learns to take up the prompt's words sooner than narrow
# and deep, and many small batches teach more than few large ones.
HIDDEN = 160
LAYERS = 2
HEADS = 5
STEPS = 800
BATCH = 8
LEARNING_RATE = 4e-3
WARM_UP_STEPS = 30
_NO_LOSS = -100


@dataclass(frozen=True)
class BaseModelReport:
    """What came of training.

    Attributes:
        parameters: the model's parameters.
        tokens: tokens of the texts, prompts included, each counted once.
        loss: the mean loss of the last tenth of the steps, in nats per token of a story.
        seconds: the wall time of training.
    """

    parameters: int
    tokens: int
    loss: float
    seconds: float


def train_base_model(
    corpus: Sequence[tuple[str, str]], folder: Path, *, seed: int = 0, steps: int = STEPS
) -> BaseModelReport:
    """Trains tokenizer and model from scratch and saves them as an ordinary Hugging Face checkpoint.

    The checkpoint is built beside ``folder`` and then renamed, so that a folder of that name is always whole.

    Args:
        corpus: pairs of a prompt and a story.
        folder: where the checkpoint goes; an earlier one is replaced.
        seed: the seed of the initial weights and of the order of the texts.
        steps: optimizer steps.

    Returns:
        What came of training.

    Raises:
        ValueError: if the corpus is empty or there is not a single step.
        OSError: if the checkpoint cannot be written.
    """
    if not corpus or steps < 1:
        raise ValueError("a base model needs a corpus and at least one step")
    tokenizer = train_tokenizer(corpus)
    texts = [_encode(tokenizer, prompt, story) for prompt, story in corpus]
    torch.manual_seed(seed)
    model = Qwen2ForCausalLM(_config(tokenizer))
    started = time.perf_counter()
    threads = torch.get_num_threads()
    # So small a model gains nothing from a second thread, and a thread that waits for a busy core costs the
    # other far more than it brings (on a loaded machine, two were ten times slower than one).
    torch.set_num_threads(1)
    try:
        loss = _fit(model, texts, pad=int(tokenizer.pad_token_id), steps=steps, seed=seed)
    finally:
        torch.set_num_threads(threads)
    report = BaseModelReport(
        parameters=model.num_parameters(),
        tokens=sum(len(ids) for ids, _ in texts),
        loss=loss,
        seconds=time.perf_counter() - started,
    )
    save_checkpoint(model, tokenizer, folder)
    return report


def train_tokenizer(corpus: Sequence[tuple[str, str]]) -> PreTrainedTokenizerFast:
    """Byte-level BPE: the words of the stories are one token each, and any other text still encodes."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, TURN_START, TURN_END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    chats = (
        f"{message['role']}\n{message['content']}\n" for prompt, _ in corpus for message in messages(prompt)
    )
    bpe.train_from_iterator([*chats, *(story for _, story in corpus)], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token=PAD,
        eos_token=TURN_END,
        additional_special_tokens=[TURN_START],
        chat_template=CHAT_TEMPLATE,
        model_max_length=MAX_POSITIONS,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )


def _config(tokenizer: PreTrainedTokenizerFast) -> Qwen2Config:
    return Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=HIDDEN,
        intermediate_size=3 * HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=MAX_POSITIONS,
        tie_word_embeddings=True,
        initializer_range=0.05,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )


def _encode(tokenizer: PreTrainedTokenizerFast, prompt: str, story: str) -> tuple[list[int], int]:
    """The tokens of prompt, story and end of turn, and how many of them are prompt."""
    chat = tokenizer.apply_chat_template(messages(prompt), add_generation_prompt=True, tokenize=False)
    asked = tokenizer.encode(chat, add_special_tokens=False)
    told = tokenizer.encode(story, add_special_tokens=False)
    return [*asked, *told, int(tokenizer.eos_token_id)], len(asked)


def _fit(
    model: Qwen2ForCausalLM, texts: Sequence[tuple[list[int], int]], *, pad: int, steps: int, seed: int
) -> float:
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.05, fused=True
    )
    batches = _batches(texts, pad, torch.Generator().manual_seed(seed))
    losses: list[float] = []
    model.train()
    with tqdm(range(steps), desc="base model", unit="step", disable=None) as progress:
        for step in progress:
            # Up in a straight line, then down in one: the usual shape for a short training.
            rate = min((step + 1) / WARM_UP_STEPS, (steps - step) / steps)
            for group in optimizer.param_groups:
                group["lr"] = LEARNING_RATE * rate
            inputs, labels, mask = next(batches)
            # Only the stories' tokens need logits; prompts are a third of all tokens.
            hidden = model.model(input_ids=inputs, attention_mask=mask).last_hidden_state[:, :-1]
            targets = labels[:, 1:]
            learnt = targets != _NO_LOSS
            loss = torch.nn.functional.cross_entropy(model.lm_head(hidden[learnt]), targets[learnt])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            losses.append(loss.item())
            progress.set_postfix(loss=f"{losses[-1]:.3f}", refresh=False)
    last = losses[-max(1, steps // 10) :]
    return sum(last) / len(last)


def _batches(
    texts: Sequence[tuple[list[int], int]], pad: int, generator: torch.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Endless batches of inputs, labels and attention mask, padded on the right; prompts carry no loss."""
    while True:
        order = torch.randperm(len(texts), generator=generator).tolist()
        for start in range(0, len(order), BATCH):
            chosen = [texts[index] for index in order[start : start + BATCH]]
            width = max(len(ids) for ids, _ in chosen)
            inputs = torch.full((len(chosen), width), pad)
            labels = torch.full((len(chosen), width), _NO_LOSS)
            for row, (ids, asked) in enumerate(chosen):
                inputs[row, : len(ids)] = torch.tensor(ids)
                labels[row, asked : len(ids)] = inputs[row, asked : len(ids)]
            lengths = torch.tensor([len(ids) for ids, _ in chosen])
            yield inputs, labels, (torch.arange(width) < lengths[:, None]).long()


def save_checkpoint(model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        model.generation_config.update(do_sample=True, temperature=1.0, max_new_tokens=96)
        model.save_pretrained(unfinished)
        tokenizer.save_pretrained(unfinished)
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
