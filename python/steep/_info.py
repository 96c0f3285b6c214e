"""What runs here?"""

from typing import TypedDict

from steep import _steep


class Info(TypedDict):
    """What `info` returns.

    Attributes
    ----------
    version : str
        The package's version.
    isa : str
        The instruction set in use: "avx512", "avx2", "neon" or "scalar". The environment variable
        STEEP_ISA, read at the first call, may ask for a lesser one.
    features : dict of str to bool
        Each processor feature that Steep knows of, and whether it is there.
    threads : int
        Cores that calls may use: the process's affinity and cgroup, not the machine's count.
    """

    version: str
    isa: str
    features: dict[str, bool]
    threads: int


def info() -> Info:
    """Facts for a bug report: version, instruction set, processor features, threads.

    Returns
    -------
    Info

    Examples
    --------
    >>> import steep
    >>> sorted(steep.info())
    ['features', 'isa', 'threads', 'version']
    """
    return _steep.info()
