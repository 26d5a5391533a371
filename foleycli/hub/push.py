"""A model folder of ours to a repository on the Hub: its config, its weights and its card, nothing else."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from foleycli.errors import FoleyError
from foleycli.hub import failures, fetch
from foleycli.hub.card import MARK, CardSources, make_card
from foleycli.hub.resolve import check
from foleycli.media.output import replacing
from foleycli.records import Report, silent
from foleycli.weights.config import CONFIG_NAME, WEIGHTS_NAME, read_config
from foleycli.weights.folder import sha256_of

CARD_NAME = "README.md"


@dataclass(frozen=True)
class Upload:
    """One file and what an upload would do with it."""

    name: str
    size_bytes: int
    sha256: str
    state: str  # new, changed, same


@dataclass(frozen=True)
class Plan:
    """What a push does, or would."""

    repo: str
    user: str
    is_new_repo: bool
    uploads: tuple[Upload, ...]
    address: str  # of the commit, when it was made


def push(
    folder: Path, repo: str, dry_run: bool = False, report: Report = silent, card: CardSources | None = None
) -> Plan:
    """Upload the folder in one commit; a dry run asks the Hub everything and changes nothing.

    card  what to make the model card of; None: the folder has one
    Errors: FoleyError for a damaged folder, one without a card, models of others, and the Hub's refusals.
    """
    if read_config(folder).is_published:
        raise FoleyError(f"{folder} holds weights that others published", "Push only models that you trained")
    with tempfile.TemporaryDirectory(prefix="foley-card-") as temporary:
        made = _made_card(folder, repo, card, Path(temporary) if dry_run else folder)
        return _push(folder, _files(folder, made), repo, dry_run=dry_run, report=report)


def _made_card(folder: Path, repo: str, sources: CardSources | None, place: Path) -> Path | None:
    """The new card, written to `place`; an older one that was made is replaced, one that somebody wrote is not."""
    if sources is None:
        return None
    own = folder / CARD_NAME
    if own.is_file() and MARK not in own.read_text(encoding="utf-8", errors="replace"):
        raise FoleyError(
            f"{own} is a card that somebody wrote", "Leave --license and --benchmark out, or move that card away"
        )
    text = make_card(folder, repo, sources)
    with replacing(place / CARD_NAME) as part:
        part.write_text(text, encoding="utf-8")
    return place / CARD_NAME


def _push(folder: Path, files: Mapping[str, Path], repo: str, *, dry_run: bool, report: Report) -> Plan:
    """`files`: what is uploaded, by its name in the repository."""
    from huggingface_hub import HfApi

    with failures.translate_errors(f"the upload of {folder}", repo), fetch.hub_client():
        api = HfApi()
        user = _user(api, repo)
        is_new = not api.repo_exists(repo)
        there = {} if is_new else {found.path: found for found in api.get_paths_info(repo, list(files))}
        uploads = tuple(_upload(name, file, there.get(name)) for name, file in files.items())
        if dry_run or not any(upload.state != "same" for upload in uploads):
            return Plan(repo, user, is_new, uploads, "")
        report("upload", 0, 1)
        api.create_repo(repo, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo,
            folder_path=folder,
            allow_patterns=list(files),
            commit_message=f"{folder.name}: weights {read_config(folder).sha256[:12]}",
        )
        report("upload", 1, 1)
        return Plan(repo, user, is_new, uploads, commit.commit_url)


def _files(folder: Path, card: Path | None) -> dict[str, Path]:
    """Config, weights and card, and config and weights of parts that lie in the folder, checked; by their names."""
    check(folder)
    if card is None:
        card = folder / CARD_NAME
        if not card.is_file():
            raise FoleyError(
                f"{folder} has no model card",
                f"Let foley make one: --license mit; or write {card}: what it is, what it was trained on, licence",
            )
        if not card.read_text(encoding="utf-8").startswith("---\n"):
            raise FoleyError(f"{card} does not begin with the Hub's facts", "Begin it with: ---, license: ..., ---")
    files = {name: folder / name for name in (CONFIG_NAME, WEIGHTS_NAME)} | {CARD_NAME: card}
    for part in sorted(path.parent for path in folder.glob(f"*/{CONFIG_NAME}")):
        files |= {f"{part.name}/{name}": part / name for name in (CONFIG_NAME, WEIGHTS_NAME)}
    return files


def _user(api: object, repo: str) -> str:
    from huggingface_hub.errors import LocalTokenNotFoundError

    try:
        return api.whoami()["name"]  # type: ignore[attr-defined]
    except LocalTokenNotFoundError as error:
        raise FoleyError(f"pushing to {repo} needs a token", "Log in with hf auth login, or set HF_TOKEN") from error


def _upload(name: str, file: Path, there: object) -> Upload:
    """`there`: what the Hub has under that name, if anything."""
    from huggingface_hub.utils import sha

    content_sha256, size = sha256_of(file), file.stat().st_size
    if there is None:
        return Upload(name, size, content_sha256, "new")
    lfs = getattr(there, "lfs", None)
    is_same = lfs.sha256 == content_sha256 if lfs else there.blob_id == sha.git_hash(file.read_bytes())  # type: ignore[attr-defined]
    return Upload(name, size, content_sha256, "same" if is_same else "changed")
