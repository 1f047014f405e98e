"""An agent whose settings are those of a configuration, whatever they become."""

from verifier_agent.agent import Agent
from verifier_agent.hot.configuration import HotConfiguration
from verifier_agent.settings import AgentSettings


def configured_agent(configuration: HotConfiguration) -> Agent:
    """An agent that goes by what is in force, from each change on; it is yet to be started.

    Args:
        configuration: has ``AgentSettings`` among its kinds.
    """
    live = configuration.live(AgentSettings)
    agent = Agent(live.now)
    configuration.also_tell(lambda _: agent.reconfigure(live.now))
    return agent
