"""How soon a change in Consul has its effect at every agent, at the issuer, and in which key signs."""

from tocsin.reconfiguration.measurement import ConfigurationResult, Extent, measure_configuration

__all__ = ["ConfigurationResult", "Extent", "measure_configuration"]
