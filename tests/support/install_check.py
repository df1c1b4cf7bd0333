"""The documented ways to install, in empty environments, from the wheel that is to be published, and used afterwards.

`make install-check`. The lines of docs/notebook.md are run as they are but for the wheel, which takes the place of the
name that an index would know. torch's CPU build comes from wherever pip is configured to look.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: What must work with `uniner-dist` alone, where an import of an engine fails: annotations are read and evaluated.
_ALONE = """
import sys
from uniner_dist.cli.app import main
from uniner_dist.evaluation import import_gold
with open("news.conll", "w") as stream:
    stream.write("Ada\\tB-person\\nlived\\tO\\nin\\tO\\nLondon\\tB-city\\n")
assert import_gold("news.conll", "corpus", "gold")["mentions"] == 2
import pyarrow as pa, pyarrow.dataset as pads, pyarrow.parquet as pq
rows = pads.dataset("gold", format="parquet").to_table()
pq.write_table(rows.append_column("outcome", pa.array(["found"] * rows.num_rows)), "annotations.parquet")
assert main(["evaluate", "--annotations", "annotations.parquet", "--gold", "news.conll"]) == 0
for engine in ("pyspark", "ray", "vllm", "torch", "transformers"):
    try:
        __import__(engine)
    except ImportError:
        continue
    sys.exit(f"{engine} came along")
code = main(["annotate", "--corpus", "corpus", "--output", "out", "--types", "person"])
assert code == 2, "the missing engines are named"
"""


def install_lines() -> list[list[str]]:
    """The documented commands that install the extras for CPU."""
    text = (ROOT / "docs" / "notebook.md").read_text()
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    lines = [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]
    return [line for line in lines if "install" in line and any("[cpu" in word for word in line)]


def main() -> None:
    """Build, install in each way, use what was installed, and say how long each took."""
    with tempfile.TemporaryDirectory(prefix="uniner-install-") as folder:
        place = Path(folder)
        _run([sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps", "--wheel-dir", folder, str(ROOT)], place)
        [wheel] = place.glob("*.whl")
        _install(place / "alone", ["pip", "install", "uniner-dist"], wheel)
        _run([str(place / "alone/bin/python"), "-c", _ALONE], place / "alone")
        if "share/doc/uniner-dist" not in _run([str(place / "alone/bin/uniner-dist"), "status", "-h"], place):
            sys.exit("help does not say where the documentation was installed")
        print("alone: reads, evaluates, and names what is missing", flush=True)
        for number, line in enumerate(install_lines()):
            environment = place / f"env{number}"
            _install(environment, line, wheel)
            _run([str(environment / "bin/python"), "-c", _first_lines()], environment)
            print("an annotator answers there", flush=True)


def _first_lines() -> str:
    """What docs/notebook.md begins with, and a look at what came out."""
    [lines] = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "notebook.md").read_text(), re.DOTALL)[:1]
    return f"{lines}\nassert {{row['outcome'] for row in annotations}} <= {{'found', 'none'}}\nannotator.close()"


def _install(environment: Path, line: list[str], wheel: Path) -> None:
    """An empty environment, and one documented line run in it with the wheel for the package's name."""
    begun = time.monotonic()
    venv.create(environment, with_pip=line[0] == "pip")
    words = [re.sub(r"^uniner-dist(?=$|\[)", "", word) for word in line]
    words = [f"{wheel}{word}" if word != given else word for word, given in zip(words, line, strict=True)]
    tool = environment / "bin" / "pip" if line[0] == "pip" else Path(sys.executable).with_name("uv")
    target = [] if line[0] == "pip" else ["--python", str(environment / "bin" / "python")]
    _run([str(tool), *words[1:], *target], environment, {} if line[0] == "pip" else _settings_for_uv())
    print(f"{shlex.join(line)}: {time.monotonic() - begun:.0f} s", flush=True)


def _settings_for_uv() -> dict[str, str]:
    """What pip is configured to use, for uv, which does not read it."""
    shown = _run([sys.executable, "-m", "pip", "config", "list"], ROOT)
    found = dict(re.findall(r"^[^=]*\.([a-z-]+)='(.*)'$", shown, re.MULTILINE))
    names = {"index-url": "UV_DEFAULT_INDEX", "find-links": "UV_FIND_LINKS", "cert": "SSL_CERT_FILE"}
    return {names[key]: value for key, value in found.items() if key in names}


def _run(command: list[str], folder: Path, variables: dict[str, str] | None = None) -> str:
    """Run a command that must succeed; returns what it printed."""
    variables = {**os.environ, **(variables or {})}
    for name in ("PYTHONPATH", "SPARK_HOME", "VIRTUAL_ENV"):
        variables.pop(name, None)
    process = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    if process.returncode:
        sys.exit(f"{shlex.join(command)[:500]}:\n{process.stdout[-4000:]}\n{process.stderr[-4000:]}")
    return process.stdout


if __name__ == "__main__":
    main()
