#!/usr/bin/env bash
# `ray.init()` of a local Ray, with no setting of authentication anywhere.
#
# Version:  ray 2.60.0.
# Expected: the process's environment and the home folder are afterwards what they were.
# Seen:     Ray writes `~/.ray/auth_token` and sets RAY_AUTH_MODE=token in the environment of the calling process, where it
#           stays after `ray.shutdown()`: processes started later, for clusters that know nothing of it, inherit it.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check "ray==2.60.0"
cd "$place"
"$place/env/bin/python" - <<'PY'
import os

home = os.path.abspath("home")
os.makedirs(home)
os.environ["HOME"] = home
for name in [name for name in os.environ if name.startswith("RAY_")]:
    del os.environ[name]
import ray

ray.init(num_cpus=1, include_dashboard=False, logging_level="ERROR")
ray.shutdown()
seen = {"file": os.path.exists(f"{home}/.ray/auth_token"), "mode": os.environ.get("RAY_AUTH_MODE")}
print(seen)
assert seen == {"file": True, "mode": "token"}, "the behaviour changed"
PY
