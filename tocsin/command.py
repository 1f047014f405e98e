"""``tocsin``: finds the command, reads the settings, and turns failures into messages and exit codes.

Exit codes: 0 done · 1 failed · 2 wrong use · 3 done in part.
"""

import importlib
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import msgspec

from events import LogError
from events.errors import LogMisconfigured
from issuer.errors import IssuerError
from tocsin.errors import FAILED, IN_PART, WRONG_USE, CommandFailed
from tocsin.output import Output
from tocsin.settings import ALL_NAMES
from verifier_agent import SettingInvalid, Sources
from verifier_agent.configuration import located
from verifier_agent.hot import HotConfiguration

COMMANDS: Final = {
    "agent": "Run a verifier agent beside a service (sidecar).",
    "bench": "Measure delivery and verification on this machine.",
    "client": "Register, change and end clients, and give them secrets.",
    "config": "Show, check and change the configuration of running programs.",
    "demo": "Show it all: issue, verify, revoke, refused.",
    "fleet": "List the enrolled agents and who lags; remove one that is gone.",
    "init": "Set up a folder for development: keys, clients, configuration.",
    "issuer": "Run the issuer.",
    "keys": "List, rotate, revoke, import and export token keys; seal them anew.",
    "login": "Log in through a browser, as an application on this machine does.",
    "lift": "Take a revocation back.",
    "recover": "Bring store and log together again, after one of them went back.",
    "revocations": "List what has been revoked.",
    "revoke": "Revoke a token, a client, a subject, a key, or everything.",
    "trust": "Show the event keys, and have one succeed another.",
    "watch": "Show events as they happen, and agents that fall behind.",
    "user": "Add users, let them do nothing any more, or again.",
    "topics": "Create and check the Kafka topics.",
}
DEFAULT_FILE: Final = Path(".tocsin") / "tocsin.toml"

F = TypeVar("F", bound=Callable[..., Any])


class Context:
    """What every command is given.

    Attributes:
        output: where it says what it does.
    """

    def __init__(self, config: Path | None) -> None:
        self.output = Output(as_json=False)
        self._config = config
        self._sources: Sources | None = None

    @property
    def arguments(self) -> list[str]:
        """By which a further process finds the same settings."""
        return [] if self._config is None else ["--config", str(self._config)]

    def read(self, kind: type[Any]) -> Any:
        """The settings of one program, from the configuration file and the environment.

        Raises:
            SettingInvalid: one is missing, not allowed or unknown.
        """
        return self.sources().read(kind)

    def hot(self, *kinds: type[Any]) -> HotConfiguration:
        """The settings of a program that goes on reading them while it runs.

        Raises:
            SettingInvalid: see ``read``.
        """
        return HotConfiguration(kinds, self.sources(), ALL_NAMES)

    def sources(self) -> Sources:
        """Where the settings stand: the file that was named, or the one ``tocsin init`` made in this folder.

        Raises:
            SettingInvalid: the file cannot be read, or a name is unknown.
        """
        path = self._config
        if path is None and not os.environ.get("TOCSIN_CONFIG") and DEFAULT_FILE.exists():
            path = DEFAULT_FILE
        self._sources = Sources.find(os.environ, path)
        self._sources.check_names(ALL_NAMES)
        return self._sources

    def located(self, message: str) -> str:
        """What is said of a setting, with where that stands; a command that has not read any is told by its options."""
        return message if self._sources is None else located(message, self._sources)


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"tocsin.commands.{cmd_name}").command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except LogMisconfigured as error:
            raise SettingInvalid(ctx.obj.located(f"setting 'log': {error}")) from error
        except SettingInvalid as error:
            raise SettingInvalid(ctx.obj.located(str(error))) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", type=click.Path(path_type=Path), help="TOML file with settings (or TOCSIN_CONFIG).")
@click.version_option(package_name="tocsin")
@click.pass_context
def tocsin(ctx: click.Context, config: Path | None) -> None:
    """Ring once, every verifier hears: OAuth 2 tokens, and their revocation, everywhere, now."""
    ctx.obj = Context(config)


def json_option(command: F) -> F:
    """``--json``: the answer, and errors, as JSON for programs."""

    def chosen(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
        if value:
            ctx.obj.output = Output(as_json=True)

    return click.option(
        "--json", is_flag=True, expose_value=False, callback=chosen, help="Answer as JSON, for programs."
    )(command)


def wait_option(command: F) -> F:
    """``--wait``: how long the issuer may take to hear that the event log has the decision."""
    return click.option(
        "--wait", default=5, show_default=True, type=click.IntRange(0, 30), help="Seconds to wait for the log."
    )(command)


def tell_decided(output: Output, text: str, answer: dict[str, Any]) -> int:
    """Say what was decided, and whether it is on its way to the agents; the exit code."""
    published = answer.get("published", True)
    output.line(text if published else f"{text}, not yet published")
    return 0 if published else IN_PART


def main() -> None:
    """Run the command line and exit."""
    as_json = "--json" in sys.argv
    # It reports each failed connection as an error of its own, before we say what that means.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        code = tocsin.main(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(FAILED)
    except click.ClickException as error:
        if as_json:
            _fail("wrong_use", error.format_message(), error.exit_code, as_json=True)
        error.show()
        sys.exit(error.exit_code)
    except SettingInvalid as error:
        _fail("wrong_setting", str(error), WRONG_USE, as_json=as_json)
    except KeyboardInterrupt:
        sys.exit(130)
    except (CommandFailed, LogError, IssuerError) as error:
        _fail(getattr(error, "code", "failed"), str(error), getattr(error, "exit_code", FAILED), as_json=as_json)
    except OSError as error:  # a file or folder that the command was to read or make
        where = f"{error.filename}: " if error.filename else ""
        _fail("failed", f"{where}{error.strerror or error}", FAILED, as_json=as_json)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(code: str, message: str, exit_code: int, *, as_json: bool) -> None:
    if as_json:
        message = msgspec.json.encode({"error": code, "detail": message}).decode()
    click.echo(message if as_json else f"tocsin: {message}", err=True)
    sys.exit(exit_code)
