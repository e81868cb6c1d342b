"""How long does `import jaxdip` take, beyond the libraries it stands on?

Fresh processes, one after another: each imports jax, diffrax and equinox, then jaxdip, and says the
seconds of both, and those of the processor, which are fewer on a busy machine. Also prints the
modules that take longest by `python -X importtime`, and what came in that must not: matplotlib,
zarr, scikit-image and tyro are for whoever asks for them. Compiled bytecode is there, as after an
installation; the first process is not counted. Status 1 if such a module came in, or if even the
least of the processor's times is above the limit of 1.0 s: other work on the machine lengthens them
(caches and clocks are shared), and never shortens them.

    python -m benchmarks.import_time

Its last output (2 cores, November 2026): 0.53 s [0.50, 0.84] beyond the 0.95 s of jax, diffrax and
equinox; of the processor 0.66 s; no heavy module.
"""

import argparse
import json
import re
import subprocess
import sys
from collections import defaultdict

from benchmarks._report import summary, write

#: Never imported by `import jaxdip` itself.
HEAVY = ("matplotlib", "zarr", "xarray", "skimage", "tyro", "PIL", "pandas")
#: What an import may take of the processor, in seconds beyond jax, diffrax and equinox.
LIMIT = 1.0

_CODE = f"""
import json, sys, time
start = time.perf_counter()
import diffrax, equinox, jax
before = set(sys.modules)
below, busy = time.perf_counter(), time.process_time()
import jaxdip
end, busy = time.perf_counter(), time.process_time() - busy
new = {{name.partition(".")[0] for name in set(sys.modules) - before}}
heavy = sorted(new & set({HEAVY!r}))
told = {{"below": below - start, "beyond": end - below, "processor": busy, "heavy": heavy}}
print(json.dumps(told))
"""
_LINE = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)")


def once() -> dict:
    """Seconds of both imports, and the heavy modules that jaxdip brought, in a fresh process."""
    done = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def by_package() -> dict[str, float]:
    """Seconds of the import by room of jaxdip, or by other package; traced, so slower."""
    code = "import diffrax, equinox, jax, sys; sys.stderr.write('here\\n'); import jaxdip"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=True
    )
    seconds: dict[str, float] = defaultdict(float)
    for own, name in _LINE.findall(done.stderr.rpartition("here\n")[2]):
        parts = name.split(".")
        seconds[".".join(parts[: 2 if parts[0] == "jaxdip" else 1])] += int(own) / 1e6
    return dict(sorted(seconds.items(), key=lambda item: -item[1]))


def main() -> None:
    """Times the import and prints one line, and one for each of the slowest parts."""
    parser = argparse.ArgumentParser(description="The seconds of `import jaxdip`.")
    parser.add_argument("--quick", action="store_true", help="three processes instead of fifteen")
    quick = parser.parse_args().quick
    count = 3 if quick else 15
    once()
    runs = [once() for _ in range(count)]
    names = ("beyond", "below", "processor")
    beyond, below, processor = (summary([run[name] for run in runs]) for name in names)
    parts, heavy = by_package(), runs[0]["heavy"]
    print(
        f"import jaxdip: {beyond['median']:.2f} s ({beyond['min']:.2f} to {beyond['max']:.2f}) "
        f"beyond jax, diffrax and equinox, which take {below['median']:.2f} s; of the processor "
        f"{processor['median']:.2f} s; limit {LIMIT} s"
    )
    for name, seconds in list(parts.items())[:8]:
        print(f"  {name:24s} {seconds:.3f} s")
    print(f"heavy modules that came along: {', '.join(heavy) or 'none'}")
    result = {
        "benchmark": "import_time",
        "processes": count,
        "beyond": beyond,
        "below": below,
        "processor": processor,
        "parts": parts,
        "heavy": heavy,
        "ratios": {"jaxdip beyond the others ÷ the others": beyond["median"] / below["median"]},
    }
    print(write("import_time", result, quick=quick))
    if heavy or processor["min"] > LIMIT:
        raise SystemExit(f"import jaxdip brings {heavy} and takes {processor['min']:.2f} s")


if __name__ == "__main__":
    main()
