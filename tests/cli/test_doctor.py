"""`foley doctor`: one line per part, and an exit code that means it."""

import os

from foleycli.cli import doctor


def test_doctor_looks_at_every_part(foley):
    told = foley("doctor", "--json")
    checks = {line["name"]: line for line in told.lines}
    assert set(checks) == {name for name, _, _ in doctor.PROBES}
    for name in ("foley", "ffmpeg", "encoders", "media", "torch", "codec", "disk"):
        assert checks[name]["works"], checks[name]
    assert told.code == (0 if checks["models"]["works"] and checks["words"]["works"] else 1)


def test_doctor_names_an_ffmpeg_that_does_not_run(foley, monkeypatch, tmp_path):
    fake = tmp_path / "ffmpeg"
    fake.write_text("#!/bin/sh\nexit 1\n")
    os.chmod(fake, 0o755)
    monkeypatch.setenv("FOLEY_FFMPEG", str(fake))
    told = foley("doctor")
    assert told.code == 1
    (line,) = [line for line in told.out.splitlines() if line.startswith("FAIL\tffmpeg\t")]
    assert str(fake) in line


def test_a_broken_import_is_shown_not_raised():
    def probe() -> str:
        raise OSError("libsomething.so: cannot open\nshared object")

    check = doctor._run("thing", True, probe)
    assert not check.works
    assert check.found == "OSError: libsomething.so: cannot open shared object"
