"""What every replica does now and then."""

from sqlalchemy import select, update

from issuer.housekeeping import LONGEST_REQUEST_ROUNDS, Housekeeping
from issuer.store.schema import ceilings, keys
from tests.issuer_under_test import Installation, Replica, until

DAY = 86_400.0


def housekeeping(issuer: Replica) -> Housekeeping:
    inside = issuer.services
    return Housekeeping(
        *(inside.database, inside.keys, inside.own_agent, inside.relay, inside.settings.token_lifetime_ceiling),
        *(inside.families, inside.standing, inside.leadership, inside.kek_holders),
    )


async def test_a_key_retires_when_its_last_token_is_dead_and_not_before(
    installation: Installation, issuer: Replica
) -> None:
    admin = await issuer.token(installation.operator)
    await issuer.admin("POST", "/keys/rotate", {"reason": "due"}, token=admin)

    await housekeeping(issuer).once()
    assert "retired" not in await states(issuer, admin)

    async with issuer.services.database.write() as connection:
        aged = keys.c.changed_at - issuer.services.settings.token_lifetime_ceiling - 3600
        await connection.execute(update(keys).where(keys.c.state == "retiring").values(changed_at=aged))
    await housekeeping(issuer).once()

    admin = await issuer.token(installation.operator)  # the one before was of the key that has retired
    assert sorted(await states(issuer, admin)) == ["active", "pending", "retired"]
    published = (await issuer.send("GET", "/.well-known/jwks.json")).json()["keys"]
    assert len(published) == 2


async def test_the_ceiling_of_token_life_is_noted_from_the_start(issuer: Replica) -> None:
    async def noted() -> bool:
        async with issuer.services.database.read() as connection:
            found = (await connection.execute(select(ceilings.c.seconds))).scalars().all()
        return list(found) == [issuer.services.settings.token_lifetime_ceiling]

    await until(noted, "the ceiling is in the store")


async def states(issuer: Replica, token: str) -> list[str]:
    return [key["state"] for key in (await issuer.admin("GET", "/keys", token=token)).json()["keys"]]


async def test_what_a_login_that_is_going_on_rests_on_is_not_forgotten_under_it(issuer: Replica) -> None:
    """It reads what is known, takes its time over a password, and only then is there a session to keep it for."""
    keeping = housekeeping(issuer)
    await issuer.revoke(selector={"sub": "somebody"})
    for _ in range(LONGEST_REQUEST_ROUNDS - 1):
        await keeping.once()
        assert len(issuer.services.standing) == 1
    await keeping.once()
    assert len(issuer.services.standing) == 0
