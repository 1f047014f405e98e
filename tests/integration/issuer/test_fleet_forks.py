"""A program that forks is two agents, also when its folder keeps a key."""

import asyncio
import json
import sys
from pathlib import Path

from tests.integration.issuer.test_fleet import agents_client, settings
from tests.issuer_under_test import Installation, Replica, until

PROGRAM = """
import json, os, sys, time
from pathlib import Path
from verifier_agent import AgentSettings, ThreadAgent

def enrolled():
    while not agent.status().fleet.enrolled:
        time.sleep(0.02)
    os.write(1, json.dumps({"agent": agent.status().fleet.agent, "name": agent.status().fleet.name}).encode() + b"\\n")

given = json.loads(sys.argv[1])
given |= {"trust": Path(given["trust"]), "state_dir": Path(given["state_dir"])}
agent = ThreadAgent(AgentSettings(**given))
agent.start()
enrolled()
child = os.fork()
if child == 0:
    enrolled()
    agent.stop()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert agent.status().fleet.enrolled
agent.stop()
"""


async def test_a_forked_child_has_a_key_of_its_own_and_each_says_its_own_farewell(
    installation: Installation, issuer: Replica, tmp_path: Path
) -> None:
    given = settings(installation, await agents_client(installation), "unused")
    named = {"log": given.log, "trust": str(given.trust), "enrol_url": given.enrol_url, "status_every": 0.5}
    arguments = json.dumps({**named, "state_dir": str(tmp_path / "state")})
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(50):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode()[-2000:]
    parent, child = map(json.loads, out.decode().splitlines())

    async def both_left() -> bool:
        agents = (await issuer.admin("GET", "/agents")).json()["agents"]
        return {(each["id"], each["standing"]) for each in agents} == {
            (parent["agent"], "left"),
            (child["agent"], "left"),
        }

    assert parent["agent"] != child["agent"]
    assert parent["name"] != child["name"]
    await until(both_left, "both have said farewell")
