"""The one configuration tree: every section, and what must fit across them.

Frozen, with every option documented in its section and in `conf/local.yaml`. Built from files, overrides and options by
`uniner_dist.config.loading`.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field, model_validator

from uniner_dist.config.answering import SPEED_ARGUMENTS, EngineConfig, ModelConfig, PoolConfig
from uniner_dist.config.data import CorpusConfig, GateConfig, OutputConfig, PromptsConfig
from uniner_dist.config.questions import EntityType, Types
from uniner_dist.config.running import PlanConfig, RayConfig, RunConfig, SparkConfig
from uniner_dist.config.section import Section
from uniner_dist.config.triage import TriageConfig
from uniner_dist.core.questions import Questions
from uniner_dist.schemas import ANNOTATION_FIELDS

__all__ = [
    "SPEED_ARGUMENTS",
    "Config",
    "CorpusConfig",
    "EngineConfig",
    "EntityType",
    "GateConfig",
    "ModelConfig",
    "OutputConfig",
    "PlanConfig",
    "PoolConfig",
    "PromptsConfig",
    "RayConfig",
    "RunConfig",
    "Section",
    "SparkConfig",
    "TriageConfig",
    "Types",
]


class Config(Section):
    """The whole tree. Build it with `uniner_dist.config.loading.load_config`."""

    corpus: CorpusConfig
    output: OutputConfig
    types: Types = Field(description="entity types: names, label=phrase pairs, or label/ask mappings")
    workdir: str | None = Field(None, description="folder of runs; default: the output path with .work appended")
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
    triage: TriageConfig = Field(default_factory=TriageConfig)
    plan: PlanConfig = Field(default_factory=PlanConfig)

    @property
    def workdir_path(self) -> str:
        """Folder that holds `runs/`; a sibling of the output unless configured."""
        return self.workdir or self.output.path.rstrip("/") + ".work"

    @property
    def store_path(self) -> str:
        """Folder of the answers that runs share."""
        return self.store or self.workdir_path.rstrip("/") + "/store"

    @property
    def questions(self) -> Questions:
        """The questions and the labels that they answer."""
        return Questions.of(self.types)

    def carried(self, partitions: Sequence[str]) -> tuple[str, ...]:
        """Return the corpus's columns, besides the id, that annotations have too: its partition columns first.

        Args:
            partitions: the corpus's partition columns in order: those of its folder names, or of its table.
        """
        wanted = [*partitions, *self.corpus.keep_columns, *(self.output.partition_by or ())]
        return tuple(dict.fromkeys(name for name in wanted if name not in (self.corpus.id_column, "entity_type")))

    def folders(self, partitions: Sequence[str]) -> tuple[str, ...]:
        """Return the output's folder columns: as configured, or the corpus's partition columns and the entity type.

        Args:
            partitions: the corpus's partition columns in order: those of its folder names, or of its table.
        """
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
        return [f"types: label {label!r} occurs more than once" for label in repeated]

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
            problems.append("output.partition_by: a column occurs more than once")
        return problems
