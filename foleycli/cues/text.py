"""Text files of people and other programs, read strictly: in their encoding, and not without end."""

from __future__ import annotations

from pathlib import Path

from foleycli.errors import FoleyError
from foleycli.media.source import check_file

MOST_BYTES = 64 << 20  # a sheet of a hundred thousand cues has a tenth of it


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, UTF-16 with its mark, or Windows' Latin.

    Errors: FoleyError for a file that is none.
    """
    check_file(path)  # a pipe would be waited for without end
    if path.stat().st_size > MOST_BYTES:
        raise FoleyError(f"{path} has {path.stat().st_size >> 20} MB: it is no cue sheet", "Give a table of cues")
    data = path.read_bytes()
    for encoding in ("utf-16",) if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp1252"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\x00" not in text:
            return text.replace("\r\n", "\n").replace("\r", "\n")
    raise FoleyError(f"{path} is no text", "Give a sheet as CSV, JSON, EDL, OTIO, FCPXML or SRT")
