"""vLLM's interfaces that this project uses, and how they are looked up in its sources, without importing any of them.

Sources are those that are installed, or Python files inside of a wheel for CUDA, which this machine need not be able to
import. `check` says in words what is missing or is now called otherwise.
"""

from __future__ import annotations

import ast
import importlib.util
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Used:
    """What is used of a class: `names` are fields, attributes and properties; `calls` are methods with the arguments
    that we pass (or take, where we override them); `exact` methods take these and no others, but for `**kwargs`."""

    names: tuple[str, ...] = ()
    calls: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    exact: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


#: File → class, or "" for the module itself → what is used.
INTERFACES: Mapping[str, Mapping[str, Used]] = {
    "engine/arg_utils.py": {
        "EngineArgs": Used(
            (
                "model", "revision", "dtype", "quantization", "max_model_len", "trust_remote_code", "block_size",
                "enable_prefix_caching", "tensor_parallel_size", "disable_log_stats", "seed", "max_num_seqs",
                "gpu_memory_utilization", "enforce_eager", "speculative_config", "kv_transfer_config",
            ),
            {"create_engine_config": ("usage_context",), "create_model_config": (), "create_load_config": ()},
        )
    },
    "sampling_params.py": {
        "SamplingParams": Used(
            (
                "temperature", "max_tokens", "detokenize", "output_kind", "logprobs", "stop_token_ids", "extra_args",
                "skip_clone",
            ),
            {"clone": ()},
        ),
        "RequestOutputKind": Used(("FINAL_ONLY",)),
    },
    "usage/usage_lib.py": {"UsageContext": Used(("LLM_CLASS",))},
    "v1/engine/llm_engine.py": {
        "LLMEngine": Used(
            ("output_processor", "engine_core"),
            {
                "from_vllm_config": ("vllm_config", "usage_context", "stat_loggers", "disable_log_stats"),
                "add_request": ("request_id", "prompt", "params"),
                "step": (),
            },
        )
    },
    "v1/engine/output_processor.py": {"OutputProcessor": Used(("request_states",))},
    "v1/engine/detokenizer.py": {"IncrementalDetokenizer": Used((), {"num_output_tokens": ()})},
    "outputs.py": {
        "RequestOutput": Used(("request_id", "prompt_token_ids", "outputs", "finished", "num_cached_tokens")),
        "CompletionOutput": Used(("token_ids", "logprobs", "finish_reason", "stop_reason")),
    },
    "config/kv_transfer.py": {"KVTransferConfig": Used(("kv_connector", "kv_connector_module_path", "kv_role"))},
    "config/vllm.py": {"VllmConfig": Used((), {"get_quantization_config": ("model_config", "load_config")})},
    "config/speculative.py": {"SpeculativeConfig": Used(("method", "model", "num_speculative_tokens"))},
    "config/cache.py": {"CacheConfig": Used(("block_size", "gpu_memory_utilization", "cache_dtype"))},
    "config/model.py": {
        "ModelConfig": Used(
            ("max_model_len",),
            {"get_num_layers": ("parallel_config",), "get_num_kv_heads": ("parallel_config",), "get_head_size": ()},
        )
    },
    "distributed/kv_transfer/kv_connector/v1/base.py": {
        "KVConnectorBase_V1": Used(
            ("requires_kv_delivery",),
            {"_get_connector_metadata": ()},
            {
                "__init__": ("vllm_config", "role", "kv_cache_config"),
                "get_num_new_matched_tokens": ("request", "num_computed_tokens"),
                "update_state_after_alloc": ("request", "blocks", "num_external_tokens"),
                "build_connector_meta": ("scheduler_output",),
                "register_kv_caches": ("kv_caches",),
                "start_load_kv": ("forward_context",),
                "wait_for_save": (),
                "wait_for_layer_load": ("layer_name",),
                "save_kv_layer": ("layer_name", "kv_layer", "attn_metadata"),
            },
        )
    },
    "v1/core/kv_cache_manager.py": {"KVCacheBlocks": Used((), {"get_block_ids": ()})},
    "v1/core/sched/output.py": {"SchedulerOutput": Used(("num_scheduled_tokens", "has_sync_kv_loads"))},
    "v1/request.py": {
        "Request": Used(("kv_transfer_params", "prompt_token_ids", "num_computed_tokens", "request_id"))
    },
    "v1/kv_cache_interface.py": {"KVCacheConfig": Used(("num_blocks",))},
    "platforms/interface.py": {"Platform": Used((), {"get_device_total_memory": ("device_id",)})},
    "utils/torch_utils.py": {
        "": Used((), {"kv_cache_dtype_str_to_dtype": ("kv_cache_dtype", "model_config")})
    },
    "v1/metrics/ray_wrappers.py": {"": Used(("RayPrometheusStatLogger", "ray_metrics"))},
}  # fmt: skip
#: File → words that must be in it: methods that are named by a string.
WORDS: Mapping[str, tuple[str, ...]] = {
    "config/speculative.py": ('"custom_class"',),
    "v1/worker/gpu_model_runner.py": ("custom_class",),
    "v1/core/sched/scheduler.py": ("defer_block_free",),
    "config/vllm.py": ("expandable_segments:True",),
}
#: How vLLM's runner asks a proposer for guesses: positional arguments, and those by name.
_RUNNER = "v1/worker/gpu_model_runner.py"
_PROPOSE = (
    ["sampled_token_ids", "self.input_batch.num_tokens_no_spec", "self.input_batch.token_ids_cpu"],
    ["slot_mappings"],
)
_BASE = "distributed/kv_transfer/kv_connector/v1/base.py", "KVConnectorBase_V1"


class Sources:
    """Python files below the package `vllm`.

    Args:
        wheel: where to read them; default: the installed package.
    """

    def __init__(self, wheel: Path | None = None) -> None:
        self._wheel = zipfile.ZipFile(wheel) if wheel else None
        if wheel is None:
            spec = importlib.util.find_spec("vllm")
            assert spec is not None
            assert spec.origin is not None
            self._folder = Path(spec.origin).parent

    def text(self, path: str) -> str | None:
        """A file; None when there is none."""
        try:
            if self._wheel is not None:
                return self._wheel.read(f"vllm/{path}").decode()
            return (self._folder / path).read_text(encoding="utf-8")
        except (KeyError, FileNotFoundError):
            return None

    def check(self) -> list[str]:
        """What is not as it is used, one sentence each."""
        found = []
        for path, classes in INTERFACES.items():
            text = self.text(path)
            if text is None:
                found.append(f"{path}: no such file any more")
                continue
            module = ast.parse(text)
            for name, used in classes.items():
                found += [f"{path}: {words}" for words in _check_class(module, name, used)]
        for path, expected in WORDS.items():
            text = self.text(path) or ""
            found += [f"{path}: no {words} any more" for words in expected if words not in text]
        return [*found, *self._new_duties(), *self._proposer_call()]

    def _new_duties(self) -> Iterator[str]:
        """Abstract methods of a KV connector that ours does not have."""
        path, name = _BASE
        scope = _find(ast.parse(self.text(path) or ""), name)
        known = INTERFACES[path][name]
        for function in scope.functions.values() if scope else ():
            abstract = any("abstractmethod" in ast.unparse(decorator) for decorator in function.decorator_list)
            if abstract and function.name not in known.exact:
                yield f"{path}: {name}.{function.name} is abstract now, and PrefixTailConnector has none"

    def _proposer_call(self) -> Iterator[str]:
        """How the runner calls a proposer of one's own, if otherwise than ours takes it."""
        module = ast.parse(self.text(_RUNNER) or "")
        branches = (node for node in ast.walk(module) if isinstance(node, ast.If) and _is_custom_class(node.test))
        inside = (inner for branch in branches for statement in branch.body for inner in ast.walk(statement))
        calls = [node for node in inside if isinstance(node, ast.Call) and _called(node) == "propose"]
        if not calls:
            yield f"{_RUNNER}: no proposer of method custom_class is asked any more"
        for call in calls:
            passed = [ast.unparse(one) for one in call.args], [str(one.arg) for one in call.keywords]
            if passed != _PROPOSE:
                yield f"{_RUNNER}: a proposer is asked with {passed[0]} and {passed[1]} now"


def _is_custom_class(test: ast.expr) -> bool:
    return isinstance(test, ast.Compare) and ast.unparse(test).endswith(".method == 'custom_class'")


def _called(call: ast.Call) -> str | None:
    return call.func.attr if isinstance(call.func, ast.Attribute) else None


@dataclass(frozen=True)
class _Scope:
    """A class or module: its functions, and every other name that is defined in it or set on `self`."""

    functions: dict[str, ast.FunctionDef]
    names: set[str]


def _find(module: ast.Module, name: str) -> _Scope | None:
    """A class with what it inherits from others of its file, or the module for an empty name."""
    if not name:
        return _scope(module.body)
    classes = {node.name: node for node in ast.walk(module) if isinstance(node, ast.ClassDef)}
    if name not in classes:
        return None
    scope = _scope(classes[name].body)
    for base in map(ast.unparse, classes[name].bases):
        inherited = _find(module, base) if base in classes and base != name else None
        if inherited:
            scope = _Scope(inherited.functions | scope.functions, inherited.names | scope.names)
    return scope


def _scope(body: list[ast.stmt]) -> _Scope:
    functions, names = {}, set()
    for node in [inner for outer in body for inner in ([outer, *_guarded(outer)])]:
        if isinstance(node, ast.FunctionDef):
            functions[node.name] = node
            names |= {node.name, *_set_on_self(node)}
        elif isinstance(node, ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {alias.asname or alias.name for alias in node.names}
    return _Scope(functions, names)


def _guarded(node: ast.stmt) -> list[ast.stmt]:
    """Statements inside of `try` and `if` at the top of a scope."""
    return [*node.body, *node.orelse] if isinstance(node, (ast.Try, ast.If)) else []


def _set_on_self(function: ast.FunctionDef) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            yield node.attr


def _check_class(module: ast.Module, name: str, used: Used) -> Iterator[str]:
    scope, title = _find(module, name), name or "the module"
    if scope is None:
        yield f"no class {name} any more"
        return
    yield from (f"{title} has no {wanted} any more" for wanted in used.names if wanted not in scope.names)
    for method, arguments in {**used.calls, **used.exact}.items():
        function = scope.functions.get(method)
        if function is None:
            yield f"{title} has no {method} any more"
            continue
        all_, required = _arguments(function)
        missing = [argument for argument in arguments if argument not in all_]
        new = [argument for argument in required if argument not in arguments]
        if method in used.exact:
            new = [argument for argument in all_ if argument not in arguments]
        if missing or new:
            yield f"{title}.{method} takes {all_} now: without {missing or 'nothing'}, with {new or 'nothing'} new"


def _arguments(function: ast.FunctionDef) -> tuple[list[str], list[str]]:
    """All arguments but `self` or `cls`, and those without a default."""
    arguments = function.args
    plain = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
    named = [argument.arg for argument in arguments.kwonlyargs]
    free = plain[: len(plain) - len(arguments.defaults)]
    free += [name for name, default in zip(named, arguments.kw_defaults, strict=True) if default is None]
    own = {"self", "cls"}
    return [name for name in (*plain, *named) if name not in own], [name for name in free if name not in own]
