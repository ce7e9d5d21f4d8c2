"""Where the archive keeps a work, and its images on the web: the platform's rule and the reference script's are one."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ao_workflows.archive.places import archive_place, share_number, share_tree, web_prefix
from ao_workflows_tests.support.archive_rule import FIND_BUCKET

PARENT = Path("/mnt/Archive")


@pytest.mark.parametrize(
    ("rid", "place"),
    [
        ("W1NLM4712", "/mnt/Archive0/12/W1NLM4712"),
        ("W1NLM4700", "/mnt/Archive0/00/W1NLM4700"),
        ("W1NLM4724", "/mnt/Archive0/24/W1NLM4724"),
        ("W1NLM4725", "/mnt/Archive1/25/W1NLM4725"),
        ("W1NLM4750", "/mnt/Archive2/50/W1NLM4750"),
        ("W1NLM4799", "/mnt/Archive3/99/W1NLM4799"),
        ("W1NLMA", "/mnt/Archive0/00/W1NLMA"),
        ("W1NLMA7", "/mnt/Archive0/00/W1NLMA7"),
        ("7", "/mnt/Archive0/00/7"),
        ("77", "/mnt/Archive3/77/77"),
    ],
)
def test_a_work_has_one_place_in_the_archive(rid: str, place: str) -> None:
    """The proof reads back what the script wrote: by another rule it would look where nothing is."""
    assert archive_place(Path("/mnt/Archive"), rid) == Path(place)


def test_the_web_prefix_is_the_image_servers_rule() -> None:
    """Images in another shard are not found by the image server."""
    shard = hashlib.md5(b"W22084", usedforsecurity=False).hexdigest()[:2]
    wanted = f"s3://archive.tbrc.org/Works/{shard}/W22084/images/"
    assert web_prefix("s3://archive.tbrc.org/Works", "W22084") == wanted
    assert web_prefix("s3://archive.tbrc.org/Works/", "W22084") == wanted


RIDS = st.one_of(
    st.from_regex(r"\AW[A-Za-z0-9]{0,8}[0-9]{0,4}\Z"),
    st.from_regex(r"\A[A-Za-z0-9]{1,3}\Z"),
    st.from_regex(r"\Aw[0-9]{1,6}[A-Za-z_.-]\Z"),
    # No RID has these; where one passed by mistake, the two must still not part.
    st.text(st.characters(exclude_characters="/", exclude_categories=("Cs", "Cc")), max_size=8),
    st.sampled_from(
        ["", "1", "11", "W1½²", "W१२", "W\uff11\uff12", "W1é", "é12", "W0", "W08", "W09", "W1 7", "W1-7", "W--"]
    ),
)


# What fails is short enough as it is: to shrink two hundred of them by starting bash each time takes minutes.
@settings(max_examples=30, deadline=None, phases=[Phase.generate])
@given(st.lists(RIDS, min_size=50, max_size=200))
def test_the_reference_script_has_the_same_rule(rids: list[str]) -> None:
    """The proof looks where the script has written: by another rule, a work that is there is never found."""
    loop = 'while IFS= read -r rid; do find_bucket; printf "%s/%s\\n" "$share" "$bucket"; done'
    for locale in ("C", "C.UTF-8"):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"{FIND_BUCKET}\n{loop}"],
            input="".join(f"{rid}\n" for rid in rids).encode(),
            env={"LC_ALL": locale, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            check=True,
        )
        places = [archive_place(PARENT, rid or "none") for rid in rids]
        by_rule = [f"{place.parts[2][-1]}/{place.parts[3]}" for place in places]
        script = done.stdout.decode().splitlines()
        assert [each for each in zip(rids, by_rule, script, strict=True) if each[1] != each[2]] == []


def test_every_bucket_is_in_one_of_four_shares() -> None:
    """A fifth share is mounted nowhere."""
    shares = [share_number(f"W1NLM47{number:02d}") for number in range(100)]
    assert shares == [0] * 25 + [1] * 25 + [2] * 25 + [3] * 25
    assert [str(share_tree(PARENT, share)) for share in range(4)] == [f"/mnt/Archive{share}" for share in range(4)]
