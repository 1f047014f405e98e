"""Settings from a TOML file and the environment."""

import copy
import pickle
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from verifier_agent import AgentSettings, OnStale, Seconds, Secret, SettingInvalid, Sources, parse_seconds
from verifier_agent.configuration import located

NAMES = set(AgentSettings.__struct_fields__)
LEAST = {"log": "memory:", "trust": "trust.json"}


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """A setting of each kind."""

    name: str = "default"
    number: int = 1
    flag: bool = False
    pause: Seconds = 1
    hosts: tuple[str, ...] = ()
    folder: Path = Path()
    client_secret: Secret = Secret("")
    on_stale: OnStale = OnStale.DENY
    algorithms: tuple[Literal["ES256", "EdDSA"], ...] = ()

    def __post_init__(self) -> None:
        if self.number < 0:
            raise SettingInvalid("setting 'number' must be 0 or more")


def sources(environ: dict[str, str] | None = None, file: dict[str, Any] | None = None) -> Sources:
    variables = {f"TOCSIN_{name.upper()}": value for name, value in (environ or {}).items()}
    return Sources(variables, file or {}, Path("tocsin.toml"))


# -- lengths of time


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (900, 900.0),
        (0, 0.0),
        (0.25, 0.25),
        ("900", 900.0),
        ("1.5", 1.5),
        ("250ms", 0.25),
        ("3s", 3.0),
        ("15m", 900.0),
        ("1.5h", 5400.0),
        ("2d", 172_800.0),
        (" 15 m ", 900.0),
    ],
)
def test_a_length_of_time_is_seconds_or_has_a_unit(written: object, seconds: float) -> None:
    assert parse_seconds(written) == seconds


@pytest.mark.parametrize(
    "written", ["", "soon", "15 minutes", "-1", -1, "-5m", "m", "1.m", "1e400", "inf", "nan", True, None, [], "1h30m"]
)
def test_what_is_no_length_of_time_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="is no length of time; write seconds, or a number with ms, s, m, h or d"):
        parse_seconds(written)


# -- where a value comes from


@pytest.mark.parametrize(
    ("environ", "file", "name"),
    [
        ({}, {}, "default"),
        ({}, {"name": "from file"}, "from file"),
        ({"name": "from environment"}, {}, "from environment"),
        ({"name": "from environment"}, {"name": "from file"}, "from environment"),
        ({"name": ""}, {"name": "from file"}, "from file"),
    ],
)
def test_the_environment_goes_before_the_file_and_the_file_before_the_default(
    environ: dict[str, str], file: dict[str, str], name: str
) -> None:
    assert sources(environ, file).read(Program).name == name


def test_text_from_the_environment_becomes_what_the_setting_is() -> None:
    environ = {
        "name": "7",
        "number": "7",
        "flag": "true",
        "pause": "15m",
        "hosts": "a:1, b:2,,",
        "folder": "~/x",
        "client_secret": "hunter2",
        "on_stale": "allow",
    }

    assert sources(environ).read(Program) == Program(
        name="7",
        number=7,
        flag=True,
        pause=900,
        hosts=("a:1", "b:2"),
        folder=Path("~/x").expanduser(),
        client_secret=Secret("hunter2"),
        on_stale=OnStale.ALLOW,
    )


def test_values_in_a_file_have_their_own_types() -> None:
    file = {"number": 7, "flag": True, "pause": "250ms", "hosts": ["a:1", "b:2"], "folder": "x"}

    assert sources(file=file).read(Program) == Program(
        number=7, flag=True, pause=0.25, hosts=("a:1", "b:2"), folder=Path("x")
    )


@pytest.mark.parametrize(
    ("environ", "file", "message"),
    [
        ({"number": "many"}, {}, "setting 'number' from TOCSIN_NUMBER: 'many': "),
        ({}, {"number": "7"}, "setting 'number' from tocsin.toml: '7': "),
        ({}, {"flag": 1}, "setting 'flag' from tocsin.toml: 1: "),
        ({"pause": "soon"}, {}, "setting 'pause' from TOCSIN_PAUSE: 'soon': 'soon' is no length of time"),
        ({}, {"hosts": "a:1"}, "setting 'hosts' from tocsin.toml: 'a:1': "),
        (
            {"on_stale": "maybe"},
            {},
            "setting 'on_stale' from TOCSIN_ON_STALE: 'maybe': Invalid enum value 'maybe'; there are allow, deny",
        ),
        (
            {},
            {"algorithms": ["ES256", "HS256"]},
            (
                "setting 'algorithms' from tocsin.toml: ['ES256', 'HS256']: "
                "Invalid enum value 'HS256' - at `$[1]`; there are ES256, EdDSA"
            ),
        ),
        ({"number": "-1"}, {}, "setting 'number' from TOCSIN_NUMBER must be 0 or more"),
        ({}, {"number": -1}, "setting 'number' from tocsin.toml must be 0 or more"),
    ],
)
def test_a_bad_value_is_refused_with_the_setting_and_its_source(
    environ: dict[str, str], file: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingInvalid) as refused:
        sources(environ, file).read(Program)

    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        ("setting 'log': no such scheme", "setting 'log' from TOCSIN_LOG: no such scheme"),
        ("setting 'trust': no such file", "setting 'trust' from tocsin.toml: no such file"),
        ("setting 'skew' is a default", "setting 'skew' is a default"),
        ("setting 'log' from elsewhere: 1", "setting 'log' from elsewhere: 1"),
        ("setting 'log' of foreign issuer 'x': 1", "setting 'log' of foreign issuer 'x': 1"),
        ("setting 'log' (from a store) cannot change", "setting 'log' (from a store) cannot change"),
        ("setting 'log' is missing: set it", "setting 'log' is missing: set it"),
        ("there is no setting 'log'", "there is no setting 'log'"),
    ],
)
def test_what_is_found_out_later_of_a_setting_is_told_with_where_it_stands(message: str, wanted: str) -> None:
    assert located(message, sources({"log": "x:"}, {"log": "y:", "trust": "none"})) == wanted


def test_a_missing_setting_is_named_with_where_to_set_it() -> None:
    with pytest.raises(SettingInvalid, match=r"'log' is missing: set TOCSIN_LOG, or log in tocsin\.toml"):
        sources({"trust": "x"}).read(AgentSettings)
    with pytest.raises(SettingInvalid, match=r"set TOCSIN_LOG, or log in a configuration file"):
        Sources({}, {}).read(AgentSettings)


def test_a_rule_between_settings_is_refused_by_name() -> None:
    with pytest.raises(SettingInvalid, match="'cache_size' from TOCSIN_CACHE_SIZE must be 0 or more, not -1"):
        sources(LEAST | {"cache_size": "-1"}).read(AgentSettings)


def test_an_agents_settings_become_the_policy_of_its_verifier() -> None:
    given = {"audience": "orders", "skew": "1s", "max_staleness": "1h", "on_stale": "allow", "cache_size": "7"}
    policy = sources(LEAST | given).read(AgentSettings).policy()

    assert (policy.audience, policy.skew, policy.max_staleness) == ("orders", 1.0, 3600.0)
    assert (policy.on_stale, policy.cache_size) == (OnStale.ALLOW, 7)


# -- names


@pytest.mark.parametrize(
    ("environ", "file", "message"),
    [
        (
            {"max_stalenes": "1"},
            {},
            "no setting 'max_stalenes' (from TOCSIN_MAX_STALENES); did you mean 'max_staleness'?",
        ),
        ({}, {"audiense": "1"}, "no setting 'audiense' (from tocsin.toml); did you mean 'audience'?"),
        ({"zzz": "1"}, {}, "no setting 'zzz' (from TOCSIN_ZZZ)"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_known_one(
    environ: dict[str, str], file: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingInvalid) as refused:
        sources(environ, file).check_names(NAMES)

    assert message in str(refused.value)


def test_names_that_are_known_or_not_ours_are_passed_over() -> None:
    Sources({"TOCSIN_LOG": "x", "TOCSIN_CONFIG": "x", "PATH": "x"}, {"audience": "x"}).check_names(NAMES)


# -- the file


def test_the_file_is_the_named_one_or_the_one_in_the_environment(tmp_path: Path) -> None:
    one, other = tmp_path / "one.toml", tmp_path / "other.toml"
    one.write_text('name = "one"')
    other.write_text('name = "other"')
    environ = {"TOCSIN_CONFIG": str(one)}

    assert Sources.find({}).read(Program).name == "default"
    assert Sources.find(environ).read(Program).name == "one"
    assert Sources.find(environ, other).read(Program).name == "other"


@pytest.mark.parametrize("content", [None, b"name = ", b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "tocsin.toml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(SettingInvalid, match=r"^configuration file .*tocsin\.toml: "):
        Sources.find({}, path)


# -- secrets


def test_a_secret_is_shown_nowhere() -> None:
    settings = sources({"client_secret": "hunter2"}).read(Program)

    assert "hunter2" not in f"{settings!r} {settings} {settings.client_secret} {settings.client_secret!r}"
    assert settings.client_secret.reveal() == "hunter2"


def test_an_agents_settings_are_shown_without_the_password_of_the_log() -> None:
    settings = AgentSettings(log="kafka://agent:hunter2@one:9092?prefix=a.", trust=Path("trust.json"))

    assert "hunter2" not in f"{settings!r} {settings}"
    assert "trust.json" in repr(settings)


def test_a_bad_value_of_a_setting_that_holds_secrets_is_not_repeated() -> None:
    class Door(msgspec.Struct):
        passwords: tuple[Secret, ...] = ()

    with pytest.raises(SettingInvalid, match=r"setting 'passwords' from tocsin\.toml") as refused:
        sources(file={"passwords": "hunter2"}).read(Door)
    assert "hunter2" not in str(refused.value)


def test_secrets_are_equal_when_their_texts_are() -> None:
    assert Secret("a") == copy.copy(Secret("a")) == pickle.loads(pickle.dumps(Secret("a")))  # noqa: S301 - our own
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
