"""The one configuration tree.

Frozen, with every option documented where it stands, here and in `conf/local.yaml`. Built from files, overrides and
options by `uniner_dist.config.loading`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from uniner_dist.core.template import TEMPLATES
from uniner_dist.schemas import ANNOTATION_FIELDS


class Section(BaseModel):
    """Base of every part of the tree: immutable, unknown keys rejected."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EntityType(Section):
    """What to look for: `ask` goes into the prompt, `label` into the annotations."""

    label: str = Field(min_length=1, description="name of the type in the annotations")
    ask: str = Field(min_length=1, description="word, phrase or whole definition the model is asked with")

    @classmethod
    def parse(cls, value: Any) -> Any:
        """`"person"`, `"PER=person"`, `{"PER": "person"}` or `{"label": …, "ask": …}`."""
        if isinstance(value, str):
            label, sign, ask = value.partition("=")
            return {"label": label.strip(), "ask": ask.strip() if sign else label.strip()}
        if isinstance(value, Mapping) and len(value) == 1 and not {"label", "ask"} & set(value):
            [(label, ask)] = value.items()
            return {"label": str(label), "ask": str(ask)}
        return value


def _split_names(value: Any) -> Any:
    """A comma-separated string becomes a list of names; everything else stays."""
    if isinstance(value, str):
        return [name.strip() for name in value.split(",") if name.strip()]
    return value


def _parse_types(value: Any) -> Any:
    if isinstance(value, Mapping):
        value = [{label: ask} for label, ask in value.items()]
    value = _split_names(value)
    return [EntityType.parse(item) for item in value] if isinstance(value, Sequence) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_split_names)]
Types = Annotated[tuple[EntityType, ...], BeforeValidator(_parse_types)]


class CorpusConfig(Section):
    """The corpus to annotate."""

    path: str = Field(min_length=1, description="Parquet file, folder, glob or Hive-partitioned dataset")
    id_column: str = Field("doc_id", min_length=1, description="unique id of a document (string or integer)")
    text_column: str = Field("text", min_length=1, description="the text")
    keep_columns: Names = Field((), description="further columns carried through to the annotations")


class OutputConfig(Section):
    """Where the annotations go."""

    path: str = Field(min_length=1, description="folder of the annotations dataset")
    partition_by: Names | None = Field(
        None, description="folder columns; default: the corpus's partition columns, then entity_type"
    )
    max_records_per_file: int = Field(2_000_000, ge=1, description="upper bound of rows in one annotations file")
    language: Names = Field((), description="languages of the texts for the dataset card, such as en; none if unknown")
    removed_documents: Literal["corpus", "keep", "all"] = Field(
        "corpus",
        description="rows of documents that the corpus no longer has: corpus removes those that earlier runs over the "
        "same corpus path published, keep removes none, all leaves this corpus alone in the output",
    )


class ModelConfig(Section):
    """Which model answers, and how it decodes: everything here changes answers and is in the fingerprint."""

    name: str = Field("demo", description='"demo", a Hugging Face name, a local folder, or a folder on any fsspec path')
    revision: str | None = Field(None, description="commit or tag of a Hugging Face model; pin it in production")
    template: str = Field("ie_as_qa", description="prompt template by name")
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
            raise ValueError("max_tokens must be smaller than max_model_len")
        return self


class PromptsConfig(Section):
    """Stage 1: how texts become shards."""

    shard_tokens: int = Field(
        1_000_000, ge=1, description="estimated prompt tokens in a shard, the unit of work, commit and loss"
    )
    min_shards: int = Field(8, ge=1, description="a small corpus is still cut into about this many shards, for balance")
    passage_tokens: int = Field(
        512,
        ge=64,
        description="texts that do not fit the context are split into passages of at most this many of their tokens: "
        "the model was trained on short ones, and an answer has room for some dozens of mentions only",
    )
    overlap_tokens: int = Field(64, ge=0, description="tokens shared by neighbouring passages of a long document")


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

    @model_validator(mode="after")
    def _check(self) -> PoolConfig:
        if self.replicas != "auto" and self.replicas < 1:
            raise ValueError(f'replicas is {self.replicas}; it must be at least 1, or "auto"')
        return self


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


class GateConfig(Section):
    """Quality gate: documents that are annotated and judged before the bulk is asked. Off without gold and sample."""

    gold: str | None = Field(None, description="gold answers, in any format that evaluate reads")
    corpus: str | None = Field(
        None, description="texts of the gold (Parquet); default: those in the gold itself, or else in the corpus"
    )
    min_f1: float | None = Field(
        None, ge=0, le=1, description="F1 on the gold (the authors' metric) below which the run stops"
    )
    sample: int = Field(
        0,
        ge=0,
        description="documents of a fixed sample, drawn by the output's first run, whose answers are compared with "
        "those of the last run that passed; 0 compares nothing",
    )
    min_agreement: float = Field(
        0.9,
        ge=0,
        le=1,
        description="agreement below which the run stops: both the share of same answers and the F1 of mentions",
    )

    @model_validator(mode="after")
    def _check(self) -> GateConfig:
        if (self.gold is None) != (self.min_f1 is None):
            raise ValueError("gold and min_f1 go together")
        if self.corpus is not None and self.gold is None:
            raise ValueError("corpus holds the texts of gold, which is missing")
        return self


class RayConfig(Section):
    """Which Ray cluster runs the pool."""

    address: str = Field("local", description='"local", "auto", "host:port", "ray://host:port", or "spark"')
    num_cpus: int | None = Field(None, ge=1, description="cores of a local cluster; default: all of this machine")
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="where a local cluster serves its metrics; default: any free port"
    )
    spark: dict[str, Any] = Field(
        default_factory=dict,
        description='further arguments of ray.util.spark.setup_ray_cluster, for "spark": Ray on Spark\'s executors',
    )


class SparkConfig(Section):
    """Spark session of stages 1 and 3. Under spark-submit the cluster's own settings win."""

    master: str = Field("local[*]", description="master when started without spark-submit")
    conf: dict[str, str] = Field(default_factory=dict, description="further Spark properties")


class RunConfig(Section):
    """What counts as success."""

    max_failed_fraction: float = Field(
        1.0,
        ge=0,
        le=1,
        description="share of failed cells above which nothing is published; 1 publishes whatever came out, and "
        "conf/cluster.yaml says 0.05",
    )
    allow_rejects_fraction: float = Field(
        1.0, ge=0, le=1, description="share of rejected corpus rows above which the run stops before anything is asked"
    )
    max_removed_fraction: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share of the corpus's published rows that may go because their document is gone; above it nothing "
        "is published, as the corpus was probably read in the wrong place or half written",
    )
    max_prompts: int | None = Field(
        None, ge=0, description="prompts the run may ask in all; it stops before a shard that would ask more"
    )
    max_gpu_hours: float | None = Field(
        None,
        ge=0,
        description="GPU hours the run may take in all, a CPU replica counting as one GPU; shards in flight go on",
    )
    scores: bool = Field(False, description="keep log-probabilities and write confidences")


class PlanConfig(Section):
    """What `uniner-dist plan` reckons with."""

    tokens_per_second: float | None = Field(
        None, gt=0, description="prompt tokens one replica answers per second, where no run of the workdir measured it"
    )
    price_per_gpu_hour: float | None = Field(None, ge=0, description="price of one GPU for an hour, in any currency")


class Config(Section):
    """The whole tree. Build it with `uniner_dist.config.loading.load_config`."""

    corpus: CorpusConfig
    output: OutputConfig
    types: Types = Field(description="entity types: names, label=phrase pairs, or label/ask mappings")
    workdir: str | None = Field(None, description="folder of runs; default: the output path with .work behind it")
    store: str | None = Field(
        None, description="answers to reuse, which several workdirs may share; default: the folder store in the workdir"
    )
    model: ModelConfig = Field(default_factory=ModelConfig)
    prompts: PromptsConfig = Field(default_factory=PromptsConfig)
    pool: PoolConfig = Field(default_factory=PoolConfig)
    engine: EngineConfig = Field(default_factory=EngineConfig)
    ray: RayConfig = Field(default_factory=RayConfig)
    spark: SparkConfig = Field(default_factory=SparkConfig)
    run: RunConfig = Field(default_factory=RunConfig)
    gate: GateConfig = Field(default_factory=GateConfig)
    plan: PlanConfig = Field(default_factory=PlanConfig)

    @property
    def workdir_path(self) -> str:
        """Folder that holds `runs/`; a sibling of the output unless configured."""
        return self.workdir or self.output.path.rstrip("/") + ".work"

    @property
    def store_path(self) -> str:
        """Folder of the answers that runs share."""
        return self.store or self.workdir_path.rstrip("/") + "/store"

    def carried(self, partitions: Sequence[str]) -> tuple[str, ...]:
        """Columns of the corpus, beside id and text, that annotations have too: its partition columns first."""
        wanted = [*partitions, *self.corpus.keep_columns, *(self.output.partition_by or ())]
        return tuple(dict.fromkeys(name for name in wanted if name not in (self.corpus.id_column, "entity_type")))

    def folders(self, partitions: Sequence[str]) -> tuple[str, ...]:
        """Folder columns of the output: as configured, or the corpus's partition columns and the entity type."""
        configured = self.output.partition_by
        return (*partitions, "entity_type") if configured is None else configured

    @model_validator(mode="after")
    def _check(self) -> Config:
        problems = [*self._type_problems(), *self._column_problems()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _type_problems(self) -> list[str]:
        if not self.types:
            return ["types: name at least one entity type (--types person,location)"]
        labels = [entity_type.label for entity_type in self.types]
        repeated = sorted({label for label in labels if labels.count(label) > 1})
        return [f"types: label {label!r} stands more than once" for label in repeated]

    def _column_problems(self) -> list[str]:
        reserved = {field.name.lower() for field in ANNOTATION_FIELDS}
        corpus, carried = self.corpus, [self.corpus.id_column, *self.corpus.keep_columns]
        problems = [
            f"corpus: column {name!r} has the name of a column of the annotations; rename it in the corpus"
            for name in carried
            if name.lower() in reserved
        ]
        if corpus.id_column == corpus.text_column:
            problems.append(f"corpus: {corpus.id_column!r} cannot be both id_column and text_column")
        partition_by = self.output.partition_by or ()
        if len(set(partition_by)) < len(partition_by):
            problems.append("output.partition_by: a column stands more than once")
        return problems
