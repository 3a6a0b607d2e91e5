"""What setup.cfg cannot say: the compiled part of ingest. Where it cannot be built, the Python code does the same."""

from setuptools import Extension, setup

COMPILED = Extension(
    "server.ingest.compiled",
    ["server/ingest/compiled.c"],
    # -O2: some Pythons build extensions with less. -ffp-contract: a duration is rounded as Python rounds it.
    extra_compile_args=["-O2", "-ffp-contract=off"],
    optional=True,
)

setup(ext_modules=[COMPILED])
