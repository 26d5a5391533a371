#!/usr/bin/env bash
# wordllama 0.4.0.post1: it cannot be imported by a user without a home folder (a container run with --user 4711), although
# its static vectors lie in the package and no file of the user's is needed.
# Seen: "RuntimeError: Could not determine home directory." at import.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet wordllama==0.4.0.post1
cat >show.py <<'PY'
import os
import pwd


def unknown(uid):
    raise KeyError(uid)


os.environ.pop("HOME", None)
pwd.getpwuid = unknown  # what the system answers for a user that it does not know
try:
    import wordllama
except RuntimeError as error:
    print("RuntimeError:", error)
    print("as described")
else:
    raise SystemExit(f"wordllama is imported now: {wordllama.__file__}")
PY
venv/bin/python show.py
