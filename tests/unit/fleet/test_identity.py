"""An agent's own key."""

import json
from pathlib import Path

import pytest

from events.thumbprint import thumbprint
from verifier_agent.fleet.identity import FILE, AgentIdentity, KeptIdentity


def test_an_identity_is_named_by_its_key_and_shows_nothing_private() -> None:
    identity = AgentIdentity.create()

    assert identity.agent == thumbprint(identity.public_jwk) == identity.public_jwk["kid"]
    assert "d" not in identity.public_jwk
    assert repr(identity) == f"AgentIdentity({identity.agent!r})"


def test_a_kept_identity_is_the_same_next_time_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    kept = KeptIdentity(tmp_path / "state")
    first = kept.take()
    kept.release()

    assert KeptIdentity(tmp_path / "state").take().agent == first.agent
    assert (tmp_path / "state" / FILE).stat().st_mode & 0o777 == 0o600


def test_two_agents_with_one_folder_are_two_agents(tmp_path: Path) -> None:
    kept = KeptIdentity(tmp_path)
    first = kept.take()

    assert KeptIdentity(tmp_path).take().agent != first.agent


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"kty":"EC"}', b'{"kty":"EC","alg":"ES256","d":"x"}'])
def test_a_broken_key_is_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    (tmp_path / FILE).chmod(0o600)

    identity = KeptIdentity(tmp_path).take()

    assert json.loads((tmp_path / FILE).read_bytes())["x"] == identity.public_jwk["x"]


def test_a_key_that_others_may_have_read_is_replaced(tmp_path: Path) -> None:
    kept = KeptIdentity(tmp_path)
    exposed = kept.take()
    kept.release()
    (tmp_path / FILE).chmod(0o640)

    assert KeptIdentity(tmp_path).take().agent != exposed.agent


def test_a_folder_that_cannot_be_written_does_not_keep_an_agent_from_having_a_key(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")

    assert KeptIdentity(tmp_path / "file" / "state").take().agent


def test_no_agents_name_looks_like_an_option_of_a_command() -> None:
    assert not any(AgentIdentity.create().agent.startswith("-") for _ in range(500))
