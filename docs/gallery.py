"""Makes the README's gallery from what `jaxdip reproduce --all --out FOLDER` left.

    python docs/gallery.py FOLDER

One figure of each experiment goes to docs/gallery/, below 150 KB, and the table of them, each with
the seconds that its command took, between the two markers in README.md.
"""

import argparse
import json
from pathlib import Path

from PIL import Image

from jaxdip.experiments import EXPERIMENTS

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
BEGIN, END = "<!-- gallery -->", "<!-- end of gallery -->"
LIMIT = 150_000
COLUMNS = 3
#: Of experiments with several figures, the one to show.
SHOWN = {
    "cs-noise": "images",
    "gd-2": "widths",
    "gd-3a": "images",
    "gd-3b": "images",
    "ode-discrete": "order",
    "talk-deblurring": "images",
    "talk-overparametrisation": "over-n",
}


def shrunk(source: Path, target: Path) -> None:
    """The figure with at most 1000 pixels across and 64 colours or more, below the limit.

    Raises:
        ValueError: if it stays above the limit.
    """
    image = Image.open(source).convert("RGB")
    image.thumbnail((1000, 1400), Image.Resampling.LANCZOS)
    for colours in (256, 128, 64):
        image.quantize(colours).save(target, optimize=True)
        if target.stat().st_size < LIMIT:
            return
    raise ValueError(f"{target.name} stays above {LIMIT // 1000} KB")


def cell(name: str, what: str, folder: Path) -> str:
    """The figure of one experiment, its name, what it shows and its time."""
    seconds = json.loads((folder / "summary.json").read_text())["seconds"]
    taken = f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
    picture = f'<img src="docs/gallery/{name}.png" width="260" alt="{what}">'
    return f"<td>{picture}<br><code>{name}</code>, {taken}: {what}</td>"


def main() -> None:
    """Writes the pictures and the table."""
    parser = argparse.ArgumentParser(description="Makes the README's gallery.")
    parser.add_argument("folder", type=Path, help="what `jaxdip reproduce --all --out` was given")
    folder = parser.parse_args().folder
    (HERE / "gallery").mkdir(exist_ok=True)
    cells = []
    for kind in EXPERIMENTS:
        run = folder / kind.name / "quick"
        source = run / f"{SHOWN.get(kind.name, 'figure')}.png"
        shrunk(source, HERE / "gallery" / f"{kind.name}.png")
        cells.append(cell(kind.name, kind.title, run))
    rows = [cells[i : i + COLUMNS] for i in range(0, len(cells), COLUMNS)]
    table = ["<table>", *(f"<tr>{''.join(row)}</tr>" for row in rows), "</table>"]
    text = README.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    README.write_text(before + "\n".join([BEGIN, *table, END]) + after)


if __name__ == "__main__":
    main()
