"""What goes wrong between here and a publisher is told with hints that fit the publisher."""

import errno
from types import SimpleNamespace

import pytest

from foleycli.errors import FoleyError
from foleycli.hub.failures import translate_errors

HUB, RELEASE = "maker/sounds", "https://github.com/maker/sounds/releases/download/v1"


def answered(status: int) -> Exception:
    error = RuntimeError("refused")
    error.response = SimpleNamespace(status_code=status)
    return error


@pytest.mark.parametrize(
    "error",
    [answered(401), answered(403), answered(404), answered(500), ConnectionRefusedError(), ConnectionResetError(),
     OSError(errno.ENOSPC, "full"), OSError(errno.EROFS, "read-only", "x")],
    ids=repr,
)  # fmt: skip
def test_the_hub_is_not_named_where_another_publisher_is_asked(error):
    told = {}
    for where in (HUB, RELEASE):
        with pytest.raises(FoleyError) as raised, translate_errors("net.pth", where):
            raise error
        told[where] = raised.value.message + raised.value.hint
    for word in ("HF_", "hf auth", "token"):
        assert word not in told[RELEASE]
    assert "net.pth" in told[RELEASE] or RELEASE in told[RELEASE]


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (answered(401), "HF_TOKEN"),
        (ConnectionRefusedError(), "HF_ENDPOINT"),
        (OSError(errno.ENOSPC, "full"), "HF_HOME"),
    ],
)
def test_the_hub_s_own_switches_are_named_where_it_is_asked(error, named):
    with pytest.raises(FoleyError) as raised, translate_errors("net.pth", HUB):
        raise error
    assert named in raised.value.hint


def test_bugs_keep_their_type():
    with pytest.raises(KeyError), translate_errors("net.pth", HUB):
        raise KeyError("x")
