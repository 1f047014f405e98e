"""How many tokens a second are verified on this machine, beside other libraries in the same run."""

from tocsin.verification.load import LoadResult, measure_load
from tocsin.verification.measurement import VerificationRate, VerificationResult, measure_verification
from tocsin.verification.tables import load_table, verification_table

__all__ = [
    "LoadResult",
    "VerificationRate",
    "VerificationResult",
    "load_table",
    "measure_load",
    "measure_verification",
    "verification_table",
]
