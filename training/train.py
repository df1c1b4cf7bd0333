"""Train the demonstration model from random initialisation on one CPU core: `python -m training.train --output DIR`.

Two phases. First copying: random tokens, repeated, on top of planted copying heads.
Then the task: generated texts that grow from one sentence to eight, several questions each, the loss on the answers
only, with an auxiliary loss that asks each text token which slot it belongs to. The output directory is loadable by
transformers and vLLM. Seeded: the same number of steps gives the same data in the same order.
"""

from __future__ import annotations

import argparse
import logging
import random
import shutil
import time
from functools import partial
from pathlib import Path

import torch
from torch.nn import functional
from transformers import AttentionInterface, LlamaForCausalLM, PreTrainedTokenizerFast

from training.circuits import plant_copying
from training.growing import grow, new_model
from training.muon import Muon
from training.packing import IGNORED, NEVER, Batch, Batcher, Packer, slot_names
from training.tokenizer import save_tokenizer

log = logging.getLogger("training")
TAG_WEIGHT = 0.3  # of the auxiliary loss, fading to a third of it over the task phase


def plain_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float = 1.0,
    **_: object,
) -> tuple[torch.Tensor, None]:
    """Softmax attention over [rows, heads, length, 32] in three matrix steps.

    The mask is added to the scores; without one they are causal. A boolean mask takes a fifth more time. On short rows
    with a mask, the backward pass of torch's fused CPU attention takes twice as long.
    """
    scores = (query * scaling) @ key.transpose(2, 3)
    if attention_mask is None:
        length = scores.shape[-1]
        causal = torch.ones(length, length, dtype=torch.bool).tril()
        attention_mask = torch.zeros(length, length, dtype=scores.dtype).masked_fill(~causal, NEVER)
    shares = torch.softmax(scores + attention_mask, dim=-1, dtype=scores.dtype)
    return (shares @ value).transpose(1, 2).contiguous(), None


AttentionInterface.register("plain", plain_attention)


class Trainer:
    """The model, its two optimizers and their learning rates."""

    def __init__(self, model: LlamaForCausalLM, slots: int, learning_rate: float, matrix_rate: float) -> None:
        self.model = model
        model.config._attn_implementation = "plain"
        self._run_body = model.model.forward
        self.tagger = torch.nn.Linear(model.config.hidden_size, slots + 1)
        body = list(model.model.layers.named_parameters())
        self.muon = Muon(p for _, p in body if p.ndim == 2)
        others = [p for _, p in body if p.ndim != 2]
        others += [model.model.embed_tokens.weight, model.model.norm.weight, *self.tagger.parameters()]
        self.adam = torch.optim.AdamW(others, lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
        self.last_losses = (0.0, 0.0)
        self.learning_rate, self.matrix_rate = learning_rate, matrix_rate

    def compile(self) -> None:
        """Compile the model's body, a third less time a step; row lengths come from a short list, a minute for all."""
        torch._dynamo.config.recompile_limit = 32
        self._run_body = torch.compile(self.model.model.forward, dynamic=False)

    def hidden(self, ids: torch.Tensor, positions: torch.Tensor | None, mask: torch.Tensor | None) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            run = self.model.model.forward if mask is None else self._run_body
            out = run(input_ids=ids, position_ids=positions, attention_mask=mask, use_cache=False)
        state: torch.Tensor = out.last_hidden_state
        return state

    def token_loss(self, state: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, float]:
        """Cross entropy and accuracy over the positions that have a target."""
        chosen = targets != IGNORED
        wanted = targets[chosen]
        with torch.autocast("cpu", torch.bfloat16):
            logits = functional.linear(state[chosen], self.model.model.embed_tokens.weight)
        logits = logits.float()
        accuracy = (logits.argmax(-1) == wanted).float().mean().item()
        return functional.cross_entropy(logits, wanted), accuracy

    def task_loss(self, batch: Batch, tag_weight: float) -> tuple[torch.Tensor, float]:
        state = self.hidden(batch.ids, batch.positions, batch.mask)
        loss, accuracy = self.token_loss(state, batch.targets)
        tagged = batch.tags != IGNORED
        tag_loss = functional.cross_entropy(self.tagger(state[tagged].float()), batch.tags[tagged])
        self.last_losses = (loss.item(), tag_loss.item())
        return loss + tag_weight * tag_loss, accuracy

    def step(self, loss: torch.Tensor, factor: float) -> None:
        """One update; `factor` scales the learning rate."""
        loss.backward()
        for group in self.adam.param_groups:
            group["lr"] = self.learning_rate * factor
            torch.nn.utils.clip_grad_norm_(group["params"], 1.0)
        self.muon.step(self.matrix_rate * factor)
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)


def _copy_rows(
    generator: torch.Generator, low: int, high: int, length: int, rows: int, blank: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of random tokens that repeat with a period of their own, and targets from the second time on.

    Some rows use few different tokens, and some have a blank at every second to fourth place, as names in a text do:
    then one token does not tell what comes next.
    """
    ids = torch.empty(rows, length, dtype=torch.long)
    targets = torch.full_like(ids, IGNORED)
    for row in range(rows):
        period = int(torch.randint(length // 8, length // 2, (1,), generator=generator))
        draws = torch.randint(low, high, (period,), generator=generator)
        style = int(torch.randint(0, 4, (1,), generator=generator))
        if style == 1:
            draws = draws[torch.randint(0, max(8, period // 3), (period,), generator=generator) % period]
        elif style > 1:
            draws[torch.rand(period, generator=generator) < 0.4] = blank
        ids[row] = draws.repeat(length // period + 1)[:length]
        # the first three tokens of the repetition cannot be told from other places
        targets[row, period + 2 : -1] = ids[row, period + 3 :]
    return ids, targets


def learn_to_copy(trainer: Trainer, vocabulary: int, blank: int, max_steps: int, tokens: int, seed: int) -> None:
    """Phase one; ends when random tokens of the whole vocabulary are copied with accuracy 0.93."""
    generator = torch.Generator().manual_seed(seed)
    average = 0.0
    for step in range(max_steps):
        length = (64, 128, 256)[step % 3]
        ids, targets = _copy_rows(generator, 3, vocabulary, length, tokens // length, blank)
        loss, accuracy = trainer.token_loss(trainer.hidden(ids, None, None), targets)
        trainer.step(loss, 0.2)  # more breaks the planted heads
        average = 0.9 * average + 0.1 * accuracy
        if step % 25 == 0:
            log.info("copy step %d loss %.3f accuracy %.3f", step, loss.item(), average)
        if average > 0.93:
            log.info("copying learned after %d steps", step)
            return


def _copy_step(trainer: Trainer, generator: torch.Generator, blank: int, tokens: int) -> tuple[torch.Tensor, float]:
    """The loss of one step of copying, now and then between task steps so that the knack stays sharp."""
    ids, targets = _copy_rows(generator, 3, trainer.model.config.vocab_size, 192, max(1, tokens // 384), blank)
    return trainer.token_loss(trainer.hidden(ids, None, None), targets)[0], 0.2


def curriculum(progress: float, rng: random.Random, single: float = 0.0) -> tuple[tuple[int, int], float]:
    """(sentences per text, noise share) of a text at a point of the task phase.

    Args:
        single: share of single sentences in its last third, before the usual mixture, which has some too.
    """
    if progress < 0.1:
        return (1, 1), 0.15
    if progress < 0.35:
        return (1, 2), 0.15
    if progress < 0.65:
        return (1, 3), 0.1
    if single and rng.random() < single:
        return (1, 1), 0.05
    roll = rng.random()
    if roll < 0.02:
        return (10, 24), 0.05
    if roll < 0.15:
        return (4, 8), 0.05
    return (1, 4), 0.05


def learn_the_task(
    trainer: Trainer,
    tokenizer: PreTrainedTokenizerFast,
    steps: int,
    minutes: float,
    tokens: int,
    seed: int,
    output: Path,
    begin: float = 0.0,
    single: float = 0.0,
) -> None:
    """Phase two: warm up, hold, then decay the learning rate over the second half.

    Where `minutes` run out before `steps`, the schedule is squeezed so that it still ends with a low learning rate.
    `begin` is the progress to begin at, for a model that has been trained before; `single` is that of `curriculum`.
    """
    rng = random.Random(seed)
    batcher = Batcher(Packer(tokenizer, slot_names()), rng, tokens)
    generator, blank = torch.Generator().manual_seed(seed), tokenizer.encode(" ", add_special_tokens=False)[0]
    averages, started = [3.0, 3.0, 0.0], time.monotonic()
    for step in range(steps):
        progress = begin + (1 - begin) * max(step / steps, (time.monotonic() - started) / (60 * minutes))
        if progress >= 1:
            log.info("out of time after %d steps", step)
            return
        if step % 10 == 9 and progress < 0.6:
            trainer.step(*_copy_step(trainer, generator, blank, tokens))
        batch = batcher.batch(partial(curriculum, progress, rng, single))
        loss, accuracy = trainer.task_loss(batch, TAG_WEIGHT * (1 - 0.66 * progress))
        factor = min(1.0, (step + 1) / 50, max(0.01, (1 - progress) / 0.5))
        trainer.step(loss, factor)
        averages = [0.97 * a + 0.03 * b for a, b in zip(averages, (*trainer.last_losses, accuracy), strict=True)]
        if step % 100 == 0:
            rate = (step + 1) / (time.monotonic() - started)
            log.info(
                "task step %d/%d answer loss %.3f tag loss %.3f accuracy %.3f, %.2f steps/s",
                step, steps, *averages, rate,
            )  # fmt: skip
        if step and step % 400 == 0:
            save(trainer.model, output / "checkpoint")
            tokenizer.save_pretrained(output / "checkpoint")


def save(model: LlamaForCausalLM, directory: Path) -> None:
    """Write config, generation config (greedy) and weights in float32 as safetensors."""
    model.generation_config.do_sample = False
    model.generation_config.max_length = None
    model.save_pretrained(directory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--start-from", type=Path, help="continue from this checkpoint: no tokenizer, no copying phase")
    parser.add_argument("--steps", type=int, default=6000, help="steps of the task phase")
    parser.add_argument("--minutes", type=float, default=1e9, help="end the task phase after this time at the latest")
    parser.add_argument("--copy-steps", type=int, default=300, help="at most this many steps of the copying phase")
    parser.add_argument("--tokens", type=int, default=1792, help="tokens per step")
    parser.add_argument("--vocabulary", type=int, default=3000)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4, help="this and the widths may be more than --start-from has")
    parser.add_argument("--feed-forward", type=int, default=320)
    parser.add_argument("--learning-rate", type=float, default=2e-3, help="of AdamW: embeddings, norms")
    parser.add_argument("--matrix-rate", type=float, default=8e-3, help="of Muon: weight matrices of the layers")
    parser.add_argument("--begin", type=float, default=0.0, help="progress (0 to 1) at which the task phase begins")
    parser.add_argument("--single", type=float, default=0.0, help="share of single sentences in the last third")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    options.output.mkdir(parents=True, exist_ok=True)
    if options.start_from:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(options.start_from)
        tokenizer.save_pretrained(options.output)
        model = LlamaForCausalLM.from_pretrained(options.start_from, dtype=torch.float32)
        model = grow(model, options.hidden, options.layers, options.feed_forward)
    else:
        tokenizer = save_tokenizer(options.output, vocabulary=options.vocabulary, seed=options.seed)
        model = new_model(len(tokenizer), options.hidden, options.layers, options.feed_forward)
        plant_copying(model)
    log.info("%.2f M parameters, vocabulary %d", model.num_parameters() / 1e6, len(tokenizer))
    trainer = Trainer(model, len(slot_names()), options.learning_rate, options.matrix_rate)
    if shutil.which("g++"):
        trainer.compile()
    if not options.start_from:
        blank = tokenizer.encode(" ", add_special_tokens=False)[0]
        learn_to_copy(trainer, len(tokenizer), blank, options.copy_steps, 1024, options.seed)
    where = (options.seed + 1, options.output, options.begin, options.single)
    learn_the_task(trainer, tokenizer, options.steps, options.minutes, options.tokens, *where)
    save(model, options.output)
    log.info("wrote %s", options.output)


if __name__ == "__main__":
    main()
