"""`python -m cifake_ray`: the command line where no script is installed, as inside a Ray job."""

import sys

from cifake_ray.cli import main

sys.argv[0] = "cifake-ray"
main()
