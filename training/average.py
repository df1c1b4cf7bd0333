"""Average the weights of checkpoints of one training: `python -m training.average --output DIR MODEL MODEL …`.

The ends of two legs that started from the same weights lie in one valley of the loss, and their mean is better than
either ("Model soups", Wortsman and others, 2022). Everything but the weights is copied from the first checkpoint. With
`--half` the weights are rounded to float16, which halves the file; engines may still compute in float32.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file


def average(models: list[Path], output: Path, half: bool = False) -> None:
    """Write the mean of the models' weights, in float32 or, if asked, in float16."""
    shutil.copytree(models[0], output, dirs_exist_ok=True, ignore=shutil.ignore_patterns("checkpoint"))
    weights = [load_file(model / "model.safetensors") for model in models]
    mean = {name: sum(each[name] for each in weights) / len(weights) for name in weights[0]}
    if half:
        mean = {name: weight.half() for name, weight in mean.items()}
        config = json.loads((output / "config.json").read_text())
        (output / "config.json").write_text(json.dumps(config | {"dtype": "float16"}, indent=2) + "\n")
    save_file(mean, output / "model.safetensors", metadata={"format": "pt"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--half", action="store_true", help="store float16 instead of float32")
    options = parser.parse_args()
    average(options.models, options.output, options.half)


if __name__ == "__main__":
    main()
