"""The type checker that the import hook of conftest.py puts around every function of mtm_core."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int is a float: window=(0, 1)
