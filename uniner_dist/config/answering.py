"""Sections about answering: the model, the engine that runs it, and the pool of replicas."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from uniner_dist.config.section import Section
from uniner_dist.core.template import TEMPLATES


class ModelConfig(Section):
    """Which model answers, and how it decodes: everything here changes answers and is in the fingerprint."""

    name: str = Field("demo", description='"demo", a Hugging Face name, a local folder, or a folder on any fsspec path')
    revision: str | None = Field(None, description="commit or tag of a Hugging Face model; pin it in production")
    template: str = Field(
        "ie_as_qa",
        description="prompt template by name: ie_as_qa, or the training forms ie_as_qa_train[_blanks|_wording]",
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field("auto", description="precision of weights")
    quantization: str | None = Field(None, description="vLLM's name of a quantization, such as fp8")
    max_model_len: int = Field(2048, ge=64, description="context of the model in tokens")
    max_tokens: int = Field(256, ge=1, description="longest answer in tokens")
    trust_remote_code: bool = Field(False, description="run code that comes with a model; leave off")

    @model_validator(mode="after")
    def _check(self) -> ModelConfig:
        if self.template not in TEMPLATES:
            raise ValueError(f"unknown template {self.template!r}; known: {', '.join(sorted(TEMPLATES))}")
        if self.max_tokens >= self.max_model_len:
            raise ValueError(
                f"max_tokens is {self.max_tokens}, and must be smaller than max_model_len, {self.max_model_len}"
            )
        return self


class PoolConfig(Section):
    """Stage 2: the replicas and how long to put up with them."""

    replicas: int | Literal["auto"] = Field("auto", description='number of replicas, or "auto": what the cluster fits')
    gpus_per_replica: int = Field(0, ge=0, description="GPUs of one replica, tensor parallel inside; 0 runs on CPU")
    cpus_per_replica: float = Field(1, gt=0, description="CPU cores reserved for one replica")
    max_in_flight: int = Field(256, ge=1, description="prompts handed to a replica's engine at a time")
    shards_in_flight: int = Field(
        4,
        ge=1,
        description="shards a replica holds at most: others keep its engine full while one waits for a long answer",
    )
    start_timeout_s: float = Field(900, gt=0, description="seconds a replica may take to load its model")
    stuck_timeout_s: float = Field(300, gt=0, description="seconds without a new token before an engine counts as dead")
    max_start_failures: int = Field(3, ge=1, description="start-ups that may fail in a row while no replica is ready")
    max_shard_attempts: int = Field(
        10, ge=1, description="deaths a shard may see while it is no suspect before the job fails"
    )
    suspect_after: int = Field(2, ge=1, description="deaths with a shard in flight before it is run alone and bisected")
    max_kills: int = Field(2, ge=1, description="deaths of a prompt run alone before it is quarantined as killer")
    max_shard_killers: int = Field(50, ge=1, description="killers in one shard above which the job fails")
    backoff_s: float = Field(1.0, ge=0, description="first wait before a replica is replaced; doubles up to 60 s")
    drain_timeout_s: float = Field(60, ge=0, description="seconds for shards in flight to finish after SIGTERM")

    @field_validator("replicas")
    @classmethod
    def _check(cls, replicas: int | str) -> int | str:
        if isinstance(replicas, int) and replicas < 1:
            raise ValueError(f'must be at least 1, or "auto" (got {replicas})')
        return replicas


#: Arguments of vLLM's engine that are known to change speed only. Any other one in `engine.extra` may change answers,
#: such as hf_overrides or load_format, and is part of the fingerprint.
SPEED_ARGUMENTS = frozenset(
    {
        "async_scheduling",
        "block_size",
        "cpu_offload_gb",
        "disable_cascade_attn",
        "disable_custom_all_reduce",
        "disable_log_stats",
        "distributed_executor_backend",
        "download_dir",
        "enable_chunked_prefill",
        "enable_prefix_caching",
        "enforce_eager",
        "gpu_memory_utilization",
        "kv_cache_memory_bytes",
        "max_num_batched_tokens",
        "max_num_seqs",
        "max_parallel_loading_workers",
        "num_gpu_blocks_override",
        "pipeline_parallel_size",
        "swap_space",
        "tensor_parallel_size",
    }
)


class EngineConfig(Section):
    """vLLM's settings that change speed, never answers (but see `engine.extra`)."""

    kind: Literal["vllm", "scripted"] = Field("vllm", description="scripted: deterministic fake for fault tests only")
    in_process: bool | None = Field(None, description="engine core inside the actor; default: on CPU yes, on GPU no")
    block_size: int | None = Field(
        None, ge=1, description="KV-cache block; default 32 on CPU, 16 on GPU: prompts are short"
    )
    prefix_tails: bool | None = Field(
        None,
        description="share the part of a block that a passage's prompts begin with; default: on CPU yes, on GPU no",
    )
    kv_cache_gib: float = Field(1, gt=0, description="KV cache of a CPU replica in GiB")
    gpu_memory_utilization: float = Field(0.90, gt=0, le=1, description="share of a GPU's memory that vLLM may take")
    threads: int = Field(1, ge=1, description="OpenMP threads of a CPU replica")
    max_num_seqs: int | None = Field(None, ge=1, description="sequences in one batch of the engine; default: vLLM's")
    metrics: bool = Field(
        False, description="vLLM's own Prometheus metrics, through Ray's (docs/metrics.md); they take some CPU"
    )
    extra: dict[str, Any] = Field(
        default_factory=dict,
        description="any other argument of vLLM's engine; one that may change answers makes another run",
    )
