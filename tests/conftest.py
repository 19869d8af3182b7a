"""Set what must be known before numpy, torch or matplotlib are first loaded."""

import os

from hypothesis import settings

# One thread per process: the networks are small, and two test processes share two cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

# The same examples in every run, and no time limit that a busy machine could miss.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")
