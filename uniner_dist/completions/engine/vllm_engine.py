"""vLLM as an implementation of the engine interface: greedy decoding, prefix caching, token ids both ways.

Three optimisations make it faster without changing an answer: hits inside a block
(`prefix_tails`), tokens guessed from the text (`lookup`), and an end to empty lists at their first token.

The engine never tokenises: prompts arrive as ids, and answers are decoded in batches by the replica, except those that
ended at the token of an empty list after others.
Only the finished answer is returned, not one output per token.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Collection
from typing import Any

from uniner_dist.completions.engine.base import SHARED_TOKENS, Answer, EngineSpec, PromptRefusedError
from uniner_dist.completions.engine.vllm_support import LOOKUP, check_speculation, no_prefix_tails
from uniner_dist.core.detokenize import AnswerDecoder
from uniner_dist.model import load_tokenizer_json, resolve
from uniner_dist.model.identity import check_unchanged
from uniner_dist.runtime.compat.vllm_engines import (
    connector_config,
    greedy_params,
    reserve_gpu_memory,
    start_engine,
    stop_engine,
    unfinished_tokens,
    vllm_version,
)
from uniner_dist.runtime.compat.vllm_proposers import proposer_config

#: Prompts are short (about 120 tokens): on CrossNER prompts whole blocks of 128 hit 15 % of the tokens, of 32 hit 70 %.
#: The CPU build accepts multiples of 32, CUDA kernels take 16.
_BLOCK_SIZE = {"cpu": 32, "gpu": 16}
_CONNECTOR_MODULE = "uniner_dist.completions.engine.prefix_tails"


class VllmEngine:
    """One `LLMEngine`, stepped by the replica."""

    _empty_list_ids: Collection[int] = ()  # no answer is ended early
    _decoder: AnswerDecoder | None = None

    def __init__(self, spec: EngineSpec) -> None:
        self._spec, self._empty_list_ids = spec, frozenset(spec.empty_list_ids)
        self._prefix_tails = _shares_tails(spec)
        check_unchanged(spec.model, spec.model_identity)
        make_room = _make_room_for_slots if self._prefix_tails and spec.gpus else None
        self._engine = start_engine(engine_arguments(spec), spec.metrics, make_room)
        # vLLM has no tokenizer here, so it does not know by itself what ends a turn.
        end_of_turn = [] if spec.eos_id is None else [spec.eos_id]
        longest, scores = spec.model.max_tokens, spec.scores
        self._to_the_end = greedy_params(longest, end_of_turn, scores)
        self._params = greedy_params(longest, [*end_of_turn, *spec.empty_list_ids], scores)
        self._params_by_tail: dict[int, Any] = {}

    def add(self, request_id: str, prompt_ids: list[int], shared_tokens: int = 0) -> None:
        """Hand over one prompt.

        Args:
            request_id: names the prompt's `Answer`.
            prompt_ids: token ids of the whole prompt.
            shared_tokens: how many of its first tokens its neighbours begin with as well; ignored without
                `prefix_tails`.

        Raises:
            PromptRefusedError: with the message of vLLM's own validation.
        """
        params = self._params_with_tail(shared_tokens) if self._prefix_tails and shared_tokens else self._params
        try:
            self._add(request_id, prompt_ids, params)
        except (ValueError, TypeError) as error:
            raise PromptRefusedError(str(error)) from error

    def step(self) -> list[Answer]:
        """Run one step of the scheduler.

        An answer that was ended inside by the token of an empty list is not finished: its prompt is asked again, to the
        end.

        Returns:
            The finished answers; may be empty.
        """
        answers = []
        for output in self._engine.step():
            if not output.finished:
                continue
            answer = _answer(output)
            if self._stopped_inside(output, answer):
                self._add(output.request_id, output.prompt_token_ids, self._to_the_end)
            else:
                answers.append(answer)
        return answers

    def _stopped_inside(self, output: Any, answer: Answer) -> bool:
        """Whether an answer that is no empty list was ended by the token of one, which vLLM obeys wherever it occurs.

        Blanks may come first: the authors trained with one before every answer.
        """
        if output.outputs[0].stop_reason not in self._empty_list_ids or len(answer.token_ids) == 1:
            return False
        if self._decoder is None:
            tokenizer_json = self._spec.tokenizer_json or load_tokenizer_json(self._spec.model)
            self._decoder = AnswerDecoder(tokenizer_json, anchor=output.prompt_token_ids[-1])
        return not self._decoder.is_empty_list(answer.token_ids)

    def _params_with_tail(self, shared_tokens: int) -> Any:
        """Parameters that tell how many tokens a prompt shares; made once for each number."""
        params = self._params_by_tail.get(shared_tokens)
        if params is None:
            params = self._params_by_tail[shared_tokens] = copy.copy(self._params)
            params.extra_args = {"kv_transfer_params": {SHARED_TOKENS: shared_tokens}}
        return params

    def _add(self, request_id: str, prompt_ids: list[int], params: Any) -> None:
        self._engine.add_request(request_id, {"type": "token", "prompt_token_ids": prompt_ids}, params)

    def tokens(self) -> int:
        """Return the tokens of unfinished answers, as vLLM's front end has received them."""
        return unfinished_tokens(self._engine)

    def close(self) -> None:
        """Shut the engine core down."""
        stop_engine(self._engine)


def engine_arguments(spec: EngineSpec) -> dict[str, object]:
    """Return the arguments of `vllm.EngineArgs`; what the user put into `engine.extra` wins.

    Args:
        spec: model, device and sizes; a model in a remote folder is copied to this node first.

    Raises:
        ConfigError: there is no model at its location.
        ValueError: prefix tails or prompt lookup are asked for where they cannot be used.
    """
    device = "gpu" if spec.gpus else "cpu"
    arguments: dict[str, object] = {
        "model": resolve(spec.model),
        "revision": spec.model.revision,
        "dtype": _dtype(spec),
        "quantization": spec.model.quantization,
        "max_model_len": spec.max_model_len,
        "trust_remote_code": spec.model.trust_remote_code,
        # Token ids go in and come out. vLLM's own tokenizer would be one of transformers' choosing, which is wrong for
        # checkpoints of 2023 and refuses some of them.
        "skip_tokenizer_init": True,
        "enable_prefix_caching": True,
        "block_size": spec.block_size or _BLOCK_SIZE[device],
        "tensor_parallel_size": max(spec.gpus, 1),
        "disable_log_stats": not spec.metrics,
        "seed": 0,
    }
    if spec.gpus:
        arguments["gpu_memory_utilization"] = spec.gpu_memory_utilization
    else:
        # Compiling the model takes a C++ compiler, 40 s the first time and 8 s later, and gains 10-15 % afterwards.
        arguments["enforce_eager"] = True
        arguments["speculative_config"] = proposer_config(LOOKUP, 3)
    if spec.max_num_seqs:
        arguments["max_num_seqs"] = spec.max_num_seqs
    if _shares_tails(spec):
        arguments["kv_transfer_config"] = connector_config("PrefixTailConnector", _CONNECTOR_MODULE)
    arguments |= spec.extra
    check_speculation(bool(spec.gpus), arguments)
    return arguments


def _shares_tails(spec: EngineSpec) -> bool:
    """Whether prefix hits may end inside a block; a KV connector of the user's own takes the one place there is.

    Raises:
        ValueError: they are asked for, and this vLLM or its environment does not allow them.
    """
    wanted = not spec.gpus if spec.prefix_tails is None else spec.prefix_tails
    if not wanted or "kv_transfer_config" in spec.extra:
        return False
    refusal = no_prefix_tails(vllm_version(), bool(spec.gpus), os.environ)
    if refusal and spec.prefix_tails:
        raise ValueError(refusal)
    return refusal is None


def _make_room_for_slots(config: Any) -> None:
    """Reserve memory for the slots of prefix tails, by reducing vLLM's share of the GPU's memory."""
    from uniner_dist.completions.engine.prefix_tails import slots_bytes

    reserve_gpu_memory(config, slots_bytes(config))


def _dtype(spec: EngineSpec) -> str:
    """On CPU "auto" is float32: answers then do not depend on the composition of a batch through near-ties."""
    return "float32" if spec.model.dtype == "auto" and not spec.gpus else spec.model.dtype


def _answer(output: Any) -> Answer:
    completion = output.outputs[0]
    logprobs = None
    if completion.logprobs is not None:
        pairs = zip(completion.token_ids, completion.logprobs, strict=True)
        logprobs = [float(candidates[token].logprob) for token, candidates in pairs]
    return Answer(
        request_id=output.request_id,
        token_ids=list(completion.token_ids),
        finish_reason=completion.finish_reason or "stop",
        cached_tokens=output.num_cached_tokens or 0,
        logprobs=logprobs,
    )
