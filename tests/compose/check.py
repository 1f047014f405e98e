"""What must hold of the stack, step by step; a step returns what is worth telling beside its sentence."""

import base64
import json
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final

from tests.compose.browser import log_in
from tests.compose.programs import Client, IssuerProgram, SidecarProgram
from tests.compose.stack import IMAGE, SERVICES, Stack, StackFailed

WRITES_ITS_ROOT: Final = ("kafka",)
PUBLISHED_LATER: Final = 3
"""Exit code of ``tocsin revoke`` when the decision is durable and the log has not acknowledged it."""
TOKEN_SECONDS: Final = 77
STALENESS_SECONDS: Final = 660
"""Hot settings, as they are set; the defaults are others."""
WITHOUT_ISSUER_SECONDS: Final = 5
WAIT_SECONDS: Final = 30


@dataclass
class Check:
    """What the steps share.

    Attributes:
        stack: the containers.
        good: a token that nobody revokes.
        revoked: a token that is revoked and stays so.
        revocation: the identifier of one that can be lifted.
    """

    stack: Stack
    good: str = ""
    revoked: str = ""
    revocation: str = ""

    @cached_property
    def issuer(self) -> IssuerProgram:
        """The issuer, as the demo client that ``setup`` registered."""
        credentials = json.loads(self.stack.execute("issuer", "cat", "/var/lib/tocsin/demo-client.json"))
        return IssuerProgram(self.stack.issuer_port, Client(**credentials))

    @cached_property
    def sidecar(self) -> SidecarProgram:
        """The agent."""
        return SidecarProgram(self.stack.sidecar_port)

    def operate(self, *arguments: str, code: int = 0) -> Any:
        """The answer of a ``tocsin`` command in the issuer's container."""
        return json.loads(self.stack.execute("issuer", "tocsin", *arguments, "--json", codes=(code,)))


def image_builds(check: Check) -> None:
    check.stack.build()


def image_holds_no_secret(check: Check) -> str:
    script = Path(__file__).with_name("image_contents.py").read_text()
    looking = ["--user=0", "--network=none", "--entrypoint=python"]
    found = check.stack.docker("run", "--rm", "--interactive", *looking, IMAGE, "-", given=script)
    _expect(not found.strip(), f"the image holds: {found.strip()}")
    image = json.loads(check.stack.docker("image", "inspect", IMAGE))[0]
    names = [line.partition("=")[0] for line in image["Config"]["Env"]]
    telling = [name for name in names if name.startswith("TOCSIN_") or "PASSWORD" in name or "SECRET" in name]
    _expect(not telling, f"the image sets {telling}")
    user = image["Config"]["User"]
    _expect(user.partition(":")[0] not in ("", "0", "root"), f"the image's user is {user!r}")
    return f"user {user}, {image['Size'] / 1e6:.0f} MB"


def stack_comes_up(check: Check) -> str:
    check.stack.up()
    return f"{len(SERVICES)} services"


def nothing_runs_as_root(check: Check) -> str:
    users = []
    for service in SERVICES:
        said = check.stack.execute(service, "cat", "/proc/1/status")
        status = dict(line.split(":", 1) for line in said.splitlines() if ":" in line)
        users.append(f"{service} {check.stack.execute(service, 'id', '-u').strip()}")
        _expect("0" not in status["Uid"].split(), f"{service} runs as root: Uid {status['Uid'].split()}")
        _expect(not int(status["CapBnd"], 16), f"{service} could have capabilities: {status['CapBnd'].strip()}")
        _expect(status["NoNewPrivs"].strip() == "1", f"{service} may gain privileges")
        read_only = check.stack.inspect(service)["HostConfig"]["ReadonlyRootfs"]
        _expect(read_only is (service not in WRITES_ITS_ROOT), f"{service}: root file system read-only is {read_only}")
    return ", ".join(users)


def only_two_ports_on_loopback(check: Check) -> None:
    wanted = {"issuer": check.stack.issuer_port, "agent": check.stack.sidecar_port}
    for service in SERVICES:
        published = check.stack.inspect(service)["NetworkSettings"]["Ports"] or {}
        found = [(entry["HostIp"], int(entry["HostPort"])) for entries in published.values() for entry in entries or ()]
        expected = [("127.0.0.1", wanted[service])] if service in wanted else []
        _expect(found == expected, f"{service} is published at {found}")


def secrets_stay_with_the_issuer(check: Check) -> None:
    stack = check.stack
    modes = stack.execute("issuer", "sh", "-c", "cd /var/lib/tocsin && stat -c '%n %a %u' . *").splitlines()
    found = {name: (mode, user) for name, mode, user in (line.split() for line in modes)}
    for name in ("kek", "operator.json", "agents.json", "demo-client.json", "demo-user.json", "tocsin.toml"):
        _expect(found.get(name, ("", ""))[0] == "600", f"{name} has mode {found.get(name)}")
    _expect(found["."][0] == "700", f"the folder has mode {found['.']}")
    seen = stack.execute("agent", "sh", "-c", "ls -A /etc/tocsin /var/lib/tocsin").split()
    _expect(seen == ["/etc/tocsin:", "trust.json", "/var/lib/tocsin:"], f"the agent sees {seen}")
    trust = json.loads(stack.execute("agent", "cat", "/etc/tocsin/trust.json"))
    _expect(all("d" not in key for key in trust["event_keys"]), "the trust file holds a private key")
    environment = stack.execute("agent", "env")
    _expect("postgresql" not in environment, "the agent's environment names the store")
    dial = "import socket; socket.create_connection(('postgresql', 5432), 2); print('reached')"
    _expect(not stack.execute("agent", "python", "-c", dial, codes=(0, 1)), "the agent reaches the store")


def token_verifies(check: Check) -> None:
    check.good, check.revoked = check.issuer.token(), check.issuer.token()
    for token in (check.good, check.revoked):
        _expect(check.sidecar.judges(token) == 200, "a new token is refused")
    broken = check.good[:-4] + ("AAAA" if check.good[-4:] != "AAAA" else "BBBB")
    _expect(check.sidecar.judges(broken) == 401, "a broken signature is accepted")


def metadata_lead_to_the_keys(check: Check) -> str:
    metadata = check.issuer.get("/.well-known/openid-configuration")
    _expect(metadata["issuer"] == check.issuer.url, f"the metadata are of {metadata['issuer']}")
    path = metadata["jwks_uri"].removeprefix(check.issuer.url)
    keys = check.issuer.get(path)["keys"]
    _expect(not any("d" in key for key in keys), "a private key is published")
    header = json.loads(base64.urlsafe_b64decode(check.good.partition(".")[0] + "=="))
    _expect(header["kid"] in {key["kid"] for key in keys}, "the key that signed a token is not published")
    return f"{len(keys)} keys"


def user_logs_in(check: Check) -> str:
    user = json.loads(check.stack.execute("issuer", "cat", "/var/lib/tocsin/demo-user.json"))
    login = log_in(check.issuer.url, **user)
    _expect(login.style == "text/css", f"the style sheet is {login.style}")
    _expect({"access_token", "refresh_token", "id_token"} <= login.tokens.keys(), f"only {sorted(login.tokens)}")
    check.sidecar.wait(login.tokens["access_token"], 200)
    return f"as {user['username']}"


def revoked_token_is_refused(check: Check) -> str:
    answer = check.operate("revoke", "--token", check.revoked, "--reason", "compose check")
    _expect(answer["published"], "not published")
    took = check.sidecar.wait(check.revoked, 401)
    check.revocation = answer["id"]
    _expect(check.sidecar.judges(check.good) == 200, "another token is refused too")
    return f"{took} after the command ended"


def lifted_token_is_good_again(check: Check) -> str:
    check.operate("lift", check.revocation, "--reason", "compose check")
    took = check.sidecar.wait(check.revoked, 200)
    _expect(check.issuer.active(check.revoked), "introspection still says inactive")
    return f"{took} after the command ended"


def configuration_changes(check: Check) -> str:
    _expect(check.issuer.token_lifetime() != TOKEN_SECONDS, "the lifetime is already what it shall become")
    check.operate("config", "set", "issuer", f"access_token_lifetime={TOKEN_SECONDS}")
    check.operate("config", "set", "agent", f"max_staleness={STALENESS_SECONDS}")
    began = time.monotonic()
    _wait(lambda: check.issuer.token_lifetime() == TOKEN_SECONDS, "the issuer's tokens live as long as before")
    _wait(lambda: _staleness_is_from_consul(check), "the sidecar's setting is as before")
    took = time.monotonic() - began
    shown = {each["name"]: each for each in check.operate("config", "show")["settings"]}["access_token_lifetime"]
    _expect(shown["source"].startswith("consul"), f"`tocsin config show` says: {shown}")
    for program in ("issuer", "agent"):
        _wait(partial(_is_registered, check, program), f"Consul does not find the {program} healthy")
    return f"{1000 * took:.0f} ms after the commands ended; both are registered and healthy"


def consul_hangs_and_nothing_waits(check: Check) -> None:
    consul = check.stack.container("consul")
    check.stack.docker("pause", consul)
    _expect(check.issuer.token_lifetime() == TOKEN_SECONDS, "the issuer forgot what Consul had told it")
    _expect(check.sidecar.judges(check.issuer.token()) == 200, "a new token is refused")
    _expect(_staleness_is_from_consul(check), "the sidecar forgot what Consul had told it")
    check.stack.docker("unpause", consul)
    check.operate("config", "unset", "issuer", "access_token_lifetime")
    _wait(lambda: check.issuer.token_lifetime() != TOKEN_SECONDS, "the issuer does not hear Consul again")


def kafka_hangs_and_people_still_revoke(check: Check) -> str:
    check.stack.docker("pause", check.stack.container("kafka"))
    answer = check.operate(
        "revoke", "--token", check.revoked, "--reason", "Kafka hangs", "--wait", "1", code=PUBLISHED_LATER
    )
    _expect(answer["published"] is False, "said to be published")
    _expect(not check.issuer.active(check.revoked), "introspection says active")
    _expect(check.issuer.active(check.issuer.token()), "no new tokens")
    _expect(check.sidecar.judges(check.good) == 200, "the sidecar refuses a good token")
    _wait(lambda: check.issuer.health()["relay"] == "log_unavailable", "the issuer does not say that its log is away")
    _expect(check.sidecar.judges(check.revoked) == 200, "the sidecar knew without Kafka: so what was tested?")
    return "decided, not published; introspection: inactive"


def kafka_is_back_and_the_sidecar_refuses(check: Check) -> str:
    check.stack.docker("unpause", check.stack.container("kafka"))
    took = check.sidecar.wait(check.revoked, 401)
    _wait(
        lambda: check.operate("revocations")["revocations"][0]["published"],
        "the issuer does not say that it is published",
    )
    return f"{took} after unpause"


def issuer_dies_and_the_sidecar_goes_on(check: Check) -> str:
    check.stack.docker("kill", check.stack.container("issuer"))
    ended = time.monotonic() + WITHOUT_ISSUER_SECONDS
    asked = 0
    while time.monotonic() < ended:
        _expect(check.sidecar.judges(check.good) == 200, "the sidecar refuses a good token")
        _expect(check.sidecar.judges(check.revoked) == 401, "the sidecar takes a revoked token")
        asked += 2
        time.sleep(0.02)
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", check.stack.issuer_port), 1).close()
        raise StackFailed("somebody still listens on the issuer's port")
    return f"{asked} judged, what is known is {check.sidecar.freshness():.1f} s old"


def issuer_is_back(check: Check) -> str:
    check.stack.docker("start", check.stack.container("issuer"))
    check.stack.wait_healthy(["issuer"])
    _expect(not check.issuer.active(check.revoked), "the issuer has forgotten a revocation")
    took = check.sidecar.wait(check.issuer.token(), 200)
    return f"a new token was good {took} later"


def all_restart_on_what_they_kept(check: Check) -> None:
    before = _fingerprints(check.stack)
    check.stack.stop()
    check.stack.up()
    _expect(_fingerprints(check.stack) == before, "setup made keys or credentials anew")
    check.sidecar.wait(check.good, 200)
    _expect(check.sidecar.judges(check.revoked) == 401, "the sidecar takes a revoked token")
    _expect(not check.issuer.active(check.revoked), "the issuer has forgotten a revocation")
    _expect(check.operate("topics", "check")["faults"] == [], "the topics have faults")
    _wait(lambda: _staleness_is_from_consul(check), "what was set in Consul is gone")


def _staleness_is_from_consul(check: Check) -> bool:
    value, source = check.sidecar.setting("max_staleness")
    return bool(value == STALENESS_SECONDS and source.startswith("consul"))


def _is_registered(check: Check, program: str) -> bool:
    url = f"http://127.0.0.1:8500/v1/health/service/tocsin-{program}?passing"
    return bool(json.loads(check.stack.execute("consul", "wget", "-qO-", url)))


def _fingerprints(stack: Stack) -> str:
    return stack.execute("issuer", "sh", "-c", "sha256sum /var/lib/tocsin/*") + stack.execute(
        "agent", "sha256sum", "/etc/tocsin/trust.json"
    )


def _wait(holds: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        _expect(time.monotonic() < deadline, f"{otherwise} after {WAIT_SECONDS} s")
        time.sleep(0.2)


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise StackFailed(otherwise)


STEPS: Final[tuple[tuple[str, Callable[[Check], str | None]], ...]] = (
    ("the image builds", image_builds),
    ("the image holds no secret and no build tool", image_holds_no_secret),
    ("the stack comes up, every service healthy", stack_comes_up),
    ("nothing runs as root, or could become it", nothing_runs_as_root),
    ("only issuer and sidecar are published, on loopback", only_two_ports_on_loopback),
    ("keys and credentials stay with the issuer; agents see the trust file", secrets_stay_with_the_issuer),
    ("the sidecar takes a token of the issuer", token_verifies),
    ("the metadata lead to the key that signed it", metadata_lead_to_the_keys),
    ("the sidecar refuses the token once `tocsin revoke` has ended", revoked_token_is_refused),
    ("and takes it again after `tocsin lift`", lifted_token_is_good_again),
    ("a user logs in on the issuer's pages; the sidecar takes the token", user_logs_in),
    ("`tocsin config set` changes issuer and sidecar as they run", configuration_changes),
    ("Consul hangs: all goes on as it was, and hears it again after", consul_hangs_and_nothing_waits),
    ("Kafka hangs: operators revoke, the issuer refuses at once", kafka_hangs_and_people_still_revoke),
    ("Kafka goes on: the sidecar refuses too", kafka_is_back_and_the_sidecar_refuses),
    ("the issuer is killed: the sidecar goes on", issuer_dies_and_the_sidecar_goes_on),
    ("the issuer starts again and knows what was revoked", issuer_is_back),
    ("all stop and start again on the same keys and revocations", all_restart_on_what_they_kept),
)
